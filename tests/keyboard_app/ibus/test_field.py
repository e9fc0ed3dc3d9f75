from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyboard_app.editor.editor import FieldKind
from keyboard_app.ibus.field import MESSAGE_CHARACTERS, Field
from tests.keyboard_app.ibus.application import Application, PurePhone

WORDS = {"goibg": ("going!", "goin"), "teh": ("the!",), "ho": ("home", "how", "hot"), "": ("i", "you", "we")}


def begun(
    phone: PurePhone, *, deletes: bool = True, text: str = "", kind: FieldKind = FieldKind.ORDINARY
) -> Application:
    application = Application(Field(phone), deletes=deletes, text=text)
    assert application.field is not None
    application.field.becomes(kind)
    application.tell()
    return application


@pytest.fixture
def phone() -> PurePhone:
    return PurePhone(lambda typed: WORDS.get(typed.lower(), ()))


def keys(application: Application, text: str) -> None:
    for character in text:
        application.key(character)
        application.tell()


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("key"), st.sampled_from("abt'ho .!,\u00e9")),
        st.tuples(st.just("backspace")),
        st.tuples(st.just("enter")),
        st.tuples(st.just("move"), st.integers(-3, 3)),
        st.tuples(st.just("click"), st.integers(0, 12)),
        st.tuples(st.just("paste"), st.sampled_from(["xy", " z "])),
        st.tuples(st.just("tell")),
    ),
    max_size=40,
)


@settings(max_examples=400)
@given(EVENTS, st.booleans(), st.sampled_from(["", "some words", "one. "]), st.booleans())
def test_without_suggestions_the_text_is_what_it_would_be_without_the_keyboard(
    events: list[tuple[Any, ...]], deletes: bool, text: str, at_once: bool
) -> None:
    ours, plain = begun(PurePhone(), deletes=deletes, text=text), Application(None, deletes=deletes, text=text)
    for name, *arguments in events:
        for application in (ours, plain):
            getattr(application, name)(*arguments)
        if at_once:
            ours.tell()
        assert ours.shown == plain.text
        assert ours.cursor + len(ours.preedit) == plain.cursor


@settings(max_examples=400)
@given(EVENTS, st.booleans(), st.lists(st.integers(0, 2), max_size=40))
def test_corrections_and_taps_never_touch_what_the_application_cannot_give_back(
    events: list[tuple[Any, ...]], deletes: bool, taps: list[int]
) -> None:
    phone = PurePhone(lambda typed: (f"{typed[:-1]}{typed}!", "b", "too") if typed else ("a",))
    ours = begun(phone, deletes=deletes)
    for (name, *arguments), tap in zip(events, [*taps, *[2] * 40], strict=False):
        getattr(ours, name)(*arguments)
        ours.accept(tap)
        ours.tell()
        if not ours.field._moved and not ours.field._within:  # type: ignore[union-attr]
            typed = phone.state.text[: phone.state.cursor]
            assert ours.shown[: ours.cursor + len(ours.preedit)].endswith(typed)


@given(EVENTS, st.booleans())
def test_nothing_of_others_text_is_learned(events: list[tuple[Any, ...]], deletes: bool) -> None:
    phone = PurePhone()
    ours = begun(phone, deletes=deletes, text="zzz zzz qqq")
    for name, *arguments in events:
        getattr(ours, name)(*arguments)
        ours.tell()
    ours.field.enter()  # type: ignore[union-attr]
    learned = " ".join([*phone.learned, phone.drafted])
    assert not any(letter in learned for letter in "zqxy")


