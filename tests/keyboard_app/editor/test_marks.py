"""Marks behind and before a word that was tapped on the strip, in the rules of every language."""

import pytest

from keyboard_app.editor.editor import EditorState, Offer, Shift
from keyboard_app.editor.marks import closes, stands_apart, waits, wants_space
from model.suggestions import Origin, Suggestion


def typed(text: str, state: EditorState) -> EditorState:
    for number, character in enumerate(text):
        state = state.type(character, 10.0 * number).state
    return state


def tapped(code: str, before: str, word: str, after: str = "") -> EditorState:
    """Have a text with a word in it that was tapped on the strip before some other text."""
    state = EditorState(language=code, cased=False, shift=Shift.OFF).type(before + after, 0).state
    state = state.place(len(before)).state
    assert state.request is not None
    return state.take(Offer(state.request, (Suggestion(word, 0.5, Origin.SHARED),), None)).accept(1).state


EVERYWHERE = """
hello.|hello,|hello...|hello…|hello)|hello]|hello}|hello”|hello’|hello-|hello/|hello/you|hello-you|hello%
(hello)|[hello]|(so hello)|“hello”|‘hello’|„hello“|„hello”|‚hello‘|"hello"|'hello'|so 'hello'|*hello*|_hello_|~hello~
“so ‘hello’|“so ‘hello’”|so "hello",|("hello")|*so hello*|hello.)|hello,"
hello (|hello [|hello “|hello ‘|hello „|hello ‚|hello «|hello "|hello ¿|hello ¡|hello #|hello @|hello $|hello €|hello &
hello *|hello _|hello +|hello =|hello —|hello –|hello 😀|hello 1|hello x|"so" hello "|(so) hello (|hello 'yes'|hello 'so
"""
"""What is written in every language with the same spaces; `hello` is tapped."""

BY_LANGUAGE = {
    "en": """
hello!|hello?|hello?!|hello:|hello;|hello's|hello'll|hello've|hello :)|hello :-)|hello ;)|hello 'til|o'clock|y'all|ma'am
""",
    "es": "hello!|hello?|¡hello!|¿hello?|«hello»|«so “hello”»|hello:|¿so hello?|hello «",
    "de": "hello!|hello?|„so ‚hello‘“|»hello«|»so ›hello‹«|«hello»|hello »|hello ›|hello's|hello:|hello 'ne",
    "fr": "hello !|hello ?!|hello ?|hello :|hello ;|« hello »|hello :)|l'hello|jusqu'hello|hello.|“hello”|hello)",
    "hi": "hello।|hello॥|hello!|hello?|“hello”|'hello'",
}


def cases(text: str) -> list[str]:
    return text.strip().replace("\n", "|").split("|")


@pytest.mark.parametrize("code", ["en", "es", "de", "fr", "hi"])
@pytest.mark.parametrize("text", cases(EVERYWHERE))
def test_marks_behind_a_tapped_word_stand_where_every_language_has_them(code: str, text: str) -> None:
    before, _, marks = text.partition("hello")
    assert typed(marks.lstrip(), tapped(code, before, "hello")).text.rstrip() == text


@pytest.mark.parametrize(
    ("code", "text"), [(code, text) for code, found in BY_LANGUAGE.items() for text in cases(found)]
)
def test_and_as_one_language_has_them(code: str, text: str) -> None:
    word = text.partition("'")[0] if text in {"o'clock", "y'all", "ma'am", "l'hello", "jusqu'hello"} else "hello"
    before, _, marks = text.partition(word)
    assert typed(marks.lstrip(), tapped(code, before, word)).text.rstrip() == text


@pytest.mark.parametrize("mark", ["।", ".", ",", "”", "'", "-", "/", ")"])
def test_words_of_devanagari_have_them_too(mark: str) -> None:
    assert tapped("hi", "", "नमस्ते").type(mark, 0).state.text == f"नमस्ते{mark}"


@pytest.mark.parametrize("code", ["en", "es", "de", "fr", "hi"])
@pytest.mark.parametrize(
    "after",
    [
        '"x"',
        "'x'", "“x”", "„x“", "«x»", "»x«", "$5", "€5", "₹500", "(x", "[x]", "{x}", "#x", "@ben", "¿x?", "¡x!", "*x*",
        "_x_", "~x", "😀", "❤️", "1", "é", "x", "नमस्ते", "/usr", "-5", "+1", "—x", "&x", "§5", "°",
    ],
)  # fmt: skip
def test_a_tapped_word_is_set_off_from_whatever_is_behind_it_but_its_marks(code: str, after: str) -> None:
    state = tapped(code, "so ", "hello", after)
    assert state.text == f"so hello {after}"
    assert typed("you", state).text == f"so hello you {after}"
    assert typed(",", state).text == f"so hello, {after}"


@pytest.mark.parametrize(
    ("before", "after"), [('"so ', '"'), ("(so ", ")"), ("„so ", "“"), ("'so ", "'"), ("so ", ".")]
)
def test_but_not_from_what_closes_behind_it(before: str, after: str) -> None:
    assert typed("you", tapped("de", before, "hello", after)).text == f"{before}hello you{after}"


def test_what_closes_behind_a_word_sets_the_next_one_off() -> None:
    for before in ("(so)", "“so”", "„so“", '"so"', "»so«", "«so»", "*so*", "है।", "so!", "so…", "50%", "👍"):
        assert wants_space(before), before
    for before in (
        "(",
        "“",
        "„",
        "so „",
        "»",
        "«",
        '"',
        '"so" "',
        "*",
        "so ",
        "",
        "so-",
        "so/",
        "#",
        "@",
        "$",
        "¿",
        "_",
    ):
        assert not wants_space(before), before


@pytest.mark.parametrize(
    ("mark", "before"), [(".", "so"), ("।", "so"), ("؟", "so"), ("‽", "so"), ("“", "„so"), ("*", "*so")]
)
def test_a_word_waits_behind_what_closes(mark: str, before: str) -> None:
    assert closes(mark, before)
    assert waits(mark, before)
    assert not stands_apart(mark, before)


def test_quotations_are_closed_in_their_own_line_by_their_own_marks() -> None:
    assert not closes("“", "„so“")
    assert not closes('"', '"so\nso')
    assert not closes("*", "2 * 3 so")
    assert not closes("'", "don't so")
    assert closes("'", "'I don't so")
    assert not closes("_", "snake_case so")
    assert not closes("hello", "so")
