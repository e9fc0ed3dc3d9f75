"""Noise that a server says it adds to sums: part of the task, so that phones know what they are told."""

from dataclasses import dataclass
from typing import Literal

from federation.base.ranges import Count, NonNegative, Ranged
from federation.errors import ConfigError

CentralMechanism = Literal["none", "gaussian", "blt"]


@dataclass(frozen=True, kw_only=True)
class CentralNoise(Ranged):
    """How a server noises its sums; `federation.privacy.central` draws the noise.

    Attributes:
        mechanism: `none`; `gaussian`, fresh every round; `blt`, correlated over rounds.
        noise_multiplier: z; standard deviation of the independent noise over the most that a phone moves a sum.
        rounds: Number of rounds of the run that the correlation is made for. It costs what it costs however it is used.
        max_participations: Largest number of rounds with any one phone that the correlation is made for.
        min_separation: Smallest difference of the numbers of two rounds with the same phone, likewise.
    """

    mechanism: CentralMechanism = "none"
    noise_multiplier: NonNegative = 0.0
    rounds: Count = 2000
    max_participations: Count = 6
    min_separation: Count = 313

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.mechanism == "none") != (self.noise_multiplier == 0):
            raise ConfigError(f"central.mechanism {self.mechanism} does not go with noise {self.noise_multiplier:g}")