class TestATypedWord:
    def test_is_preedit_until_the_next_begins(self, phone: PurePhone) -> None:
        application = begun(phone)
        keys(application, "ho")
        assert (application.text, application.preedit) == ("", "ho")
        keys(application, " ")
        assert (application.text, application.preedit) == ("ho", " ")
        keys(application, "i")
        assert (application.text, application.preedit) == ("ho ", "i")

    @pytest.mark.parametrize("deletes", [True, False])
    def test_is_corrected_and_one_backspace_takes_that_back(self, phone: PurePhone, deletes: bool) -> None:
        application = begun(phone, deletes=deletes)
        keys(application, "i am goibg ")
        assert application.shown == "i am going "
        application.backspace()
        assert application.shown == "i am goibg "
        keys(application, "x ")
        assert application.shown == "i am goibg x "

    @pytest.mark.parametrize("deletes", [True, False])
    def test_can_be_taken_back_after_a_few_letters_more(self, phone: PurePhone, deletes: bool) -> None:
        application = begun(phone, deletes=deletes)
        keys(application, "teh ab")
        for _ in range(3):
            application.backspace()
        assert application.shown == "teh "

    @pytest.mark.parametrize("deletes", [True, False])
    def test_of_which_the_application_has_a_part_is_left_as_typed_if_it_cannot_give_that_back(
        self, phone: PurePhone, deletes: bool
    ) -> None:
        application = begun(phone, deletes=deletes)
        keys(application, "goib ")
        application.backspace()
        keys(application, "g")
        assert bool(application.field.candidates) is deletes  # type: ignore[union-attr]
        keys(application, " ")
        assert application.shown == ("going " if deletes else "goibg ")

    def test_is_committed_when_the_message_is_sent(self, phone: PurePhone) -> None:
        application = begun(phone, deletes=False)
        keys(application, "i am ho")
        application.enter()
        assert application.text == "i am ho\n"
        assert phone.learned == ["i am ho"]


class TestCandidates:
    def test_are_the_strip_best_first(self, phone: PurePhone) -> None:
        application = begun(phone)
        keys(application, "goibg")
        assert [slot.text for _, slot in application.field.candidates] == ["going", "goibg", "goin"]  # type: ignore[union-attr]

    @pytest.mark.parametrize("deletes", [True, False])
    def test_a_tap_takes_the_words_place_and_a_mark_that_of_its_space(self, phone: PurePhone, deletes: bool) -> None:
        application = begun(phone, deletes=deletes)
        keys(application, "i am ho")
        application.accept(0)
        assert application.shown == "i am home "
        keys(application, ".")
        assert application.shown == "i am home."
        assert phone.state.text == "i am home."

    @pytest.mark.parametrize("deletes", [True, False])
    @pytest.mark.parametrize(("rank", "shown"), [(0, "i am home "), (1, "i am how "), (2, "i am hot ")])
    def test_a_key_that_takes_a_word_waits_for_the_strip(
        self, phone: PurePhone, deletes: bool, rank: int, shown: str
    ) -> None:
        application = begun(phone, deletes=deletes)
        phone.slow = True
        keys(application, "i am ho")
        assert application.field is not None
        assert application.field.candidates == []
        application.choose(rank)
        assert application.shown == shown

    def test_a_key_for_a_word_that_is_not_there_is_the_applications(self, phone: PurePhone) -> None:
        application = begun(phone)
        keys(application, "xyz")
        assert application.field is not None
        told = application.field.choose(2)
        assert (told.handled, told.commit) == (False, "xyz")


class TestSilentFields:
    def test_nothing_is_typed_shown_or_learned(self, phone: PurePhone) -> None:
        application = Application(Field(phone), deletes=True)
        application.tell()
        keys(application, "goibg secret ")
        application.backspace()
        application.enter()
        assert application.text == "goibg secret\n"
        assert application.field.candidates == []  # type: ignore[union-attr]
        assert phone.learned == []
        assert phone.state.text == ""

    def test_a_field_that_becomes_silent_loses_nothing(self, phone: PurePhone) -> None:
        application = begun(phone)
        keys(application, "ho")
        application._told(application.field.becomes(None), lambda: None)  # type: ignore[union-attr]
        keys(application, "secret ")
        assert application.shown == "hosecret "
        assert "secret" not in " ".join(phone.learned)

    def test_fields_that_teach_nothing_are_suggested_in(self, phone: PurePhone) -> None:
        application = begun(phone, kind=FieldKind.NO_LEARNING)
        keys(application, "teh ")
        application.enter()
        assert application.text == "the \n"
        assert phone.learned == []


