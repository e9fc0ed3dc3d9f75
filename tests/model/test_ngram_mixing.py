import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.ngram_building import Text, build
from model.ngram_mixing import extended, interpolated, probabilities
from model.ngram_table import NgramTable

SIZE = 12
ONE = [[3, 4, 5], [3, 4, 6], [7, 8, 9]] * 5
OTHER = [[3, 4, 10], [7, 8, 11], [10, 11, 10]] * 5
messages = st.lists(st.lists(st.integers(3, SIZE - 1), min_size=1, max_size=6), min_size=1, max_size=12)


def built(text: list[list[int]]) -> NgramTable:
    return build([Text(text)], size=SIZE, order=4)


@given(messages, messages, st.floats(0, 1))
def test_what_is_explicit_has_the_interpolated_probability(
    one: list[list[int]], other: list[list[int]], share: float
) -> None:
    tables = built(one), built(other)
    mixed = interpolated(*tables, share)
    for explicit in mixed.explicit():
        expected = (1 - share) * probabilities(tables[0], explicit.grams)
        expected += share * probabilities(tables[1], explicit.grams)
        # Stored to a twentieth of a nat; a crowded context rounds down.
        assert np.all(explicit.probabilities <= expected * 1.03 + 1e-5)
        assert np.all(explicit.probabilities >= expected * 0.94 - 1e-5)


@given(messages, messages)
def test_every_distribution_adds_up_to_one(one: list[list[int]], other: list[list[int]]) -> None:
    mixed = interpolated(built(one), built(other), 0.3)
    contexts = [[0, *message][-3:] for message in (*one, *other)]
    np.testing.assert_allclose(mixed.distributions(contexts).sum(axis=1), 1, atol=0.02)


def test_text_asks_for_its_share_and_gets_half_at_most() -> None:
    first = np.array([[3, 4, 10]])
    before, own = built(ONE), built(OTHER)
    much, none = extended(before, own, OTHER), extended(before, own, ONE)
    assert probabilities(before, first)[0] < probabilities(none, first)[0] < probabilities(much, first)[0]
    even = interpolated(before, own, 0.5)
    assert probabilities(much, first)[0] == pytest.approx(probabilities(even, first)[0])


def test_tables_of_other_pieces_or_impossible_shares_are_refused() -> None:
    other = build([Text(OTHER)], size=SIZE + 1)
    with pytest.raises(ValueError, match="use one vocabulary"):
        interpolated(built(ONE), other, 0.5)
    with pytest.raises(ValueError, match="at least 0 and at most 1"):
        interpolated(built(ONE), built(OTHER), 1.5)
