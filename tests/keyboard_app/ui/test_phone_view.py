"""A phone under fingers: what is typed, asked, switched and shown."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kivy.uix.label import Label

from keyboard_app.editor.editor import FieldKind, Shift
from keyboard_app.editor.keys import LONG_PRESS_SECONDS, SLIDE_DP, Action
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.status import ModelEntry, Outcome, RoundEntry
from keyboard_app.ui.field import width_of
from keyboard_app.ui.pages import PAGES
from keyboard_app.ui.theme import PALETTES
from keyboard_app.ui.typing_screen import TypingScreen
from tests.keyboard_app.ui.conftest import SIZE, Hand, Screen, begun, show_rounds

pytestmark = pytest.mark.slow  # needs OpenGL

TOP_BAR = SIZE[1] - 52 - 22
"""Height of the middle of the bar below the title."""


@pytest.fixture
def typing(phone: Phone, hand: Hand) -> TypingScreen:
    """Return the screen for typing, after the owner agreed."""
    hand.settle()
    phone.agree(consent=True)
    hand.open("typing")
    hand.settle()
    assert hand.view.typing is not None
    return hand.view.typing


@pytest.mark.usefixtures("typing")
def test_touches_type_a_sentence(phone: Phone, hand: Hand) -> None:
    hand.write("are you there? i have 2 keys")
    assert phone.session.state.text == "Are you there? I have 2 keys"
    hand.press(action=Action.RETURN)
    assert list(phone.session.sent) == ["Are you there? I have 2 keys"]
    assert phone.session.state.text == ""


def test_what_was_sent_stands_above(screen: Screen, typing: TypingScreen, hand: Hand) -> None:
    hand.write("hello")
    hand.press(action=Action.RETURN)
    screen.frames(3)
    assert "Hello" in screen.texts()
    assert typing.field.shown == ""


@pytest.mark.parametrize("scrolled_to", [0, 1])
def test_few_messages_stand_just_above_the_field(
    screen: Screen, phone: Phone, hand: Hand, typing: TypingScreen, scrolled_to: int
) -> None:
    for message in ("hello", "see you"):
        hand.write(message)
        hand.press(action=Action.RETURN)
    conversation = typing.conversation
    conversation.scroll_y = scrolled_to
    screen.frames(3)
    (last,) = (label for label in screen.find(Label, conversation) if label.text == phone.session.sent[-1])
    assert 0 <= last.to_window(*last.pos)[1] - conversation.y < 40


def test_each_slot_writes_its_word(phone: Phone, typing: TypingScreen, hand: Hand) -> None:
    for place in range(3):
        hand.write("h")
        slot = phone.session.state.slots[place]
        assert slot is not None
        assert typing.strip.slots[place] == slot, "shown is what there is"
        hand.tap_slot(place)
        assert phone.session.state.text == slot.text + " "
        phone.session.delete_word()
        hand.settle()


def test_best_is_in_the_middle(typing: TypingScreen, hand: Hand) -> None:
    hand.write("th")
    shown = [slot for slot in typing.strip.slots if slot is not None]
    left, middle, right = (slot.suggestion.probability for slot in shown if slot.suggestion is not None)
    assert middle >= left >= right
    assert {typing.strip.badge(slot) for slot in shown} <= {"shared", "yours", "fixed"}


@pytest.mark.usefixtures("typing")
def test_a_correction_is_undone_by_one_backspace(phone: Phone, hand: Hand) -> None:
    hand.write("tomorow")
    offered = phone.session.state.offer
    assert offered is not None
    assert offered.correction is not None
    hand.press(" ")
    hand.settle()
    assert phone.session.state.text == "Tomorrow "
    hand.press(action=Action.BACKSPACE)
    assert phone.session.state.text == "Tomorow "


@pytest.mark.usefixtures("typing")
def test_a_long_press_writes_an_alternative(screen: Screen, phone: Phone, hand: Hand) -> None:
    assert hand.view.typing is not None
    keypad = hand.view.typing.keypad
    hand.write("caf")
    where = keypad.cell(keypad.find("e"))
    touch = screen.touch(where)
    screen.wait(LONG_PRESS_SECONDS + 0.05)
    touch.touch_move(where[0] + 42, where[1])
    touch.touch_up()
    assert phone.session.state.text == "Café"


@pytest.mark.usefixtures("typing")
def test_two_spaces_make_a_full_stop_and_two_taps_lock_shift(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.write("yes")
    hand.press(" ")
    hand.press(" ")
    assert phone.session.state.text == "Yes. "
    hand.press(action=Action.SHIFT)
    hand.press(action=Action.SHIFT)
    screen.wait(1)
    hand.press(action=Action.SHIFT)
    hand.press(action=Action.SHIFT)
    assert phone.session.state.shift is Shift.LOCK
    hand.write("no")
    assert phone.session.state.text == "Yes. NO"


def test_painting_a_key_does_not_wait_for_the_model(
    screen: Screen, phone: Phone, hand: Hand, typing: TypingScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(phone._learner, "ask", asked.append)
    hand.press("g")
    assert phone.session.state.text == "G"
    assert typing.field.lines == ["G"]
    assert asked, "the model is asked, and nobody waits for what it says"
    screen.frames()


def test_a_held_word_says_why_and_can_be_banished(screen: Screen, phone: Phone, hand: Hand) -> None:
    phone.agree(consent=True)
    hand.open("typing")
    hand.write("h")
    slot = phone.session.state.slots[1]
    assert slot is not None
    assert hand.view.typing is not None
    touch = screen.touch(hand.view.typing.strip.middle(1))
    screen.wait(LONG_PRESS_SECONDS + 0.05)
    touch.touch_up()
    assert phone.session.why(slot) in screen.texts()
    assert phone.session.state.text == "H", "holding does not take the word"
    screen.press("Never suggest it")
    hand.settle()
    assert slot.text.lower() in phone.status().never
    assert slot.text not in [other.text for other in phone.session.state.slots if other]
    hand.open("words")
    screen.press(f"allow {slot.text.lower()}")
    hand.settle()
    assert phone.status().never == ()


def test_consent_is_asked_first_and_off_by_default(screen: Screen, phone: Phone, hand: Hand) -> None:
    assert hand.view.screen == "consent"
    for title in ("What is learned", "What leaves this phone", "What does not leave"):
        assert title in screen.texts()
    assert not phone.settings.consent
    screen.window.dispatch("on_key_down", 27, 9, None, [])
    assert hand.view.screen == "consent", "the first question is not passed by"
    screen.press("No, keep it off")
    assert hand.view.screen == "typing"
    assert phone.settings.consent is False
    assert "Contributing" not in screen.texts()


def test_contributing_is_unmistakable_on_every_screen_and_one_touch_ends_it(
    screen: Screen, phone: Phone, hand: Hand
) -> None:
    phone._server = "https://rounds.example"
    hand.open("consent")
    screen.press("Yes, take part")
    assert phone.settings.consent is True
    colour = PALETTES["light"].contributing
    for name in ("typing", *PAGES):
        hand.open(name)
        assert screen.colour(6, TOP_BAR) == colour, name
    screen.press("stop contributing")
    assert phone.settings.consent is False
    assert screen.colour(6, TOP_BAR) != colour


def test_nothing_is_logged_without_consent(screen: Screen, phone: Phone, hand: Hand) -> None:
    screen.press("No, keep it off")
    hand.write("zyxomma is here")
    hand.press(action=Action.RETURN)
    hand.settle()
    assert phone.status().logged == (0, 0)


@pytest.mark.usefixtures("typing")
def test_learned_words_can_be_forgotten_and_wiped(screen: Screen, phone: Phone, hand: Hand) -> None:
    for _ in range(2):
        hand.write("grolsk is here")
        hand.press(action=Action.RETURN)
    hand.settle()
    hand.open("words")
    assert "grolsk" in screen.texts().lower()
    screen.press("forget grolsk")
    hand.settle()
    assert "grolsk" not in screen.texts().lower()
    hand.open("typing")
    hand.write("more")
    hand.press(action=Action.RETURN)
    hand.settle()
    assert phone.status().logged[0] == 1
    hand.open("words")
    screen.press("Wipe everything learned")
    assert phone.status().logged[0] == 1, "it asks first"
    screen.press("Wipe everything")
    hand.settle()
    assert phone.status().logged == (0, 0)


def test_incognito_has_a_colour_and_learns_nothing(
    screen: Screen, phone: Phone, hand: Hand, typing: TypingScreen
) -> None:
    assert typing is hand.view.typing
    screen.press("incognito")
    assert phone.session.state.incognito
    assert screen.colour(6, TOP_BAR - 44) == PALETTES["light"].incognito
    hand.write("secret")
    hand.press(action=Action.RETURN)
    hand.settle()
    assert phone.status().logged == (0, 0)
    screen.press("leave incognito")
    assert not phone.session.state.incognito


@pytest.mark.usefixtures("typing")
def test_the_theme_changes_at_once_and_is_kept(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.open("keyboard")
    assert screen.colour(4, 4) == PALETTES["light"].background
    screen.press("Dark theme")
    assert screen.colour(4, 4) == PALETTES["dark"].background
    assert phone.settings.theme == "dark"


@pytest.mark.usefixtures("typing")
def test_simulated_switches_say_why_not_now(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.open("settings")
    screen.press("Charging")
    assert not phone.settings.charging
    hand.open("conditions")
    assert "On battery" in screen.texts()
    assert "on battery" in screen.texts().split("Not now:")[1].splitlines()[0]


@pytest.mark.usefixtures("typing")
def test_a_limit_of_the_budget_is_chosen(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.open("settings")
    screen.press("8")
    assert phone.settings.epsilon_limit == 8
    hand.open("budget")
    assert "8" in screen.texts().splitlines()


@pytest.mark.usefixtures("typing")
def test_limits_of_rounds_are_chosen(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.open("settings")
    screen.press("30")
    screen.press("100")
    assert (phone.settings.max_rounds_per_week, phone.settings.max_rounds_per_message) == (30, 100)


@pytest.mark.usefixtures("typing")
def test_a_password_is_neither_shown_nor_predicted(screen: Screen, hand: Hand) -> None:
    hand.open("settings")
    screen.press(FieldKind.PASSWORD.value.capitalize())
    hand.open("typing")
    hand.write("pass")
    assert hand.view.typing is not None
    assert hand.view.typing.field.lines == ["••••"]
    assert hand.view.typing.strip.slots == (None, None, None)


def test_data_is_exported_and_deleted(screen: Screen, phone: Phone, hand: Hand, typing: TypingScreen) -> None:
    assert typing is hand.view.typing
    hand.write("hello")
    hand.press(action=Action.RETURN)
    hand.settle()
    hand.open("data")
    screen.press("Export my data")
    path = Path(screen.texts().split("Your data is in ")[1].split(". It is")[0])
    assert "Hello" in [message["text"] for message in json.loads(path.read_text())["messages"]]
    screen.press("Good")
    screen.press("Delete my data")
    assert phone.status().logged[0] == 1
    screen.press("Delete everything")
    hand.settle()
    assert phone.status().logged == (0, 0)
    assert not path.exists()


@pytest.mark.parametrize("size", [(360, 640), (640, 412), (800, 600), (1280, 800)])
def test_every_screen_fits_every_shape(screen: Screen, phone: Phone, hand: Hand, size: tuple[int, int]) -> None:
    phone.agree(consent=True)
    screen.resize(*size)
    for name in ("typing", *PAGES):
        hand.open(name)
        assert hand.view.size == list(size)
        for label in screen.find(Label):
            assert label.texture_size[0] <= label.width + 1, (name, label.text)
            assert 0 <= label.to_window(label.x, 0)[0] <= size[0], (name, label.text)
    hand.open("typing")
    hand.write("turned")
    assert phone.session.state.text == "Turned"


@pytest.mark.usefixtures("typing")
def test_turning_the_phone_keeps_the_text(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.write("half a sen")
    screen.resize(800, 600)
    screen.resize(*SIZE)
    hand.write("tence")
    assert phone.session.state.text == "Half a sentence"


def test_a_physical_keyboard_types_too(screen: Screen, phone: Phone, hand: Hand, typing: TypingScreen) -> None:
    window = screen.window
    for character in "Hi, x":
        window.dispatch("on_textinput", character)
    window.dispatch("on_key_down", 8, 42, None, [])
    assert phone.session.state.text == "Hi, "
    window.dispatch("on_key_down", 276, 80, None, [])
    assert phone.session.state.cursor == 3
    window.dispatch("on_key_down", 275, 79, None, [])
    window.dispatch("on_key_down", 8, 42, None, ["ctrl"])
    window.dispatch("on_key_down", 8, 42, None, ["ctrl"])
    assert phone.session.state.text == ""
    window.dispatch("on_textinput", "y")
    window.dispatch("on_key_down", 13, 40, None, [])
    assert list(phone.session.sent) == ["y"]
    assert typing is hand.view.typing
    hand.open("rounds")
    window.dispatch("on_textinput", "z")
    assert phone.session.state.text == "", "a page takes no text"
    window.dispatch("on_key_down", 27, 41, None, [])
    assert hand.view.screen == "menu"
    window.dispatch("on_key_down", 27, 41, None, [])
    assert hand.view.screen == "typing"


def test_text_is_cut_copied_and_pasted(screen: Screen, phone: Phone, hand: Hand, typing: TypingScreen) -> None:
    hand.write("thank you friend")
    line = typing.field.x + 16, typing.field.y + 11 + 12
    screen.tap((line[0] + width_of("Thank yo"), line[1]))
    screen.tap((line[0] + width_of("Thank yo"), line[1]))
    screen.press("Cut")
    assert phone.session.state.text == "Thank  friend"
    assert hand.clipboard.text == "you"
    screen.wait(1)
    touch = screen.touch((line[0] + width_of("Th"), line[1]))
    screen.wait(LONG_PRESS_SECONDS + 0.05)
    touch.touch_up()
    screen.frames(2)
    screen.press("Paste")
    assert phone.session.state.text == "you  friend"
    hand.press(action=Action.BACKSPACE)
    assert phone.session.state.text == "yo  friend"
    screen.wait(1)
    cursor = line[0] + width_of("yo"), line[1]
    screen.tap(cursor)
    screen.press("Select all")
    screen.press("Copy")
    assert hand.clipboard.text == "yo  friend"
    hand.write("x")
    assert phone.session.state.text == "X"


def test_a_suggestion_takes_the_place_of_what_is_selected(
    screen: Screen, phone: Phone, hand: Hand, typing: TypingScreen
) -> None:
    hand.write("how are you")
    typing.edits.select_word(5)
    hand.settle()
    slot = phone.session.state.slots[1]
    assert slot is not None
    hand.tap_slot(1)
    assert phone.session.state.text == f"How {slot.text} you"
    assert screen.texts()


def test_a_finger_along_the_space_bar_moves_the_cursor(
    screen: Screen, phone: Phone, hand: Hand, typing: TypingScreen
) -> None:
    hand.write("hello")
    x, y = typing.keypad.cell(typing.keypad.find(" "))
    touch = screen.touch((x, y))
    touch.touch_move(x - 4.1 * SLIDE_DP, y)
    touch.touch_up()
    assert (phone.session.state.text, phone.session.state.cursor) == ("Hello", 2)


def test_nothing_leaves_a_password_field(screen: Screen, phone: Phone, hand: Hand, typing: TypingScreen) -> None:
    assert typing is hand.view.typing
    phone.session.focus(FieldKind.PASSWORD)
    hand.open("typing")
    hand.write("pass")
    for letter in "acx":
        screen.window.dispatch("on_key_down", ord(letter), 4, None, ["ctrl"])
    assert hand.clipboard.text == ""
    assert phone.session.state.text == "pass"
    hand.clipboard.text = "word"
    screen.window.dispatch("on_key_down", ord("v"), 4, None, ["ctrl"])
    assert phone.session.state.text == "word"


def test_a_physical_keyboard_selects_and_moves(screen: Screen, phone: Phone, hand: Hand, typing: TypingScreen) -> None:
    up, down, right, left, home, end, delete = 273, 274, 275, 276, 278, 279, 127

    def key(code: int, *modifiers: str) -> tuple[int, int | None]:
        screen.window.dispatch("on_key_down", code, 4, None, list(modifiers))
        return phone.session.state.cursor, phone.session.state.anchor

    phone.session.type("one two\nthree")
    hand.open("typing")
    typing = hand.view.typing or typing
    assert key(left, "shift") == (12, 13)
    assert key(left, "ctrl", "shift") == (8, 13)
    assert key(right) == (13, None)
    assert key(home) == (8, None)
    assert key(end, "shift") == (13, 8)
    assert key(up)[0] in {4, 5}
    assert key(home, "ctrl") == (0, None)
    assert key(up) == (0, None)
    assert key(down, "shift") == (8, 0)
    assert key(left) == (0, None)
    key(delete)
    key(delete, "shift")
    assert phone.session.state.text == "e two\nthree"
    key(ord("a"), "ctrl")
    key(ord("c"), "ctrl")
    key(right)
    key(ord("v"), "ctrl")
    assert phone.session.state.text == "e two\nthreee two\nthree"
    key(ord("a"), "ctrl")
    key(ord("x"), "ctrl")
    assert (phone.session.state.text, hand.clipboard.text) == ("", "e two\nthreee two\nthree")


@pytest.mark.usefixtures("typing")
def test_every_page_opens_from_the_menu(screen: Screen, hand: Hand) -> None:
    screen.press("menu")
    assert hand.view.screen == "menu"
    for name, page in PAGES.items():
        if page.detail:
            screen.press(f"open {name}")
            assert hand.view.screen == name
            assert page.title in screen.texts()
            screen.press("back")
            assert hand.view.screen == "menu"


def test_a_problem_is_told_and_typing_goes_on(screen: Screen, phone: Phone, hand: Hand) -> None:
    phone._learner.trouble("The store is full: make room.")
    hand.open("typing")
    assert "The store is full: make room." in screen.texts()
    hand.write("still")
    assert phone.session.state.text == "Still"


def test_a_round_that_counted_says_what_was_counted_and_what_left(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.settle()
    numbers = np.arange(64, dtype=np.float32)
    trained = RoundEntry(
        1, 0.0, Outcome.JOINED, "This phone took part.", update=numbers, masked=numbers.astype(np.uint64)
    )
    counted = replace(trained, round_id=2, reason="It counted.", counted=(203, 620_847))
    voted = replace(trained, round_id=3, reason="It voted.", voted=(7, 73_569))
    show_rounds(phone, lambda shown: replace(shown, rounds=(voted, counted, trained)))
    hand.open("leaves")
    shown = screen.texts().splitlines()
    assert shown.count("Your counts") == shown.count("Your votes") == shown.count("Your update") == 1
    assert any("Of 73,569 words that the shared model lacks" in line and "voted for the 7" in line for line in shown)
    assert any("Of 620,847 word sequences" in line and "203 were in your messages" in line for line in shown)
    assert "only the sum over the phones of the round can be read" in screen.texts().replace("\n", " ")


def test_counts_are_chosen_and_left_like_models(screen: Screen, phone: Phone, hand: Hand) -> None:
    hand.settle()
    learned = phone._learner.learned
    entries = (
        ModelEntry(1, True, None, None, 0),
        ModelEntry(5, True, 0.2, 0.4, 60, "counts"),
        ModelEntry(0, False, 0.1, 0.3, 60, "counts"),
    )
    phone._learner._learned = replace(learned, models=entries)
    chosen: list[tuple[int, str]] = []
    phone.use_model = lambda version, kind="model": chosen.append((version, kind))  # type: ignore[method-assign]
    hand.open("models")
    shown = screen.texts().splitlines()
    for title in ("Shared model 1", "Counted by all phones, version 5", "Nothing counted since the app came"):
        assert title in shown
    screen.press("Use this one")
    assert chosen == [(0, "counts")]


def test_the_first_minute_tells_what_there_is_to_try_and_goes_on_with_what_was_tried(
    screen: Screen, phone: Phone, hand: Hand
) -> None:
    hand.settle()
    screen.press("Learn on this phone only")
    assert hand.view.screen == "typing"
    assert "1 of 5: Write a few letters" in screen.texts()
    hand.write("h")
    hand.settle()
    hand.tap_slot(1)
    screen.frames(3)
    assert "2 of 5: Mistype a word" in screen.texts()
    screen.press("next primary")
    assert "3 of 5: Slide over the letters" in screen.texts()
    screen.press("next primary")
    phone.go_incognito(on=True)
    screen.frames(3)
    assert "5 of 5: That is all" in screen.texts()
    assert hand.view.typing is not None
    assert hand.view.typing.keypad.height > 150, "there is room for the keys beside two bars"
    screen.press("done primary")
    assert "of 5" not in screen.texts()
    hand.open("consent")
    screen.press("No, keep it off")
    assert "of 5" not in screen.texts(), "only the first time"


def test_without_a_model_the_first_minute_says_nothing_of_suggestions(screen: Screen, tmp_path: Path) -> None:
    phone = begun(Phone(Profile.named("bob", tmp_path), model=None, monotonic=lambda: screen.now))
    try:
        hand = Hand(screen, phone)
        hand.settle()
        screen.press("No, keep it off")
        assert "1 of 2: Touch Incognito" in screen.texts()
    finally:
        phone.close()