class TestTextThatIsThereAlready:
    def test_is_the_context_of_predictions(self, phone: PurePhone) -> None:
        application = begun(phone, text="where are ")
        keys(application, "ho")
        assert phone.state.request[:2] == ("where are ", "ho")
        application.accept(0)
        assert application.shown == "where are home "
        application.enter()
        assert phone.learned == ["home "]

    @pytest.mark.parametrize("after", [", you", ")", " you", "' you", "! "])
    def test_says_whether_a_tapped_word_wants_a_space(self, phone: PurePhone, after: str) -> None:
        application = begun(phone, text=f"where are {after}")
        application.click(10)
        application.tell()
        keys(application, "ho")
        application.accept(0)
        assert application.shown == f"where are home{after}"
        keys(application, "x, ho")
        application.accept(0)
        application.backspace()
        assert application.shown == f"where are home x, hom{after}"
        application.enter()
        assert phone.learned == ["home x, hom"]

    @pytest.mark.parametrize(("text", "at"), [("wonder", 3), ("wonder", 6), ("a wonder", 2)])
    def test_a_word_of_it_is_left_alone(self, phone: PurePhone, text: str, at: int) -> None:
        application = begun(phone, text=text)
        application.click(at)
        application.tell()
        keys(application, "teh")
        assert application.text == text[:at] + "teh" + text[at:]
        assert application.preedit == ""
        application.enter()
        assert phone.learned == []

    def test_after_such_a_word_typing_goes_on(self, phone: PurePhone) -> None:
        application = begun(phone, text="wond")
        keys(application, "er teh ")
        assert application.shown == "wonder the "
        application.enter()
        assert phone.learned == ["the "]

    def test_what_turns_out_to_be_a_part_of_a_word_is_not_learned(self, phone: PurePhone) -> None:
        application = begun(phone, text="wonderful")
        application.click(3)
        application.key("x")  # before the application says where the cursor is
        application.tell()
        application.key(" ")
        application.tell()
        application.enter()
        assert phone.learned == []
        assert application.text == "wonx \nderful"


class TestMoving:
    def test_there_and_back_goes_on_with_the_message(self, phone: PurePhone) -> None:
        application = begun(phone)
        keys(application, "see you ")
        application.move(-1)
        application.move(1)
        application.tell()
        keys(application, "then")
        application.enter()
        assert phone.learned == ["see you then"]

    def test_elsewhere_begins_another(self, phone: PurePhone) -> None:
        application = begun(phone)
        keys(application, "see you ")
        application.move(-8)
        application.tell()
        application.key("a")
        application.tell()
        assert phone.learned == ["see you "]

    def test_out_of_sight_nothing_is_learned_until_the_message_is_sent(self, phone: PurePhone) -> None:
        application = begun(phone, deletes=False)
        keys(application, "see you ")
        application.move(-2)
        keys(application, "rs and ")
        application.enter()
        keys(application, "good night")
        application.enter()
        assert phone.learned == ["see you ", "good night"]

    def test_a_backspace_that_resets_the_application_is_no_move(self, phone: PurePhone) -> None:
        application = begun(phone)
        keys(application, "see youu ")
        application.backspace()
        application.backspace()
        keys(application, " then")
        application.enter()
        assert phone.learned == ["see you then"]


def test_long_text_is_learned_as_messages_that_end_where_sentences_do(phone: PurePhone) -> None:
    application = begun(phone)
    sentence = "nothing much happened there and so on. "
    keys(application, sentence * 9)
    application.enter()
    assert application.text == sentence * 9 + "\n"
    assert "".join(phone.learned) == sentence * 9
    assert len(phone.learned) > 1
    for message in phone.learned[:-1]:
        assert message.endswith("on. ")
        assert MESSAGE_CHARACTERS <= len(message) < MESSAGE_CHARACTERS + len(sentence)


def test_predictions_see_the_sentence_before_a_split(phone: PurePhone) -> None:
    application = begun(phone)
    keys(application, "x" * MESSAGE_CHARACTERS + ". ho")
    assert phone.state.request is not None
    assert phone.state.request.before.endswith("xxx. ")
    assert application.shown.endswith("xxx. ho")
