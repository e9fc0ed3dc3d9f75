from hypothesis import given
from hypothesis import strategies as st

from model.text import EMAIL, NUMBER, URL, normalise, tokenise


def symbols(text: str) -> list[str]:
    return [token.symbol for token in tokenise(text)]


def test_words_keep_inner_apostrophes_and_marks_stand_apart() -> None:
    assert symbols("Don’t you,  o'clock 'quoted' :)") == ["don't", "you", ",", "o'clock", "'", "quoted", "'", ":)"]


def test_what_nobody_should_predict_becomes_its_class() -> None:
    assert symbols("mail a.b@c.org or see https://x.io/y?z and foo.com") == [
        "mail",
        EMAIL,
        "or",
        "see",
        URL,
        "and",
        URL,
    ]
    assert symbols("617-555-1234 or 25, 10am, 2 u") == [NUMBER, "or", NUMBER, ",", "10am", ",", "2", "u"]


def test_a_class_typed_by_hand_is_not_the_class() -> None:
    assert symbols("<url>") == ["<", "url", ">"]


def test_only_words_and_numbers_are_judged() -> None:
    judged = [token.surface for token in tokenise("well, 42 of them :) at a@b.org") if token.is_word]
    assert judged == ["well", "42", "of", "them", "at"]


def test_spaces_are_remembered() -> None:
    assert [token.space_after for token in tokenise("hi there!")] == [True, False, False]


@given(st.text(max_size=200))
def test_nothing_but_white_space_is_lost(text: str) -> None:
    typed = "".join(token.surface for token in tokenise(text))
    assert typed == "".join(normalise(text).split())


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert symbols(once) == symbols(text)
