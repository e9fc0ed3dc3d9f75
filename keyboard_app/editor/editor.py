"""Text entry as a pure state machine: every event gives a new state and what has to be done about it.

Nothing here knows of windows, clocks, files or models. Times are passed in, in seconds of any steady clock; what the
model thinks arrives as an `Offer`, whenever it is ready, and counts only while the text is the one it was made for.
"""

# Longer than others: one state, and every event is a method of it that returns the next one.

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from keyboard_app.editor.characters import (
    boundary,
    character_after,
    character_before,
    continues_word,
    is_letter,
    word_after,
    word_at,
    word_before,
)
from keyboard_app.editor.keys import Action, Key, Layer
from keyboard_app.editor.marks import set_apart, stands_apart, takes_space_back, waits, wants_space
from keyboard_app.editor.values import (
    Drafted,
    Effect,
    FieldKind,
    Finished,
    Glided,
    Kept,
    Offer,
    Pending,
    Replacement,
    Request,
    Sent,
    Shift,
    Slot,
    Version,
)
from model.languages import Language, language
from model.suggestions import Origin, Path, Suggestion, split_word
from model.suggestions.surroundings import starts_sentence

__all__ = [
    "After",
    "Drafted",
    "EditorState",
    "Effect",
    "FieldKind",
    "Finished",
    "Kept",
    "Offer",
    "Replacement",
    "Request",
    "Sent",
    "Shift",
    "Slot",
    "shifted",
    "typed_by",
]

DOUBLE_SPACE_SECONDS = 1.1
DOUBLE_TAP_SECONDS = 0.35
MAX_VERSIONS = 200


