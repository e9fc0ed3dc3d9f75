"""The text field: lines, cursor, touches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kivy.uix.anchorlayout import AnchorLayout

from keyboard_app.editor import EditorState, FieldKind
from keyboard_app.ui.field import HIDDEN, MOST_LINES, Field, width_of, wrap
from keyboard_app.ui.theme import LIGHT
from tests.keyboard_app.ui.conftest import Screen

pytestmark = pytest.mark.slow  # needs OpenGL


def test_lines_break_after_spaces() -> None:
    assert [line.text for line in wrap("one two three", 7, len)] == ["one two ", "three"]
    assert [line.text for line in wrap("one  two", 3, len)] == ["one  ", "two"]


def test_a_word_longer_than_a_line_is_broken() -> None:
    assert [line.text for line in wrap("abcdefgh ij", 3, len)] == ["abc", "def", "gh ", "ij"]


def test_line_breaks_and_empty_text_make_lines() -> None:
    assert [tuple(line) for line in wrap("a\n\nb\n", 5, len)] == [(0, "a"), (2, ""), (3, "b"), (5, "")]
    assert [tuple(line) for line in wrap("", 5, len)] == [(0, "")]


@given(st.text(alphabet="ab \n", max_size=60), st.integers(1, 12))
def test_every_character_is_on_one_line(text: str, width: int) -> None:
    lines = wrap(text, width, len)
    shown = [line.start + i for line in lines for i in range(len(line.text))]
    assert shown == [i for i, character in enumerate(text) if character != "\n"]
    assert all(line.text == text[line.start : line.end] for line in lines)
    assert all(len(line.text.rstrip(" ")) <= width for line in lines)


@pytest.fixture
def placed() -> list[int]:
    return []


@pytest.fixture
def field(screen: Screen, placed: list[int]) -> Field:
    field = Field(LIGHT, placed.append, "Write")
    root = AnchorLayout()
    root.add_widget(field)
    screen.show(root)
    return field


def test_the_field_grows_and_then_scrolls_to_the_cursor(screen: Screen, field: Field) -> None:
    low = field.height
    field.show(EditorState("two\nlines", cursor=9))
    screen.frames(2)
    assert field.height > low
    text = "\n".join(str(i) for i in range(20))
    field.show(EditorState(text, cursor=len(text)))
    assert field.lines == ["15", "16", "17", "18", "19"]
    field.show(EditorState(text, cursor=0))
    assert field.lines == ["0", "1", "2", "3", "4"]
    assert len(field.lines) == MOST_LINES


def test_a_touch_places_the_cursor(screen: Screen, field: Field, placed: list[int]) -> None:
    field.show(EditorState("hello there\nyou", cursor=0))
    screen.frames(2)
    left, top = field.x + 16, field.y + field.height - 11
    screen.tap((left + width_of("hello"), top - 10))
    screen.tap((left + width_of("yo"), field.y + 14))
    screen.tap((field.x + 3, top - 10))
    screen.tap((field.x + field.width - 3, top - 10))
    assert placed == [5, 14, 0, 11]


def test_a_password_is_not_shown(screen: Screen, field: Field) -> None:
    field.show(EditorState("secret", cursor=6, field=FieldKind.PASSWORD))
    screen.frames()
    assert field.lines == [HIDDEN * 6]
