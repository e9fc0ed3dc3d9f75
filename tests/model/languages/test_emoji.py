"""Emoji: names, search, what a word means, skin tones."""

import pytest

from model.languages import CODES
from model.languages.emoji import TONES, emoji, for_word, groups, tones
from model.text import CLUSTERS

EVERY = [one for group in groups().values() for one in group]

SEARCHES = [
    ("en", "pizza", "🍕"),
    ("en", "Red Heart", "❤️"),
    ("en", "thumbs", "👍"),
    ("en", "lol", "😂"),
    ("en", "flag india", "🇮🇳"),
    ("en", "birth cake", "🎂"),
    ("es", "corazón rojo", "❤️"),
    ("es", "corazon", "❤️"),
    ("es", "perro", "🐶"),
    ("de", "katze", "🐱"),
    ("de", "Geburtstag", "🎂"),
    ("fr", "chat", "🐱"),
    ("fr", "drapeau france", "🇫🇷"),
    ("hi", "पिज़्ज़ा", "🍕"),
    ("hi", "दिल", "❤️"),
]


@pytest.mark.parametrize(("code", "query", "found"), SEARCHES)
def test_an_emoji_is_found_by_its_words(code: str, query: str, found: str) -> None:
    assert found in emoji(code).search(query)


def test_nothing_is_found_for_nothing_and_for_what_no_emoji_is_called() -> None:
    assert emoji("en").search("") == emoji("en").search("  ") == emoji("en").search("xqzw") == ()


def test_the_emoji_of_that_very_name_comes_before_others() -> None:
    assert emoji("en").search("cat")[0] == "🐈"
    assert emoji("en").search("pizza")[0] == "🍕"


@pytest.mark.parametrize("code", CODES)
def test_every_emoji_has_a_name_and_is_one_character(code: str) -> None:
    named = emoji(code)
    assert len(EVERY) > 1800
    for one in EVERY:
        assert named.names[one].strip()
        assert len(CLUSTERS.findall(one)) == 1


@pytest.mark.parametrize(
    ("code", "word", "meant"),
    [
        ("en", "pizza", "🍕"),
        ("en", "Pizza", "🍕"),
        ("en", "tiger", "🐅"),
        ("en", "rocket", "🚀"),
        ("es", "avión", "✈️"),
        ("de", "Banane", "🍌"),
        ("fr", "fusée", "🚀"),
        ("en", "the", None),
        ("en", "of", None),
        ("en", "face", None),
        ("en", "xqzw", None),
    ],
)
def test_a_word_means_an_emoji_or_none(code: str, word: str, meant: str | None) -> None:
    assert for_word(code, word) == meant


def test_skin_tones_are_whole_characters_of_their_own() -> None:
    assert tones("😀") == ()
    assert tones("👍") == tuple("👍" + tone for tone in TONES)
    assert tones("✌️") == tuple("✌" + tone for tone in TONES)
    toned = [one for emoji in EVERY for one in tones(emoji)]
    assert len(toned) == len(set(toned)) > 1000
    assert all(len(CLUSTERS.findall(one)) == 1 for one in toned)
