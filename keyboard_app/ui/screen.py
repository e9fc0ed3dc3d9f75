"""What a page needs of the screen that it is on, so that pages and the screen do not know each other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from kivy.uix.widget import Widget

from keyboard_app.phone import Phone
from keyboard_app.ui.entry_screen import Question
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

    def start_typing(self) -> None:
        """Go to `typing` for the first time, with what there is to try."""

    def go(self, screen: str) -> Callable[[], None]:
        """Return what goes to a screen."""

    def act(self, do: Callable[..., object], *arguments: Any, **named: Any) -> Callable[[], None]:
        """Return what does something with the phone and then shows what came of it."""

    def ask(self, title: str, *widgets: Widget) -> None:
        """Show a question over everything else."""

    def confirm(self, title: str, detail: str, button: str, do: Callable[[], object]) -> None:
        """Ask before something that cannot be taken back."""

    def enter(self, question: Question) -> None:
        """Ask for something to be typed."""

    def say_where(self, title: str, write: Callable[[], Path], sentence: str) -> None:
        """Write a file and say where it is, or why it could not be written."""

    def close_sheet(self) -> None:
        """Take the question away."""
