"""Where one types: sent messages, the field, the strip, the keys."""

from typing import Any

from kivy.metrics import dp
from kivy.uix.anchorlayout import AnchorLayout
from kivy.uix.boxlayout import BoxLayout

from keyboard_app.typing.session import TypingSession
from keyboard_app.ui.edit_bar import Clipboard
from keyboard_app.ui.field import Edits, Field, width_of
from keyboard_app.ui.keypad import Keypad
from keyboard_app.ui.strip import Strip
from keyboard_app.ui.theme import Palette
from keyboard_app.ui.widgets import COLUMN_DP, Column, Scrolled, Text, ground

_MAX_BUBBLES = 30


class TypingScreen(BoxLayout):
    """The keyboard with a conversation above it.

    Args:
        session: What is typed.
        palette: Colours.
        ask: Called with a slot of the strip that was held.
        clipboard: For what is cut, copied and pasted.

    Attributes:
        edits: What is done to the text, and shown at once.
    """

    def __init__(self, session: TypingSession, palette: Palette, ask: Any, clipboard: Clipboard) -> None:
        super().__init__(orientation="vertical")
        self._session, self._palette, self._clipboard = session, palette, clipboard
        self._shown: tuple[str, ...] = ()
        self._bubbles = Column(space=8)
        self.conversation = Scrolled(self._bubbles, palette)
        self.conversation.bind(height=self._stand)
        self._bubbles.bind(minimum_height=self._stand)
        own = (self._cut, self._copy, self._paste)
        self.edits = Edits(
            *map(self._act, (session.place, session.select, session.select_word, session.select_all, *own))
        )
        self.field = Field(palette, self.edits, "Write a message")
        self.strip = Strip(palette, self._act(session.accept), ask)
        self.keypad = Keypad(palette, *map(self._act, (session.press, session.type, session.move, session.glide)))
        middle = AnchorLayout(size_hint_y=None, padding=(dp(10), dp(6)))
        self.field.bind(height=lambda _, height: setattr(middle, "height", height + dp(12)))
        middle.height = self.field.height + dp(12)
        middle.add_widget(self.field)
        for widget in (self.conversation, middle, self.strip, self.keypad):
            self.add_widget(widget)
        self.bind(size=self._fit)
        self.refresh()

    def _act(self, do: Any) -> Any:
        """Return `do` with the result shown at once."""

        def act(*arguments: Any) -> None:
            do(*arguments)
            self.refresh()

        return act

    def _copy(self) -> None:
        if copied := self._session.state.copied:
            self._clipboard.copy(copied)

    def _cut(self) -> None:
        self._copy()
        if self._session.state.copied:
            self._session.backspace()

    def _paste(self) -> None:
        self._session.paste(self._clipboard.paste())

    def _fit(self, *_: Any) -> None:
        """Give the keys two fifths of a phone's height, less in landscape."""
        self.keypad.height = max(dp(176), min(self.height * 0.38, dp(264), self.width * 0.62))

    def _stand(self, *_: Any) -> None:
        """Let few messages stand just above the field, where the next one comes from."""
        self._bubbles.height = max(self._bubbles.minimum_height, self.conversation.height)

    def refresh(self) -> None:
        """Show what the phone has now."""
        state = self._session.state
        self.field.show(state)
        self.strip.show(state.slots)
        self.keypad.show(state)
        sent = tuple(self._session.sent[-_MAX_BUBBLES:])
        if sent != self._shown:
            self._shown = sent
            self._bubbles.clear_widgets()
            for message in sent:
                self._bubbles.add_widget(_Bubble(message, self._palette))
            self.conversation.scroll_y = 0


class _Bubble(AnchorLayout):
    """A message that was sent."""

    def __init__(self, message: str, palette: Palette) -> None:
        super().__init__(anchor_x="right", size_hint_y=None)
        self._text = Text(message, palette.on_primary, size=16, size_hint_x=None, padding=(dp(14), dp(8)))
        ground(self._text, palette.primary, radius=16)
        self.add_widget(self._text)
        self.bind(width=self._fit)
        self._text.bind(height=lambda _, height: setattr(self, "height", height))

    def _fit(self, *_: Any) -> None:
        words = width_of(self._text.text) * 16 / 18 + dp(32)
        self._text.width = min(words, self.width * 0.82, dp(COLUMN_DP) * 0.7)
