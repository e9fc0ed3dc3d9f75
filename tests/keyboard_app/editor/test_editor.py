"""The editor without a window: what keys do, and that what the keyboard did by itself can be taken back."""

import itertools
import string
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from keyboard_app.editor.characters import boundary, character_after, character_before, word_after, word_at, word_before
from keyboard_app.editor.editor import (
    DOUBLE_SPACE_SECONDS,
    DOUBLE_TAP_SECONDS,
    After,
    Drafted,
    EditorState,
    Effect,
    FieldKind,
    Finished,
    Offer,
    Request,
    Sent,
    Shift,
)
from keyboard_app.editor.keys import COLUMNS, Action, Key, Layer, key_at, page, rows
from model.suggestions import Origin, Suggestion
from model.suggestions.keys import QWERTY

SLOWLY = 2 * DOUBLE_SPACE_SECONDS


def shared(text: str) -> Suggestion:
    return Suggestion(text, 0.5, Origin.SHARED)


def typed(text: str, state: EditorState | None = None) -> EditorState:
    """Type characters slowly, as they are."""
    state = state or EditorState()
    for number, character in enumerate(text):
        state = state.type(character, number * SLOWLY).state
    return state


def offered(state: EditorState, *words: str, correction: str | None = None) -> EditorState:
    assert state.request is not None
    found = shared(correction) if correction else None
    return state.take(Offer(state.request, tuple(map(shared, words)), found))


def key(name: str | Action, layer: Layer = Layer.LETTERS) -> Key:
    return next(k for k in page(layer) if name in (k.types, k.action) and name != "")


def press(state: EditorState, *names: str | Action) -> EditorState:
    for name in names:
        state = state.press(key(name, state.layer), 0.0).state
    return state


class TestShift:
    def test_a_sentence_begins_with_a_capital(self) -> None:
        assert press(EditorState(), *"hi").text == "Hi"
        assert typed("Hello. ").shift is Shift.ONCE
        assert typed("Hello.").shift is Shift.OFF  # an address goes on with small letters
        assert typed("Hello, ").shift is Shift.OFF
        assert typed("Hello\n").shift is Shift.ONCE

    def test_passwords_do_not(self) -> None:
        assert press(EditorState().focus(FieldKind.PASSWORD).state, *"hi").text == "hi"

    def test_one_tap_is_for_one_letter_and_two_quick_ones_for_all(self) -> None:
        state = typed("a ")
        once = state.tap_shift(10.0).state
        assert press(once, *"bc").text == "a Bc"
        locked = once.tap_shift(10.0 + DOUBLE_TAP_SECONDS).state
        assert locked.shift is Shift.LOCK
        assert press(locked, *"bc").text == "a BC"
        assert press(locked, *"bc").tap_shift(20.0).state.shift is Shift.OFF
        assert once.tap_shift(10.1 + DOUBLE_TAP_SECONDS).state.shift is Shift.OFF

    def test_a_key_between_two_taps_makes_them_two(self) -> None:
        state = press(typed("a ").tap_shift(0.0).state, "b")
        assert state.tap_shift(0.1).state.shift is Shift.ONCE

    def test_the_capital_can_be_refused(self) -> None:
        assert press(EditorState(), Action.SHIFT, *"ab").text == "ab"

    def test_symbols_have_no_capitals(self) -> None:
        state = press(EditorState(), Action.SYMBOLS, "1", Action.MORE_SYMBOLS)
        assert state.layer is Layer.MORE_SYMBOLS
        assert press(state, Action.LETTERS, "a").text == "1a"

    def test_a_space_brings_the_letters_back(self) -> None:
        assert press(EditorState(), Action.SYMBOLS, "1", " ").layer is Layer.LETTERS


