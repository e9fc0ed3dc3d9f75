"""Where one types: sent messages, the field, the strip, the keys; or in place of these the emoji, or their search."""

from collections.abc import Callable
from typing import Any

from kivy.metrics import dp
from kivy.uix.anchorlayout import AnchorLayout
from kivy.uix.boxlayout import BoxLayout

from keyboard_app.editor.editor import EditorState, Shift
from keyboard_app.editor.keys import Action, Board, Key, Layer, rows
from keyboard_app.phone import Phone
from keyboard_app.ui.edit_bar import Clipboard
from keyboard_app.ui.emoji_page import EmojiPage, EmojiSearch
from keyboard_app.ui.field import Edits, Field, width_of
from keyboard_app.ui.keypad import Keypad
from keyboard_app.ui.lines import wrap
from keyboard_app.ui.strip import Strip
from keyboard_app.ui.theme import Palette
from keyboard_app.ui.widgets import COLUMN_DP, Column, Scrolled, Text, ground
from model.languages.emoji import emoji
from model.suggestions import Path

_MAX_BUBBLES = 30
_MAX_FOUND = 64


class TypingScreen(BoxLayout):
    """The keyboard with a conversation above it.

    Args:
        phone: What is typed on.
        palette: Colours.
        ask: Called with a slot of the strip that was held.
        recent: Offers what was copied lately.
        clipboard: For what is cut, copied and pasted.

    Attributes:
        edits: What is done to the text, and shown at once.
    """

    def __init__(
        self, phone: Phone, palette: Palette, ask: Any, recent: Callable[[], object], clipboard: Clipboard
    ) -> None:
        super().__init__(orientation="vertical")
        session = phone.session
        self._phone, self._session, self._palette, self._clipboard = phone, session, palette, clipboard
        self._shown: tuple[str, ...] = ()
        self._query: str | None = None
        self._bubbles = Column(space=8)
        self.conversation = Scrolled(self._bubbles, palette)
        self.conversation.bind(height=self._stand)
        self._bubbles.bind(minimum_height=self._stand)
        own = (self._cut, self._copy, self._paste)
        done = map(self._act, (session.place, session.select, session.select_word, session.select_all, *own))
        self.edits = Edits(*done)._replace(recent=lambda: recent if session.clipboard.entries else None)
        self.field = Field(palette, self.edits, "Write a message")
        self.strip = Strip(palette, self._act(session.accept), ask)
        self.keypad = Keypad(
            palette,
            self._act(self._press),
            self.type,
            self._act(session.move),
            self._act(self._erase),
            self._act(self._glide),
        )
        self.keypad.change_hand = self._act(phone.change_hand)
        write = self._act(session.write_emoji)
        self.emoji = EmojiPage(
            palette,
            write,
            self._act(lambda: session.press(Key("", 0, 0, action=Action.LETTERS))),
            lambda: self.find_emoji(""),
            self._act(session.backspace),
        )
        self.search = EmojiSearch(palette, write, lambda: self.find_emoji(None))
        middle = AnchorLayout(size_hint_y=None, padding=(dp(10), dp(6)))
        self.field.bind(height=lambda _, height: setattr(middle, "height", height + dp(12)))
        middle.height = self.field.height + dp(12)
        middle.add_widget(self.field)
        self._lower = Column(space=0)
        for widget in (self.conversation, middle, self._lower):
            self.add_widget(widget)
        self.bind(size=self._fit)
        self.refresh()

    def type(self, text: str) -> None:
        """Type a text as it is: into the search, while there is one."""
        if self._query is not None:
            self._query += text
        else:
            self._session.type(text)
        self.refresh()

    def backspace(self) -> None:
        """Delete to the left: in the search, while there is one."""
        if self._query is not None:
            self._query = self._query[:-1]
        else:
            self._session.backspace()
        self.refresh()

    def find_emoji(self, query: str | None) -> None:
        """Search for emoji, beginning with a query; None ends the search."""
        self._query = query
        self.refresh()

    def back(self) -> bool:
        """Leave the search or the emoji; return whether there was something to leave."""
        if self._query is not None:
            self._query = None
        elif self._session.state.layer is Layer.EMOJI:
            self._session.press(Key("", 0, 0, action=Action.LETTERS))
        else:
            return False
        self.refresh()
        return True

    def _act(self, do: Any) -> Any:
        """Return `do` with the result shown at once."""

        def act(*arguments: Any) -> None:
            do(*arguments)
            self.refresh()

        return act

    def _press(self, key: Key) -> None:
        if key.action is Action.NEXT_LAYOUT:
            self._phone.next_layout()
        elif self._query is None:
            self._session.press(key)
        elif key.action is Action.BACKSPACE:
            self._query = self._query[:-1]
        elif key.action in {Action.RETURN, Action.EMOJI}:
            self._query = None
        else:
            self._query += key.types

    def _erase(self, words: int) -> None:
        for _ in range(abs(words)):
            (self._session.delete_word if words > 0 else self._session.undo)()

    def _glide(self, path: Path) -> None:
        if self._query is None:
            self._session.glide(path)

    def _copy(self) -> None:
        if copied := self._session.note_copied():
            self._clipboard.copy(copied)

    def _cut(self) -> None:
        self._copy()
        if self._session.state.copied:
            self._session.backspace()

    def _paste(self) -> None:
        self._session.paste(self._clipboard.paste())

    @property
    def _board(self) -> Board:
        settings = self._phone.settings
        return Board(self._session.layout, settings.number_row, bool(settings.second_layout))

    def _fit(self, *_: Any) -> None:
        """Give the keys two fifths of a phone's height, less in landscape, or what their owner wants."""
        settings = self._phone.settings
        usual = max(dp(176), min(self.height * 0.38, dp(264), self.width * 0.62)) * settings.key_height
        self.keypad.height = min(usual * rows(Layer.LETTERS, self._board) / 4, self.height * 0.62)
        self.emoji.height = self.keypad.height + self.strip.height

    def _stand(self, *_: Any) -> None:
        """Let few messages stand just above the field, where the next one comes from."""
        self._bubbles.height = max(self._bubbles.minimum_height, self.conversation.height)

    def refresh(self) -> None:
        """Show what the phone has now."""
        state = self._session.state
        self._fit()
        self.field.show(state)
        self.strip.show(state.slots)
        self.keypad.arrange(self._board, self._phone.settings.one_handed)
        self.keypad.show(state if self._query is None else EditorState(shift=Shift.OFF))
        if self._query is not None:
            self.search.show(self._query, emoji(state.language).search(self._query)[:_MAX_FOUND])
            self._show_below(self.search, self.keypad)
        elif state.layer is Layer.EMOJI:
            if self.emoji.parent is None:
                self.emoji.show(self._session.recent_emoji)
            self._show_below(self.emoji)
        else:
            self._show_below(self.strip, self.keypad)
        sent = tuple(self._session.sent[-_MAX_BUBBLES:])
        if sent != self._shown:
            self._shown = sent
            self._bubbles.clear_widgets()
            for message in sent:
                self._bubbles.add_widget(_Bubble(message, self._palette))
            self.conversation.scroll_y = 0

    def _show_below(self, *widgets: Any) -> None:
        if self._lower.children[::-1] != [*widgets]:
            self._lower.clear_widgets()
            for widget in widgets:
                self._lower.add_widget(widget)


class _Bubble(AnchorLayout):
    """A message that was sent."""

    def __init__(self, message: str, palette: Palette) -> None:
        super().__init__(anchor_x="right", size_hint_y=None)
        self._message = message
        self._text = Text(message, palette.on_primary, size=16, size_hint_x=None, padding=(dp(14), dp(8)))
        ground(self._text, palette.primary, radius=16)
        self.add_widget(self._text)
        self.bind(width=self._fit)
        self._text.bind(height=lambda _, height: setattr(self, "height", height))

    def _fit(self, *_: Any) -> None:
        most = min(self.width * 0.82, dp(COLUMN_DP) * 0.7)
        lines = wrap(self._message, max(1.0, most - dp(32)), _width)
        self._text.text = "\n".join(line.text for line in lines)  # broken between whole characters
        self._text.width = min(most, max(_width(line.text) for line in lines) + dp(32))


def _width(text: str) -> float:
    return width_of(text) * 16 / 18
