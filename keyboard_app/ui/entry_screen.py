"""A question that is answered by typing: a word, a file, a passphrase. Nothing typed here is learned or suggested."""

from collections.abc import Callable
from typing import Any, NamedTuple

from kivy.clock import Clock
from kivy.metrics import dp
from kivy.uix.anchorlayout import AnchorLayout
from kivy.uix.boxlayout import BoxLayout

from keyboard_app.editor.editor import After, EditorState, FieldKind, Shift
from keyboard_app.editor.keys import Action, Board, Key, Layer, rows
from keyboard_app.ui.edit_bar import Clipboard
from keyboard_app.ui.field import Edits, Field
from keyboard_app.ui.keypad import Keypad
from keyboard_app.ui.theme import Palette
from keyboard_app.ui.widgets import Column, PushButton, Scrolled, Text


class Question(NamedTuple):
    """What is asked.

    Attributes:
        title: on the bar.
        detail: what the answer is for.
        hint: in the empty field.
        done: called with the answer; it returns what is wrong with it, or nothing.
        secret: whether the answer is hidden.
        text: to begin with.
    """

    title: str
    detail: str
    hint: str
    done: Callable[[str], str]
    secret: bool = False
    text: str = ""


class EntryScreen(BoxLayout):
    """The question, a field, and keys.

    Args:
        question: what is asked.
        palette: colours.
        board: the keys.
        clipboard: for what is copied and pasted.
    """

    def __init__(self, question: Question, palette: Palette, board: Board, clipboard: Clipboard) -> None:
        super().__init__(orientation="vertical")
        self._done, self._clipboard, self._board = question.done, clipboard, board
        kind = FieldKind.PASSWORD if question.secret else FieldKind.NO_LEARNING
        empty = EditorState(field=kind, cased=False, shift=Shift.OFF)
        self._state = empty.type(question.text, 0.0).state
        edits = Edits(
            place=lambda index: self._do(self._state.place(index)),
            select=lambda start, end: self._do(self._state.select(start, end)),
            select_word=lambda index: self._do(self._state.select_word(index)),
            select_all=lambda: self._do(self._state.select_all()),
            cut=self._cut,
            copy=self._copy,
            paste=lambda: self._do(self._state.paste(clipboard.paste())),
        )
        self.field = Field(palette, edits, question.hint)
        self.problem = Text("", palette.bad, size=14)
        self.keypad = Keypad(palette, self.press, self.type, self._move, self._erase)
        self.keypad.arrange(board)
        finish = PushButton("Done", self.finish, palette, "primary")
        middle = AnchorLayout(size_hint_y=None, padding=(dp(10), dp(6)))
        self.field.bind(height=lambda _, height: setattr(middle, "height", height + dp(12)))
        middle.height = self.field.height + dp(12)
        middle.add_widget(self.field)
        self.add_widget(Scrolled(Column(Text(question.detail, palette.on_surface), self.problem, finish), palette))
        self.add_widget(middle)
        self.add_widget(self.keypad)
        self.bind(size=self._fit)
        self._show()

    @property
    def text(self) -> str:
        """What was typed so far."""
        return self._state.text

    def type(self, text: str) -> None:
        """Type a text as it is."""
        self._do(self._state.type(text, Clock.get_time()))

    def press(self, key: Key) -> None:
        """Press a key."""
        if key.action is Action.RETURN:
            self.finish()
        elif key.action is not Action.EMOJI:
            self._do(self._state.press(key, Clock.get_time()))

    def backspace(self) -> None:
        """Delete to the left."""
        self._do(self._state.backspace())

    def finish(self) -> None:
        """Answer; what is wrong with the answer is said."""
        self.problem.text = self._done(self._state.text.strip())

    def _do(self, after: After) -> None:
        self._state = after.state
        self._show()

    def _move(self, steps: int) -> None:
        self._do(self._state.move(steps))

    def _erase(self, words: int) -> None:
        for _ in range(abs(words)):
            self._do(self._state.delete_word() if words > 0 else self._state.undo())

    def _copy(self) -> None:
        if copied := self._state.copied:
            self._clipboard.copy(copied)

    def _cut(self) -> None:
        self._copy()
        if self._state.copied:
            self.backspace()

    def _show(self) -> None:
        self.field.show(self._state)
        self.keypad.show(self._state)

    def _fit(self, *_: Any) -> None:
        usual = max(dp(176), min(self.height * 0.38, dp(264), self.width * 0.62))
        self.keypad.height = usual * rows(Layer.LETTERS, self._board) / 4