class TestDoubleSpace:
    def state(self, text: str, pause: float) -> EditorState:
        state = typed(text)
        return state.type(" ", 100.0).state.type(" ", 100.0 + pause).state

    def test_two_quick_spaces_end_a_sentence(self) -> None:
        state = self.state("Done", DOUBLE_SPACE_SECONDS)
        assert state.text == "Done. "
        assert state.shift is Shift.ONCE
        assert state.backspace().state.text == "Done  "
        assert state.backspace().state.backspace().state.text == "Done "

    def test_two_slow_ones_do_not(self) -> None:
        assert self.state("Done", DOUBLE_SPACE_SECONDS + 0.01).text == "Done  "

    @pytest.mark.parametrize("before", ["", "Done.", "Done,", "Done -"])
    def test_only_after_a_word(self, before: str) -> None:
        assert self.state(before, 0.1).text == before + "  "

    def test_a_third_space_is_a_space(self) -> None:
        state = self.state("Done", 0.1)
        assert state.type(" ", 100.2).state.text == "Done.  "

    def test_not_in_passwords(self) -> None:
        state = EditorState().focus(FieldKind.PASSWORD).state.type("x", 0).state
        assert state.type(" ", 0.1).state.type(" ", 0.2).state.text == "x  "


class TestCorrection:
    @pytest.mark.parametrize("marks", ["", *'.,!?;:)"', "...", "?!", ").", '."', "!!!", ",)"])
    @pytest.mark.parametrize("space", [" ", "\n"])
    def test_a_finished_word_is_corrected_and_one_backspace_takes_it_back(self, marks: str, space: str) -> None:
        state = typed(marks, offered(typed("so teh"), "the", correction="the"))
        assert state.text == f"so teh{marks}"
        state = state.type(space, 0).state
        assert state.text == f"so the{marks}{space}"
        undone = state.backspace().state
        assert undone.text == f"so teh{marks}{space}"
        assert undone.cursor == len(undone.text)
        assert undone.backspace().state.text == f"so teh{marks}"

    @pytest.mark.parametrize("rest", [".com ", ",b ", "?x=1 ", ":8080 ", "!a ", ").x ", '"b '])
    def test_marks_within_something_longer_end_no_word(self, rest: str) -> None:
        assert typed(rest, offered(typed("so teh"), correction="the")).text == f"so teh{rest}"

    @pytest.mark.parametrize("end", ["'", "@", "-", "/", "3", "_"])
    def test_what_does_not_end_a_word_corrects_nothing(self, end: str) -> None:
        assert offered(typed("teh"), correction="the").type(end, 0).state.text == f"teh{end}"

    def test_it_is_taken_back_also_after_the_next_word_was_begun(self) -> None:
        state = typed("next", offered(typed("teh"), correction="the").type(" ", 0).state)
        assert state.text == "the next"
        for _ in "next":
            state = state.backspace().state
        assert state.text == "the "
        assert state.backspace().state.text == "teh "

    def test_but_not_once_the_next_word_is_finished(self) -> None:
        state = typed("a ", offered(typed("teh"), correction="the").type(" ", 0).state)
        for _ in "a ":
            state = state.backspace().state
        assert state.backspace().state.text == "the"

    def test_nor_after_the_cursor_was_elsewhere(self) -> None:
        state = offered(typed("teh"), correction="the").type(" ", 0).state
        state = state.move(-2).state.move(2).state
        assert state.backspace().state.text == "the"

    def test_a_word_that_was_wanted_is_not_corrected_again(self) -> None:
        state = offered(typed("teh"), correction="the").type(" ", 0).state.backspace().state.backspace().state
        state = offered(state, correction="the")
        assert state.slots[0] is None
        assert state.type(" ", 50.0).state.text == "teh "
        assert state.send().state.kept == frozenset()

    def test_an_offer_for_fewer_letters_corrects_nothing(self) -> None:
        state = typed("x", offered(typed("teh"), correction="the"))
        assert state.type(" ", 0).state.text == "tehx "

    def test_sending_changes_nothing_unseen(self) -> None:
        assert Sent("teh") in offered(typed("teh"), correction="the").send().effects

    def test_the_strip_shows_what_will_happen_and_how_to_prevent_it(self) -> None:
        state = offered(typed("teh"), "the", "tech", correction="the")
        assert [slot.text if slot else None for slot in state.slots] == ["teh", "the", "tech"]
        assert state.slots[0] is not None
        assert state.slots[0].suggestion is None
        kept = state.accept(0).state
        assert kept.text == "teh "
        assert "teh" in kept.kept

    @pytest.mark.parametrize("after", [", you", " you", ")", "! so", "", "\nyou", '" you'])
    def test_it_leaves_what_is_behind_the_cursor(self, after: str) -> None:
        state = EditorState().type(f"so {after}", 0).state.place(3).state
        state = offered(typed("teh", state), correction="the").type(" ", 0).state
        assert (state.text, state.cursor) == (f"so the {after}", 7)
        state = state.backspace().state
        assert (state.text, state.cursor) == (f"so teh {after}", 7)


