"""What a page needs of the screen that it is on, so that pages and the screen do not know each other."""

from collections.abc import Callable
from typing import Any, Protocol

from kivy.uix.widget import Widget

from keyboard_app.phone import Phone
from keyboard_app.ui.theme import Palette


class Screen(Protocol):
    """The screen of one phone; a `PhoneView`."""

    @property
    def phone(self) -> Phone:
        """The phone that is shown."""

    @property
    def palette(self) -> Palette:
        """The colours chosen in the settings."""

    def show(self, screen: str) -> None:
        """Go to `typing`, or to a page by its name."""

    def go(self, screen: str) -> Callable[[], None]:
        """Return what goes to a screen."""

    def act(self, do: Callable[..., object], *arguments: Any, **named: Any) -> Callable[[], None]:
        """Return what does something with the phone and then shows what came of it."""

    def ask(self, title: str, *widgets: Widget) -> None:
        """Show a question over everything else."""

    def confirm(self, title: str, detail: str, button: str, do: Callable[[], object]) -> None:
        """Ask before something that cannot be taken back."""

    def close_sheet(self) -> None:
        """Take the question away."""
