"""Text entry as a pure state machine: every event gives a new state and what has to be done about it.

Nothing here knows of windows, clocks, files or models. Times are passed in, in seconds of any steady clock; what the
model thinks arrives as an `Offer`, whenever it is ready, and counts only while the text is the one it was made for.
"""

import enum
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from keyboard_app.characters import boundary, character_after, character_before
from keyboard_app.keys import Action, Key, Layer
from model.suggestions import Suggestion, split_word
from model.suggestions.casing import starts_sentence

DOUBLE_SPACE_SECONDS = 1.1
DOUBLE_TAP_SECONDS = 0.35

_CLOSING = frozenset(".,!?;:)")  # marks that stand at the end of a word, without a space
_ENDS_WORD = _CLOSING | {" ", "\n", '"'}  # what makes a correction happen
_APOSTROPHES = frozenset("'’‘ʼ`´")


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


Effect = Drafted | Finished | Sent


class Request(NamedTuple):
    """What there is to predict.

    Attributes:
        before: the text before the word that is being typed.
        typed: its letters so far.
    """

    before: str
    typed: str


@dataclass(frozen=True)
class Offer:
    """What the model thinks of a request.

    Attributes:
        request: which.
        suggestions: best first.
        correction: what a finished word should be replaced with, if at all.
    """

    request: Request
    suggestions: tuple[Suggestion, ...] = ()
    correction: Suggestion | None = None


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
    """

    start: int
    typed: str
    shown: str

    @property
    def end(self) -> int:
        """Index behind its last character."""
        return self.start + len(self.shown)


@dataclass(frozen=True)
class EditorState:
    """One text field with the keyboard below it.

    Attributes:
        text: in the field.
        cursor: index between characters, 0 to `len(text)`.
        shift: whether the next letter is a capital.
        layer: the page of keys.
        field: kind of the field.
        incognito: nothing is learned.
        secret: some of the text was typed in incognito, so that none of it may be learned.
        offer: the latest that the model said.
        replacement: what a backspace at its end takes back.
        kept: words that the user wanted as typed, in lower case; they are not corrected again in this message.
        strip_space: the space before the cursor came with a suggestion.
        space_at: when the space before the cursor was typed, in seconds, if it was the last key.
        shift_at: when shift was last tapped, in seconds, if it was the last key.
        keystrokes: spent on the text.
    """

    text: str = ""
    cursor: int = 0
    shift: Shift = Shift.ONCE
    layer: Layer = Layer.LETTERS
    field: FieldKind = FieldKind.ORDINARY
    incognito: bool = False
    secret: bool = False
    offer: Offer | None = None
    replacement: Replacement | None = None
    kept: frozenset[str] = frozenset()
    strip_space: bool = False
    space_at: float | None = None
    shift_at: float | None = None
    keystrokes: int = 0

    @property
    def composing(self) -> str:
        """The word that is being typed: what stands left of the cursor, unless the cursor is within a word."""
        if _is_letter(self.text[self.cursor : self.cursor + 1]):
            return ""
        return split_word(self.text[: self.cursor])[1]

    @property
    def request(self) -> Request | None:
        """What to predict; None in passwords and within words."""
        if self.field is FieldKind.PASSWORD or _is_letter(self.text[self.cursor : self.cursor + 1]):
            return None
        return Request(*split_word(self.text[: self.cursor]))

    @property
    def slots(self) -> tuple[Slot | None, Slot | None, Slot | None]:
        """The strip, best in the middle. A word about to be corrected also stands there as typed, on the left.

        What was offered for fewer letters of the same word stays until there is something newer.
        """
        request, offer = self.request, self.offer
        if request is None or offer is None or request.before != offer.request.before:
            return None, None, None
        found: list[Slot | None] = [Slot(suggestion.text, suggestion) for suggestion in offer.suggestions]
        correction = self._correction()
        if correction is None:
            best, second, third = [*found, None, None, None][:3]
            return second, best, third
        others = [slot for slot in found if slot and slot.text not in {correction.text, request.typed}]
        return Slot(request.typed, None), Slot(correction.text, correction), next(iter(others), None)

    @property
    def learnable(self) -> bool:
        """Whether the text may be learned, if the user agrees at all."""
        return self.field is FieldKind.ORDINARY and not self.incognito and not self.secret

    def press(self, key: Key, at: float) -> "After":
        """Press a key of the keyboard; letters follow shift.

        Args:
            key: of `keyboard_app.keys`.
            at: the time in seconds.
        """
        match key.action:
            case None:
                return self.type(shifted(key.types, self.shift), at)
            case Action.BACKSPACE:
                return self.backspace()
            case Action.RETURN:
                return self.send()
            case Action.SHIFT:
                return self.tap_shift(at)
            case Action.LETTERS | Action.SYMBOLS | Action.MORE_SYMBOLS:
                layer = {Action.SYMBOLS: Layer.SYMBOLS, Action.MORE_SYMBOLS: Layer.MORE_SYMBOLS}.get(key.action)
                return After(replace(self, layer=layer or Layer.LETTERS, shift_at=None, space_at=None))

    def type(self, characters: str, at: float) -> "After":
        """Type characters just as they are: of a long press, of a physical keyboard, or pasted.

        A single mark or space ends a word, which may be corrected; a mark takes back the space that a suggestion
        brought; a second space soon after the first makes a full stop.
        """
        characters = characters.encode(errors="ignore").decode()  # half a surrogate pair is no character
        if not characters:
            return After(self)
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        plain = self.field is not FieldKind.PASSWORD
        counted = self.keystrokes + 1
        layer = Layer.LETTERS if characters == " " else self.layer
        replacement = self.replacement
        space_at = None
        if plain and self.strip_space and characters in _CLOSING | {" "}:
            before = before[:-1] + characters
            replacement = None
            space_at = at if characters == " " else None
        elif plain and characters == " " and self._is_second_space(at):
            replacement = Replacement(len(before) - 1, typed="  ", shown=". ")
            before = before[:-1] + ". "
        else:
            correction = self._correction() if plain and characters in _ENDS_WORD else None
            if correction is not None:
                start = len(before) - len(self.composing)
                replacement = Replacement(start, before[start:] + characters, correction.text + characters)
                before = before[:start] + replacement.shown
            else:
                if not all(map(_is_letter, characters)):
                    replacement = None
                before += characters
            space_at = at if characters == " " else None
        return self._edited(before, after, replacement=replacement, space_at=space_at, keystrokes=counted, layer=layer)

    def backspace(self) -> "After":
        """Take back what the keyboard replaced if the cursor is right behind it, else delete a character."""
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        counted = self.keystrokes + 1
        undone = self.replacement
        if undone is not None and undone.end == len(before):
            kept = self.kept | {split_word(undone.typed[:-1])[1].lower()} - {""}
            return self._edited(before[: undone.start] + undone.typed, after, keystrokes=counted, kept=kept)
        if not before:
            return After(replace(self, shift_at=None, space_at=None))
        before = before[: character_before(before, len(before))]
        replacement = undone if undone is not None and undone.end <= len(before) else None
        return self._edited(before, after, replacement=replacement, keystrokes=counted)

    def delete_word(self) -> "After":
        """Delete back to the beginning of a word: a physical keyboard's control and backspace."""
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        stripped = before.rstrip()
        start, word = split_word(stripped)
        kept = start if word else stripped[: character_before(stripped, len(stripped))]
        return self._edited(kept, after, keystrokes=self.keystrokes + 1)

    def accept(self, place: int) -> "After":
        """Tap a place of the strip, 0 to 2: its word takes the place of the one being typed, and brings a space."""
        request, slot = self.request, self.slots[place]
        if request is None or slot is None:
            return After(self)
        space = " " if _wants_space(request.before) and not request.typed else ""
        kept = self.kept if slot.suggestion is not None else self.kept | {slot.text.lower()}
        after = self.text[self.cursor :].removeprefix(" ")
        return self._edited(
            request.before + space + slot.text + " ", after, kept=kept, strip_space=True, keystrokes=self.keystrokes + 1
        )

    def send(self) -> "After":
        """Give the text to the field's owner and start with an empty field."""
        effects = [*self._finished(), Sent(self.text)] if self.text else []
        return After(self._fresh(), tuple(effects))

    def focus(self, field: FieldKind) -> "After":
        """Go to an empty field of some kind. What was in the field before counts as finished."""
        return After(_automatic_shift(EditorState(field=field, incognito=self.incognito)), self._finished())

    def go_incognito(self, *, on: bool) -> "After":
        """Turn incognito on or off. A message that was begun is learned either wholly or not at all."""
        return self._done(replace(self, incognito=on))

    def kept_secret(self) -> "EditorState":
        """Return the state in which nothing of what is in the field now will be learned."""
        return replace(self, secret=bool(self.text))

    def tap_shift(self, at: float) -> "After":
        """Tap shift: off, for one letter, and after two quick taps for all."""
        quick = self.shift_at is not None and 0 <= at - self.shift_at <= DOUBLE_TAP_SECONDS
        if quick and self.shift is not Shift.LOCK:
            shift = Shift.LOCK
        else:
            shift = Shift.ONCE if self.shift is Shift.OFF else Shift.OFF
        return After(replace(self, shift=shift, shift_at=None if quick else at, space_at=None))

    def place(self, cursor: int) -> "After":
        """Put the cursor somewhere, by a touch; never within a character that is made of several code points."""
        cursor = boundary(self.text, max(0, min(cursor, len(self.text))))
        if cursor == self.cursor:
            return After(self)
        moved = replace(self, cursor=cursor, replacement=None, strip_space=False, space_at=None, shift_at=None)
        return self._done(_automatic_shift(moved))

    def move(self, characters: int) -> "After":
        """Move the cursor right, or left if negative, by characters as people count them."""
        cursor = self.cursor
        for _ in range(abs(characters)):
            cursor = character_before(self.text, cursor) if characters < 0 else character_after(self.text, cursor)
        return self.place(cursor)

    def take(self, offer: Offer) -> "EditorState":
        """Return the state with an offer; one that was made for another text is dropped."""
        return replace(self, offer=offer) if offer.request == self.request else self

    @property
    def settled(self) -> str:
        """The text without the word that is being typed."""
        return self.text[: self.cursor - len(self.composing)] + self.text[self.cursor :]

    def _correction(self) -> Suggestion | None:
        offer = self.offer
        if offer is None or offer.correction is None or offer.request != self.request:
            return None
        return None if offer.request.typed.lower() in self.kept else offer.correction

    def _is_second_space(self, at: float) -> bool:
        if self.space_at is None or not 0 <= at - self.space_at <= DOUBLE_SPACE_SECONDS:
            return False
        last = self.text[self.cursor - 2 : self.cursor - 1]
        return self.text[self.cursor - 1 : self.cursor] == " " and (last.isalnum() or last in {")", '"', "'"})

    def _edited(self, before: str, after: str, **changes: Any) -> "After":
        forgotten = {"replacement": None, "strip_space": False, "space_at": None, "shift_at": None}
        new = replace(self, text=before + after, cursor=len(before), **{**forgotten, **changes})
        return self._done(_automatic_shift(new))

    def _done(self, new: "EditorState") -> "After":
        """Say what became of the message's finished words."""
        new = replace(new, secret=bool(new.text) and (new.secret or new.incognito))
        if not new.text:
            new = replace(new, kept=frozenset(), keystrokes=0)
        drafted_before = self.settled if self.learnable else ""
        drafted = new.settled if new.learnable else ""
        return After(new, (Drafted(drafted),) if drafted != drafted_before else ())

    def _finished(self) -> tuple[Effect, ...]:
        return (Finished(self.text, self.keystrokes),) if self.learnable and self.text.strip() else ()

    def _fresh(self) -> "EditorState":
        return _automatic_shift(EditorState(field=self.field, incognito=self.incognito))


