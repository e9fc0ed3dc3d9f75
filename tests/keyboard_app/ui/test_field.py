"""The text field under fingers: cursor, selection, scrolling, the bar."""

import pytest
from kivy.uix.anchorlayout import AnchorLayout

from keyboard_app.editor.editor import DOUBLE_TAP_SECONDS, After, EditorState, FieldKind
from keyboard_app.editor.keys import LONG_PRESS_SECONDS
from keyboard_app.ui.field import HIDDEN, MAX_LINES, Edits, Field, width_of
from keyboard_app.ui.theme import LIGHT
from tests.keyboard_app.ui.conftest import Screen

pytestmark = pytest.mark.slow  # needs OpenGL

FAMILY = "👩\u200d👩\u200d👧"
LINE = 18 * 1.35


class Reader:
    """A field and the editor that it shows."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.state = EditorState()
        self.done: list[str] = []
        self.field = Field(LIGHT, self.edits(), "Write")
        root = AnchorLayout()
        root.add_widget(self.field)
        screen.show(root)

    def edits(self) -> Edits:
        def show(after: After) -> None:
            self.state = after.state
            self.field.show(self.state)

        return Edits(
            lambda index: show(self.state.place(index)),
            lambda anchor, cursor: show(self.state.select(anchor, cursor)),
            lambda index: show(self.state.select_word(index)),
            lambda: show(self.state.select_all()),
            *(lambda name=name: self.done.append(name) for name in ("cut", "copy", "paste")),  # type: ignore[misc]
        )

    def show(self, text: str, cursor: int = 0, field: FieldKind = FieldKind.ORDINARY) -> None:
        self.state = EditorState(text, cursor=cursor, field=field)
        self.field.show(self.state)
        self.screen.frames(2)

    def at(self, index: int) -> tuple[float, float]:
        """Return the middle of the line at an index."""
        row = self.field._layout.row(index)
        x = self.field.x + 16 + self.field._layout.x(index)
        return x, self.field.top - 11 + self.field._scroll.scroll - (row + 0.5) * LINE

    def handle(self, index: int) -> tuple[float, float]:
        x, y = self.field._handles[index]
        return x + 8, y + 8

    @property
    def offered(self) -> list[str]:
        """What the bar offers; nothing if it is closed."""
        bar = self.field.bar
        return [choice.name for choice in bar.children[::-1]] if bar.parent else []

    def slowly(self) -> None:
        self.screen.wait(2 * DOUBLE_TAP_SECONDS)


@pytest.fixture
def reader(screen: Screen) -> Reader:
    return Reader(screen)


def test_the_field_grows_and_then_scrolls_to_the_cursor(reader: Reader) -> None:
    field = reader.field
    low = field.height
    reader.show("two\nlines", 9)
    assert field.height > low
    text = "\n".join(str(i) for i in range(20))
    reader.show(text, len(text))
    assert field.lines == ["15", "16", "17", "18", "19"]
    reader.show(text, 0)
    assert field.lines == ["0", "1", "2", "3", "4"]
    assert len(field.lines) == MAX_LINES
    reader.show(text, text.index("6"))
    assert field.lines == ["2", "3", "4", "5", "6"], "no farther than needed"
    reader.show("short", 5)
    assert field.lines == ["short"]


def test_a_tap_places_the_cursor(reader: Reader) -> None:
    reader.show("hello there\nyou", 1)
    left, top = reader.field.x + 16, reader.field.top - 11
    placed = []
    for position in (
        (left + width_of("hello"), top - 10),
        (left + width_of("yo"), reader.field.y + 14),
        (reader.field.x + 3, top - 10),
        (reader.field.right - 3, top - 10),
    ):
        reader.slowly()
        reader.screen.tap(position)
        placed.append(reader.state.cursor)
    assert placed == [5, 14, 0, 11]


def test_a_tap_is_never_within_a_character(reader: Reader) -> None:
    reader.show(f"a{FAMILY}b", 0)
    begin, end = reader.at(1)[0], reader.at(1 + len(FAMILY))[0]
    for x, cursor in ((begin + (end - begin) * 0.4, 1), (begin + (end - begin) * 0.6, 1 + len(FAMILY))):
        reader.slowly()
        reader.screen.tap((x, reader.at(0)[1]))
        assert reader.state.cursor == cursor


def test_a_tap_behind_a_broken_line_stays_on_it(reader: Reader) -> None:
    reader.show("word " * 30, 0)
    layout = reader.field._layout
    reader.screen.tap((reader.field.right - 4, reader.at(0)[1]))
    assert layout.row(reader.state.cursor) == 0


def test_a_drag_scrolls_and_places_nothing(reader: Reader) -> None:
    text = "\n".join(str(i) for i in range(20))
    reader.show(text, 0)
    touch = reader.screen.touch((150, reader.field.y + 30))
    for _ in range(10):
        touch.touch_move(touch.x, touch.y + 10)
        reader.screen.frames()
    assert reader.field._scroll.scroll == pytest.approx(90), "as far as the finger moved once it was a drag"
    assert reader.field.lines == ["3", "4", "5", "6", "7", "8"], "with two that are visible in part"
    assert reader.state.cursor == 0
    touch.touch_move(touch.x, touch.y + 2000)
    assert reader.field.lines == ["15", "16", "17", "18", "19"]
    touch.touch_up()
    reader.screen.wait(1)
    assert reader.state.cursor == 0
    assert reader.offered == []
    reader.show(text, 1)
    assert reader.field.lines[0] == "0", "what is typed is seen"


def test_text_goes_on_moving_when_it_is_let_go_and_a_touch_stops_it(reader: Reader) -> None:
    reader.show("\n".join(str(i) for i in range(200)), 0)
    touch = reader.screen.touch((150, reader.field.y + 30))
    for _ in range(6):
        touch.touch_move(touch.x, touch.y + 10)
        reader.screen.frames()
    touch.touch_up()
    let_go = reader.field._scroll.scroll
    reader.screen.wait(0.2)
    assert reader.field._scroll.scroll > let_go
    touch = reader.screen.touch((150, reader.field.y + 30))
    stopped = reader.field._scroll.scroll
    reader.screen.wait(0.1)
    assert reader.field._scroll.scroll == stopped
    touch.touch_up()


def test_a_wheel_scrolls(reader: Reader) -> None:
    reader.show("\n".join(str(i) for i in range(20)), 0)
    for button, first in (("scrollup", "1"), ("scrolldown", "0"), ("scrolldown", "0")):
        wheel = reader.screen.finger((150, reader.field.y + 30))
        wheel.profile = ["pos", "button"]
        wheel.button = button
        wheel.touch_down()
        wheel.touch_up()
        assert reader.field.lines[0] == first


def test_two_taps_select_a_word_and_three_everything(reader: Reader) -> None:
    reader.show("hello there you", 0)
    for copied in ("", "there", "hello there you"):
        reader.screen.tap(reader.at(8))
        assert reader.state.copied == copied
    assert reader.offered == ["Cut", "Copy", "Paste"]


def test_two_slow_taps_are_two_taps(reader: Reader) -> None:
    reader.show("hello there you", 0)
    reader.screen.tap(reader.at(8))
    reader.slowly()
    reader.screen.tap(reader.at(8))
    assert reader.state.copied == ""
    assert reader.state.cursor == 8
    reader.screen.tap(reader.at(2))
    assert reader.state.copied == "", "nor are two at different places"


def test_a_long_press_selects_a_word_and_the_finger_goes_on(reader: Reader) -> None:
    reader.show("hello there you", 0)
    touch = reader.screen.touch(reader.at(8))
    reader.screen.wait(LONG_PRESS_SECONDS + 0.05)
    assert reader.state.copied == "there"
    assert reader.offered == [], "not under the finger"
    touch.touch_move(touch.x + width_of(" y"), touch.y)
    assert reader.state.copied == "there y"
    touch.touch_up()
    assert reader.offered == ["Cut", "Copy", "Paste", "Select all"]


def test_handles_change_the_selection(reader: Reader) -> None:
    reader.show("hello there you", 0)
    reader.edits().select(6, 11)
    touch = reader.screen.touch(reader.handle(11))
    touch.touch_move(touch.x + width_of(" yo"), touch.y)
    touch.touch_up()
    assert reader.state.copied == "there yo"
    reader.slowly()
    touch = reader.screen.touch(reader.handle(6))
    touch.touch_move(touch.x - width_of("lo "), touch.y)
    assert reader.state.copied == "lo there yo"
    touch.touch_move(*reader.handle(14))
    assert reader.state.copied, "it never gets empty"
    touch.touch_move(reader.field.right, touch.y)
    assert reader.state.copied == "u", "and can be turned round"
    touch.touch_up()
    reader.screen.wait(1)
    assert reader.state.copied == "u", "the handle was let go"


def test_a_handle_held_beyond_the_edge_pulls_the_text(reader: Reader) -> None:
    text = "\n".join(str(i) for i in range(40))
    reader.show(text, 0)
    reader.edits().select(0, 1)
    touch = reader.screen.touch(reader.handle(1))
    touch.touch_move(touch.x, reader.field.y - 30)
    reader.screen.wait(1)
    assert int(reader.field.lines[0]) > 5
    assert reader.state.anchor == 0
    touch.touch_up()


def test_a_handle_is_where_its_line_is_seen(reader: Reader) -> None:
    reader.show("\n".join("abcdefghij"), 0)
    reader.edits().select(0, 8)
    assert set(reader.field._handles) == {0, 8}
    reader.field._scroll.value = LINE / 2
    assert set(reader.field._handles) == {0, 8}
    reader.field._scroll.value = LINE
    assert set(reader.field._handles) == {8}
    reader.edits().select(0, 10)
    reader.field._scroll.value = LINE / 2
    assert set(reader.field._handles) == {0}, "the other one's line is seen in part only"


def test_a_tap_on_the_cursor_opens_the_bar_and_another_closes_it(reader: Reader) -> None:
    reader.show("hello there", 11)
    reader.screen.tap(reader.at(11))
    assert reader.offered == ["Paste", "Select all"]
    reader.slowly()
    reader.screen.tap(reader.at(11))
    assert reader.offered == []
    reader.slowly()
    reader.screen.tap(reader.at(3))
    assert reader.offered == []


def test_the_bar_does_what_it_says_and_closes(reader: Reader) -> None:
    reader.show("hello there", 0)
    for name in ("Cut", "Copy", "Paste"):
        reader.slowly()
        reader.screen.tap(reader.at(2))
        reader.screen.tap(reader.at(2))
        reader.screen.press(name)
        assert reader.offered == []
        reader.show("hello there", 11)
    assert reader.done == ["cut", "copy", "paste"]
    reader.slowly()
    reader.screen.tap(reader.at(11))
    reader.screen.press("Select all")
    assert reader.state.copied == "hello there"
    assert reader.offered == ["Cut", "Copy", "Paste"]
    reader.field.show(reader.state.type("x", 0).state)
    assert reader.offered == [], "typing closes it"


@pytest.mark.parametrize("index", [0, 10, 27])
def test_the_bar_is_above_the_selection_and_within_the_field(reader: Reader, index: int) -> None:
    reader.show("hello there, how are you now", 0)
    reader.screen.tap(reader.at(index))
    reader.screen.tap(reader.at(index))
    reader.screen.frames(2)
    bar, field = reader.field.bar, reader.field
    assert bar.y >= reader.at(index)[1] + LINE / 2
    assert field.x <= bar.x < bar.right <= field.right
    for label in bar.walk():
        if hasattr(label, "texture_size"):
            assert label.texture_size[0] <= label.width


def test_nothing_is_copied_from_a_password(reader: Reader) -> None:
    reader.show("secret", 6, FieldKind.PASSWORD)
    assert reader.field.lines == [HIDDEN * 6]
    reader.screen.tap(reader.at(3))
    reader.screen.tap(reader.at(3))
    assert reader.state.selection == (0, 6)
    assert reader.offered == ["Paste"]


def test_selected_text_is_marked(reader: Reader) -> None:
    reader.show("hello there", 11)
    x, y = reader.at(2)
    above = (x, y + LINE / 2 - 2)
    assert reader.screen.colour(*above) == LIGHT.surface
    reader.edits().select(0, 5)
    assert reader.screen.colour(*above) == LIGHT.selected
    assert reader.screen.colour(*reader.handle(5)) == LIGHT.primary
    assert reader.screen.colour(reader.at(8)[0], above[1]) == LIGHT.surface
