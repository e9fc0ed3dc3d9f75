"""Screens for the keys, the look, the owner's words, and copies for a new phone."""

from pathlib import Path

import pytest

from keyboard_app.editor.editor import FieldKind
from keyboard_app.editor.keys import Action
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.ui.theme import DARK_CONTRAST
from tests.keyboard_app.ui.conftest import Hand, Screen

pytestmark = pytest.mark.slow  # needs OpenGL


@pytest.fixture(autouse=True)
def _answered(phone: Phone) -> None:
    phone.agree(consent=False)


def answer(screen: Screen, hand: Hand, text: str) -> None:
    assert hand.view.entry is not None
    hand.view.entry.type(text)
    screen.frames(2)
    screen.press("Done")
    screen.frames(2)


@pytest.mark.parametrize(
    ("button", "name", "value"),
    [
        ("AZERTY", "layout", "azerty"),
        ("Devanagari", "layout", "devanagari"),
        ("second QWERTZ", "second_layout", "qwertz"),
        ("Number row", "number_row", True),
        ("hand Left", "one_handed", "left"),
        ("height High", "key_height", 1.25),
        ("High contrast", "contrast", True),
        ("letters Large", "text_scale", 1.2),
    ],
)
def test_what_is_chosen_holds_and_is_kept(
    screen: Screen, phone: Phone, hand: Hand, tmp_path: Path, button: str, name: str, value: object
) -> None:
    hand.open("keyboard")
    screen.press(button)
    assert getattr(phone.settings, name) == value
    assert getattr(Profile.named("ada", tmp_path).settings(), name) == value
    hand.open("typing")
    assert hand.view.typing is not None


def test_the_keys_are_those_of_the_layout_and_type_its_letters(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.open("keyboard")
    screen.press("Devanagari")
    screen.press("second QWERTY")
    hand.open("typing")
    for letter in "नम":
        hand.press(letter)
    hand.press(action=Action.NEXT_LAYOUT)
    hand.press("q")
    assert phone.session.state.text == "नमq"
    hand.press(action=Action.NEXT_LAYOUT)
    assert phone.session.layout == "devanagari"


def test_slips_are_those_of_the_keys_that_are_drawn(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.open("keyboard")
    screen.press("Dvorak")
    assert phone.settle()
    suggester = phone._learner._suggester
    assert suggester is not None
    assert suggester.keys.name == "dvorak"


def test_keys_for_one_hand_change_sides(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.open("keyboard")
    screen.press("hand Left")
    hand.open("typing")
    assert hand.view.typing is not None
    keypad = hand.view.typing.keypad
    assert max(x for x, _ in map(keypad.cell, keypad._cells)) < 0.8 * keypad.width
    screen.tap((keypad.right - 10, keypad.center_y))
    assert phone.settings.one_handed == "right"
    screen.frames(3)
    assert min(x for x, _ in map(keypad.cell, keypad._cells)) > 0.2 * keypad.width
    hand.press("g")
    assert phone.session.state.text == "G"


def test_a_number_row_and_higher_keys_take_room(screen: Screen, hand: Hand) -> None:
    hand.open("typing")
    assert hand.view.typing is not None
    before = hand.view.typing.keypad.height
    hand.open("keyboard")
    screen.press("Number row")
    hand.open("typing")
    assert hand.view.typing.keypad.height > 1.15 * before


def test_colours_are_far_apart_at_once(screen: Screen, hand: Hand) -> None:
    hand.open("keyboard")
    screen.press("Dark theme")
    screen.press("High contrast")
    assert screen.colour(4, 4) == DARK_CONTRAST.background


def test_a_word_is_added_and_what_is_none_is_refused(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.open("words")
    screen.press("Add a word")
    answer(screen, hand, "two words")
    assert "without spaces" in screen.texts()
    hand.view.back()
    screen.press("Add a word")
    answer(screen, hand, "Kaupang")
    hand.settle()
    assert "Kaupang" in screen.texts()
    assert [word[1] for word in phone.status().learned] == ["Kaupang"]


def test_a_short_form_is_added_and_removed(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.open("words")
    screen.press("Add a short form")
    answer(screen, hand, "omw")
    answer(screen, hand, "On my way")
    hand.settle()
    assert phone.status().shortcuts == {"omw": "On my way"}
    screen.press("remove omw")
    hand.settle()
    assert phone.status().shortcuts == {}


@pytest.mark.parametrize("kind", ["Plain text", "Gboard", "AOSP"])
def test_words_go_into_a_file_and_come_back(
    screen: Screen, phone: Phone, hand: Hand, tmp_path: Path, kind: str
) -> None:
    phone.add_word("Kaupang")
    assert phone.settle()
    hand.open("words")
    screen.press(kind)
    (path,) = Profile.named("ada", tmp_path).exports.iterdir()
    assert str(path) in screen.texts()
    hand.view.close_sheet()
    phone.wipe()
    assert phone.settle()
    screen.frames(3)
    screen.press("Add words of a file")
    answer(screen, hand, str(path))
    hand.settle()
    assert [word[1] for word in phone.status().learned] == ["Kaupang"]


def test_a_file_that_is_not_there_is_said(screen: Screen, hand: Hand, tmp_path: Path) -> None:
    hand.open("words")
    screen.press("Add words of a file")
    answer(screen, hand, str(tmp_path / "none"))
    assert "cannot be read: No such file or directory." in screen.texts()


def test_a_copy_for_a_new_phone_is_written_and_a_short_passphrase_refused(
    screen: Screen, hand: Hand, tmp_path: Path
) -> None:
    hand.open("data")
    screen.press("Write a copy for a new phone")
    answer(screen, hand, "short")
    assert "at least 8 characters" in screen.texts()
    answer(screen, hand, " and longer")
    (path,) = Profile.named("ada", tmp_path).exports.iterdir()
    assert str(path) in screen.texts()
    hand.view.close_sheet()
    screen.press("Read the copy of an old phone")
    answer(screen, hand, str(path))
    answer(screen, hand, "something else")
    assert "The passphrase is another" in screen.texts()


def test_what_was_copied_is_offered_again_and_forgotten(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.open("typing")
    typing = hand.view.typing
    assert typing is not None
    phone.session.type("the harbour")
    typing.edits.select_all()
    typing.edits.copy()
    phone.session.focus(FieldKind.ORDINARY)
    typing.refresh()
    typing.field.open_bar(on=True)
    screen.frames(2)
    screen.press("Recent")
    screen.press("the harbour")
    assert phone.session.state.text == "the harbour"
    typing.field.open_bar(on=True)
    screen.frames(2)
    screen.press("Recent")
    screen.press("Forget all")
    assert phone.session.clipboard.entries == ()


def test_undo_and_redo_have_buttons(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.open("typing")
    phone.session.type("hello ")
    phone.session.type("there")
    screen.press("undo")
    assert phone.session.state.text == "hello "
    screen.press("redo")
    assert phone.session.state.text == "hello there"


def test_a_finger_that_slides_left_from_backspace_deletes_words(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.open("typing")
    assert hand.view.typing is not None
    phone.session.type("one two three four ")
    keypad = hand.view.typing.keypad
    x, y = keypad.cell(keypad.find(action=Action.BACKSPACE))
    touch = screen.touch((x, y))
    touch.touch_move(x - 26 * 3.5, y)
    assert phone.session.state.text == "one two "
    touch.touch_move(x - 26 * 2.5, y)
    assert phone.session.state.text == "one two three ", "sliding back brings a word back"
    touch.touch_up()
    screen.wait(1)
    assert phone.session.state.text == "one two three "
