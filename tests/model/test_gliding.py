import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.evaluation.tracing import trace
from model.suggestions.gliding import Gliding, middles
from model.suggestions.keys import QWERTY, geometry

WORDS = ["hello", "hell", "help", "world", "word", "would", "the", "there", "three", "don't", "café", "i", "a", "zoo"]


def best(gliding: Gliding, path: tuple[tuple[float, float], ...]) -> str:
    words, costs = gliding.costs(path)
    return words[int(costs.argmin())]


@pytest.mark.parametrize("word", ["hello", "help", "world", "would", "there", "the", "zoo"])
@pytest.mark.parametrize("layout", ["qwerty", "qwertz", "azerty", "dvorak", "colemak"])
def test_a_path_through_the_middles_of_its_keys_is_the_words(word: str, layout: str) -> None:
    keys = geometry(layout)
    where = middles(keys)
    assert best(Gliding(WORDS, keys), tuple(where[letter] for letter in word)) == word


def test_devanagari_words_glide_over_their_letters_marks_and_shifted_letters() -> None:
    keys = geometry("devanagari")
    where = middles(keys)
    words = ["नमस्ते", "कल", "खाना", "हिन्दी"]
    for word in words:
        assert best(Gliding(words, keys), tuple(where[letter] for letter in word)) == word


def test_accents_and_apostrophes_need_no_keys() -> None:
    where = middles(QWERTY)
    gliding = Gliding(WORDS, QWERTY)
    assert best(gliding, tuple(where[letter] for letter in "cafe")) == "café"
    assert best(gliding, tuple(where[letter] for letter in "dont")) == "don't"


def test_a_longer_path_is_no_shorter_word() -> None:
    where = middles(QWERTY)
    words, costs = Gliding(["to", "tomato"], QWERTY).costs(tuple(where[letter] for letter in "tomato"))
    assert costs[words.index("tomato")] + 10 < costs[words.index("to")]


def test_words_with_letters_that_have_no_key_are_left_out() -> None:
    where = middles(QWERTY)
    words, _ = Gliding(["hello", "привет", "h2o", "hαo"], QWERTY).costs(tuple(where[letter] for letter in "ho"))
    assert words == ["hello"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(allow_nan=True), st.floats(allow_infinity=True)), max_size=40))
def test_whatever_a_finger_does_there_are_words_or_none(path: list[tuple[float, float]]) -> None:
    words, costs = Gliding(WORDS, QWERTY).costs(tuple(path))
    assert len(words) == len(costs)
    assert not np.isnan(costs).any()


def test_a_very_long_path_is_read_as_a_shorter_one() -> None:
    where = middles(QWERTY)
    corners = np.array([where[letter] for letter in "world"])
    along = np.linspace(0, len(corners) - 1, 50_000)
    points = np.column_stack([np.interp(along, range(len(corners)), corners[:, axis]) for axis in (0, 1)])
    assert best(Gliding(WORDS, QWERTY), tuple(map(tuple, points))) == "world"


def test_a_trace_comes_near_to_its_letters_and_is_another_each_time() -> None:
    where = middles(QWERTY)
    one, other = (trace("world", QWERTY, np.random.default_rng(seed)) for seed in (0, 1))
    assert one != other
    assert one == trace("world", QWERTY, np.random.default_rng(0))
    for letter in "world":
        assert min(np.hypot(*(np.array(one) - where[letter]).T)) < 1
