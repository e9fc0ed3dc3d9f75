"""The thread of the window: what is typed goes through the editor at once, and nothing here waits.

The editor's state is shared with the thread that answers with suggestions, under a lock held for microseconds.
"""

import threading
from collections.abc import Callable, Sequence

from keyboard_app.editor.characters import is_letter
from keyboard_app.editor.editor import (
    After,
    Drafted,
    EditorState,
    Effect,
    FieldKind,
    Finished,
    Kept,
    Offer,
    Request,
    Sent,
    Slot,
)
from keyboard_app.editor.keys import Key
from keyboard_app.settings import Settings
from keyboard_app.typing import suggesting
from keyboard_app.typing.clipboard import ClipboardHistory
from keyboard_app.typing.learner import Learner
from model.languages import language, layouts
from model.suggestions import Path

_SENT_KEPT = 100
_WAIT_FOR_WORD_SECONDS = 2.0  # at most: else a word that was glided, or chosen by a key, would be lost
_WAIT_SECONDS = 0.02  # at the end of a word, for what the model thinks of it


class TypingSession:
    """What one types on one phone.

    Args:
        learner: The thread that suggests and learns; started by this.
        settings: Returns what the owner chose.
        monotonic: Returns seconds of a steady clock.

    Attributes:
        last_key: Time of the latest event, in seconds of `monotonic`.
        clipboard: What was copied lately.
    """

    def __init__(self, learner: Learner, settings: Callable[[], Settings], monotonic: Callable[[], float]) -> None:
        self._learner, self._settings, self._monotonic = learner, settings, monotonic
        self._lock = threading.RLock()
        self._state = EditorState(incognito=settings().incognito)
        self._asked: Request | None = None
        self._sent: list[str] = []
        self.last_key = -float("inf")
        self.clipboard = ClipboardHistory(monotonic)
        learner.start(self._take, lambda: self._ask(again=True))
        self._ask()

    @property
    def state(self) -> EditorState:
        """The text field and the keyboard."""
        return self._state

    @property
    def layout(self) -> str:
        """Name of the layout of the keys: the owner's choice, or that of what is written."""
        return self._settings().layout or language(self._state.language).layout

    @property
    def sent(self) -> Sequence[str]:
        """Messages that were sent since the start, oldest first; of passwords only dots."""
        return self._sent

    def press(self, key: Key) -> None:
        """Press a key."""
        self._await_answer(key.types)
        self._type(lambda state: state.press(key, self._monotonic()))

    def type(self, characters: str) -> None:
        """Type characters as they are: of a long press, or of a physical keyboard."""
        self._await_answer(characters)
        self._type(lambda state: state.type(characters, self._monotonic()))

    def note_copied(self) -> str:
        """Return what copying gives; the history keeps it for a while, of ordinary fields without incognito."""
        state = self._state
        if state.field is FieldKind.ORDINARY and not state.incognito:
            self.clipboard.note(state.copied)
        return state.copied

    def write_emoji(self, emoji: str) -> None:
        """Write an emoji; where the phone learns from what is typed here, it is among the recent ones from now on."""
        self.type(emoji)
        if self._settings().learns and self._state.field is FieldKind.ORDINARY and not self._state.incognito:
            self._learner.use_emoji(emoji)

    @property
    def recent_emoji(self) -> Sequence[str]:
        """Those that were used lately, the latest first."""
        return self._learner.learned.emoji

    def backspace(self) -> None:
        """Delete what is selected, or to the left, or take back what the keyboard replaced."""
        self._type(EditorState.backspace)

    def delete_word(self) -> None:
        """Delete what is selected, or the word to the left."""
        self._type(EditorState.delete_word)

    def delete(self) -> None:
        """Delete what is selected, or to the right."""
        self._type(EditorState.delete)

    def paste(self, characters: str) -> None:
        """Put text from elsewhere in place of what is selected; then nothing of the message is learned."""
        self._type(lambda state: state.paste(characters))

    def accept(self, place: int) -> None:
        """Tap a place of the strip, 0 to 2 from the left."""
        self._type(lambda state: state.accept(place))

    def glide(self, path: Path) -> None:
        """Glide over the keys of a word; it comes as soon as the model knows which."""
        self._type(lambda state: state.glide(path))

    def send(self) -> None:
        """Send the message."""
        self._type(EditorState.send)

    def undo(self) -> None:
        """Go back to how the text was before the latest word, mark, deletion or pasting."""
        self._type(EditorState.undo)

    def redo(self) -> None:
        """Take `undo` back."""
        self._type(EditorState.redo)

    def place(self, cursor: int, *, selecting: bool = False) -> None:
        """Put the cursor somewhere, or let the selection reach there."""
        self._type(lambda state: state.place(cursor, selecting=selecting))

    def move(self, steps: int, *, words: bool = False, selecting: bool = False) -> None:
        """Move the cursor to the right, or to the left if negative, by characters or words."""
        self._type(lambda state: state.move(steps, words=words, selecting=selecting))

    def select(self, anchor: int, cursor: int) -> None:
        """Select what is between two places, the cursor at the second."""
        self._type(lambda state: state.select(anchor, cursor))

    def select_word(self, index: int) -> None:
        """Select the word at a place."""
        self._type(lambda state: state.select_word(index))

    def select_all(self) -> None:
        """Select the whole text."""
        self._type(EditorState.select_all)

    def focus(self, field: FieldKind, context: str = "", following: str = "") -> None:
        """Go to a field of some kind, with nothing of ours between two texts; what was typed before is finished."""
        self._type(lambda state: state.focus(field, context, following))

    def stands_between(self, context: str, following: str) -> None:
        """Learn what stands before and behind the text, for predictions and spaces alone."""
        self._type(lambda state: state.stands_between(context, following))

    def go_incognito(self, *, on: bool) -> None:
        """Turn incognito on or off, if it is not so already."""
        if on != self._state.incognito:
            self._type(lambda state: state.go_incognito(on=on))

    def why(self, slot: Slot) -> str:
        """Say why a word is on the strip."""
        return suggesting.why(slot.suggestion)

    def keep_as_typed(self) -> None:
        """Correct nothing in the word that is being typed."""
        self._type(lambda state: After(state.kept_as_typed()))

    def keep_secret(self) -> None:
        """Learn nothing of what is being typed at the moment."""
        self._type(lambda state: After(state.kept_secret(), (Drafted(""),)))

    def await_strip(self) -> None:
        """Wait for the strip of what was typed last: a key is to take a word of it."""
        self._await_offer(_WAIT_FOR_WORD_SECONDS)

    def clear(self) -> None:
        """Forget what was typed and sent."""
        with self._lock:
            self._sent.clear()
            self.clipboard.clear()
            self._state = EditorState()
            self._ask(again=True)

    def _await_answer(self, characters: str) -> None:
        """Give the model a moment for a word that is about to end: anyone who types fast wants corrections, too."""
        if characters and not all(map(is_letter, characters)) and self._state.composing:
            self._await_offer(_WAIT_SECONDS)

    def _await_offer(self, seconds: float) -> None:
        state = self._state
        answered = state.request is None or (state.offer is not None and state.offer.request == state.request)
        if not answered and self._learner.opened.is_set():
            self._learner.answered(seconds)

    def _type(self, event: Callable[[EditorState], After]) -> None:
        """Let an event happen, after a glide before it; what follows from it is left to the other threads."""
        if self._state.path is not None and self._learner.opened.is_set():
            self._learner.settle(_WAIT_FOR_WORD_SECONDS)
        with self._lock:
            self.last_key = self._monotonic()
            self._become(event(self._state.on_keys(cased=self._cased)))
        self._ask()

    def _become(self, after: After) -> None:
        self._state = after.state
        for effect in after.effects:
            self._follow(effect)

    def _follow(self, effect: Effect) -> None:
        learning = self._settings().learns
        match effect:
            case Drafted(text) if learning:
                self._learner.draft(text)
            case Finished(text, keystrokes) if learning:
                self._learner.finish(text, keystrokes)
            case Kept(word):
                self._learner.change_words(lambda personal: personal.keep(word))
            case Sent(text):
                shown = "•" * len(text) if self._state.field is FieldKind.PASSWORD else text
                self._sent = [*self._sent, shown][-_SENT_KEPT:]
            case _:
                pass

    def _take(self, offer: Offer) -> None:
        with self._lock:
            if offer.request.path is None:
                self._state = self._state.take(offer).on_keys(cased=self._cased)
                return
            self._become(self._state.write_glided(offer))
        self._ask()

    @property
    def _cased(self) -> bool:
        return "shifted" not in layouts()[self.layout]

    def _ask(self, *, again: bool = False) -> None:
        """Ask for suggestions, if there is something new to ask."""
        with self._lock:
            request = self._state.request
            if again or request != self._asked:
                self._asked = request
                self._learner.ask(request)