class TestStrip:
    def test_the_best_is_in_the_middle(self) -> None:
        state = offered(typed("how are "), "you", "things", "they")
        assert [slot.text if slot else None for slot in state.slots] == ["things", "you", "they"]
        assert state.accept(1).state.text == "how are you "

    @pytest.mark.parametrize(("place", "text"), [(0, "say hollow "), (1, "say hello "), (2, "say help ")])
    def test_every_place_completes_the_word_and_brings_a_space(self, place: int, text: str) -> None:
        state = offered(typed("say h"), "hello", "hollow", "help").accept(place).state
        assert (state.text, state.cursor) == (text, len(text))

    def test_an_empty_place_does_nothing(self) -> None:
        state = offered(typed("he"), "hello")
        assert state.accept(0) == After(state)

    @pytest.mark.parametrize("mark", list(".,!?;:)"))
    def test_a_mark_takes_the_space_back(self, mark: str) -> None:
        state = offered(typed("he"), "hello").accept(1).state
        assert state.type(mark, 0).state.text == f"hello{mark}"

    def test_the_own_space_takes_the_place_of_the_strips(self) -> None:
        state = offered(typed("he"), "hello").accept(1).state.type(" ", 0).state
        assert state.text == "hello "
        assert state.type(" ", 0.5).state.text == "hello. "

    def test_a_typed_space_stays(self) -> None:
        assert typed("hello ,").text == "hello ,"

    def test_there_is_no_second_space_before_one(self) -> None:
        state = offered(typed("he world").place(2).state, "hello").accept(1).state
        assert (state.text, state.cursor) == ("hello world", 5)
        assert (state.type(" ", 0).state.text, state.type(" ", 0).state.cursor) == ("hello world", 6)

    def test_a_next_word_after_a_mark_gets_its_space(self) -> None:
        assert offered(typed("Yes,"), "please").accept(1).state.text == "Yes, please "
        assert offered(EditorState().type("👍🏽", 0).state, "please").accept(1).state.text == "👍🏽 please "
        assert offered(typed("("), "please").accept(1).state.text == "(please "

    def test_an_offer_for_another_text_is_dropped(self) -> None:
        late = Offer(Request("", "h"), (shared("hello"),))
        assert typed("good").take(late).slots == (None, None, None)
        shown = offered(typed("h"), "hello")
        assert typed("e", shown).slots[1] is not None  # until there is something newer
        assert typed("e ", shown).slots == (None, None, None)

    def test_nothing_is_predicted_within_words_and_in_passwords(self) -> None:
        assert typed("hello").place(2).state.request is None
        assert typed("hello").place(5).state.request == Request("", "hello")
        assert typed("hi", EditorState().focus(FieldKind.PASSWORD).state).request is None
        assert typed("hi", EditorState().focus(FieldKind.NO_LEARNING).state).request is not None


