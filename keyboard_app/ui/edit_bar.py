"""The bar above a selection: cut, copy, paste, select all; and the clipboard that they need."""

from collections.abc import Callable, Sequence
from typing import Protocol

from kivy.metrics import dp
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from keyboard_app.ui.theme import Palette
from keyboard_app.ui.widgets import TOUCH_DP, Text, Touchable, ground

Choice = tuple[str, Callable[[], object]]
"""What a place of the bar says and does."""


class Clipboard(Protocol):
    """Where text is that was copied."""

    def copy(self, text: str) -> None:
        """Keep a text in place of what is there."""

    def paste(self) -> str:
        """Return what is there; nothing if that is no text."""


class SystemClipboard:
    """The clipboard of the device. Kivy's is not imported before it is needed: that takes time."""

    def copy(self, text: str) -> None:
        """Keep a text in place of what is there."""
        from kivy.core.clipboard import Clipboard as KivyClipboard  # noqa: PLC0415

        KivyClipboard.copy(text)

    def paste(self) -> str:
        """Return what is there; nothing if that is no text."""
        from kivy.core.clipboard import Clipboard as KivyClipboard  # noqa: PLC0415

        return str(KivyClipboard.paste())


class EditBar(BoxLayout):
    """A few words to touch beside each other, as wide as they need.

    Args:
        palette: colours.
    """

    def __init__(self, palette: Palette) -> None:
        super().__init__(size_hint=(None, None), height=dp(TOUCH_DP), padding=(dp(4), 0))
        self._palette = palette
        self._shown: list[str] = []
        ground(self, palette.surface, radius=12, border=palette.outline)

    def show(self, choices: Sequence[Choice]) -> None:
        """Offer these and no others."""
        names = [name for name, _ in choices]
        if names != self._shown:
            self._shown = names
            self.clear_widgets()
            for name, action in choices:
                self.add_widget(self._choice(name, action))
            self.width = sum(child.width for child in self.children) + dp(8)

    def _choice(self, name: str, action: Callable[[], object]) -> Widget:
        label = Text(name, self._palette.primary, size=14, bold=True, halign="center")
        label.texture_update()
        choice = Touchable(action, size_hint_x=None, width=label.texture_size[0] + dp(24))
        choice.name = name
        choice.add_widget(label)
        return choice