@dataclass(frozen=True)
class EditorState:
    """One text field with the keyboard below it.

    Attributes:
        text: in the field.
        context: what stands before the text and is not this keyboard's: predictions see it, and nothing else does.
        following: what stands behind the text and is not this keyboard's either: it says where words want a space.
        cursor: index between characters, 0 to `len(text)`.
        anchor: where the selection began that ends at the cursor, before or behind it; None without one.
        shift: whether the next letter is a capital.
        layer: the page of keys.
        field: kind of the field.
        incognito: nothing is learned.
        language: code of what is written, whose rules for marks and sentences hold.
        cased: whether the keys have capitals, so that sentences begin with one.
        secret: some of the text was typed in incognito, or pasted, so that none of it may be learned.
        offer: the latest that the model said.
        replacement: what a backspace at its end takes back.
        pending: a correction that waits for white space behind marks.
        path: of a finger over the keys, whose word is not known yet.
        glided: what else a word may be that was glided last.
        kept: words that the user wanted as typed, in lower case; they are not corrected again in this message.
        strip_space: the space before the cursor came with a suggestion.
        phantom_space: a suggestion stands before the cursor, and its space is written once a word follows: what is
            behind the cursor is a space, or a mark that has none before it.
        space_due: what is typed next is set off from what is behind the cursor, which a suggestion was put before.
        took_space: the mark before the cursor, or before the letters there, took a suggestion's space back.
        space_at: when the space before the cursor was typed, in seconds, if it was the last key.
        shift_at: when shift was last tapped, in seconds, if it was the last key.
        keystrokes: spent on the text.
        past: versions of the text that `undo` goes back to, oldest first.
        future: versions that `redo` goes on to, the next one last.
    """

    text: str = ""
    context: str = ""
    following: str = ""
    cursor: int = 0
    anchor: int | None = None
    shift: Shift = Shift.ONCE
    layer: Layer = Layer.LETTERS
    field: FieldKind = FieldKind.ORDINARY
    incognito: bool = False
    language: str = "en"
    cased: bool = True
    secret: bool = False
    offer: Offer | None = None
    replacement: Replacement | None = None
    pending: Pending | None = None
    path: Path | None = None
    glided: Glided | None = None
    kept: frozenset[str] = frozenset()
    strip_space: bool = False
    phantom_space: bool = False
    space_due: bool = False
    took_space: bool = False
    space_at: float | None = None
    shift_at: float | None = None
    keystrokes: int = 0
    past: tuple[Version, ...] = ()
    future: tuple[Version, ...] = ()

    @property
    def selection(self) -> tuple[int, int]:
        """Where the selected text begins and ends; both are the cursor's place without one."""
        return min(self._began, self.cursor), max(self._began, self.cursor)

    @property
    def copied(self) -> str:
        """What copying gives: the selected text, but nothing of a password."""
        return "" if self.field is FieldKind.PASSWORD else self.text[slice(*self.selection)]

    @property
    def composing(self) -> str:
        """The word that is being typed: what stands left of the cursor, unless it is within a word or selects."""
        return self._word.typed if self._word else ""

    @property
    def request(self) -> Request | None:
        """What to predict, in place of what is selected; None in passwords and within words."""
        if self.path is not None:
            before = self._around[0]
            return Request(self.context + before + self._gap(before), "", self.path)
        word = self._word
        if word is None or self.field is FieldKind.PASSWORD:
            return None
        return word._replace(before=self.context + word.before)

    @property
    def slots(self) -> tuple[Slot | None, Slot | None, Slot | None]:
        """The strip, best in the middle. A word about to be corrected also stands there as typed, on the left.

        Words are in the case that the next key would type. What was offered for fewer letters of the same word stays
        until there is something newer. Right after a glide it shows what else may have been meant.
        """
        if self.glided is not None:
            best, second, third = [*self.glided.slots, None, None][:3]
            return second, best, third
        request, offer = self.request, self.offer
        if request is None or offer is None or request.before != offer.request.before:
            return None, None, None
        found: list[Slot | None] = [
            Slot(self._in_case(suggestion, request.typed), suggestion) for suggestion in offer.suggestions
        ]
        correction = self._correction()
        if correction is None:
            best, second, third = [*found, None, None, None][:3]
            if offer.emoji and offer.request == request:
                third = Slot(offer.emoji, Suggestion(offer.emoji, 0.0, Origin.EMOJI))
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
            key: of `keyboard_app.editor.keys`.
            at: the time in seconds.
        """
        match key.action:
            case None:
                return self.type(typed_by(key, self.shift), at)
            case Action.BACKSPACE:
                return self.backspace()
            case Action.RETURN:
                return self.send()
            case Action.SHIFT:
                return self.tap_shift(at)
            case Action.NEXT_LAYOUT:
                return After(self)  # the view changes them
            case Action.LETTERS | Action.SYMBOLS | Action.MORE_SYMBOLS | Action.EMOJI:
                return After(replace(self, layer=Layer[key.action.name], shift_at=None, space_at=None))

    def type(self, characters: str, at: float) -> "After":
        """Type characters just as they are: of a long press, or of a physical keyboard. They replace what is selected.

        White space ends a word, which may be corrected, marks between them or not; a mark takes back the space that a
        suggestion brought; a second space soon after the first makes a full stop. A space right behind a suggestion
        goes over the one that stands there.
        """
        characters = characters.encode(errors="ignore").decode()  # half a surrogate pair is no character
        if not characters:
            return After(self)
        before, after = self._around
        changes: dict[str, Any] = {
            "keystrokes": self.keystrokes + 1,
            "layer": Layer.LETTERS if characters == " " else self.layer,
            "space_at": at if characters == " " else None,
        }
        space, brought = characters.isspace(), self.strip_space or self.phantom_space
        if self.phantom_space:
            before += " "
        if self.space_due and not space:
            after = " " + after
        if self.field is FieldKind.PASSWORD:
            before += characters
        elif space and brought:
            before = before[:-1] + characters
            after, changes["space_due"] = self._behind_own_space(before, after)
        elif brought and takes_space_back(characters, self.context + before, self._rules):
            before = before[:-1] + characters
            changes["took_space"] = True
        elif self.took_space and (apart := set_apart(before, characters, self._rules)) is not None:
            before = apart
        elif characters == " " and self._is_second_space(at):
            changes["replacement"] = Replacement(len(before) - 1, typed="  ", shown=". ")
            before = before[:-1] + ". "
        elif space:
            before, changes["replacement"] = self._ended(before, characters)
        else:
            letters = all(map(is_letter, characters))
            changes |= {"replacement": self.replacement if letters else None, "took_space": self.took_space and letters}
            changes |= {"pending": self._waiting(before) if waits(characters, self.context + before) else None}
            before += characters
        return self._edited(before, after, **changes)

    def paste(self, characters: str) -> "After":
        """Put text from elsewhere in place of what is selected.

        Nothing of a message with pasted text is learned, as of one that was partly typed in incognito: others may have
        written it, or it is secret, and once it is edited nobody can tell it from what was typed.
        """
        lines = characters.encode(errors="ignore").decode().expandtabs(1).splitlines()
        pasted = "\n".join("".join(c for c in line if unicodedata.category(c) != "Cc") for line in lines)
        if not pasted:
            return After(self)
        before, after = self._around
        return self._edited(before + pasted, after, secret=True, keystrokes=self.keystrokes + 1)

    def backspace(self) -> "After":
        """Delete a character, or what is selected; but take back what the keyboard replaced right before the cursor."""
        before, after = self._around
        counted = self.keystrokes + 1
        undone = self.replacement
        if undone is not None and undone.end == len(before):
            kept = self.kept | {undone.word.lower()} - {""}
            done = self._edited(before[: undone.start] + undone.typed, after, keystrokes=counted, kept=kept)
            return done.also(self._wanted(undone.word))
        if self.anchor is None:
            if not before:
                return After(replace(self, shift_at=None, space_at=None))
            before = before[: character_before(before, len(before))]
        if self.space_due:
            after = " " + after
        replacement = undone if undone is not None and undone.end <= len(before) else None
        return self._edited(before, after, replacement=replacement, keystrokes=counted)

    def undo(self) -> "After":
        """Go back to how the text was before the latest word, mark, deletion or pasting."""
        return self._go(self.past, "past", "future")

    def redo(self) -> "After":
        """Take `undo` back."""
        return self._go(self.future, "future", "past")

    def delete_word(self) -> "After":
        """Delete back to the beginning of a word: a physical keyboard's control and backspace."""
        return self._delete(word_before(self._in_words, self.cursor), self.cursor)

    def delete(self) -> "After":
        """Delete to the right: a physical keyboard's key."""
        return self._delete(self.cursor, character_after(self.text, self.cursor))

    def accept(self, place: int) -> "After":
        """Tap a place of the strip, 0 to 2: its word takes the place of the one being typed, and brings a space."""
        word, slot = self._word, self.slots[place]
        if slot is not None and self.glided is not None:
            others = (other for other in self.glided.slots if other is not slot)
            return self._put_glided(self.text[: self.glided.start], (slot, *others))
        if word is None or slot is None:
            return After(self)
        space = " " if wants_space(self.context + word.before) and not word.typed else ""
        kept = self.kept if slot.suggestion is not None else self.kept | {slot.text.lower()}
        is_emoji = slot.suggestion is not None and slot.suggestion.origin is Origin.EMOJI
        put = f"{word.typed} {slot.text}" if is_emoji else slot.text  # an emoji stands behind its word
        spaces = self._spaces_behind(word.before, joined=bool(word.typed) or self.phantom_space)
        done = self._edited(
            word.before + space + put + " " * spaces["strip_space"],
            self._around[1],
            kept=kept,
            keystrokes=self.keystrokes + 1,
            **spaces,
        )
        return done if slot.suggestion is not None else done.also(self._wanted(slot.text))

    def glide(self, path: Path) -> "After":
        """Glide over the keys of a word, which `write_glided` brings. Nothing is glided in passwords.

        Args:
            path: where the finger was, in keys from the keyboard's top left corner.
        """
        if self.field is FieldKind.PASSWORD:
            return After(self)
        return After(replace(self, path=path, glided=None, shift_at=None, space_at=None))

    def write_glided(self, offer: Offer) -> "After":
        """Write the likeliest word of a glide and a space, set off from what stands before; a backspace takes it back.

        An offer for another glide is dropped, and so is a glide that no word has.
        """
        if self.path is None or offer.request != self.request:
            return After(self)
        slots = tuple(Slot(self._in_case(suggestion, ""), suggestion) for suggestion in offer.suggestions)
        return self._put_glided(self._around[0], slots) if slots else After(replace(self, path=None))

    def send(self) -> "After":
        """Give the text to the field's owner and start with an empty field."""
        effects = [*self._finished(), Sent(self.text)] if self.text else []
        return After(self._fresh(), tuple(effects))

    def focus(self, field: FieldKind, context: str = "", following: str = "") -> "After":
        """Go to a field of some kind with nothing of ours in it. What was in the field before counts as finished."""
        fresh = replace(self._fresh(), field=field, context=context, following=following)
        return After(_automatic_shift(fresh), self._finished())

    def stands_between(self, context: str, following: str) -> "After":
        """Learn what stands before and behind the text."""
        return After(_automatic_shift(replace(self, context=context, following=following)))

    def go_incognito(self, *, on: bool) -> "After":
        """Turn incognito on or off. A message that was begun is learned either wholly or not at all."""
        return self._done(replace(self, incognito=on))

    def kept_secret(self) -> "EditorState":
        """Return the state in which nothing of what is in the field now will be learned."""
        return replace(self, secret=bool(self.text))

    def kept_as_typed(self) -> "EditorState":
        """Return the state in which the word that is being typed is not corrected."""
        return replace(self, kept=self.kept | {self.composing.lower()} - {""})

    def tap_shift(self, at: float) -> "After":
        """Tap shift: off, for one letter, and after two quick taps for all; what is selected changes its case."""
        if self.anchor is not None and self.field is not FieldKind.PASSWORD:
            return self._recased()
        quick = self.shift_at is not None and 0 <= at - self.shift_at <= DOUBLE_TAP_SECONDS
        if quick and self.shift is not Shift.LOCK:
            shift = Shift.LOCK
        else:
            shift = Shift.ONCE if self.shift is Shift.OFF else Shift.OFF
        return After(replace(self, shift=shift, shift_at=None if quick else at, space_at=None))

    def select(self, anchor: int, cursor: int) -> "After":
        """Select what is between two places, the cursor at the second; never only a part of a character."""
        anchor, cursor = (boundary(self.text, max(0, min(index, len(self.text)))) for index in (anchor, cursor))
        held = None if anchor == cursor else anchor
        if (held, cursor) == (self.anchor, self.cursor):
            return After(self)
        return self._done(_automatic_shift(replace(self, **{**_MOVED, "anchor": held, "cursor": cursor})))

    def select_word(self, index: int) -> "After":
        """Select the word at a place, or the character if there is none; all of a password."""
        return self.select(*word_at(self._in_words, boundary(self.text, index)))

    def select_all(self) -> "After":
        """Select the whole text."""
        return self.select(0, len(self.text))

    def place(self, cursor: int, *, selecting: bool = False) -> "After":
        """Put the cursor somewhere; when selecting, everything from where that began to there is selected."""
        return self.select(self._began if selecting else cursor, cursor)

    def move(self, steps: int, *, words: bool = False, selecting: bool = False) -> "After":
        """Move the cursor right, or left if negative, by characters as people count them, or by words.

        Out of a selection that is not to be changed the first step leads to its end on that side.
        """
        text = self._in_words if words else self.text
        before, after = (word_before, word_after) if words else (character_before, character_after)
        cursor, left = self.cursor, abs(steps)
        if left and self.anchor is not None and not selecting:
            cursor, left = self.selection[steps > 0], left - 1
        for _ in range(left):
            cursor = (before if steps < 0 else after)(text, cursor)
        return self.place(cursor, selecting=selecting)

    def take(self, offer: Offer) -> "EditorState":
        """Return the state with an offer; one that was made for another text is dropped."""
        if offer.request != self.request or self.path is not None:
            return self
        if offer.language in {"", self.language}:
            return replace(self, offer=offer)
        return _automatic_shift(replace(self, offer=offer, language=offer.language))

    def on_keys(self, *, cased: bool) -> "EditorState":
        """Return the state above keys that have capitals or have none."""
        if cased == self.cased:
            return self
        return _automatic_shift(replace(self, cased=cased, shift=Shift.OFF))

    @property
    def settled(self) -> str:
        """The text without the word that is being typed."""
        return self.text[: self.cursor - len(self.composing)] + self.text[self.cursor :]

    @property
    def _began(self) -> int:
        """Where the selection began, or would begin."""
        return self.cursor if self.anchor is None else self.anchor

    @property
    def _around(self) -> tuple[str, str]:
        """The text before and behind the selection, or the cursor."""
        start, end = self.selection
        return self.text[:start], self.text[end:]

    @property
    def _before(self) -> str:
        """The text before the selection, or the cursor, with the space that is not written yet."""
        return self._around[0] + " " * self.phantom_space

    @property
    def _word(self) -> Request | None:
        """The word at the cursor and what stands before it; None within a word, and where one is partly selected."""
        before, after = self._around
        word = Request(*split_word(self._before))
        within = continues_word(after) and not self.space_due and not (before and before[-1].isspace())
        return None if within or (self.anchor is not None and word.typed) else word

    def _gap(self, before: str) -> str:
        """Return what sets a glided word off from what stands before it in the field."""
        before = self.context + before
        return " " if is_letter(before[-1:]) or wants_space(before) else ""

    @property
    def _rules(self) -> Language:
        return language(self.language)

    @property
    def _in_words(self) -> str:
        """The text as far as its words are known: a password is one."""
        return "x" * len(self.text) if self.field is FieldKind.PASSWORD else self.text

    def _correction(self) -> Suggestion | None:
        offer = self.offer
        if offer is None or offer.correction is None or offer.request != self.request:
            return None
        return None if offer.request.typed.lower() in self.kept else offer.correction

    def _waiting(self, before: str) -> Pending | None:
        """Return the correction that waits for white space while marks are typed behind a word."""
        correction = self._correction()
        if correction is None:
            return self.pending
        start = len(before) - len(self.composing)
        return Pending(start, before[start:], correction)

    def _behind_own_space(self, before: str, after: str) -> tuple[str, bool]:
        """Return what is left behind white space that was typed right behind a suggestion, and whether one is due."""
        if not (self.phantom_space and before[-1] == after[:1] == " "):
            return after, self.space_due
        return after[1:], stands_apart(after[1:], self.context + before, self._rules)

    def _ended(self, before: str, space: str) -> tuple[str, Replacement | None]:
        """Return the text with white space behind its last word, corrected if it is to be, and what that replaced."""
        waiting = self._waiting(before)
        if waiting is None:
            return before + space, None
        marks = before[waiting.start + len(waiting.word) :] + space
        replaced = Replacement(waiting.start, waiting.word + marks, waiting.correction.text + marks, waiting.word)
        return before[: waiting.start] + replaced.shown, replaced

    def _put_glided(self, before: str, slots: tuple[Slot, ...]) -> "After":
        """Write the first of some words behind a text that stands before the cursor."""
        spaces = self._spaces_behind(before, joined=self.phantom_space)
        shown = self._gap(before) + slots[0].text + " " * spaces["strip_space"]
        return self._edited(
            before + shown,
            self._around[1],
            replacement=Replacement(len(before), typed="", shown=shown),
            glided=Glided(len(before), slots),
            keystrokes=self.keystrokes + 1,
            **spaces,
        )

    def _spaces_behind(self, before: str, *, joined: bool) -> dict[str, bool]:
        """Return which spaces are behind a suggestion that is put between a text and what stands at the cursor."""
        after = self._around[1] + self.following
        apart = stands_apart(after, self.context + before, self._rules, joined=joined)
        written = apart or not after
        return {"strip_space": written, "phantom_space": not written, "space_due": apart and self._around[1] != ""}

    def _in_case(self, suggestion: Suggestion, typed: str) -> str:
        """Return a suggestion as the next key would write it."""
        text = suggestion.text
        if self.shift is Shift.LOCK and typed == typed.upper():
            return text.upper()
        if typed:
            return text
        if self.shift is Shift.OFF:
            return suggestion.written or text
        return text[:1].upper() + text[1:]

    def _wanted(self, word: str) -> tuple[Effect, ...]:
        return (Kept(word),) if word and self.learnable else ()

    def _recased(self) -> "After":
        """Turn what is selected into capitals, small letters, or words that begin with a capital, in turn."""
        start, end = self.selection
        text = self.text[start:end]
        capital = " ".join(word[:1].upper() + word[1:].lower() for word in text.split(" "))
        turns = [text.lower(), capital, text.upper()]
        new = turns[(turns.index(text) + 1) % len(turns)] if text in turns else turns[0]
        if len(new) != len(text) or new == text:
            return After(self)
        done = self._edited(self.text[:start] + new, self.text[end:])
        return done._replace(state=replace(done.state, anchor=start))

    def _go(self, versions: tuple[Version, ...], come_from: str, go_to: str) -> "After":
        if not versions:
            return After(self)
        text, cursor = versions[-1]
        here = Version(self.text, self.cursor)
        stacks = {come_from: versions[:-1], go_to: (*getattr(self, go_to), here)}
        return self._done(_automatic_shift(replace(self, text=text, cursor=cursor, **{**_MOVED, **stacks})))

    def _versions(self, text: str, *, by_letters: bool) -> tuple[Version, ...]:
        """Return the past with this version, unless the change only adds a letter to a word, or changes nothing."""
        if text == self.text:
            return self.past
        start, end = len(self.text[: self.cursor]) - 1, self.cursor + 1
        grown = by_letters and len(text) == len(self.text) + 1 and text[:end].startswith(self.text[: self.cursor])
        if grown and self.past and start >= 0 and is_letter(text[start]) and is_letter(text[end - 1 : end]):
            return self.past
        return (*self.past, Version(self.text, self.cursor))[-MAX_VERSIONS:]

    def _is_second_space(self, at: float) -> bool:
        if self.space_at is None or not 0 <= at - self.space_at <= DOUBLE_SPACE_SECONDS:
            return False
        last = self.text[self.cursor - 2 : self.cursor - 1]
        return self.text[self.cursor - 1 : self.cursor] == " " and (last.isalnum() or last in {")", '"', "'"})

    def _delete(self, start: int, end: int) -> "After":
        """Delete what is selected, or else what is between two places."""
        if self.anchor is not None:
            start, end = self.selection
        if start == end:
            return After(self)
        return self._edited(self.text[:start], self.text[end:], keystrokes=self.keystrokes + 1)

    def _edited(self, before: str, after: str, **changes: Any) -> "After":
        text = before + after
        by_letters = not changes.get("phantom_space", False)
        history = {"past": self._versions(text, by_letters=by_letters), "future": ()}
        new = replace(self, text=text, cursor=len(before), **{**_MOVED, **history, **changes})
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
        kept = {name: getattr(self, name) for name in ("field", "incognito", "language", "cased")}
        return _automatic_shift(EditorState(**kept))


