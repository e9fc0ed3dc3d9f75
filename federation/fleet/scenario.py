"""The scenario: which phones there are, when they are available, and where they fail, as one typed TOML file.

The same file drives the simulation's virtual clock (`federation.fleet.virtual_clock`) and headless phones. What a phone
does follows from the scenario, a seed and its number alone, so both see the same fleet, and any part of a run can be
repeated. `docs/scenarios.md` has an example.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from federation.base.config import load
from federation.base.ranges import Natural, Positive, Probability, Range, Ranged, Share
from federation.errors import ConfigError
from federation.protocol.message_sizes import Traffic
from federation.protocol.plan import Deadlines
from federation.protocol.steps import STEPS, Step
from federation.protocol.task import ComputeBudget, DeviceClass
from federation.secure_aggregation import MAX_COHORT, MIN_COHORT

Weighting = Literal["examples", "uniform"]
Split = Literal["user", "dirichlet", "iid"]

HOURS = 24
_DAY_SECONDS = 86_400
_LABEL = b"fedkey scenario v1\0"


@dataclass(frozen=True, kw_only=True)
class PhoneClass(Ranged):
    """Phones of a kind.

    Attributes:
        name: for people.
        share: of the fleet.
        device_class: that the phone tells the server.
        budget: what it spends on training in a round, whatever more the server would allow.
        tokens_per_second: that it trains.
        upload_bytes_per_second, download_bytes_per_second: of its network.
    """

    name: str
    share: Share
    device_class: DeviceClass = "middle"
    budget: ComputeBudget = field(default_factory=lambda: ComputeBudget(steps=400, seconds=120))
    tokens_per_second: Positive = 5000.0
    upload_bytes_per_second: Positive = 500_000.0
    download_bytes_per_second: Positive = 2_000_000.0

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except ConfigError as error:
            raise ConfigError(f"class {self.name!r}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Availability:
    """When phones are idle, charging and on a network without a meter.

    Attributes:
        by_hour: share of the fleet in each hour of the day, from midnight.
    """

    by_hour: tuple[float, ...] = (1.0,) * HOURS

    def __post_init__(self) -> None:
        if len(self.by_hour) != HOURS or not all(0 <= share <= 1 for share in self.by_hour):
            raise ValueError(f"by_hour has {HOURS} shares of 0 to 1, not {', '.join(map(str, self.by_hour))}")


@dataclass(frozen=True, kw_only=True)
class DropOut(Ranged):
    """Share of phones that vanish in each step of a round, of those that came so far."""

    advertise: Probability = 0.0
    share: Probability = 0.0
    upload: Probability = 0.0
    confirm: Probability = 0.0
    unmask: Probability = 0.0

    @classmethod
    def of_round(cls, share: float) -> "DropOut":
        """Return the drop-out of which this many phones do not come to the end of a round, as many in each step."""
        each = 1 - (1 - share) ** (1 / len(STEPS))
        return cls(advertise=each, share=each, upload=each, confirm=each, unmask=each)

    def at(self, step: Step) -> float:
        """Return the share that vanishes in a step."""
        shares: dict[Step, float] = {
            Step.ADVERTISE: self.advertise,
            Step.SHARE: self.share,
            Step.UPLOAD: self.upload,
            Step.CONFIRM: self.confirm,
            Step.UNMASK: self.unmask,
        }
        return shares[step]


@dataclass(frozen=True, kw_only=True)
class Rounds(Ranged):
    """How simulated rounds are run; a round server has settings of its own.

    Attributes:
        minimum: with fewer phones a round is abandoned.
        over_selection: phones let in, as a multiple of those wanted in the sum; more, if drop-out asks for it.
        max_over_selection: the same at most.
        meeting_seconds: for so long phones may join, once enough are there.
        grace_seconds: that stragglers have to upload once as many have as are wanted.
        deadlines: of the steps.
    """

    minimum: Annotated[int, Range(MIN_COHORT, MAX_COHORT)] = MIN_COHORT
    over_selection: Annotated[float, Range(1, MAX_COHORT)] = 1.3
    max_over_selection: Annotated[float, Range(1, MAX_COHORT)] = 3.0
    meeting_seconds: Natural = 60
    grace_seconds: Natural = 10
    deadlines: Deadlines = field(default_factory=lambda: Deadlines(120, 150, 330, 360, 390))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.meeting_seconds >= self.deadlines.advertise_seconds:
            raise ConfigError(f"meeting_seconds is below deadlines.advertise_seconds, not {self.meeting_seconds}")

    def max_phones(self, goal: int) -> int:
        """Return how many phones are let in at most where `goal` are wanted."""
        return math.ceil(goal * max(self.over_selection, self.max_over_selection))


@dataclass(frozen=True, kw_only=True)
class Clients(Ranged):
    """Who has which text in the simulation; phones have their own.

    Attributes:
        split: `user`: everyone their own; `dirichlet`: each user's text is spread over clients with shares from a
            Dirichlet distribution (Hsu et al. 2019, https://arxiv.org/abs/1909.06335, with users as the labels);
            `iid`: all text is shuffled over clients.
        concentration: of the Dirichlet distribution: near 0 a user's text stays together, large is nearly iid.
    """

    split: Split = "user"
    concentration: Positive = 0.1


def _one_class() -> tuple[PhoneClass, ...]:
    return (PhoneClass(name="phone", share=1.0),)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A fleet of phones.

    Attributes:
        weighting: clients count by their examples, or all alike.
        classes: of phones; their shares add up to 1.
        availability: by time of day.
        drop_out: by step.
        rounds: of the simulation.
        clients: of the simulation.
    """

    weighting: Weighting = "examples"
    classes: tuple[PhoneClass, ...] = field(default_factory=_one_class)
    availability: Availability = field(default_factory=Availability)
    drop_out: DropOut = field(default_factory=DropOut)
    rounds: Rounds = field(default_factory=Rounds)
    clients: Clients = field(default_factory=Clients)

    def __post_init__(self) -> None:
        total = sum(each.share for each in self.classes)
        if not math.isclose(total, 1, abs_tol=1e-6):
            raise ValueError(f"the shares of all classes add up to 1, not {total:g}")
        names = [each.name for each in self.classes]
        if len(set(names)) < len(names):
            raise ValueError(f"classes have names of their own, not {', '.join(names)}")

    @classmethod
    def from_toml(cls, path: Path) -> "Scenario":
        """Read a scenario file; what it leaves out keeps its default.

        Raises:
            ConfigError: the file cannot be read, or a key or value is not one of those documented here.
        """
        return load(cls, path)

    def device(self, seed: int, index: int) -> "Device":
        """Return a phone of the fleet.

        Args:
            seed: of the fleet.
            index: of the phone, from 0.
        """
        place, reached = _uniform(seed, index, "class"), 0.0
        chosen = self.classes[-1]
        for each in self.classes:
            reached += each.share
            if place < reached:
                chosen = each
                break
        return Device(index, chosen, seed, self.availability, self.drop_out)

    def devices(self, seed: int, count: int) -> Iterator["Device"]:
        """Yield the first phones of the fleet."""
        return (self.device(seed, index) for index in range(count))


@dataclass(frozen=True)
class Device:
    """A phone of a scenario: what it does is fixed by the fleet's seed and its index.

    Attributes:
        index: in the fleet.
        kind: its class.
    """

    index: int
    kind: PhoneClass
    _seed: int
    _availability: Availability
    _drop_out: DropOut

    @property
    def budget(self) -> ComputeBudget:
        """The most that it spends on training in a round."""
        return self.kind.budget

    def available(self, at_seconds: float) -> bool:
        """Whether it could take part at a time, in seconds since a midnight.

        A phone draws one number a day and is there in the hours whose share is above it, so that it comes and goes
        once where shares rise and fall once.
        """
        day, second = divmod(at_seconds, _DAY_SECONDS)
        share = self._availability.by_hour[int(second * HOURS // _DAY_SECONDS)]
        return _uniform(self._seed, self.index, "available", int(day)) < share

    def drops_out(self, round_id: int, step: Step) -> bool:
        """Whether it vanishes in a step of a round."""
        return _uniform(self._seed, self.index, step, round_id) < self._drop_out.at(step)

    def steps(self, batches: int, tokens: int) -> int:
        """Return how many of this many batches, with this many tokens in all, are within its budget: at least one."""
        in_time = self.budget.seconds * self.kind.tokens_per_second * batches / max(tokens, 1)
        return max(1, min(batches, self.budget.steps, math.floor(in_time)))

    def train_seconds(self, tokens: int) -> float:
        """Return how long it trains on this many tokens, at most its budget's time."""
        return min(tokens / self.kind.tokens_per_second, float(self.budget.seconds))

    def transfer_seconds(self, traffic: Traffic) -> float:
        """Return how long it sends and receives."""
        return traffic.up / self.kind.upload_bytes_per_second + traffic.down / self.kind.download_bytes_per_second


def _uniform(seed: int, index: int, purpose: str, number: int = 0) -> float:
    """Return a number of 0 to 1, excluding 1, that only these arguments decide."""
    drawn = hashlib.sha256(_LABEL + repr((seed, index, purpose, number)).encode()).digest()
    return (int.from_bytes(drawn[:8], "little") >> 11) * 2.0**-53