class TestLearning:
    def effects(self, text: str, state: EditorState) -> list[Effect]:
        found: list[Effect] = []
        for number, character in enumerate(text):
            state, effects = state.type(character, number * SLOWLY)
            found += effects
        return [*found, *state.send().effects]

    def test_words_are_drafted_as_they_are_finished(self) -> None:
        assert self.effects("so it is", EditorState()) == [
            Drafted("so "),
            Drafted("so it "),
            Finished("so it is", 8),
            Sent("so it is"),
        ]

    @pytest.mark.parametrize("field", [FieldKind.PASSWORD, FieldKind.NO_LEARNING])
    def test_other_fields_are_never_learned(self, field: FieldKind) -> None:
        assert self.effects("so it is", EditorState().focus(field).state) == [Sent("so it is")]

    def test_nor_is_incognito(self) -> None:
        assert self.effects("so it is", EditorState(incognito=True)) == [Sent("so it is")]

    def test_a_message_that_was_partly_typed_in_incognito_is_not_learned_at_all(self) -> None:
        state, effects = typed("so ").go_incognito(on=True)
        assert effects == (Drafted(""),)
        state = typed("x ", state).go_incognito(on=False).state
        assert typed("y ", state).send().effects == (Sent("so x y "),)
        assert Finished("new ", 4) in typed("new ", state.send().state).send().effects

    def test_incognito_switched_over_an_empty_field_spoils_nothing(self) -> None:
        state = EditorState().go_incognito(on=True).state.go_incognito(on=False).state
        assert typed("so ", state).learnable

    def test_a_deleted_word_is_taken_back(self) -> None:
        state = typed("so it ")
        state, effects = state.backspace()
        assert effects == (Drafted("so "),)
        assert state.delete_word().effects == ()
        assert state.delete_word().state.text == "so "
        assert state.delete_word().state.delete_word().effects == (Drafted(""),)

    def test_leaving_a_field_finishes_its_message(self) -> None:
        assert typed("so it").focus(FieldKind.PASSWORD).effects == (Finished("so it", 5),)
        assert typed("so it", EditorState(incognito=True)).focus(FieldKind.PASSWORD).effects == ()

    def test_an_empty_message_is_not_sent(self) -> None:
        assert EditorState().send().effects == ()
        assert typed("  ").send().effects == (Sent("  "),)

    def test_keystrokes_are_counted(self) -> None:
        state = offered(typed("he"), "hello").accept(1).state
        assert state.send().effects[0] == Finished("hello ", 3)


FAMILY, FLAG, ACCENTED = "👩\u200d👩\u200d👧", "🇫🇮", "e\u0301"


class TestCharacters:
    @pytest.mark.parametrize("character", ["a", "é", ACCENTED, "😀", "👍🏽", FAMILY, FLAG, "❤\ufe0f"])
    def test_one_backspace_deletes_one(self, character: str) -> None:
        text = "🇩🇪x" + character
        assert character_before(text, len(text)) == 3
        assert character_after(text, 3) == len(text)
        state = EditorState().type(text, 0).state
        assert state.backspace().state.text == "🇩🇪x"
        assert state.move(-1).state.cursor == 3
        assert state.move(-1).state.move(1).state.cursor == len(text)
        for inside in range(4, len(text)):
            assert boundary(text, inside) == 3

    def test_two_flags_are_two(self) -> None:
        assert character_before("🇫🇮🇩🇪", 4) == 2

    @given(st.text(alphabet="aé\u0301😀🏽\u200d🇫🇮\ufe0f \n", max_size=12))
    def test_steps_forwards_and_backwards_meet(self, text: str) -> None:
        starts, at = [], len(text)
        while at > 0:
            at = character_before(text, at)
            starts.append(at)
        forwards, at = [], 0
        while at < len(text):
            forwards.append(at)
            after = character_after(text, at)
            assert after > at
            at = after
        assert forwards == starts[::-1]

    @pytest.mark.parametrize(
        ("text", "index", "word"),
        [
            ("so it is", 4, "it"),
            ("so it is", 3, "it"),
            ("so it is", 5, "it"),
            ("so don't", 6, "don't"),
            ("a 'word'", 4, "word"),
            (f"a caf{ACCENTED}s", 4, f"caf{ACCENTED}s"),
            ("well - so", 5, "-"),
            (f"a {FAMILY} b", 2, FAMILY),
            ("end. ", 5, " "),
            ("", 0, ""),
        ],
    )
    def test_a_word_is_found_from_within_and_beside_it(self, text: str, index: int, word: str) -> None:
        start, end = word_at(text, index)
        assert text[start:end] == word

    def test_words_are_stepped_over(self) -> None:
        text = f"So, don't {FAMILY}  caf{ACCENTED}"
        starts, at = [], len(text)
        while at > 0:
            at = word_before(text, at)
            starts.append(text[at:])
        assert [tail.split(" ")[0] for tail in starts] == [f"caf{ACCENTED}", FAMILY, "don't", ",", "So,"]
        ends, at = [], 0
        while at < len(text):
            at = word_after(text, at)
            ends.append(text[:at].rsplit(" ", maxsplit=1)[-1])
        assert ends == ["So", "So,", "don't", FAMILY, f"caf{ACCENTED}"]


