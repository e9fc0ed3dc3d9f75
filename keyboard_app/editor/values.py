"""What goes into and comes out of the text field: kinds, effects, requests and offers."""

import enum
from dataclasses import dataclass
from typing import NamedTuple

from model.suggestions import Path, Suggestion


class Shift(enum.Enum):
    """The state of the shift key."""

    OFF = "off"
    ONCE = "once"
    LOCK = "lock"


class FieldKind(enum.Enum):
    """What kind of text a field takes."""

    ORDINARY = "ordinary"
    PASSWORD = "password"  # noqa: S105 - the name of a kind
    NO_LEARNING = "no learning"


@dataclass(frozen=True)
class Drafted:
    """The finished words of the unsent message are these now, and no others: what was deleted is to be unlearned.

    Attributes:
        text: the message without the word that is being typed.
    """

    text: str


@dataclass(frozen=True)
class Finished:
    """A message that may be learned from is complete; it replaces what was drafted.

    Attributes:
        text: the message.
        keystrokes: that it took, taps on the strip included and sending not.
    """

    text: str
    keystrokes: int


@dataclass(frozen=True)
class Sent:
    """The field's owner gets the text; neither logs nor models do, unless `Finished` says so too.

    Attributes:
        text: what was in the field.
    """

    text: str


@dataclass(frozen=True)
class Kept:
    """The user wanted a word as typed: it is right from now on.

    Attributes:
        word: as it was typed.
    """

    word: str


Effect = Drafted | Finished | Sent | Kept


class Request(NamedTuple):
    """What there is to predict.

    Attributes:
        before: the text before the word that is being typed, what stood before the field's own included.
        typed: its letters so far.
        path: of a finger that glided over the whole word, in keys; None if it is typed.
    """

    before: str
    typed: str
    path: Path | None = None


@dataclass(frozen=True)
class Offer:
    """What the model thinks of a request.

    Attributes:
        request: which.
        suggestions: best first.
        correction: what a finished word should be replaced with, if at all.
        language: code of the model's; nothing if that is not known.
        emoji: that the letters are the name of; nothing for none.
    """

    request: Request
    suggestions: tuple[Suggestion, ...] = ()
    correction: Suggestion | None = None
    language: str = ""
    emoji: str = ""


@dataclass(frozen=True)
class Slot:
    """One place of the strip.

    Attributes:
        text: as shown and inserted.
        suggestion: where it comes from; None for the letters just as they were typed.
    """

    text: str
    suggestion: Suggestion | None


@dataclass(frozen=True)
class Replacement:
    """Something the keyboard wrote in place of what was typed; one backspace right behind it takes it back.

    Attributes:
        start: index of its first character.
        typed: what the keys said.
        shown: what stands there instead.
        word: that was corrected, as typed; nothing if none was.
    """

    start: int
    typed: str
    shown: str
    word: str = ""

    @property
    def end(self) -> int:
        """Index behind its last character."""
        return self.start + len(self.shown)


@dataclass(frozen=True)
class Pending:
    """A correction that waits for white space: only marks were typed behind the word since.

    Attributes:
        start: index of the word's first character.
        word: as typed.
        correction: what it becomes.
    """

    start: int
    word: str
    correction: Suggestion


@dataclass(frozen=True)
class Glided:
    """A word that was just glided, and what else may have been meant.

    Attributes:
        start: index of what was put there, the space before the word included.
        slots: the words, the one in the text first.
    """

    start: int
    slots: tuple[Slot, ...]


class Version(NamedTuple):
    """What was in a field before a change.

    Attributes:
        text: the field's.
        cursor: where it was.
    """

    text: str
    cursor: int
