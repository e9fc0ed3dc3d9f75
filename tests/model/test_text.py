import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.text import CLASSES, EMAIL, MAX_RUN, NUMBER, URL, composed, normalise, tokenise
from model.vocabulary import Vocabulary


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
    assert symbols(normalise(once)) == symbols(once)
    assert symbols(composed(text)) == symbols(text)  # only case is lost, and codes are known by it


@pytest.mark.parametrize(
    "part",
    [
        "a-",
        "a.",
        "a@",
        "a@b",
        "a@b.",
        "1-",
        "1,2a ",
        "a'",
        "_",
        "www.",
        "a.com",
        "a.b-",
        "+",
        "x",
        "9",
        "a\u0300\u0327",
        "😂",
    ],
)
@pytest.mark.timeout(60)  # quadratic time took minutes for this much
def test_whatever_is_pasted_takes_linear_time_and_ends_in_bounded_symbols(part: str) -> None:
    for pasted in (part * 100_000, f"{part * 40} " * 2_500, f"{part * 40}! " * 2_500):
        tokens = tokenise(pasted)
        assert all(len(token.symbol) <= MAX_RUN for token in tokens)
        assert "".join(token.surface for token in tokens) == "".join(normalise(pasted).split())


def test_marks_without_end_on_one_letter_are_left_out() -> None:
    assert len(normalise("a" + "\u0300\u0327" * 50_000)) < 64
    kept = "a" + "\u0300" * 20
    assert normalise(kept).count("\u0300") == 19  # one is part of the letter


def test_a_word_that_nobody_types_is_a_class_and_enters_no_lexicon() -> None:
    assert symbols("see " + "x" * 65) == ["see", URL]
    assert symbols("see " + "x" * 64) == ["see", "x" * 64]
    texts = ["how are you today", "fine thank you and you"] * 20 + ["look " + "y" * 1_000_000]
    assert max(map(len, Vocabulary.train(texts, size=60).lexicon)) < 64


@pytest.mark.parametrize(
    "secret",
    [
        "kRmPvLqz", "aXbYcZdQeW", "correctHorseBattery", "paSSword", "hunTerTwo", "TrOubAdor", "qWeRtY", "PaSsWoRd",
        "iLoveYouMum", "ghTRwqPl", "MyDogIsRex", "zXcVbN", "sEcReT", "LeTmEiN", "aBcDeFgH", "maRIAmaria", "koALAbear",
        "DrEsDeN", "hOLAhola", "ñAnDuÑu", "ÄpFeLmUs", "bOnJoUr",
    ],
)  # fmt: skip
def test_words_jumbled_between_small_letters_and_capitals_are_codes(secret: str) -> None:
    for text in (secret, f"it is {secret}.", f"({secret})", f"{secret}, ok?"):
        assert NUMBER in [token.symbol for token in tokenise(text)], text
        assert all(secret.lower() not in token.symbol for token in tokenise(text))


@pytest.mark.parametrize(
    "secret",
    [
        "ABCD-1234-EFGH", "abcd-1234-efgh", "xoxb-2345-abc", "1234-ABCD-EFGH", "ABCD-EFGH-5678", "QWER-TZUI-4711-ASDF",
        "sk-live-83746", "KJHG-083-LKJ", "de-4477-muster", "tan-992881-mira", "Ñandú-5521-Ära", "ABC-12345-DEF-67890",
        "vpn-4410-haus", "login-775-anna", "9931-kater-mond", "kater-9931-mond", "key-000-zulu", "zulu-key-0815",
        "WLAN-7731-HEIM-GAST", "PUK-83726154-sim",
    ],
)  # fmt: skip
def test_words_joined_with_a_long_number_are_codes_as_a_whole(secret: str) -> None:
    for text in (secret, f"it is {secret}.", f"({secret})", f"{secret}, ok?"):
        found = [token.symbol for token in tokenise(text)]
        assert NUMBER in found, text
        assert not {part for part in secret.lower().split("-") if part.isalpha()} & set(found), text


@pytest.mark.parametrize(
    "text",
    [
        "covid-19-test", "summer-2024-sale", "vision-2030-plan", "state-of-the-art", "mother-in-law", "catch-22",
        "area-51", "up-to-date", "fifty-fifty", "jean-paul", "s-bahn-linie", "12-november-2024",
        "class-of-1999", "route-66-trip", "rendez-vous", "porte-monnaie", "arc-en-ciel", "well-known", "x-ray",
    ],
)  # fmt: skip
def test_joined_words_without_a_long_number_are_words(text: str) -> None:
    words = [token.symbol for token in tokenise(f"see {text} now")]
    assert {part for part in text.split("-") if part.isalpha()} <= set(words)


@pytest.mark.parametrize(
    "word",
    [
        "YouTube", "McKenna", "iPhone", "OpenBSD", "WiFi", "JavaScript", "LaTeX", "PhD", "TVs", "MacDonald", "LinkedIn",
        "eBay", "HELLO", "Hello", "THe", "O'Brien", "GitHub", "McDonald's", "WhatsApp", "PostgreSQL", "İstanbul",
    ],
)  # fmt: skip
def test_names_with_inner_capitals_are_words(word: str) -> None:
    assert all(token.symbol not in CLASSES for token in tokenise(f"see {word} now"))
