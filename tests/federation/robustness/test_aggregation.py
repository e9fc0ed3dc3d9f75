import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.robustness import DefenceSettings, Group
from federation.robustness.aggregation import clipped, combined, screened
from federation.updates.update import Tally
from federation.updates.weighted_sum import WeightedSum
from model.layout import FlatVector

DIMENSION = 40
SETTINGS = DefenceSettings()


def total(mean: FlatVector, phones: int = 10, examples: int = 50) -> WeightedSum:
    return WeightedSum((mean * examples).astype(np.float32), Tally(examples), phones)


def group(mean: FlatVector, name: str = "g") -> Group:
    return Group(total(mean), tuple(f"{name}-{phone}" for phone in range(10)))


def honest(count: int, seed: int = 0) -> list[FlatVector]:
    """Means of groups that agree: a direction they share, and as much of their own."""
    random = np.random.default_rng(seed)
    common = random.normal(size=DIMENSION)
    means = common + random.normal(size=(count, DIMENSION))
    return [(mean / np.linalg.norm(mean)).astype(np.float32) for mean in means]


def test_honest_groups_pass() -> None:
    assert screened([group(mean) for mean in honest(8)], 1.0, SETTINGS) == {}


def test_a_group_has_the_members_of_its_sum() -> None:
    with pytest.raises(ValueError, match="as many members"):
        Group(total(honest(1)[0], phones=9), ("a", "b"))


def test_a_group_that_is_too_long_is_rejected_with_the_figures() -> None:
    means = honest(6)
    means[2] *= 4
    assert screened([group(mean) for mean in means], 1.0, SETTINGS) == {2: "norm 4 where 1 is usual"}


@pytest.mark.parametrize(
    ("settings", "clip"), [(SETTINGS, 2.0), (replace(SETTINGS, max_norm=2.0), math.inf), (DefenceSettings.none(), 2.0)]
)
def test_no_group_is_longer_than_the_clip_or_a_constant_whatever_is_usual(
    settings: DefenceSettings, clip: float
) -> None:
    groups = [group(mean * np.float32(length)) for mean, length in zip(honest(3), (1.9, 1.9999, 2.2), strict=True)]
    assert screened(groups, 50.0, settings, clip) == {2: "norm 2.2 where 2 is the most"}


def test_without_an_earlier_round_a_low_quantile_is_usual() -> None:
    means = [mean * np.float32(0.01) for mean in honest(6)]
    means[5] *= 100
    assert list(screened([group(mean) for mean in means], 0.0, SETTINGS)) == [5]


def test_the_running_norm_holds_even_if_most_groups_are_spoiled() -> None:
    means = [mean * np.float32(20) for mean in honest(5)] + honest(1, seed=1)
    assert sorted(screened([group(mean) for mean in means], 1.0, SETTINGS)) == [0, 1, 2, 3, 4]


def test_a_group_that_points_away_from_the_others_is_rejected() -> None:
    means = honest(7)
    means[3] = -means[3]
    rejected = screened([group(mean) for mean in means], 1.0, SETTINGS)
    assert list(rejected) == [3]
    assert rejected[3].startswith("cosine -")


def test_two_groups_cannot_outvote_each_other() -> None:
    mean = honest(1)[0]
    assert screened([group(mean), group(-mean)], 1.0, SETTINGS) == {}


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_what_is_not_finite_is_rejected_whatever_is_switched_off(poison: float) -> None:
    means = honest(3)
    means[1][7] = poison
    off = replace(SETTINGS, norm_factor=0.0, min_agreement=-1.0)
    assert screened([group(mean) for mean in means], 0.0, off) == {1: "not finite"}


def test_filters_can_be_switched_off_one_by_one() -> None:
    means = honest(6)
    means[0] = -10 * means[0]
    groups = [group(mean) for mean in means]
    assert list(screened(groups, 1.0, replace(SETTINGS, min_agreement=-1.0))) == [0]
    assert list(screened(groups, 1.0, replace(SETTINGS, norm_factor=0.0))) == [0]
    assert screened(groups, 1.0, replace(SETTINGS, min_agreement=-1.0, norm_factor=0.0)) == {}


@given(st.lists(st.floats(0, 10), min_size=1, max_size=6), st.floats(0.1, 5))
def test_no_mean_is_longer_than_the_clip_and_directions_stay(norms: list[float], running: float) -> None:
    means = honest(len(norms))
    groups = {i: group(mean * np.float32(norm)) for i, (mean, norm) in enumerate(zip(means, norms, strict=True))}
    totals, decisions = clipped(groups, running, SETTINGS)
    limit = SETTINGS.clip_factor * running
    for i, norm in enumerate(norms):
        np.testing.assert_allclose(totals[i].mean, means[i] * min(norm, limit), atol=1e-5)
        assert totals[i].tally == groups[i].total.tally
    assert {decision.subject for decision in decisions} <= {str(i) for i, n in enumerate(norms) if n > 0.999 * limit}


def test_nothing_is_clipped_before_there_is_a_norm() -> None:
    totals, decisions = clipped({0: group(100 * honest(1)[0])}, 0.0, SETTINGS)
    assert not decisions
    np.testing.assert_allclose(totals[0].mean, 100 * honest(1)[0], rtol=1e-6)


@given(
    st.lists(
        st.tuples(st.lists(st.floats(-8, 8, width=32), min_size=3, max_size=3), st.integers(1, 99)),
        min_size=1,
        max_size=7,
    )
)
def test_without_the_median_it_is_the_weighted_mean_of_all_phones(parts: list[tuple[list[float], int]]) -> None:
    totals = [total(np.array(mean, np.float32), examples=examples) for mean, examples in parts]
    expected = np.average([mean for mean, _ in parts], axis=0, weights=[examples for _, examples in parts])
    np.testing.assert_allclose(combined(totals, median=False).mean, expected, atol=1e-4)


def test_a_minority_cannot_move_the_median_beyond_what_honest_groups_say() -> None:
    means = np.stack(honest(7))
    poisoned = [total(mean) for mean in means]
    for number in (0, 1, 2):
        poisoned[number] = total(np.full(DIMENSION, 1e3, np.float32))
    middle = combined(poisoned, median=True).mean
    assert np.all(middle <= means[3:].max(axis=0) + 1e-6)
    assert np.all(middle >= means[3:].min(axis=0) - 1e-6)


def test_the_median_of_two_is_their_mean_by_weight() -> None:
    totals = [total(np.zeros(2, np.float32), examples=30), total(np.ones(2, np.float32), examples=10)]
    np.testing.assert_allclose(combined(totals, median=True).mean, 0.25)
