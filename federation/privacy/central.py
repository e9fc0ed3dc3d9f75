"""Noise that a round server adds to the sum of a round's phones, for phones that trust it with the sum.

Fresh Gaussian noise every round is DP-FedAvg (McMahan et al. 2018, https://arxiv.org/abs/1710.06963). Noise on a binary
tree of rounds is DP-FTRL (Kairouz et al. 2021, https://arxiv.org/abs/2103.00039): a node covers 2^level rounds and has
noise of its own, and a model carries the noise of the nodes that its rounds are made of. A new tree begins every
`restart_rounds`.

What a round adds is a function of the server's secret, of the round and of the round that made its parent: a round that
is finished twice gets the same noise, and nothing has to be remembered. Samples are floating-point Gaussians from an
AES-256-CTR stream: their low bits are not covered (Mironov 2012); noise by phones (`mechanisms`) is in integers.
"""

import hashlib
import math
import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np

from federation.errors import ConfigError
from federation.updates.codec import FLOAT_SLACK
from federation.updates.encoding import PackedEncoding
from federation.updates.random_stream import random_words
from federation.updates.rotation import padded
from model.layout import FlatVector

CentralMechanism = Literal["none", "gaussian", "tree"]

_LABEL = b"fedkey central noise v1\0"
_LANES = 4


@dataclass(frozen=True, kw_only=True)
class CentralNoise:
    """How a server noises its sums.

    Attributes:
        mechanism: `none`; `gaussian`, fresh every round; `tree`, on a binary tree of rounds.
        noise_multiplier: z; standard deviation over the most that a phone moves the sum, for the tree that of a node.
        restart_rounds: rounds of a tree, after which a new one begins; 0 is one tree.
    """

    mechanism: CentralMechanism = "none"
    noise_multiplier: float = 0.0
    restart_rounds: int = 0

    def __post_init__(self) -> None:
        if self.mechanism not in {"none", "gaussian", "tree"}:
            raise ConfigError(f"central.mechanism is none, gaussian or tree, not {self.mechanism!r}")
        if not (math.isfinite(self.noise_multiplier) and self.noise_multiplier >= 0):
            raise ConfigError(f"central.noise_multiplier is finite and not negative, not {self.noise_multiplier}")
        if (self.mechanism == "none") != (self.noise_multiplier == 0):
            raise ConfigError(f"central.mechanism {self.mechanism} does not go with noise {self.noise_multiplier:g}")
        if self.restart_rounds < 0 or (self.restart_rounds and self.mechanism != "tree"):
            raise ConfigError("central.restart_rounds is 0 or more, and only a tree has it")

    def on_sum(self, secret: bytes, round_id: int, parent_round: int, deviation: float, dimension: int) -> FlatVector:
        """Return what to add to the sum of a round, float32[dimension].

        Args:
            secret: 32 bytes that the server alone knows.
            round_id: of the round, from 1.
            parent_round: that made the model which the round trained; 0 for the first.
            deviation: standard deviation of fresh noise, or of a node: z times `sensitivity`.
            dimension: of the sum.
        """
        if self.mechanism == "none":
            return np.zeros(dimension, np.float32)
        if self.mechanism == "gaussian":
            return _gaussian(secret, (0, 0, round_id), deviation, dimension)
        new, old = (set(self._nodes(number)) for number in (round_id, parent_round))
        total = np.zeros(dimension, np.float32)
        for node in sorted(new ^ old):
            noise = _gaussian(secret, node, deviation, dimension)
            total += noise if node in new else -noise
        return total

    def _nodes(self, rounds: int) -> list[tuple[int, int, int]]:
        """Return the complete nodes that the first so many rounds are made of: tree, level from 1, place."""
        period = self.restart_rounds or max(rounds, 1)
        nodes = []
        for tree, first in enumerate(range(0, rounds, period)):
            left, place = min(period, rounds - first), 0
            for level in reversed(range(left.bit_length())):
                if left >> level & 1:
                    nodes.append((tree, level + 1, place >> level))
                    place += 1 << level
        return nodes


def exact_encoding(phones: int, clip: float, dimension: int) -> PackedEncoding:
    """Return the encoding whose sums never wrap around, so that a phone moves them by its own length at most."""
    return PackedEncoding.for_clip(_LANES, phones, clip, dimension)


def sensitivity(encoding: PackedEncoding, clip: float, dimension: int) -> float:
    """Return the most by which one phone that counts once can move a sum, in L2: its clip, and all of its rounding."""
    return clip * (1 + FLOAT_SLACK) + math.sqrt(padded(dimension)) * encoding.step


def _gaussian(secret: bytes, node: tuple[int, int, int], deviation: float, dimension: int) -> FlatVector:
    seed = hashlib.sha256(_LABEL + secret + struct.pack("<3Q", *node)).digest()
    half = -(-dimension // 2)
    words = random_words(seed, 2 * half, "<u8") >> np.uint64(11)
    uniform = (words.astype(np.float64) + 0.5) * 2.0**-53
    length = deviation * np.sqrt(-2 * np.log(uniform[:half]))
    angle = 2 * np.pi * uniform[half:]
    drawn = np.concatenate([length * np.cos(angle), length * np.sin(angle)])[:dimension]
    result: FlatVector = drawn.astype(np.float32)
    return result