_MOVED: Mapping[str, Any] = {
    "anchor": None,
    "replacement": None,
    "pending": None,
    "path": None,
    "glided": None,
    "strip_space": False,
    "phantom_space": False,
    "space_due": False,
    "took_space": False,
    "space_at": None,
    "shift_at": None,
}
"""What a state forgets when the cursor goes elsewhere, unless told otherwise."""


class After(NamedTuple):
    """What an event leads to.

    Attributes:
        state: from now on.
        effects: what has to be done, in order.
    """

    state: EditorState
    effects: Sequence[Effect] = ()

    def also(self, effects: Sequence[Effect]) -> "After":
        """Return the same with more to be done."""
        return self._replace(effects=(*self.effects, *effects))


def shifted(characters: str, shift: Shift) -> str:
    """Return what a key or an alternative types under a state of shift."""
    return characters if shift is Shift.OFF or len(characters.upper()) != len(characters) else characters.upper()


def typed_by(key: Key, shift: Shift) -> str:
    """Return what a key types under a state of shift."""
    return key.shifted if key.shifted and shift is not Shift.OFF else shifted(key.types, shift)


def _automatic_shift(state: EditorState) -> EditorState:
    """Return the state with shift on where a sentence begins and off elsewhere, unless it is locked."""
    if state.shift is Shift.LOCK:
        return state
    before = state.context + state.text[: state.selection[0]] + " " * state.phantom_space
    rules = language(state.language)
    at_start = not before or before[-1].isspace() or before[-1] in rules.opening_marks
    capital = state.field is not FieldKind.PASSWORD and at_start and starts_sentence(before, rules)
    return replace(state, shift=Shift.ONCE if capital and state.cased else Shift.OFF)
