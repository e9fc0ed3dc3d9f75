"""A window painted into memory, fingers, and a clock that moves when it is told to."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kivy.clock import Clock
from kivy.graphics.opengl import GL_RGB, GL_UNSIGNED_BYTE, glReadPixels
from kivy.tests.common import UnitTestTouch
from kivy.uix.label import Label
from kivy.uix.scrollview import ScrollView

import keyboard_app.ui.window as own_window
from keyboard_app.editor.keys import Action, Layer, page
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.status import Snapshot
from keyboard_app.ui.app import Phones
from keyboard_app.ui.phone_view import PhoneView
from model.checkpoint import Checkpoint
from model.export import export
from model.layout import NetworkConfig, initial_weights
from model.vocabulary import Vocabulary

SIZE = (360, 640)
FRAME = 1 / own_window.FRAMES_PER_SECOND


class Screen:
    """The window with a root in it; time stands still between frames.

    Attributes:
        now: the time in seconds.
    """

    def __init__(self, window: Any) -> None:
        self.window = window
        self.now = Clock.time()
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
        touch = self.finger(position)
        touch.touch_down()
        self.frames()
        return touch

    def finger(self, position: tuple[float, float]) -> Any:
        """Return a finger above a place."""
        self._touches += 1
        touch = UnitTestTouch(*position)
        touch.uid = self._touches
        return touch

    def tap(self, position: tuple[float, float]) -> None:
        touch = self.touch(position)
        touch.touch_up()
        self.frames()

    def colour(self, x: float, y: float) -> str:
        """Return the colour that is painted somewhere, as `#rrggbb`."""
        self.frames()
        self.window.dispatch("on_draw")
        red, green, blue = glReadPixels(int(x), int(y), 1, 1, GL_RGB, GL_UNSIGNED_BYTE)
        return f"#{red:02x}{green:02x}{blue:02x}"

    def resize(self, width: int, height: int) -> None:
        self.window.size = (width, height)
        self.wait(0.3)

    def find(self, of: type, root: Any = None) -> list[Any]:
        """Return all widgets of a class below the root."""
        roots = [root] if root is not None else self.window.children
        return [widget for top in roots for widget in top.walk(restrict=True) if isinstance(widget, of)]

    def button(self, text: str) -> Any:
        """Return the one widget with a name; that of most buttons is their text."""
        named = [
            widget
            for root in self.window.children
            for widget in root.walk()
            if getattr(widget, "name", None) == text and hasattr(widget, "on_release")
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
def _window() -> Screen:
    own_window.without_display()
    return Screen(own_window.open_window(SIZE))


@pytest.fixture
def screen(_window: Screen, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """Return the window; its time goes on from test to test, since Kivy's never goes back."""
    monkeypatch.setattr(Clock, "time", lambda: _window.now)
    Clock._last_tick = _window.now
    _window.window.size = SIZE
    yield _window
    _window.clear()


class Clipboard:
    """A clipboard of nobody else's.

    Attributes:
        text: on it.
    """

    def __init__(self) -> None:
        self.text = ""

    def copy(self, text: str) -> None:
        self.text = text

    def paste(self) -> str:
        return self.text


class Hand:
    """Touches a phone that is shown.

    Attributes:
        view: of the phone.
        clipboard: of the phone.
    """

    def __init__(self, screen: Screen, phone: Phone) -> None:
        self._screen, self._phone = screen, phone
        self.clipboard = Clipboard()
        root = Phones([phone], self.clipboard)
        root.listen(screen.window)
        self.view: PhoneView = root.views[0]
        screen.show(root)

    def settle(self) -> None:
        """Let the model say what it has to say, and the screen show it."""
        assert self._phone.settle()
        self._screen.frames(3)

    def open(self, name: str) -> None:
        """Go to a screen."""
        self.view.show(name)
        self._screen.frames(3)

    def press(self, types: str = "", action: Action | None = None) -> None:
        typing = self.view.typing
        assert typing is not None
        touch = self._screen.finger(typing.keypad.cell(typing.keypad.find(types, action)))
        touch.touch_down()
        touch.touch_up()
        assert self._phone.settle()

    def write(self, text: str) -> None:
        """Touch the keys of a text, in lower case: capitals are the keyboard's business."""
        for character in text:
            layer = next(
                (layer for layer in (self._phone.session.state.layer, *Layer) if self._has(layer, character)),
                Layer.LETTERS,
            )
            way = {Layer.LETTERS: Action.LETTERS, Layer.SYMBOLS: Action.SYMBOLS}
            if layer is not self._phone.session.state.layer:
                self.press(action=way[layer])
            self.press(character)
        self._screen.frames()

    @staticmethod
    def _has(layer: Layer, character: str) -> bool:
        return any(key.types == character for key in page(layer))

    def tap_slot(self, place: int) -> None:
        assert self.view.typing is not None
        self._screen.tap(self.view.typing.strip.middle(place))
        self.settle()


SENTENCES = [
    "how are you today my friend",
    "see you tomorrow at the harbour then",
    "what are you doing tonight",
    "i am on my way to the station",
    "that sounds good to me",
    "thank you very much for the help",
]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny exported model."""
    vocabulary = Vocabulary.train(SENTENCES * 20, size=90)
    network = NetworkConfig(vocabulary.size, embedding=16, hidden=24)
    folder = tmp_path_factory.mktemp("model") / "export"
    export(Checkpoint(network, initial_weights(network, 1), vocabulary), folder)
    return folder


def begun(phone: Phone) -> Phone:
    """Return a phone without a server once its thread of the rounds has said that there is none.

    It says so whenever it gets the processor; a page that shows it is built anew then, below a finger, too.
    """
    ends = time.monotonic() + 60
    while phone._rounds.snapshot.activity == "Waiting":
        assert time.monotonic() < ends, "the thread of the rounds did not begin"
        time.sleep(0.005)
    return phone


@pytest.fixture
def phone(screen: Screen, model: Path, tmp_path: Path) -> Iterator[Phone]:
    """Return a phone whose owner has not been asked yet."""
    phone = begun(Phone(Profile.named("ada", tmp_path), model=model, monotonic=lambda: screen.now))
    yield phone
    phone.close()


def show_rounds(phone: Phone, change: Callable[[Snapshot], Snapshot]) -> None:
    """Have a phone that has `begun` show other rounds."""
    phone._rounds._snapshot = change(phone._rounds.snapshot)


@pytest.fixture
def hand(screen: Screen, phone: Phone) -> Hand:
    """Return a hand on the phone's keyboard."""
    return Hand(screen, phone)
