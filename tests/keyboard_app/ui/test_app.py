"""Several phones in one window, a phone that types by itself, and pictures."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kivy.core.image import Image
from kivy.uix.label import Label

from keyboard_app.editor.editor import FieldKind
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.self_typing import SelfTyping
from keyboard_app.status import Outcome, RoundEntry
from keyboard_app.ui.app import Phones, several_size
from keyboard_app.ui.screenshots import write_png
from tests.keyboard_app.ui.conftest import SIZE, Hand, Screen, begun, show_rounds

pytestmark = pytest.mark.slow  # needs OpenGL


@pytest.fixture
def phones(model: Path, tmp_path: Path) -> Iterator[list[Phone]]:
    opened = [begun(Phone(Profile.named(name, tmp_path), model=model)) for name in ("ada", "ben", "cleo")]
    for phone in opened:
        assert phone.settle()
        phone.agree(consent=True)
    yield opened
    for phone in opened:
        phone.close()


@pytest.fixture
def root(screen: Screen, phones: list[Phone]) -> Phones:
    root = Phones(phones)
    root.listen(screen.window)
    screen.show(root)
    screen.resize(*several_size(3))
    return root


def test_phones_stand_beside_each_other_with_a_dashboard(screen: Screen, root: Phones) -> None:
    edges = [(view.x, view.x + view.width) for view in root.views] + [(root.dashboard.x, root.width)]
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(edges))
    assert all(view.width >= 360 for view in root.views)
    assert "Learning together" in screen.texts()
    for view in root.views:
        for label in screen.find(Label, view):
            assert view.x <= label.to_window(label.x, 0)[0] <= view.x + view.width


def test_a_physical_keyboard_types_on_the_phone_that_was_touched(
    screen: Screen, phones: list[Phone], root: Phones
) -> None:
    screen.window.dispatch("on_textinput", "a")
    typing = root.views[2].typing
    assert typing is not None
    screen.tap(typing.keypad.cell(typing.keypad.find("h")))
    screen.window.dispatch("on_textinput", "i")
    assert [phone.session.state.text for phone in phones] == ["a", "", "Hi"]


def click(screen: Screen, position: tuple[float, float]) -> None:
    """Click somewhere, as SDL tells it, and paint no frame."""
    x, y = position
    for event in ("on_mouse_down", "on_mouse_up"):
        screen.window.dispatch(event, x, screen.window.height - y, "left", [])


def test_keys_do_not_overtake_clicks(screen: Screen, phones: list[Phone], root: Phones) -> None:
    for order in itertools.permutations(range(3)):
        for phone in phones:
            phone.session.focus(FieldKind.PASSWORD)  # no capitals, no corrections
        screen.wait(1)  # so that no click is a double click
        wanted = ["", "", ""]
        for which, letter in zip(order, "abc", strict=True):
            typing = root.views[which].typing
            assert typing is not None
            click(screen, typing.field.to_window(*typing.field.center))
            screen.window.dispatch("on_textinput", letter)
            wanted[which] = letter
            assert [phone.session.state.text for phone in phones] == wanted, order
        screen.window.dispatch("on_key_down", 8, 42, None, [])
        assert phones[order[-1]].session.state.text == ""


def test_keys_and_clicks_keep_their_order_whatever_it_is(screen: Screen, phones: list[Phone], root: Phones) -> None:
    for seed in range(20):
        chance = random.Random(seed)
        for phone in phones:
            phone.session.focus(FieldKind.PASSWORD)
        screen.now += 1
        screen.frames()
        wanted, at, clicked = ["", "", ""], 0, {0}
        click(screen, _field(root, at))
        for number in range(chance.randrange(8, 16)):
            match chance.choice(["field", "key", "letter", "letter", "backspace"]):
                case "field":
                    at = (at + chance.choice([1, 2])) % 3
                    if at in clicked:  # a second time is a double click, unless a frame was painted between
                        screen.now += 1
                        screen.frames()
                    clicked.add(at)
                    click(screen, _field(root, at))
                case "key":
                    at, letter = (at + chance.randrange(3)) % 3, chance.choice("qwertzop")
                    typing = root.views[at].typing
                    assert typing is not None
                    click(screen, typing.keypad.cell(typing.keypad.find(letter)))
                    wanted[at] += letter
                case "letter":
                    screen.window.dispatch("on_textinput", chr(ord("a") + number))
                    wanted[at] += chr(ord("a") + number)
                case "backspace":
                    screen.window.dispatch("on_key_down", 8, 42, None, [])
                    wanted[at] = wanted[at][:-1]
        screen.frames(2)
        assert [phone.session.state.text for phone in phones] == wanted, seed


def _field(root: Phones, which: int) -> tuple[float, float]:
    typing = root.views[which].typing
    assert typing is not None
    x, y = typing.field.to_window(*typing.field.center)
    return x, y


def test_nor_words_of_the_strip(screen: Screen, phones: list[Phone], root: Phones) -> None:
    typing, session = root.views[0].typing, phones[0].session
    assert typing is not None
    screen.window.dispatch("on_textinput", "h")
    assert phones[0].settle()
    screen.frames(2)
    word = session.state.slots[1]
    assert word is not None
    click(screen, typing.strip.middle(1))
    screen.window.dispatch("on_textinput", "x")
    assert session.state.text == f"{word.text} x"


def test_the_dashboard_counts_rounds_once_and_bytes_of_all(screen: Screen, phones: list[Phone], root: Phones) -> None:
    joined = RoundEntry(7, 0.0, Outcome.JOINED, "This phone took part.", bytes_up=600_000, accuracy=0.25)
    for phone in phones[:2]:
        show_rounds(phone, lambda shown: replace(shown, rounds=(joined,), activity="Training for round 8"))
    root.dashboard.refresh()
    screen.frames(3)
    shown = screen.texts().splitlines()
    assert shown[shown.index("Rounds") + 1] == "1"
    assert shown[shown.index("Sent by all") + 1] == "1.2 MB"
    assert shown[shown.index("Phones that contribute") + 1] == "3 of 3"
    assert shown.count("Training for round 8") == 2


def test_a_phone_types_by_itself_and_takes_words_from_the_strip(phone: Phone, hand: Hand) -> None:
    hand.settle()
    phone.agree(consent=True)
    SelfTyping(phone, ["how are you today", "see you at the station"]).all()
    assert [message.lower().strip() for message in phone.session.sent] == [
        "how are you today",
        "see you at the station",
    ]
    assert phone.status().logged[0] == 2
    saved = phone.status().keystrokes
    assert saved.spent < saved.characters


def test_pictures_are_written_the_right_way_up(screen: Screen, tmp_path: Path) -> None:
    assert screen.window.size == SIZE
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0], pixels[3, 5] = (255, 0, 0), (0, 0, 255)
    write_png(pixels, tmp_path / "picture.png")
    read = Image(str(tmp_path / "picture.png"), keep_data=True)
    assert read.size == (6, 4)
    assert read.read_pixel(0, 0)[:3] == [1, 0, 0]
    assert read.read_pixel(5, 3)[:3] == [0, 0, 1]
