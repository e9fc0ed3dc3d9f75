"""The text field of another application, kept in step with the editor of a phone.

The application has the text. What may still change is its preedit, shown underlined and not yet its own: the word that
is being typed, a correction that one backspace takes back, a space that a mark may take the place of. Everything before
is committed and stays, so that an application that can delete nothing for its keyboard loses nothing by it.

Nothing here knows of IBus: events come in, and what the application is to be told goes out.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from keyboard_app.editor.characters import character_before, continues_word, is_letter
from keyboard_app.editor.editor import EditorState, FieldKind, Slot

MESSAGE_CHARACTERS = 140
"""A longer text is learned as several messages, as a person would send them: it is split where a sentence ends."""

_ANYWHERE = 2 * MESSAGE_CHARACTERS  # without an end of a sentence it is split after a word
_CONTEXT_CHARACTERS = 300
_FOLLOWING_CHARACTERS = 8  # a mark or two
_ENDS_SENTENCE = (". ", "! ", "? ", "… ")


class Typed(Protocol):
    """The phone that is typed on."""

    @property
    def state(self) -> EditorState:
        """The text field and the keyboard."""

    def type(self, characters: str) -> None:
        """Type characters as they are."""

    def backspace(self) -> None:
        """Delete to the left, or take back what the keyboard replaced."""

    def accept(self, place: int) -> None:
        """Take a place of the strip."""

    def await_strip(self) -> None:
        """Wait a moment for the strip of what was typed last."""

    def focus(self, field: FieldKind, context: str = "", following: str = "") -> None:
        """Go to a field of some kind with nothing of ours in it; what was typed before is finished."""

    def stands_between(self, context: str, following: str) -> None:
        """Learn what stands before and behind the text."""

    def keep_as_typed(self) -> None:
        """Correct nothing in the word that is being typed."""

    def keep_secret(self) -> None:
        """Learn nothing of what is in the field now."""


@dataclass(frozen=True)
class Told:
    """What the application is told, in this order.

    Attributes:
        handled: the key is ours; otherwise the application gets it after the rest.
        delete: characters before the cursor that go.
        commit: text that comes before the cursor.
        preedit: what is shown there, in place of what was shown before.
    """

    handled: bool
    delete: int = 0
    commit: str = ""
    preedit: str = ""


class Field:
    """One field after the other.

    Between `enter` and `leave` it learns, from events in any order, what stands around the cursor. In a silent field it
    types, shows and learns nothing: every key is the application's.

    Args:
        phone: that is typed on.
    """

    def __init__(self, phone: Typed) -> None:
        self._phone = phone
        self._kind: FieldKind | None = None
        self._deletes = False
        self._forget()

    def _forget(self) -> None:
        """Know nothing of the field."""
        self._committed = ""  # of the editor's text, what the application has
        self._preedit = ""  # and the rest
        self._around: tuple[str, str] | None = None  # before and after the cursor, as the application said last
        self._placed = False  # it is known what stands around the editor's text
        self._moved = False  # since the last key of ours: the cursor may be elsewhere
        self._deleted = False  # the last key deleted, and some applications say that they were reset then
        self._within = False  # a word that is not ours: it is left alone until it ends
        self._unsure = False  # whether what is typed are whole words: nothing is learned

    @property
    def candidates(self) -> list[tuple[int, Slot]]:
        """The strip, best first: each word with the place that `accept` takes."""
        if not self._types or self._holds_word:
            return []
        slots = self._phone.state.slots
        return [(place, slot) for place in (1, 0, 2) if (slot := slots[place]) is not None]

    def enter(self) -> None:
        """Begin with another field, silent until `becomes` says what it is."""
        self.finish()
        self._kind = None

    def becomes(self, kind: FieldKind | None) -> Told:
        """Learn of what kind the field is; None is silent."""
        if kind is self._kind:
            return Told(handled=False, preedit=self._preedit)
        around = self._around
        told = self.finish()
        self._kind, self._around = kind, around
        if kind is not None:
            self._phone.focus(kind)
        return told

    def can_delete(self, *, able: bool) -> None:
        """Learn whether the application can delete text before the cursor, and tells what stands around it."""
        self._deletes = able

    def stands_around(self, before: str, after: str) -> None:
        """Learn what the application has before and after the cursor, the preedit left out."""
        self._around, self._deleted = (before, after), False
        if self._moved and self._committed and before.endswith(self._committed) and not continues_word(after):
            self._moved = False
        if self._phone.state.text:  # otherwise this waits for a key of ours: what is not typed on is nothing to us
            self._place()

    def was_reset(self) -> None:
        """Learn that the application begins anew, maybe elsewhere; it has what was not committed, or dropped it."""
        untouched = not (self._committed or self._preedit or self._moved)
        if untouched or (self._deleted and not self._preedit):
            self._around, self._deleted = None, False
            return
        self.other()

    def character(self, character: str) -> Told:
        """Type a character."""
        if self._kind is None:
            return Told(handled=False)
        if self._moved:
            self._begin_anew()
        self._place()
        if self._within:
            if not is_letter(character):
                self.other()
            return Told(handled=False)
        self._deleted = False
        if self._holds_word:
            self._phone.keep_as_typed()
        self._phone.type(character)
        return self._split(self._told())

    def backspace(self) -> Told:
        """Delete to the left, or take back a correction."""
        if not self._types or not self._phone.state.text:
            return self.other()
        before, shown = self._committed, self._preedit
        self._phone.backspace()
        text = self._phone.state.text
        if not shown and text == before[: character_before(before, len(before))]:
            self._committed, self._deleted = text, self._deletes
            return Told(handled=False)
        return self._told()

    def accept(self, place: int) -> Told:
        """Take a word of the strip."""
        if place not in [place for place, _ in self.candidates]:
            return Told(handled=False, preedit=self._preedit)
        self._phone.accept(place)
        return self._split(self._told())

    def choose(self, rank: int) -> Told:
        """Take a word of the strip by a key, which may come before the strip does; rank 0 is the best."""
        if self._types:
            self._phone.await_strip()
        candidates = self.candidates
        return self.accept(candidates[rank][0]) if rank < len(candidates) else self.other()

    def finish(self) -> Told:
        """Send: the application gets the key that says so."""
        told = Told(handled=False, commit=self._preedit)
        if self._kind is not None:
            self._phone.focus(self._kind)
        self._forget()
        return told

    def other(self) -> Told:
        """Leave a key to the application that may move its cursor, or change its text."""
        told = Told(handled=False, commit=self._preedit)
        self._committed += self._preedit
        self._preedit, self._around, self._moved = "", None, True
        return told

    @property
    def _types(self) -> bool:
        return self._kind is not None and not self._within and not self._moved

    @property
    def _holds_word(self) -> bool:
        """Whether the application has a part of the word that is being typed, and cannot give it back."""
        return not self._deletes and len(self._phone.state.composing) > len(self._preedit)

    def _told(self) -> Told:
        """Bring the application to what the editor has."""
        state = self._phone.state
        text = state.text[: state.cursor]
        shared = _shared(self._committed, text)
        start = max(shared, self._open_from(state))
        told = Told(True, len(self._committed) - shared, text[shared:start], text[start:])  # noqa: FBT003
        self._committed, self._preedit = text[:start], told.preedit
        return told

    def _open_from(self, state: EditorState) -> int:
        """Return where begins what a later key may still change."""
        start = state.cursor - len(state.composing)
        changed = state.replacement
        if changed is not None and (changed.end == state.cursor or not self._deletes):
            return min(start, changed.start)
        if state.strip_space or state.space_at is not None:
            return min(start, state.cursor - 1)
        return start

    def _begin_anew(self) -> None:
        """Finish what was typed, and go on where the cursor is now.

        An application that never says where that is may have it anywhere: what is typed may be parts of words.
        """
        self._unsure = self._unsure or not self._deletes
        self._phone.focus(FieldKind.NO_LEARNING if self._unsure else self._kind or FieldKind.NO_LEARNING)
        self._committed = self._preedit = ""
        self._moved = self._deleted = self._within = self._placed = False

    def _place(self) -> None:
        """Take note of what stands around the editor's text. A part of a word is neither learned nor continued."""
        if self._around is None or self._placed or self._moved or not self._around[0].endswith(self._committed):
            return
        self._placed = True
        before, after = self._around[0].removesuffix(self._committed), self._around[1]
        within = is_letter(before[-1:]) or continues_word(after)
        if within and self._phone.state.text:
            self._phone.keep_secret()
        else:
            self._within = within
            self._phone.stands_between(_last_words(before), after[:_FOLLOWING_CHARACTERS])

    def _split(self, told: Told) -> Told:
        """Finish a long text where a person would send it, and go on behind it."""
        state = self._phone.state
        ended = state.text.endswith(_ENDS_SENTENCE) or (len(state.text) >= _ANYWHERE and state.text.endswith(" "))
        if len(state.text) < MESSAGE_CHARACTERS or not ended:
            return told
        self._phone.focus(state.field, _last_words(state.context + state.text), state.following)
        self._committed = self._preedit = ""
        return replace(told, commit=told.commit + told.preedit, preedit="")


def _shared(first: str, second: str) -> int:
    """Return how many characters two texts begin with alike."""
    alike = (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return next(alike, min(len(first), len(second)))


def _last_words(text: str) -> str:
    """Return the end of a text, as much as predictions can make use of."""
    return text if len(text) <= _CONTEXT_CHARACTERS else text[-_CONTEXT_CHARACTERS:].partition(" ")[2]
