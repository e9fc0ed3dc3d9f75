"""Two languages on one keyboard: a model of English, words of another, and what is typed decides."""

import functools
from collections.abc import Sequence

import numpy as np
import pytest

from model.adaptation import Adaptation
from model.languages import language
from model.languages.together import together
from model.spellings import Floats
from model.suggestions import Suggester, split_word
from model.text import Token, tokenise
from model.two_languages import TwoLanguages
from tests.keyboard_app.editor.keyboard import public


@functools.cache
def both(code: str) -> TwoLanguages:
    return TwoLanguages(public(), language("en"), language(code))


@functools.cache
def suggester(code: str) -> Suggester:
    return Suggester(both(code), spoken=together(language("en"), language(code)))


def finished(code: str, text: str) -> str:
    """Return a text with its last word as the keyboard leaves it."""
    before, typed = split_word(text)
    correction = suggester(code).autocorrect(before, typed)
    return before + (correction.text if correction else typed)


@pytest.mark.parametrize(
    ("code", "text", "right"),
    [
        ("es", "nos vemos manana", "nos vemos mañana"), ("es", "muchas garcias", "muchas gracias"),
        ("es", "en la plaua", "en la playa"), ("es", "no me gusat", "no me gusta"),
        ("es", "quiero ir a la cassa", "quiero ir a la casa"), ("es", "see you tomorow", "see you tomorrow"),
        ("es", "thank you so mcuh", "thank you so much"), ("es", "i dont", "i don't"), ("es", "and im", "and I'm"),
        ("es", "vamos a la playa", "vamos a la playa"), ("es", "i love tu madre", "i love tu madre"),
        ("es", "pero", "pero"), ("es", "porque no", "porque no"), ("es", "the siesta", "the siesta"),
        ("de", "wir sehen uns morgne", "wir sehen uns morgen"), ("de", "ich bin im", "ich bin im"),
        ("de", "das ist gut", "das ist gut"), ("de", "see you wenn", "see you wenn"), ("de", "i will", "i will"),
        ("de", "ich habe kiene", "ich habe keine"), ("fr", "je suis tres", "je suis très"),
        ("fr", "on se voit demian", "on se voit demain"), ("fr", "thsi", "this"), ("fr", "see you", "see you"),
        ("fr", "c'est la vie", "c'est la vie"), ("fr", "tout le mnode", "tout le monde"),
    ],
)  # fmt: skip
def test_each_language_is_mended_and_left_alone_where_it_is_written(code: str, text: str, right: str) -> None:
    assert finished(code, text) == right


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("no me gusta la ca", "casa"),
        ("nos vemos en el tra", "trabajo"),
        ("muchas gr", "gracias"),
        ("thank you so m", "much"),
    ],
)
def test_words_are_completed_in_the_language_of_those_before(text: str, word: str) -> None:
    assert word in [suggestion.text for suggestion in suggester("es").suggest(*split_word(text))]


def test_the_share_of_the_other_language_follows_what_is_typed() -> None:
    shares = [
        both("es").share(tokenise(text)) for text in ("see you at the office", "see you", "", "hola", "hola que tal")
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.05
    assert shares[-1] > 0.9


class Silent:
    """A model that has nothing to say."""

    words = ("see", "the", "you")
    accepted: frozenset[str] = frozenset()

    def probabilities(self, _: Sequence[Token]) -> Floats:
        return np.full(len(self.words), 1 / 3, np.float32)

    def log_probability(self, _: Sequence[Token], __: str) -> float:
        return -20.0

    def observe(self, tokens: Sequence[Token], _: Adaptation) -> Floats:
        return np.zeros(len(tokens) + 1, np.float32)

    def adapt(self, _: Adaptation) -> None:
        pass


def test_a_message_begins_in_the_language_of_the_latest_ones() -> None:
    two = TwoLanguages(Silent(), language("en"), language("es"))
    before = two.share(())
    two.observe(tokenise("hola que tal estas"), Adaptation())
    spanish = two.share(())
    assert spanish > before
    for _ in range(3):
        two.observe(tokenise("see you at the office"), Adaptation())
    assert two.share(()) < before


def test_probabilities_are_of_all_words_of_both_and_at_most_one() -> None:
    two = both("es")
    assert set(public().words) < set(two.words)
    assert list(two.words) == sorted(set(two.words))
    for text in ("", "see you", "nos vemos"):
        found = two.probabilities(tokenise(text))
        assert found.shape == (len(two.words),)
        assert (found >= 0).all()
        assert float(found.sum()) <= 1 + 1e-4
        word = "mañana"
        at = two.words.index(word)
        assert np.isclose(np.exp(two.log_probability(tokenise(text), word)), found[at], rtol=0.2)


def test_what_two_languages_have_together_is_a_word_and_what_one_lacks_is_no_reason_to_change_it() -> None:
    english, german = language("en"), language("de")
    two = together(english, german)
    assert two.knows("tomorrow")
    assert two.knows("übermorgen")
    assert "im" not in two.contractions
    assert two.contractions["dont"] == "don't"
    assert two.written_form("hand") == "hand"
    assert two.written_form("haus") == "Haus"
    assert "z.b" in two.abbreviations
    assert "e.g" in two.abbreviations
    assert set(german.informal) <= set(two.informal)
