"""Keys under fingers."""

from collections.abc import Iterator
from typing import Any

import pytest
from kivy.graphics import Fbo, Instruction, InstructionGroup, Rectangle
from kivy.uix.anchorlayout import AnchorLayout

from keyboard_app.editor.editor import EditorState, Shift, shifted
from keyboard_app.editor.keys import (
    LONG_PRESS_SECONDS,
    REPEAT_AFTER_SECONDS,
    REPEAT_EVERY_SECONDS,
    SLIDE_DP,
    Action,
    Board,
    Key,
    Layer,
    key_at,
    page,
)
from keyboard_app.ui.keypad import Keypad
from keyboard_app.ui.theme import DARK, LIGHT, Palette
from model.languages import layouts
from model.suggestions import Path
from tests.keyboard_app.ui.conftest import SIZE, Screen

pytestmark = pytest.mark.slow  # needs OpenGL


class Typist:
    """A keypad and what it said."""

    def __init__(self, screen: Screen, palette: Palette = LIGHT) -> None:
        self.said: list[Any] = []
        self.screen = screen
        self.moved: list[int] = []
        self.paths: list[Path] = []
        self.erased: list[int] = []
        self.keypad = Keypad(
            palette,
            lambda key: self.said.append(key.action or key.types),
            self.said.append,
            self.moved.append,
            self.erased.append,
            self.paths.append,
        )
        self.keypad.height = 240
        root = AnchorLayout(anchor_y="bottom")
        root.add_widget(self.keypad)
        screen.show(root)

    def at(self, types: str = "", action: Action | None = None) -> tuple[float, float]:
        return self.keypad.cell(self.keypad.find(types, action))


@pytest.fixture
def typist(screen: Screen) -> Typist:
    return Typist(screen)


@pytest.mark.parametrize("layer", [layer for layer in Layer if layer is not Layer.EMOJI])
def test_a_tap_presses_the_key_it_hits(typist: Typist, layer: Layer) -> None:
    typist.keypad.show(EditorState(layer=layer))
    for key in page(layer):
        typist.said.clear()
        typist.screen.tap(typist.keypad.cell(key))
        assert typist.said == [key.action or key.types]


def test_the_half_keys_beside_a_and_l_are_theirs(typist: Typist) -> None:
    y = typist.at("a")[1]
    typist.screen.tap((1, y))
    typist.screen.tap((SIZE[0] - 1, y))
    assert typist.said == ["a", "l"]


def test_a_touch_is_painted_in_the_next_frame_and_gone_after_it(typist: Typist) -> None:
    x, y = typist.at("g")
    corner = (x - 12, y - 18)
    before = typist.screen.colour(*corner)
    touch = typist.screen.touch((x, y))
    pressed = typist.screen.colour(*corner)
    assert pressed == LIGHT.key_pressed
    above = typist.screen.colour(x - 18, y + 60 + 2)
    touch.touch_up()
    typist.screen.frames()
    assert typist.screen.colour(*corner) == before != pressed
    assert typist.screen.colour(x - 18, y + 60 + 2) != above, "the pop-up above the key is gone"


def test_a_long_press_offers_alternatives_and_the_finger_chooses(typist: Typist) -> None:
    typist.keypad.show(EditorState(shift=Shift.OFF))
    touch = typist.screen.touch(typist.at("e"))
    typist.screen.wait(LONG_PRESS_SECONDS + 0.05)
    touch.touch_up()
    assert typist.said == ["3"], "the first is chosen at once"
    touch = typist.screen.touch(typist.at("e"))
    typist.screen.wait(LONG_PRESS_SECONDS + 0.05)
    touch.touch_move(typist.at("e")[0] + 45, typist.at("e")[1])
    touch.touch_up()
    assert typist.said == ["3", "é"]


def test_alternatives_follow_shift(typist: Typist) -> None:
    typist.keypad.show(EditorState(shift=Shift.ONCE))
    touch = typist.screen.touch(typist.at("e"))
    typist.screen.wait(LONG_PRESS_SECONDS + 0.05)
    touch.touch_move(typist.at("e")[0] + 45, typist.at("e")[1])
    touch.touch_up()
    assert typist.said == ["É"]


def test_a_short_press_is_no_long_press(typist: Typist) -> None:
    touch = typist.screen.touch(typist.at("e"))
    typist.screen.wait(LONG_PRESS_SECONDS - 0.1)
    touch.touch_up()
    typist.screen.wait(1)
    assert typist.said == ["e"]


