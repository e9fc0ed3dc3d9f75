"""Texts broken into lines, where every character is as wide as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyboard_app.editor.characters import boundary
from keyboard_app.ui.lines import Layout, wrap

pytestmark = pytest.mark.slow  # with the screens, though it needs no OpenGL

FAMILY = "👩\u200d👩\u200d👧"


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


def test_a_character_of_several_code_points_is_not_broken() -> None:
    assert [line.text for line in wrap(f"a{FAMILY}b", 3, len)] == ["a", FAMILY, "b"]


@given(st.lists(st.text(alphabet="ab \n", max_size=30), min_size=3, max_size=3), st.text(alphabet="ab \n", max_size=5))
def test_lines_that_are_kept_are_those_that_come_of_the_whole_text(parts: list[str], new: str) -> None:
    before = Layout("".join(parts), 6, len)
    text = parts[0] + new + parts[2]
    assert Layout(text, 6, len, before).lines == wrap(text, 6, len)
    assert Layout(text, 5, len, before).lines == wrap(text, 5, len)


def test_a_key_at_the_end_measures_the_last_lines_only() -> None:
    measured: list[str] = []

    def measure(text: str) -> float:
        measured.append(text)
        return len(text)

    before = Layout("so it is " * 1000, 20, measure)
    measured.clear()
    Layout("so it is " * 1000 + "x", 20, measure, before)
    assert len(measured) < 20


@given(st.text(alphabet="ab \n👩\u200d\u0301", max_size=40), st.integers(1, 9))
def test_places_and_indices_agree(text: str, width: int) -> None:
    layout = Layout(text, width, len)
    for index in range(len(text) + 1):
        row, x = layout.row(index), layout.x(index)
        if boundary(text, index) == index:
            assert layout.index(row, x) == index
        assert boundary(text, layout.index(row, x + 0.3)) == layout.index(row, x + 0.3)
        start, end = layout.ends(index)
        assert layout.row(start) == layout.row(end) == row
        assert layout.index(row, -1.0) == start
        assert layout.index(row, 1e6) == end
