"""Marks behind and before a word that was tapped on the strip, in the rules of every language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyboard_app.editor.editor import EditorState, Offer, Shift
from keyboard_app.editor.marks import closes, stands_apart, waits, wants_space
from model.languages import CODES, language
from model.suggestions import Origin, Suggestion
from tests.keyboard_app.editor.tables import by_language, cases


def typed(text: str, state: EditorState) -> EditorState:
    for number, character in enumerate(text):
        state = state.type(character, 10.0 * number).state
    return state


def tapped(code: str, before: str, word: str, after: str = "") -> EditorState:
    """Have a text with a word in it that was tapped on the strip before some other text."""
    state = EditorState(language=code, cased=False, shift=Shift.OFF).type(before + after, 0).state
    return tap(word, state.place(len(before)).state)


def tap(word: str, state: EditorState) -> EditorState:
    assert state.request is not None
    return state.take(Offer(state.request, (Suggestion(word, 0.5, Origin.SHARED),), None)).accept(1).state


def glide(word: str, state: EditorState) -> EditorState:
    state = state.glide(((1.5, 1.5), (6.0, 0.5))).state
    assert state.request is not None
    return state.write_glided(Offer(state.request, (Suggestion(word, 0.5, Origin.SHARED),))).state


def with_cursor(state: EditorState) -> str:
    return f"{state.text[: state.cursor]}|{state.text[state.cursor :]}"


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


@pytest.mark.parametrize("code", ["en", "es", "de", "fr", "hi"])
@pytest.mark.parametrize("text", cases(EVERYWHERE))
def test_marks_behind_a_tapped_word_stand_where_every_language_has_them(code: str, text: str) -> None:
    before, _, marks = text.partition("hello")
    assert typed(marks.lstrip(), tapped(code, before, "hello")).text.rstrip() == text


@pytest.mark.parametrize(("code", "text"), by_language(BY_LANGUAGE))
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
    assert not stands_apart(mark, before, language("de"))


def test_quotations_are_closed_in_their_own_line_by_their_own_marks() -> None:
    assert not closes("“", "„so“")
    assert not closes('"', '"so\nso')
    assert not closes("*", "2 * 3 so")
    assert not closes("'", "don't so")
    assert closes("'", "'I don't so")
    assert not closes("_", "snake_case so")
    assert not closes("hello", "so")


CLOSE_EVERYWHERE = """
hell|, you;hell|. Yes;so hell|.;(so hell|);(hell|) you;[hell|];hell|… so;hell|...;hell|%;hell|), you;("so hell|")
hell| you;so | you;hell|  you;hell|⏎you;so |⏎you;"so hell|";"so hell|" yes;'so hell|';“so hell|”;‘hell|’ yes;„so hell|“
‚so hell|‘;*so hell|*;_so hell|_;~hell|~ you;well-hell|-known;hell|/you;hell|—you;hell|" you;hell|' you;so |, you
(|);"|";"so |";say (|), you;👍 |, you
"""
CLOSE = {
    "en": "hell|!;hell|? Yes;hell|: so;hell|?!;hell|' bowls;hell|’ bowls",
    "es": "¡hell|!;¿|?;¿so hell|? Yes;«hell|» so;hola, ¿hell|?;hell|: so",
    "de": "hell|!;»so hell|« you;›hell|‹;„so ‚hell|‘“;«hell|»;hell|: so",
    "fr": "hell| !;hell|\N{NO-BREAK SPACE}!;« hell| »;hell|\N{NARROW NO-BREAK SPACE}?;« so | », you;hell| : so",
    "hi": "hell|।;so |। you;hell|॥;(hell|)।;hell|!;hell|?",
}
"""Where no space comes behind a tapped word, since what stands there is one or has none before it."""

APART_EVERYWHERE = """
hell|(you);hell|"you";so |(you);so |.NET;so |:);hell|:);hell|=-);so |👍;so |you;so |-5;so |/usr;say |@ben
"""
APART = {
    "en": "so |’tis;hell|:D",
    "es": "hell|¿you?;so |¡you!;so |«you»",
    "de": "so |„you“;so |»you«;so |‚you‘",
    "fr": "hell|!;hell|?!;hell|:;« hell|»;so |?",
    "hi": "so |₹500;so |“you”",
}
"""Where one does."""


def places(everywhere: str, own: dict[str, str]) -> list[tuple[str, str]]:
    """Return texts of each language, a bar where the cursor is."""
    return [
        (code, text.replace("⏎", "\n"))
        for code in CODES
        for text in f"{everywhere.strip()};{own[code]}".replace("\n", ";").split(";")
    ]


def begun(code: str, text: str) -> tuple[EditorState, str, str]:
    """Have a text with the cursor somewhere, and what stands before the word there and behind it."""
    before, after = text.split("|")
    state = EditorState(language=code, cased=False, shift=Shift.OFF).type(before + after, 0).state
    return state.place(len(before)).state, before.removesuffix("hell"), after


@pytest.mark.parametrize(("code", "text"), places(CLOSE_EVERYWHERE, CLOSE))
def test_no_space_comes_before_what_is_close_to_a_tapped_word_until_another_follows(code: str, text: str) -> None:
    state, before, after = begun(code, text)
    hello = tap("hello", state)
    assert with_cursor(hello) == f"{before}hello|{after}"
    assert with_cursor(typed("you", hello)) == f"{before}hello you|{after}"
    assert with_cursor(tap("there", tap("you", hello))) == f"{before}hello you there|{after}"
    assert with_cursor(tap("you", typed("yo", hello))) == f"{before}hello you|{after}"
    assert with_cursor(tap("👍", hello)) == f"{before}hello 👍|{after}"
    assert with_cursor(glide("you", hello)) == f"{before}hello you|{after}"
    assert with_cursor(hello.type("-", 0).state) == f"{before}hello-|{after}"
    assert with_cursor(hello.type("(", 0).state) == f"{before}hello (|{after}"
    assert with_cursor(hello.backspace().state) == f"{before}hell|{after}"
    assert with_cursor(hello.undo().state) == text
    assert with_cursor(hello.undo().state.redo().state) == f"{before}hello|{after}"
    assert with_cursor(glide("you", state).backspace().state) == text
    spaced = hello.type(" ", 0).state  # is one, or goes over the one that is there
    assert with_cursor(spaced) == f"{before}hello |{after.removeprefix(' ')}"
    gap = " " if after[:1] == " " != after[1:2] else ""
    assert with_cursor(typed("you", spaced)) == f"{before}hello you|{gap}{after.removeprefix(' ')}"


@pytest.mark.parametrize(("code", "text"), places(APART_EVERYWHERE, APART))
def test_but_one_comes_before_what_has_one(code: str, text: str) -> None:
    state, before, after = begun(code, text)
    hello = tap("hello", state)
    assert with_cursor(hello) == f"{before}hello |{after}"
    assert with_cursor(typed("you", hello)) == f"{before}hello you| {after}"
    assert with_cursor(hello.type(",", 0).state) == f"{before}hello,| {after}"
    assert with_cursor(hello.undo().state) == text
    assert with_cursor(glide("you", state).backspace().state) == text


@given(
    code=st.sampled_from(CODES),
    before=st.text(alphabet="ab .,(\"'“„«»¿-👍", max_size=8),
    after=st.text(alphabet="ab .,!?:;)\"'”“«»¡-…।\n", max_size=6),
    steps=st.lists(st.sampled_from(["tap", "glide", "x", ",", "(", "space", "backspace"]), min_size=1, max_size=5),
)
def test_suggestions_bring_no_second_space_and_none_before_a_mark_that_is_close(
    code: str, before: str, after: str, steps: list[str]
) -> None:
    state = EditorState(language=code, cased=False, shift=Shift.OFF).type(before + after, 0).state
    state = state.place(len(before)).state
    for step in steps:
        left, right = state.text[: state.cursor], state.text[state.cursor :]
        if step in {"tap", "glide"}:
            if state.request is None:
                return
            new = (tap if step == "tap" else glide)("hello", state)
            assert new.text[new.cursor :] == right
            assert new.text.startswith(left.removesuffix(state.composing))
            assert with_cursor(new if new.text == state.text else new.undo().state) == with_cursor(state)
            if step == "glide":
                assert with_cursor(new.backspace().state) == with_cursor(state)
            space = new.text[new.cursor - 1] == " "
            assert not space or not right[:1].isspace()
            assert not space or right[:1] not in {*",.)…।”"} - set(language(code).spaced_marks) or right[1:2].isalnum()
            state = new
        elif step == "backspace":
            state = state.backspace().state
        else:
            state = state.type(" " if step == "space" else step, 0).state
