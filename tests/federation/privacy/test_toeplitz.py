"""Noise that is correlated over rounds: closed forms against matrices, the optimiser against published figures."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import toeplitz

from federation.privacy.buffers import noise_on_models, optimised
from federation.privacy.errors import AssumptionError
from federation.privacy.participation import Participation
from federation.privacy.toeplitz import (
    Buffers,
    banded_square_root,
    prefix_variances,
    squared_sensitivity,
)

LONG = Participation(2000, 6, 313)


@st.composite
def some_buffers(draw: st.DrawFn) -> Buffers:
    count = draw(st.integers(0, 3))
    decays = draw(st.lists(st.floats(0, 0.999), min_size=count, max_size=count, unique=True))
    shares = draw(st.lists(st.floats(0.01, 1), min_size=count, max_size=count))
    return Buffers(tuple(decays), tuple(share / (count + 0.01) for share in shares))


@settings(max_examples=60, deadline=None)
@given(some_buffers(), st.integers(1, 30), st.data())
def test_what_any_rounds_move_is_the_length_of_their_columns(
    buffers: Buffers, rounds: int, data: st.DataObject
) -> None:
    times = data.draw(st.lists(st.integers(0, rounds - 1), unique=True))
    column = buffers.coefficients(rounds)
    matrix = toeplitz(column, np.zeros(rounds))
    exact = np.square(matrix[:, times].sum(axis=1)).sum()
    assert buffers.squared_sensitivity(times, rounds) == pytest.approx(exact, rel=1e-9)
    assert squared_sensitivity(column, times) == pytest.approx(exact, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(some_buffers(), st.integers(1, 30))
def test_what_is_left_on_sums_of_rounds_is_that_of_the_inverse(buffers: Buffers, rounds: int) -> None:
    column = buffers.coefficients(rounds)
    prefix = np.tril(np.ones((rounds, rounds))) @ np.linalg.inv(toeplitz(column, np.zeros(rounds)))
    exact = np.square(prefix).sum(axis=1)
    np.testing.assert_allclose(buffers.prefix_variances(rounds), exact, rtol=1e-6)
    np.testing.assert_allclose(prefix_variances(column), exact, rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(some_buffers(), st.integers(1, 11), st.integers(1, 4), st.integers(1, 4))
def test_the_worst_of_all_patterns_comes_as_early_and_as_often_as_it_may(
    buffers: Buffers, rounds: int, count: int, separation: int
) -> None:
    count = min(count, (rounds - 1) // separation + 1)
    matrix = toeplitz(buffers.coefficients(rounds), np.zeros(rounds))
    worst = 0.0
    for many in range(1, count + 1):
        for pattern in combinations(range(rounds), many):
            if all(later - earlier >= separation for earlier, later in pairwise(pattern)):
                worst = max(worst, float(np.square(matrix[:, pattern].sum(axis=1)).sum()))
    participation = Participation(rounds, count, separation)
    assert buffers.squared_sensitivity(participation.worst, rounds) == pytest.approx(worst)


def test_two_buffers_of_the_optimiser_are_as_good_as_the_literature_says() -> None:
    """Known answers of an independent computation: 9.24 for two buffers, 9.06 for the bands, 77.5 for fresh noise."""
    found = optimised(LONG)
    assert noise_on_models(found, LONG) == pytest.approx(9.24, abs=0.01)
    assert found.decays == pytest.approx((0.7786, 0.99327), abs=1e-3)
    assert found.scales == pytest.approx((0.32365, 0.1471), abs=1e-3)
    assert noise_on_models(Buffers(), LONG) == pytest.approx(77.48, abs=0.01)
    bands = banded_square_root(2000, 313)
    check = math.sqrt(squared_sensitivity(bands, LONG.worst) * prefix_variances(bands).mean())
    assert check == pytest.approx(9.06, abs=0.01)


@pytest.mark.parametrize(
    "participation",
    [Participation(1, 1), Participation(2, 1), Participation(8, 8), Participation(300, 10, 30)],
    ids=str,
)
def test_the_optimiser_never_does_worse_than_fresh_noise(participation: Participation) -> None:
    found = optimised(participation)
    assert noise_on_models(found, participation) <= noise_on_models(Buffers(), participation)
    assert optimised(participation) == found


def test_a_phone_in_every_round_is_hidden_best_by_fresh_noise() -> None:
    assert optimised(Participation(8, 8)) == Buffers()


@pytest.mark.parametrize(
    ("decays", "scales", "reason"),
    [
        ((0.5,), (), "a decay of its own"),
        ((0.5, 0.5), (0.1, 0.1), "a decay of its own"),
        ((1.0,), (0.1,), "below 1"),
        ((0.5,), (0.0,), "positive"),
        ((0.5, 0.6), (0.7, 0.7), "at most 1"),
    ],
)
def test_impossible_buffers_are_refused(decays: tuple[float, ...], scales: tuple[float, ...], reason: str) -> None:
    with pytest.raises(AssumptionError, match=reason):
        Buffers(decays, scales)


def test_rounds_outside_of_a_run_are_refused() -> None:
    with pytest.raises(AssumptionError, match="in rounds 0 to 9"):
        Buffers().squared_sensitivity([3, 10], 10)