def test_alternatives_at_the_edge_stay_on_the_screen(typist: Typist) -> None:
    touch = typist.screen.touch(typist.at("o"))
    typist.screen.wait(LONG_PRESS_SECONDS + 0.05)
    popup = typist.keypad._popup
    assert popup._left >= 0
    assert popup._left + popup._wide * len(popup._shades) <= SIZE[0]
    touch.touch_up()


@pytest.mark.parametrize(
    "key",
    [key for key in page(Layer.LETTERS) if key.alternatives and key.types],
    ids=lambda key: f"U+{ord(key.types):04X}",
)
def test_a_long_press_gives_what_the_corner_shows(typist: Typist, key: Key) -> None:
    typist.keypad.show(EditorState(shift=Shift.OFF))
    touch = typist.screen.touch(typist.at(key.types))
    typist.screen.wait(LONG_PRESS_SECONDS + 0.05)
    touch.touch_up()
    assert typist.said == [key.alternatives[0]]


@pytest.mark.parametrize("size", [(320, 560), (412, 915), (1280, 800)])
@pytest.mark.parametrize("layout", sorted(layouts()))
def test_on_every_layout_and_width_too(typist: Typist, layout: str, size: tuple[int, int]) -> None:
    board = Board(layout, number_row=size[0] > 400)
    typist.screen.resize(*size)
    typist.keypad.arrange(board, "right" if size[0] > 1000 else "")
    for shift in (Shift.OFF, Shift.ONCE):
        typist.keypad.show(EditorState(shift=shift))
        for key in page(Layer.LETTERS, board):
            if not key.alternatives or not key.types:
                continue
            typist.said.clear()
            touch = typist.screen.touch(typist.keypad.cell(key))
            typist.screen.now += LONG_PRESS_SECONDS
            typist.screen.frames(2)
            touch.touch_up()
            assert typist.said == [shifted(key.alternatives[0], shift)], key.types


def test_backspace_repeats_while_it_is_held(typist: Typist) -> None:
    touch = typist.screen.touch(typist.at(action=Action.BACKSPACE))
    assert len(typist.said) == 1
    typist.screen.wait(REPEAT_AFTER_SECONDS - 0.05)
    assert len(typist.said) == 1
    typist.screen.wait(0.05 + 10 * REPEAT_EVERY_SECONDS + 0.1)
    held = len(typist.said)
    assert 11 <= held <= 14
    touch.touch_up()
    typist.screen.wait(1)
    assert typist.said == [Action.BACKSPACE] * held


def test_fast_fingers_overlap(typist: Typist) -> None:
    first = typist.screen.touch(typist.at("h"))
    second = typist.screen.touch(typist.at("i"))
    assert typist.said == ["h"], "the second finger presses the first one's key"
    first.touch_up()
    second.touch_up()
    assert typist.said == ["h", "i"]


def test_a_finger_slides_to_the_key_that_was_meant(typist: Typist) -> None:
    touch = typist.screen.touch(typist.at("g"))
    touch.touch_move(*typist.at("h"))
    touch.touch_up()
    touch = typist.screen.touch(typist.at("g"))
    touch.touch_move(200, 500)
    touch.touch_up()
    assert typist.said == ["h"], "off the keys it presses none"


def test_a_finger_that_goes_over_several_letters_glides(typist: Typist) -> None:
    touch = typist.screen.touch(typist.at("t"))
    for letter in "hen":
        touch.touch_move(*typist.at(letter))
    touch.touch_up()
    assert typist.said == []
    ((first, *_, last),) = typist.paths
    assert key_at(Layer.LETTERS, *first) == typist.keypad.find("t")
    assert key_at(Layer.LETTERS, *last) == typist.keypad.find("n")
    typist.screen.tap(typist.at("e"))
    assert (typist.said, len(typist.paths)) == (["e"], 1)


@pytest.mark.parametrize("layer", [Layer.SYMBOLS, Layer.MORE_SYMBOLS])
def test_nothing_is_glided_over_symbols(typist: Typist, layer: Layer) -> None:
    typist.keypad.show(EditorState(layer=layer))
    first, second = page(layer)[0], page(layer)[5]
    touch = typist.screen.touch(typist.keypad.cell(first))
    touch.touch_move(*typist.keypad.cell(second))
    touch.touch_up()
    assert (typist.said, typist.paths) == ([second.types], [])


