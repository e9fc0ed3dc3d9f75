"""The clipboard's history forgets."""

import pytest

from keyboard_app.typing.clipboard import KEPT_SECONDS, MAX_ENTRIES, ClipboardHistory


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_latest_comes_first_and_a_text_only_once(clock: Clock) -> None:
    history = ClipboardHistory(clock)
    for text in ("a", "b", "a"):
        history.note(text)
    assert history.entries == ("a", "b")


def test_an_hour_later_nothing_is_left(clock: Clock) -> None:
    history = ClipboardHistory(clock)
    history.note("old")
    clock.now = KEPT_SECONDS / 2
    history.note("new")
    clock.now = KEPT_SECONDS
    assert history.entries == ("new",)
    clock.now = 2 * KEPT_SECONDS
    assert history.entries == ()


def test_only_so_many_are_kept(clock: Clock) -> None:
    history = ClipboardHistory(clock)
    for number in range(2 * MAX_ENTRIES):
        history.note(str(number))
    assert history.entries == tuple(str(number) for number in reversed(range(MAX_ENTRIES, 2 * MAX_ENTRIES)))


def test_nothing_empty_and_nothing_long_is_kept_and_what_is_can_be_forgotten(clock: Clock) -> None:
    history = ClipboardHistory(clock)
    for text in ("", "  \n", "x" * 5000, "here", "there"):
        history.note(text)
    history.forget("here")
    assert history.entries == ("there",)
    history.clear()
    assert history.entries == ()
