import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from federation.updates.sparsification import (
    CHUNKS,
    MAX_STRATA,
    MIN_SHARE,
    SUBSET_BYTES,
    Sampler,
    Stratum,
    Subset,
    chunk_energies,
)
from tests.federation.secure_aggregation.cohort import digest

SEED = digest("subset")

subsets = st.lists(
    st.integers(1, 40).flatmap(lambda size: st.builds(Stratum, st.just(size), st.integers(1, size))),
    min_size=1,
    max_size=MAX_STRATA,
).map(lambda strata: Subset(tuple(strata)))


def _vector(dimension: int, seed: int = 0) -> np.ndarray:
    """Ten parts that differ in size by a factor of thirty, as layers and rows of an embedding do."""
    random = np.random.default_rng(seed)
    scale = np.repeat(np.geomspace(1, 1 / 30, 10), -(-dimension // 10))[:dimension]
    return (random.normal(size=dimension) * scale).astype(np.float32)


def _error(subset: Subset, vector: np.ndarray) -> float:
    """Return the squared error that the documentation states."""
    ends = np.cumsum([stratum.size for stratum in subset.strata])[:-1]
    parts = zip(np.split(vector, ends), subset.strata, strict=True)
    return sum(float(part @ part) * (stratum.size / stratum.kept - 1) for part, stratum in parts)


@given(subsets, st.integers(0, 99), st.floats(-3, 3))
@settings(max_examples=60, deadline=None)
def test_a_subset_is_linear(subset: Subset, seed: int, factor: float) -> None:
    sampler = Sampler(digest(seed), subset)
    first, second = (_vector(subset.dimension, n) for n in (seed, seed + 1))
    both = sampler.apply(first + np.float32(factor) * second)
    assert np.allclose(both, sampler.apply(first) + np.float32(factor) * sampler.apply(second), atol=1e-4)


@given(subsets, st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_each_stratum_keeps_as_many_as_it_says_scaled_up(subset: Subset, seed: int) -> None:
    sampler = Sampler(digest(seed), subset)
    restored = sampler.restore(sampler.apply(np.ones(subset.dimension, np.float32)))
    ends = np.cumsum([stratum.size for stratum in subset.strata])[:-1]
    for part, (size, kept) in zip(np.split(restored, ends), subset.strata, strict=True):
        assert np.count_nonzero(part) == kept
        assert part.sum() == pytest.approx(size, rel=1e-5)


@given(subsets)
@settings(max_examples=60, deadline=None)
def test_subsets_come_back_from_bytes(subset: Subset) -> None:
    data = subset.to_bytes()
    assert len(data) == SUBSET_BYTES == 64
    assert Subset.from_bytes(data) == subset


def test_a_subset_is_right_on_average_and_wrong_by_as_much_as_stated() -> None:
    vector = _vector(300)
    subset = Subset((Stratum(100, 80), Stratum(150, 30), Stratum(50, 50)))
    draws = 2000
    total, squared = np.zeros(300), []
    for number in range(draws):
        sampler = Sampler(digest(number), subset)
        restored = sampler.restore(sampler.apply(vector))
        total += restored
        squared.append(float(np.sum((restored - vector) ** 2)))
    assert np.mean(squared) == pytest.approx(_error(subset, vector), rel=0.05)
    # The mean of draws is off by a draw's error over their number, give or take a few standard errors.
    assert np.sum((total / draws - vector) ** 2) == pytest.approx(_error(subset, vector) / draws, rel=0.6)
    assert np.allclose(total[250:] / draws, vector[250:], atol=1e-6)


def test_all_coordinates_are_the_vector_itself() -> None:
    vector = _vector(50)
    sampler = Sampler(SEED, Subset.whole(50))
    assert np.array_equal(sampler.apply(vector), vector)
    assert np.array_equal(sampler.restore(vector), vector)
    assert np.array_equal(sampler.energies(vector), chunk_energies(vector))


def test_other_seeds_draw_other_coordinates() -> None:
    vector, subset = _vector(500), Subset((Stratum(500, 100),))
    assert np.array_equal(Sampler(SEED, subset).apply(vector), Sampler(SEED, subset).apply(vector))
    assert not np.array_equal(Sampler(SEED, subset).apply(vector), Sampler(digest("other"), subset).apply(vector))


def test_lengths_are_checked() -> None:
    sampler = Sampler(SEED, Subset((Stratum(10, 4),)))
    with pytest.raises(ValueError, match="of 10 coordinates"):
        sampler.apply(np.ones(11, np.float32))
    with pytest.raises(ValueError, match="keeps 4"):
        sampler.restore(np.ones(5, np.float32))


@given(st.integers(1, 3000), st.floats(0.01, 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_an_allocation_covers_the_vector_within_its_share(dimension: int, share: float, known: bool) -> None:
    assume(share * dimension >= 3 * MAX_STRATA)
    subset = Subset.allocate(dimension, share, chunk_energies(_vector(dimension)) if known else None)
    assert subset.dimension == dimension
    assert share * dimension - MAX_STRATA - 1 <= subset.kept <= share * dimension + 1
    for size, kept in subset.strata:
        assert kept >= np.floor(MIN_SHARE * share * size)


def test_what_is_known_of_an_earlier_mean_leaves_a_quarter_of_the_error() -> None:
    dimension, share = 20_000, 0.4
    known = Subset.allocate(dimension, share, chunk_energies(_vector(dimension, 1)))
    unknown = Subset.allocate(dimension, share)
    assert unknown.strata == ((dimension, 8000),)
    vector = _vector(dimension, 2)
    assert _error(unknown, vector) == pytest.approx(1.5 * float(vector @ vector))
    assert _error(known, vector) < 0.35 * float(vector @ vector)
    sampler = Sampler(SEED, known)
    found = float(np.sum((sampler.restore(sampler.apply(vector)) - vector) ** 2))
    assert found == pytest.approx(_error(known, vector), rel=0.1)


def test_strata_are_where_energies_change() -> None:
    vector = np.repeat([1.0, 0.1, 3.0, 0.2], 256).astype(np.float32)
    subset = Subset.allocate(1024, 0.5, chunk_energies(vector))
    ends = {int(end) for end in np.cumsum([stratum.size for stratum in subset.strata])}
    assert {256, 512, 768, 1024} <= ends


@pytest.mark.parametrize("vector", [np.zeros(400), np.r_[np.zeros(399), 1.0]])
def test_a_mean_that_is_nearly_nothing_can_be_allocated_by(vector: np.ndarray) -> None:
    subset = Subset.allocate(400, 0.25, chunk_energies(vector.astype(np.float32)))
    assert subset.dimension == 400
    assert subset.kept <= 100


def test_energies_of_chunks_add_up_to_the_square() -> None:
    vector = _vector(1000)
    energies = chunk_energies(vector)
    assert energies.shape == (CHUNKS,)
    assert energies.sum() == pytest.approx(float(vector.astype(np.float64) @ vector), rel=1e-6)
    assert chunk_energies(np.array([3.0, 4.0], np.float32)).tolist() == [9.0, 16.0]


def test_energies_seen_through_a_subset_are_right_on_average() -> None:
    vector = _vector(512)
    subset = Subset((Stratum(256, 128), Stratum(256, 32)))
    seen = []
    for number in range(800):
        sampler = Sampler(digest(number), subset)
        seen.append(sampler.energies(sampler.restore(sampler.apply(vector))))
    halves = np.mean(seen, axis=0).reshape(2, -1).sum(axis=1)
    assert halves == pytest.approx(chunk_energies(vector).reshape(2, -1).sum(axis=1), rel=0.05)


@pytest.mark.parametrize("strata", [(), ((5, 0),), ((5, 6),), ((0, 0), (5, 5)), ((1, 1),) * (MAX_STRATA + 1)])
def test_impossible_subsets(strata: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match=r"strata|stratum"):
        Subset(tuple(Stratum(*stratum) for stratum in strata))


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan")])
def test_impossible_shares(share: float) -> None:
    with pytest.raises(ValueError, match="a share is"):
        Subset.allocate(10, share)


def test_impossible_bytes() -> None:
    for data in (bytes(SUBSET_BYTES), Stratum(5, 5)[0].to_bytes(4, "little") + bytes(SUBSET_BYTES - 4)):
        with pytest.raises(ValueError, match="strat"):
            Subset.from_bytes(data)