def test_a_glide_that_ends_off_the_keys_is_none(typist: Typist) -> None:
    touch = typist.screen.touch(typist.at("t"))
    touch.touch_move(*typist.at("p"))
    touch.touch_move(200, 500)
    touch.touch_up()
    assert (typist.said, typist.paths) == ([], [])


def test_a_finger_on_the_space_bar_moves_the_cursor_and_types_no_space(typist: Typist) -> None:
    x, y = typist.at(" ")
    touch = typist.screen.touch((x, y))
    for _ in range(10):
        touch.touch_move(touch.x + SLIDE_DP, y + 3)
    assert sum(typist.moved) == 9, "the first takes twice as much"
    assert set(typist.moved) == {1}
    touch.touch_move(x - 5.5 * SLIDE_DP, y - 3)
    assert sum(typist.moved) == -4
    touch.touch_move(x, y + 100)
    assert sum(typist.moved) == 0, "also when it has left the key"
    touch.touch_up()
    assert typist.said == []


def test_a_tap_on_the_space_bar_may_tremble(typist: Typist) -> None:
    x, y = typist.at(" ")
    touch = typist.screen.touch((x, y))
    touch.touch_move(x + 1.5 * SLIDE_DP, y)
    touch.touch_up()
    touch = typist.screen.touch((x, y))
    touch.touch_move(*typist.at("b"))
    touch.touch_up()
    assert (typist.said, typist.moved) == ([" ", "b"], [])


def test_another_finger_ends_a_slide(typist: Typist) -> None:
    x, y = typist.at(" ")
    touch = typist.screen.touch((x, y))
    touch.touch_move(x + 4 * SLIDE_DP, y)
    typist.screen.tap(typist.at("h"))
    touch.touch_move(x + 8 * SLIDE_DP, y)
    touch.touch_up()
    assert typist.said == ["h"]
    assert sum(typist.moved) == 3


def test_letters_follow_shift(typist: Typist) -> None:
    key = typist.keypad.find("q")
    for shift, label in ((Shift.OFF, "q"), (Shift.ONCE, "Q"), (Shift.LOCK, "Q")):
        typist.keypad.show(EditorState(shift=shift))
        assert typist.keypad.label_of(key) == label
    signs = set()
    for shift in Shift:
        typist.keypad.show(EditorState(shift=shift))
        signs.add(typist.keypad.label_of(typist.keypad.find(action=Action.SHIFT)))
    assert len(signs) == 3


@pytest.mark.parametrize("size", [(360, 640), (915, 412), (800, 600), (1280, 800)])
def test_keys_fill_any_shape(typist: Typist, size: tuple[int, int]) -> None:
    typist.screen.resize(*size)
    width = size[0]
    for key in page(Layer.LETTERS):
        x, y = typist.keypad.cell(key)
        assert abs(x - (key.left + key.width / 2) * width / 10) < 1
        assert 0 < y < typist.keypad.height
        typist.said.clear()
        typist.screen.tap((x, y))
        assert typist.said == [key.action or key.types]


def test_dark_keys_are_dark(screen: Screen) -> None:
    typist = Typist(screen, DARK)
    x, y = typist.at("g")
    assert typist.screen.colour(x - 12, y - 18) == DARK.key


@pytest.mark.parametrize(("types", "action"), [("e", None), ("", Action.BACKSPACE)])
def test_a_tap_stays_short_when_frames_come_late(typist: Typist, types: str, action: Action | None) -> None:
    window, (x, y) = typist.screen.window, typist.at(types, action)
    from_above = window.height - y
    window.dispatch("on_mouse_down", x, from_above, "left", [])
    typist.screen.frames()
    typist.screen.now += 3 * LONG_PRESS_SECONDS
    window.dispatch("on_mouse_up", x, from_above, "left", [])
    typist.screen.frames(2)
    assert typist.said == [action or types]


def test_keys_that_nobody_touches_are_one_rectangle_of_a_frame(typist: Typist) -> None:
    def rectangles() -> int:
        return sum(isinstance(one, Rectangle) for one in _instructions(typist.keypad.canvas))

    assert rectangles() == 1
    touch = typist.screen.touch(typist.at("g"))
    assert 1 < rectangles() < 10
    touch.touch_up()
    typist.screen.frames()
    assert rectangles() == 1


def _instructions(group: InstructionGroup) -> Iterator[Instruction]:
    for one in group.children:
        yield from _instructions(one) if isinstance(one, InstructionGroup) and not isinstance(one, Fbo) else [one]