class TestSelection:
    def test_typing_replaces_it(self) -> None:
        state = typed("so it is").select(3, 5).state
        assert state.copied == "it"
        typed_over = state.type("x", 0).state
        assert (typed_over.text, typed_over.cursor, typed_over.anchor) == ("so x is", 4, None)

    def test_a_suggestion_replaces_it(self) -> None:
        state = typed("so it is").select_word(4).state
        assert state.request == Request("so ", "")
        state = offered(state, "that").accept(1).state
        assert (state.text, state.cursor) == ("so that is", 7)

    def test_nothing_is_predicted_for_part_of_a_word(self) -> None:
        state = typed("hello").select(2, 5).state
        assert state.request is None
        assert typed("hello").select(0, 2).state.request is None
        assert state.composing == ""

    @pytest.mark.parametrize("delete", [EditorState.backspace, EditorState.delete, EditorState.delete_word])
    def test_every_way_of_deleting_deletes_it_and_it_is_unlearned(self, delete: Callable[[EditorState], After]) -> None:
        after = delete(typed("so it is ").select(3, 6).state)
        assert after.state.text == "so is "
        assert after.effects == (Drafted("so is "),)

    def test_a_correction_cannot_be_undone_within_it(self) -> None:
        state = offered(typed("teh"), correction="the").type(" ", 0).state
        assert state.select(1, 4).state.backspace().state.text == "t"
        assert state.select_all().state.backspace().state.text == ""

    def test_a_space_over_it_is_a_space(self) -> None:
        state = offered(typed("so teh"), correction="the").select(3, 6).state
        assert state.type(" ", 0).state.text == "so  "
        state = typed("Done").type(" ", 100.0).state.select(4, 5).state
        assert state.type(" ", 100.1).state.text == "Done "
        assert offered(typed("he"), "hello").accept(1).state.select(0, 5).state.type(",", 0).state.text == ", "

    def test_a_sentence_selected_from_its_beginning_begins_again(self) -> None:
        assert typed("So it is").select(8, 0).state.shift is Shift.ONCE
        assert typed("So it is").select(3, 8).state.shift is Shift.OFF

    def test_it_grows_from_where_it_began(self) -> None:
        state = typed("so it is").place(3).state.move(1, selecting=True).state
        assert state.copied == "i"
        assert state.move(1, words=True, selecting=True).state.copied == "it"
        back = state.move(-2, selecting=True).state
        assert (back.copied, back.cursor) == (" ", 2)
        assert state.move(-1, selecting=True).state.anchor is None
        assert state.place(8, selecting=True).state.copied == "it is"

    def test_a_step_without_shift_leads_to_its_end(self) -> None:
        state = typed("so it is").select(3, 5).state
        assert state.move(-1).state.cursor == 3
        assert state.move(1).state.cursor == 5
        assert state.move(2).state.cursor == 6
        assert state.move(-1, words=True).state.anchor is None

    def test_it_never_ends_within_a_character(self) -> None:
        state = EditorState().type(f"a{FAMILY}b", 0).state
        assert state.select(3, 4).state == state.place(1).state
        assert state.select(3, len(FAMILY) + 1).state.copied == FAMILY
        assert state.select(-5, 99).state.copied == state.text

    def test_sending_sends_everything(self) -> None:
        assert Sent("so it is") in typed("so it is").select(3, 5).state.send().effects

    def test_a_password_is_one_word_and_is_not_copied(self) -> None:
        state = typed("my pass word", EditorState().focus(FieldKind.PASSWORD).state)
        state = state.select_word(4).state
        assert state.selection == (0, 12)
        assert state.copied == ""
        assert state.place(12).state.move(-1, words=True).state.cursor == 0
        assert state.backspace().state.text == ""


class TestPasting:
    def test_it_replaces_the_selection(self) -> None:
        state = typed("so it is").select(3, 5).state.paste("that thing").state
        assert (state.text, state.cursor, state.anchor) == ("so that thing is", 13, None)

    def test_nothing_of_the_message_is_learned(self) -> None:
        state, effects = typed("so it ").paste("secret")
        assert effects == (Drafted(""),)
        assert typed(" is", state).send().effects == (Sent("so it secret is"),)

    def test_the_next_message_is_learned(self) -> None:
        assert typed("so", typed("").paste("secret").state.send().state).learnable
        assert typed("so", typed("").paste("secret").state.delete_word().state).learnable

    def test_it_corrects_nothing_and_is_taken_as_it_is(self) -> None:
        assert offered(typed("teh"), correction="the").paste(" ").state.text == "teh "
        assert typed("").paste("a\tb\r\nc\x1b\n").state.text == "a b\nc"
        before = typed("so").select_all().state
        assert before.paste("\n") == After(before)


