"""Emoji under a finger: the page, skin tones, recent ones, the search."""

import pytest

from keyboard_app.editor.editor import FieldKind
from keyboard_app.editor.keys import LONG_PRESS_SECONDS, Action, Layer
from keyboard_app.phone import Phone
from keyboard_app.ui.emoji_page import RECENT
from keyboard_app.ui.typing_screen import TypingScreen
from model.languages.emoji import tones
from tests.keyboard_app.ui.conftest import Hand, Screen

pytestmark = pytest.mark.slow  # needs OpenGL


def opened(screen: Screen, hand: Hand) -> TypingScreen:
    hand.open("typing")
    screen.wait(0.2)  # until the layout has settled
    hand.press(action=Action.EMOJI)
    screen.wait(0.2)
    assert hand.view.typing is not None
    return hand.view.typing


def tap(screen: Screen, typing: TypingScreen, emoji: str) -> None:
    grid = typing.emoji.grid if typing.emoji.parent else typing.search.grid
    screen.tap(grid.place(emoji))
    screen.frames(2)


def test_an_emoji_is_written_and_the_page_stays(screen: Screen, phone: Phone, hand: Hand) -> None:
    phone.agree(consent=False)
    typing = opened(screen, hand)
    for emoji in ("😀", "🎂", "🇮🇳"):
        tap(screen, typing, emoji)
    assert phone.session.state.text == "😀🎂🇮🇳"
    screen.press("delete")
    assert phone.session.state.text == "😀🎂"
    screen.press("letters")
    assert phone.session.state.layer is Layer.LETTERS
    assert typing.keypad.parent is not None


def test_a_long_press_offers_skin_tones(screen: Screen, phone: Phone, hand: Hand) -> None:
    phone.agree(consent=False)
    typing = opened(screen, hand)
    touch = screen.touch(typing.emoji.grid.place("👍"))
    screen.wait(LONG_PRESS_SECONDS + 0.05)
    popup = typing.emoji.grid._popup
    touch.touch_move(popup._left + popup._wide * 2.5, touch.y)
    touch.touch_up()
    assert phone.session.state.text in tones("👍")


def test_what_was_used_comes_first_if_the_phone_learns(screen: Screen, phone: Phone, hand: Hand) -> None:
    phone.learn_here()
    typing = opened(screen, hand)
    assert RECENT not in typing.emoji.grid._sections
    tap(screen, typing, "🎂")
    assert phone.settle()
    screen.press("letters")
    typing = opened(screen, hand)
    assert typing.emoji.grid._sections[RECENT] == ("🎂",)
    phone.wipe()
    assert phone.settle()
    assert phone.session.recent_emoji == ()


@pytest.mark.parametrize("why", ["learning off", "incognito", "password"])
def test_what_is_not_to_be_learned_is_not_remembered(screen: Screen, phone: Phone, hand: Hand, why: str) -> None:
    if why == "learning off":
        phone.agree(consent=False)
    else:
        phone.learn_here()
    phone.go_incognito(on=why == "incognito")
    if why == "password":
        phone.session.focus(FieldKind.PASSWORD)
    tap(screen, opened(screen, hand), "🎂")
    assert phone.settle()
    assert phone.session.recent_emoji == ()


def test_the_search_takes_the_keys_and_the_text_stays(screen: Screen, phone: Phone, hand: Hand) -> None:
    phone.agree(consent=False)
    phone.session.type("so ")
    typing = opened(screen, hand)
    screen.press("search emoji")
    for letter in "piza":
        hand.press(letter)
    hand.press(action=Action.BACKSPACE)
    typing.type("za")
    screen.frames(2)
    assert typing.search.grid._sections == {"": ("🍕",)}
    tap(screen, typing, "🍕")
    assert phone.session.state.text == "so 🍕"
    screen.press("end search")
    assert typing.emoji.parent is not None
    assert typing.back()
    assert not typing.back()


def test_what_no_emoji_is_called_is_said(screen: Screen, phone: Phone, hand: Hand) -> None:
    phone.agree(consent=False)
    typing = opened(screen, hand)
    screen.press("search emoji")
    typing.type("xqzw")
    screen.frames(2)
    assert "no emoji is called that" in screen.texts()
    assert typing.search.grid._sections == {"": ()}


def test_a_drag_scrolls_and_writes_nothing(screen: Screen, phone: Phone, hand: Hand) -> None:
    phone.agree(consent=False)
    typing = opened(screen, hand)
    grid = typing.emoji.grid
    touch = screen.touch(grid.center)
    for step in range(1, 6):
        touch.touch_move(grid.center_x, grid.center_y + 20 * step)
        screen.frames()
    touch.touch_up()
    screen.wait(1)
    assert phone.session.state.text == ""
    assert grid._scroll.scroll > 0
    screen.press("Flags")
    assert any(row.title == "Flags" for row in grid._rows if row.top >= grid._scroll.scroll - 1)
