"""The window: how it is opened, and its frames.

Kivy's own loop sleeps between reading input and painting, so that a touch waits for up to two frames. Here the sleep
comes first: what arrives during it is read, handled and painted at once.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from kivy.config import Config
from kivy.uix.widget import Widget

from federation.errors import FederationError

FRAMES_PER_SECOND = 60


_NO_WINDOW = (
    "no window can be opened: start this on a desktop with OpenGL, under `xvfb-run`, or with SDL_VIDEODRIVER=offscreen"
)


class WindowError(FederationError):
    """No window can be opened here; the message says what to do."""


def open_window(size: tuple[int, int], title: str = "fedkey") -> Any:
    """Return Kivy's one window, of a size in pixels; opened at the first call and resized at later ones.

    Raises:
        WindowError: there is no display, or it cannot do OpenGL.
    """
    if "kivy.core.window" not in sys.modules:
        if not has_display(os.environ):
            raise WindowError(_NO_WINDOW)
        _configure(size)
    try:
        from kivy.core.window import Window  # noqa: PLC0415 - importing it opens the window
    except SystemExit as error:
        Window = None  # noqa: N806
        cause: BaseException | None = error
    else:
        cause = None
    if Window is None:
        raise WindowError(_NO_WINDOW) from cause
    if tuple(Window.size) != size:
        Window.size = size
    Window.set_title(title)
    return Window


def has_display(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Return whether there is a screen to open a window on, or somebody said what to paint on instead.

    Without one SDL paints into memory: the application would run for ever, unseen.
    """
    told = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "ANDROID_ARGUMENT")
    return not platform.startswith("linux") or any(environment.get(name) for name in told)


def _configure(size: tuple[int, int]) -> None:
    """Say how the window is to be; Kivy listens only before it is opened."""
    for key, value in {
        "width": size[0],
        "height": size[1],
        "minimum_width": 320,
        "minimum_height": 400,
        "multisamples": 0,  # two halve the frame rate of software rendering
        "maxfps": 0,  # `Frames` keeps the time
        "resizable": 1,
    }.items():
        Config.set("graphics", key, str(value))
    Config.set("kivy", "exit_on_escape", "0")
    Config.remove_section("input")  # no touch screens of the desktop beside the window's own events
    Config.add_section("input")
    Config.set("input", "mouse", "mouse,disable_multitouch")


def deliver_touches() -> None:
    """Handle the touches that were read and wait for the frame: a key that was pressed after them comes after them."""
    from kivy.base import EventLoop  # noqa: PLC0415 - after the window was configured

    EventLoop.dispatch_input()


class Frames:
    """The loop of a window.

    Args:
        root: what is shown.
        each: called after every frame, if given.
    """

    def __init__(self, root: Widget, each: Callable[[], object] | None = None) -> None:
        from kivy.base import EventLoop, runTouchApp  # noqa: PLC0415 - after the window was configured

        self._loop, self._each = EventLoop, each
        runTouchApp(root, embedded=True)

    def one(self) -> None:
        """Read input, handle it, paint what changed."""
        window = self._loop.window
        if window is not None:
            window.mainloop()
        if not self._loop.quit:
            self._loop.idle()

    def until_closed(self) -> None:
        """Show frames until the window is closed, or the process is asked to end: keys typed before still count."""
        is_asked = False

        def end(*_: object) -> None:
            nonlocal is_asked
            is_asked = True

        signal.signal(signal.SIGTERM, end)
        next_at = time.perf_counter()
        while not self._loop.quit:
            is_last, now = is_asked, time.perf_counter()
            next_at = max(next_at + 1 / FRAMES_PER_SECOND, now)
            time.sleep(next_at - now)
            self.one()
            if self._each is not None:
                self._each()
            if is_last:
                self._loop.close()


def without_display() -> None:
    """Paint into memory: for pictures and tests on machines without a screen. Call it before `open_window`."""
    os.environ["SDL_VIDEODRIVER"] = "offscreen"
