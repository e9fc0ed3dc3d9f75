"""What a phone tells its screens: plain values, read at once, without files or models behind them."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

DELTA = 1e-6
"""Probability for which an epsilon does not hold."""

MAX_PARTICIPATIONS = 10_000


@dataclass(frozen=True)
class Settings:
    """What the user chose.

    Attributes:
        consent: whether the user agreed to learning; None before the question was answered.
        theme: `light` or `dark`.
        charging, idle, unmetered: the simulated switches of a desktop.
        epsilon_limit: privacy budget over all rounds; infinite for none.
        incognito: nothing is learned.
        rest_seconds: after the last key press, from which on the phone counts as idle.
        min_examples: new messages without which the phone joins no round.
        min_phones: in a round, without which the phone joins none.
    """

    consent: bool | None = None
    theme: str = "light"
    charging: bool = True
    idle: bool = True
    unmetered: bool = True
    epsilon_limit: float = float("inf")
    incognito: bool = False
    rest_seconds: float = 10.0
    min_examples: int = 100
    min_phones: int = 5

    def __post_init__(self) -> None:
        switches = (self.charging, self.idle, self.unmetered, self.incognito)
        if self.theme not in {"light", "dark"} or self.consent not in {None, True, False}:
            raise ValueError(f"there are no such settings: {self}")
        if not all(isinstance(switch, bool) for switch in switches) or not self.epsilon_limit >= 0:
            raise ValueError(f"there are no such settings: {self}")
        if min(self.rest_seconds, self.min_examples) < 0 or self.min_phones < 2:
            raise ValueError(f"there are no such settings: {self}")


@dataclass(frozen=True)
class Condition:
    """Something that must hold before this phone trains.

    Attributes:
        name: "Charging".
        holds: whether it does.
        detail: one sentence, such as "64 of 100 new examples".
    """

    name: str
    holds: bool
    detail: str


class Outcome(enum.Enum):
    """What became of a round that this phone was asked to join."""

    JOINED = "joined"
    DROPPED = "dropped"
    REFUSED = "refused"


@dataclass(frozen=True)
class RoundEntry:
    """One round on the timeline.

    Attributes:
        round_id: of the server.
        at: seconds since the epoch.
        outcome: what became of it.
        reason: one sentence.
        phones: in the cohort; 0 if it never came together.
        bytes_up, bytes_down: on the wire.
        epsilon: spent by this phone in this round; None without noise.
        accuracy: of the model after the round on the user's own held-out text, 0 to 1; None if there was none.
        update: this phone's clipped update, float32, sampled evenly to at most 4096 numbers; empty unless joined.
        masked: the words that the server got in the same places.
    """

    round_id: int
    at: float
    outcome: Outcome
    reason: str
    phones: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    epsilon: float | None = None
    accuracy: float | None = None
    update: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), compare=False)
    masked: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64), compare=False)


@dataclass(frozen=True)
class BudgetStatus:
    """The privacy-budget meter.

    Attributes:
        spent, limit: epsilon at `delta`; infinite without noise, or without a limit.
        delta: of both.
        participations, max_participations: rounds.
    """

    spent: float
    limit: float
    delta: float
    participations: int
    max_participations: int


@dataclass(frozen=True)
class Snapshot:
    """What the screens show of participation; see `Status`."""

    activity: str
    problem: str
    rounds: Sequence[RoundEntry]
    budget: BudgetStatus


@dataclass(frozen=True)
class ModelEntry:
    """A shared model on this phone.

    Attributes:
        version: of the server.
        in_use: whether the keyboard predicts with it.
        top1, top3: on the user's own held-out words, 0 to 1; None before there are enough.
        words: that these were measured on.
    """

    version: int
    in_use: bool
    top1: float | None
    top3: float | None
    words: int


@dataclass(frozen=True)
class Keystrokes:
    """How much typing was saved.

    Attributes:
        days: the last seven, oldest first: caption, characters written, keystrokes spent.
    """

    days: Sequence[tuple[str, int, int]]

    @property
    def characters(self) -> int:
        """Characters written."""
        return sum(day[1] for day in self.days)

    @property
    def spent(self) -> int:
        """Keystrokes spent."""
        return sum(day[2] for day in self.days)

    @property
    def saved(self) -> float:
        """Share of keystrokes saved, 0 if none was typed."""
        return 1 - self.spent / self.characters if self.characters else 0.0


@dataclass(frozen=True)
class Status:
    """Everything that the screens show, at one moment.

    Attributes:
        profile: this phone's name.
        consent: whether the user agreed to learning together; None before the question was answered.
        server: where rounds are; nothing if there is none.
        activity: what the phone does now in one sentence, such as "Training for round 12: 40 %" or "Waiting".
        conditions: all that must hold before it trains.
        rounds: newest first.
        budget, models, keystrokes: see there.
        learned: words of the user's own, commonest first: word, as shown, messages.
        never: words never to suggest.
        logged: messages and words in the typing log.
        problem: a sentence for the banner; nothing if all is well.
    """

    profile: str
    consent: bool | None
    server: str
    activity: str
    conditions: Sequence[Condition]
    rounds: Sequence[RoundEntry]
    budget: BudgetStatus
    models: Sequence[ModelEntry]
    keystrokes: Keystrokes
    learned: Sequence[tuple[str, str, int]]
    never: Sequence[str]
    logged: tuple[int, int]
    problem: str = ""