KEYED = [layer for layer in Layer if layer is not Layer.EMOJI]


class TestKeys:
    @pytest.mark.parametrize("layer", KEYED)
    def test_keys_fill_the_keyboard_and_do_not_overlap(self, layer: Layer) -> None:
        keys = page(layer)
        for row in range(int(rows(layer))):
            own = sorted((k.left, k.width) for k in keys if k.top == row)
            assert all(left + width <= after + 1e-9 for (left, width), (after, _) in itertools.pairwise(own))
            assert own[0][0] >= 0
            assert own[-1][0] + own[-1][1] <= COLUMNS
        types = [k.types for k in keys if k.types]
        assert len(types) == len(set(types))
        assert {Action.BACKSPACE, Action.RETURN} <= {k.action for k in keys}

    def test_letters_are_where_the_model_thinks_they_are(self) -> None:
        for letter, place in QWERTY.places.items():
            found = key_at(Layer.LETTERS, place.left + 0.5, place.top + 0.5)
            assert found is not None
            assert found.types == letter
        assert set(string.ascii_lowercase) <= {k.types for k in page(Layer.LETTERS)}

    def test_the_free_corners_are_the_next_keys(self) -> None:
        assert key_at(Layer.LETTERS, 0.1, 1.5) == key("a")
        assert key_at(Layer.LETTERS, 9.9, 1.5) == key("l")
        assert key_at(Layer.LETTERS, 9.99, 4.0) == key(Action.RETURN)
        assert key_at(Layer.LETTERS, 10.1, 1.5) is None

    def test_an_alternative_is_one_character_and_not_the_key(self) -> None:
        for layer in Layer:
            for k in page(layer):
                assert all(len(a) == 1 and a != k.types for a in k.alternatives)

    def test_only_backspace_repeats(self) -> None:
        assert [k.action for k in page(Layer.LETTERS) if k.repeats] == [Action.BACKSPACE]


@given(
    before=st.text(alphabet="ab. ,'😀", max_size=10),
    word=st.text(alphabet="abc", min_size=1, max_size=6),
    correction=st.text(alphabet="abcA'", min_size=1, max_size=8),
    marks=st.text(alphabet='.,!?;:)"', max_size=3),
    space=st.sampled_from(" \n"),
    following=st.text(alphabet="abc'", max_size=5),
)
def test_undoing_gives_exactly_what_would_be_there_without_correction(
    before: str, word: str, correction: str, marks: str, space: str, following: str
) -> None:
    state = EditorState().type(before + word, 0).state
    plain = typed(marks, state).type(space, 10.0).state
    corrected = typed(marks, offered(state, correction=correction)).type(space, 10.0).state
    assert corrected.text != plain.text or state.composing == correction  # `before` may end within the word
    for character in following:
        corrected = corrected.type(character, 20.0).state
    for _ in following:
        corrected = corrected.backspace().state
    undone = corrected.backspace().state
    assert (undone.text, undone.cursor) == (plain.text, plain.cursor)
    assert undone.settled == plain.settled


