"""A window painted into memory, fingers, and a clock that moves when it is told to."""

from collections.abc import Iterator
from typing import Any

import pytest
from kivy.clock import Clock
from kivy.tests.common import UnitTestTouch
from kivy.uix.label import Label
from kivy.uix.scrollview import ScrollView

import keyboard_app.ui.window as own_window

FRAME = 1 / own_window.FRAMES_PER_SECOND


class Screen:
    """The window with a root in it; time stands still between frames.

    Attributes:
        now: the time in seconds.
    """

    def __init__(self, window: Any) -> None:
        self.window = window
        self.now = 1000.0
        self._frames: own_window.Frames | None = None
        self._touches = 0

    def show(self, root: Any) -> None:
        self.clear()
        self._frames = own_window.Frames(root)
        self.frames(4)

    def clear(self) -> None:
        for child in list(self.window.children):
            self.window.remove_widget(child)

    def frames(self, count: int = 1) -> None:
        assert self._frames is not None
        for _ in range(count):
            self.now += FRAME
            self._frames.one()

    def wait(self, seconds: float) -> None:
        """Let time pass, frame by frame."""
        self.frames(round(seconds / FRAME))

    def touch(self, position: tuple[float, float]) -> Any:
        """Put a finger down; `touch_move` and `touch_up` are its methods."""
        self._touches += 1
        touch = UnitTestTouch(*position)
        touch.uid = self._touches
        touch.touch_down()
        self.frames()
        return touch

    def tap(self, position: tuple[float, float]) -> None:
        touch = self.touch(position)
        touch.touch_up()
        self.frames()

    def resize(self, width: int, height: int) -> None:
        self.window.size = (width, height)
        self.wait(0.3)

    def find(self, of: type, root: Any = None) -> list[Any]:
        """Return all widgets of a class below the root."""
        roots = [root] if root is not None else self.window.children
        return [widget for top in roots for widget in top.walk() if isinstance(widget, of)]

    def button(self, text: str) -> Any:
        """Return the one widget with a text or a name."""
        named = [
            widget
            for root in self.window.children
            for widget in root.walk()
            if text in {getattr(widget, "name", None), getattr(widget, "text", None)} and hasattr(widget, "on_release")
        ]
        assert len(named) == 1, (text, named)
        return named[0]

    def press(self, text: str) -> None:
        """Scroll to a button and tap it."""
        button = self.button(text)
        for scroller in self.find(ScrollView):
            if button in scroller.walk():
                scroller.scroll_to(button, animate=False)
                self.frames(3)
        self.tap(button.to_window(*button.center))
        self.frames(3)

    def texts(self) -> str:
        """Return everything that is written on labels."""
        return "\n".join(label.text for label in self.find(Label))


@pytest.fixture(scope="session")
def _window() -> Any:
    own_window.without_display()
    return own_window.open_window((412, 915))


@pytest.fixture
def screen(_window: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    screen = Screen(_window)
    monkeypatch.setattr(Clock, "time", lambda: screen.now)
    Clock._last_tick = screen.now
    _window.size = (412, 915)
    yield screen
    screen.clear()
