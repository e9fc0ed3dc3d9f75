"""What a phone tells its screens: plain values, read at once, without files or models behind them."""

import enum
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from federation.protocol.conditions import Conditions
from federation.protocol.model_codec import SharedKind
from keyboard_app.settings import Settings

_DAY = 86400


@dataclass(frozen=True)
class Condition:
    """Something that must hold before this phone trains.

    Attributes:
        name: Such as "Charging".
        holds: Whether it does.
        detail: One sentence, such as "64 of 100 new examples".
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
        round_id: Number of the round on the server.
        at: Time of the start, in seconds since 1970.
        outcome: What became of it.
        reason: One sentence.
        phones: Number of phones in the cohort; 0 if it never came together.
        bytes_up, bytes_down: Size of what was sent and received, in bytes.
        epsilon: Privacy loss of this phone in this round; None without noise.
        accuracy: Accuracy of the model after the round on the user's own held-out text, 0 to 1; None without text.
        update: This phone's clipped update, float32, sampled evenly to at most 4096 numbers; empty unless joined.
        masked: The words that the server got in the same places.
        counted: In a round that counted, how many n-grams of the public list this phone's messages hold, and how many
            the list has; None in another one.
        voted: Likewise in a round of votes: how many words of the public list this phone voted for, and how many there
            are.
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
    counted: tuple[int, int] | None = None
    voted: tuple[int, int] | None = None


@dataclass(frozen=True)
class BudgetStatus:
    """The privacy-budget meter.

    Attributes:
        spent, limit: Epsilon at `delta`; infinite without noise, or without a limit.
        delta: Probability that the bound does not hold.
        participations, max_participations: Number of rounds.
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
    trust: str = ""
    unreachable: str = ""


@dataclass(frozen=True)
class ModelEntry:
    """A shared model on this phone.

    Attributes:
        version: Number of the version on the server.
        in_use: Whether the keyboard predicts with it.
        top1, top3: Accuracy on the user's own held-out words, 0 to 1; None before there are enough.
        words: Number of words that these were measured on.
        kind: Whether it is a version of the network's weights or of the counts of n-grams.
    """

    version: int
    in_use: bool
    top1: float | None
    top3: float | None
    words: int
    kind: SharedKind = "model"


@dataclass(frozen=True)
class Keystrokes:
    """How much typing was saved.

    Attributes:
        days: The last seven days, oldest first: caption, characters written, keystrokes spent.
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
        profile: Name of this phone.
        consent: Whether the user agreed to learning together; None before the question was answered.
        server: URL of the round server; empty if there is none.
        activity: What the phone does now in one sentence, such as "Training for round 12: 40 %" or "Waiting".
        conditions: All that must hold before it trains.
        rounds: Newest first.
        budget, models, keystrokes: As their classes say.
        learned: Words of the user's own, commonest first: word, as shown, number of messages.
        never: Words never to suggest.
        shortcuts: What each short form stands for.
        logged: Number of messages and of words in the typing log.
        problem: One sentence for the banner; empty if all is well.
        trust: What the app protects from the server's operator, and what not, in plain words; empty if not known.
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
    shortcuts: Mapping[str, str]
    logged: tuple[int, int]
    problem: str = ""
    trust: str = ""


def needed(
    chosen: Settings, now: Conditions, server: str, new_examples: int, unreachable: str = ""
) -> Sequence[Condition]:
    """Return all that must hold before a phone trains.

    Args:
        chosen: By the owner.
        now: How the device is.
        server: URL of the round server; empty for none.
        new_examples: Number of messages since the last training.
        unreachable: Why the server does not answer; empty if it does, or was not asked yet.
    """
    resting = "Nothing was typed for a while" if now.idle else "The phone is in use"
    least = chosen.min_examples
    return (
        Condition("Consent", chosen.consent is True, "You agreed" if chosen.consent else "You have not agreed"),
        Condition("Server", bool(server) and not unreachable, unreachable or server or "No server was given"),
        Condition("Charging", now.charging, "On power" if now.charging else "On battery"),
        Condition("Idle", now.idle, resting),
        Condition("Unmetered", now.unmetered, "Free network" if now.unmetered else "This network may cost money"),
        Condition("Enough new text", new_examples >= least, f"{min(new_examples, least)} of {least} new messages"),
    )


def week(days: Mapping[int, tuple[int, int]], now: float) -> Sequence[tuple[str, int, int]]:
    """Return the last seven days for `Keystrokes`.

    Args:
        days: Characters and keystrokes, by day since 1970.
        now: Seconds since 1970.
    """
    today = int(now // _DAY)
    return tuple(
        (time.strftime("%a", time.gmtime(day * _DAY)), *days.get(day, (0, 0))) for day in range(today - 6, today + 1)
    )