class Typing(RuleBasedStateMachine):
    """Anything anybody does, beside a plain model of the text where there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.state = EditorState()
        self.at = 0.0
        self.drafted = ""

    def do(self, after: After) -> None:
        old, self.state = self.state, after.state
        for effect in after.effects:
            if isinstance(effect, Drafted):
                self.drafted = effect.text
            elif isinstance(effect, Finished):
                assert old.learnable
                assert effect.text == old.text
                self.drafted = ""
        if not self.state.text:
            self.drafted = self.drafted if self.drafted.strip() else ""

    @initialize(field=st.sampled_from(FieldKind), incognito=st.booleans())
    def begin(self, field: FieldKind, incognito: bool) -> None:
        self.state = EditorState(incognito=incognito).focus(field).state

    @rule(character=st.sampled_from("abI'.,! 1@\n😀é"), pause=st.sampled_from([0.1, 5.0]))
    def type(self, character: str, pause: float) -> None:
        self.at += pause
        before = self.state
        self.do(self.state.type(character, self.at))
        if before.field is FieldKind.PASSWORD or before.anchor is not None:
            self.replaced(before, character)

    @rule(pasted=st.sampled_from(["a", "so ", " ", "ab\nI'", "\u0301", FAMILY]))
    def paste(self, pasted: str) -> None:
        before = self.state
        self.do(self.state.paste(pasted))
        self.replaced(before, pasted)
        assert not self.state.learnable

    def replaced(self, before: EditorState, by: str) -> None:
        start, end = before.selection
        assert self.state.text == before.text[:start] + by + before.text[end:]
        assert (self.state.cursor, self.state.anchor) == (start + len(by), None)

    @rule(layer=st.sampled_from(KEYED), number=st.integers(0, 40))
    def press(self, layer: Layer, number: int) -> None:
        keys = page(layer)
        pressed = keys[number % len(keys)]
        if pressed.action is not Action.RETURN:
            self.do(self.state.press(pressed, self.at))

    @rule()
    def backspace(self) -> None:
        before = self.state
        self.do(self.state.backspace())
        if before.anchor is not None:
            self.replaced(before, "")
        elif before.replacement is None and before.cursor:
            start = character_before(before.text, before.cursor)
            assert self.state.text == before.text[:start] + before.text[before.cursor :]

    @rule(words=st.lists(st.sampled_from(["a", "I", "aback", "don't"]), max_size=3), correct=st.booleans())
    def offer(self, words: list[str], correct: bool) -> None:
        if self.state.request is not None:
            correction = words[0] if words and correct and self.state.request.typed else None
            self.state = offered(self.state, *words, correction=correction)

    @rule(place=st.integers(0, 2))
    def accept(self, place: int) -> None:
        slot, before = self.state.slots[place], self.state
        self.do(self.state.accept(place))
        if slot is not None:
            assert self.state.text[: self.state.cursor].removesuffix(" ").endswith(slot.text)
            assert self.state.text[self.state.cursor :] == before.text[before.selection[1] :]
            assert self.state.text.startswith(before.text[: before.selection[0] - len(before.composing)])

    @rule(by=st.integers(-3, 3), words=st.booleans(), selecting=st.booleans())
    def move(self, by: int, words: bool, selecting: bool) -> None:
        self.do(self.state.move(by, words=words, selecting=selecting))

    @rule(anchor=st.integers(-1, 20), cursor=st.integers(-1, 20))
    def select(self, anchor: int, cursor: int) -> None:
        self.do(self.state.select(anchor, cursor))
        assert [boundary(self.state.text, index) for index in self.state.selection] == [*self.state.selection]

    @rule(index=st.integers(0, 20))
    def select_word(self, index: int) -> None:
        self.do(self.state.select_word(min(index, len(self.state.text))))

    @rule()
    def select_all(self) -> None:
        self.do(self.state.select_all())

    @rule(delete=st.sampled_from([EditorState.delete, EditorState.delete_word]))
    def delete(self, delete: Callable[[EditorState], After]) -> None:
        before = self.state
        self.do(delete(self.state))
        if before.anchor is not None:
            self.replaced(before, "")

    @rule(on=st.booleans())
    def incognito(self, on: bool) -> None:
        self.do(self.state.go_incognito(on=on))

    @rule(field=st.sampled_from(FieldKind))
    def focus(self, field: FieldKind) -> None:
        self.do(self.state.focus(field))
        self.drafted = ""

    @rule()
    def send(self) -> None:
        self.do(self.state.send())
        self.drafted = ""
        assert self.state.text == ""

    @invariant()
    def the_cursor_is_in_the_text_and_between_characters(self) -> None:
        assert 0 <= self.state.cursor <= len(self.state.text)
        assert self.state.anchor is None or 0 <= self.state.anchor <= len(self.state.text)

    @invariant()
    def a_selection_is_not_empty_undoes_nothing_and_is_not_copied_from_passwords(self) -> None:
        if self.state.anchor is not None:
            assert self.state.anchor != self.state.cursor
            assert self.state.replacement is None
            assert not self.state.strip_space
        start, end = self.state.selection
        hidden = self.state.field is FieldKind.PASSWORD
        assert self.state.copied == ("" if hidden else self.state.text[start:end])

    @invariant()
    def the_draft_is_what_may_be_learned(self) -> None:
        assert self.drafted == (self.state.settled if self.state.learnable else "")

    @invariant()
    def the_replacement_stands_where_it_says(self) -> None:
        made = self.state.replacement
        if made is not None:
            assert self.state.text[made.start : made.end] == made.shown

    @invariant()
    def strip_space_is_a_space_and_a_phantom_is_none(self) -> None:
        if self.state.strip_space:
            assert self.state.text[self.state.cursor - 1] == " "
        if self.state.phantom_space:
            assert not self.state.strip_space
            assert self.state.text[self.state.cursor :]


TestTyping = Typing.TestCase
TestTyping.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# Gliding.

PATH = ((1.5, 1.5), (6.0, 0.5))


def glided(state: EditorState, *words: str) -> EditorState:
    state = state.glide(PATH).state
    assert state.request is not None
    assert state.request.path == PATH
    suggestions = tuple(Suggestion(word, 0.5, Origin.SHARED) for word in words)
    return state.write_glided(Offer(state.request, suggestions)).state


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("", "There "), ("so ", "so there "), ("so", "so there "), ("so,", "so, there "), ("(", "(there "),
        ("so\n", "so\nThere "), ("“", "“There "), ("hi. ", "hi. There "), ("hi.", "hi. There "), ("é", "é there "),
    ],
)  # fmt: skip
def test_a_glided_word_is_set_off_and_brings_a_space(before: str, text: str) -> None:
    state = glided(EditorState().type(before, 0).state if before else EditorState().send().state, "there")
    assert state.text.lower() == text.lower()


def test_one_backspace_takes_a_glide_back_and_the_strip_has_what_else_was_meant() -> None:
    state = glided(EditorState().type("so", 0).state, "there", "three", "tree")
    assert [slot.text for slot in state.slots if slot] == ["three", "there", "tree"]
    other = state.accept(0).state
    assert other.text == "so three "
    assert [slot.text for slot in other.slots if slot] == ["there", "three", "tree"]
    assert other.accept(0).state.text == "so there "
    assert other.backspace().state.text == "so"
    assert other.type(",", 1).state.text == "so three,"
    assert other.type(" ", 1).state.text == "so three "
    assert other.type("x", 1).state.text == "so three x"


def test_glides_follow_each_other_and_marks() -> None:
    state = glided(glided(glided(EditorState(), "how"), "are"), "you")
    assert state.text.lower() == "how are you "
    assert glided(state.type("?", 1).state, "well").text.lower() == "how are you? well "


def test_a_glide_between_words_is_set_off_on_both_sides() -> None:
    state = EditorState().type("so world", 0).state.place(3).state
    assert glided(state, "good").type("x", 1).state.text == "so good x world"


def test_a_glide_replaces_what_is_selected_and_is_undone() -> None:
    state = EditorState().type("so good", 0).state.select(3, 7).state
    state = glided(state, "bad")
    assert state.text == "so bad "
    assert state.undo().state.text == "so good"


def test_nothing_is_glided_in_passwords_and_another_event_ends_a_glide() -> None:
    password = EditorState().focus(FieldKind.PASSWORD).state
    assert password.glide(PATH).state.request is None
    state = EditorState().glide(PATH).state
    request = state.request
    assert request is not None
    typed = state.type("a", 0).state
    assert typed.write_glided(Offer(request, (Suggestion("x", 1.0, Origin.SHARED),))).state == typed
    assert state.write_glided(Offer(request, ())).state.path is None
    assert state.write_glided(Offer(request, ())).state.text == ""


def test_a_glided_word_is_learned_as_a_typed_one() -> None:
    state = EditorState().glide(PATH).state
    assert state.request is not None
    after = state.write_glided(Offer(state.request, (Suggestion("hello", 1.0, Origin.SHARED),)))
    assert after.effects == (Drafted("Hello "),)
    assert after.state.send().effects[0] == Finished("Hello ", 1)