class After(NamedTuple):
    """What an event leads to.

    Attributes:
        state: from now on.
        effects: what has to be done, in order.
    """

    state: EditorState
    effects: Sequence[Effect] = ()


def shifted(characters: str, shift: Shift) -> str:
    """Return what a key or an alternative types under a state of shift."""
    return characters if shift is Shift.OFF or len(characters.upper()) != len(characters) else characters.upper()


def _is_letter(character: str) -> bool:
    """Whether a character is part of a word; of no character, it is not."""
    return character.isalnum() or character in _APOSTROPHES


def _wants_space(before: str) -> bool:
    """Whether the next word is set off from what stands before: from marks that close, and from emoji."""
    return bool(before) and (
        before[-1] in _CLOSING or unicodedata.category(before[-1]) in {"Pe", "Pf", "Sk", "So", "Mn"}
    )


def _automatic_shift(state: EditorState) -> EditorState:
    """Return the state with shift on where a sentence begins and off elsewhere, unless it is locked."""
    if state.shift is Shift.LOCK:
        return state
    before = state.text[: state.cursor]
    at_start = not before or before[-1].isspace()
    capital = state.field is not FieldKind.PASSWORD and at_start and starts_sentence(before)
    return replace(state, shift=Shift.ONCE if capital else Shift.OFF)
