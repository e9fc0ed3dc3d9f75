"""Noise: its distribution, its size, and that sums carry it."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ive

from federation.privacy.errors import NoiseError
from federation.privacy.mechanisms import (
    NoiseScale,
    _discrete_gaussian,
    _poisson,
    _Table,
    draw,
    noised_encoding,
    phone_noise,
    wide_gaussian,
)
from federation.privacy.zcdp import round_rho
from federation.protocol.plan import Mechanism, Privacy, RoundPlan
from federation.updates.counts import NoisedCounts
from federation.updates.encoding import WRAP_SIGMAS, ModularEncoding
from federation.updates.rotation import padded
from federation.updates.update import Tally, Update, clip


def _seed(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def _probabilities(table: _Table) -> np.ndarray:
    return np.diff([0, *(value / 2**128 for value in table.below), 1])


@pytest.mark.parametrize("mean", [0.05, 1.0, 7.3, 5_000.5])
def test_the_poisson_table_is_the_poisson_distribution(mean: float) -> None:
    table = _poisson(mean)
    probabilities = _probabilities(table)
    exact = stats.poisson.pmf(table.first + np.arange(len(probabilities)), mean)
    assert np.allclose(probabilities, exact, rtol=1e-8, atol=1e-15)


@pytest.mark.parametrize("variance", [0.1, 1.0, 30.0, 10_000.0])
def test_the_discrete_gaussian_table_is_the_discrete_gaussian(variance: float) -> None:
    table = _discrete_gaussian(variance)
    probabilities = _probabilities(table)
    values = table.first + np.arange(len(probabilities))
    exact = np.exp(-(values**2) / (2 * variance))
    assert np.allclose(probabilities, exact / exact.sum(), rtol=1e-8, atol=1e-15)
    assert values[0] == -values[-1]


@given(st.lists(st.integers(0, 2**128 - 1), min_size=1, max_size=20))
def test_all_128_bits_of_a_draw_count(uniform: list[int]) -> None:
    # Thresholds that share their upper halves with each other and with the draws.
    below = sorted({*uniform, *(min(value + 1, 2**128 - 1) for value in uniform)})
    table = _Table.of(-3, below)
    words = np.array([(value >> 64, value % 2**64) for value in uniform], np.uint64)
    expected = [sum(threshold <= value for threshold in below) - 3 for value in uniform]
    assert table.invert(words).tolist() == expected


@pytest.mark.parametrize("variance", [0.4, 12.0, 3e5])
def test_draws_of_skellam_noise_are_skellam(variance: float) -> None:
    draws = draw(Mechanism.SKELLAM, variance, 100_000, _seed(variance))
    edges = np.unique(stats.skellam.ppf(np.linspace(0.02, 0.98, 25), variance / 2, variance / 2))
    cumulative = stats.skellam.cdf(edges, variance / 2, variance / 2)
    expected = np.diff([0, *cumulative, 1]) * draws.size
    observed = np.diff([0, *(np.count_nonzero(draws <= edge) for edge in edges), draws.size])
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-4


def test_draws_follow_from_the_seed_and_nothing_else() -> None:
    first = draw(Mechanism.SKELLAM, 9.0, 1000, _seed("a"))
    assert np.array_equal(first, draw(Mechanism.SKELLAM, 9.0, 1000, _seed("a")))
    assert not np.array_equal(first, draw(Mechanism.SKELLAM, 9.0, 1000, _seed("b")))


def test_the_smallest_sum_has_the_promised_noise_without_the_phones_not_counted_on(plan: RoundPlan) -> None:
    scale = NoiseScale.of(plan)
    counted = plan.minimum - plan.privacy.corrupt
    total = sum(phone_noise(plan, _seed("phone", index)) for index in range(counted))
    assert math.sqrt(scale.sum_variance) == pytest.approx(0.7 * scale.sensitivity)
    # The variance of a sample variance is 2 / d of its square; five standard errors.
    assert np.var(total) == pytest.approx(scale.sum_variance, rel=5 * math.sqrt(2 / scale.coordinates))
    assert abs(np.mean(total)) < 5 * math.sqrt(scale.sum_variance / scale.coordinates)


def test_phones_that_stay_add_noise_beyond_the_promise_in_proportion(plan: RoundPlan) -> None:
    scale = NoiseScale.of(plan)
    total = sum(phone_noise(plan, _seed("phone", index)) for index in range(12))
    assert np.var(total) == pytest.approx(12 / 6 * scale.sum_variance, rel=5 * math.sqrt(2 / scale.coordinates))


def test_the_sensitivity_bounds_every_rounded_update(plan: RoundPlan) -> None:
    bound = NoiseScale.of(plan).sensitivity
    nothing = np.zeros(padded(plan.dimension), np.int64)
    random = np.random.default_rng(4)
    for index, size in enumerate([1e-6, 0.05, 1.0, 1e3]):
        delta = (random.normal(0, 1, plan.dimension) * size / math.sqrt(plan.dimension)).astype(np.float32)
        words = plan.encode(Update(delta, Tally(1)), _seed("round", index), nothing).words
        assert np.linalg.norm(words.view("<i2").astype(np.float64)) <= bound


def test_rounding_is_repeated_until_it_is_within_the_sensitivity(
    plan: RoundPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    delta = np.full(plan.dimension, 1 / math.sqrt(plan.dimension), np.float32)
    nothing = np.zeros(plan.codec.coordinates, np.int64)
    counts = NoisedCounts(plan.clip, plan.weight_cap)
    rotated = plan.codec.rotation.apply(counts.beside(clip(delta, counts.delta_clip), Tally(1)))
    norms = [
        np.linalg.norm(plan.encoding.quantise(rotated, seed)) for seed in (_seed("round", index) for index in range(20))
    ]
    # A bound that about half of all roundings keep.
    monkeypatch.setattr("federation.updates.codec.rounded_norm", lambda *_: float(np.median(norms)))
    assert max(norms) > plan.codec.sensitivity
    for index in range(20):
        words = plan.encode(Update(delta, Tally(1)), _seed("round", index), nothing).words
        assert np.linalg.norm(words.view("<i2").astype(np.float64)) <= plan.codec.sensitivity
    monkeypatch.setattr("federation.updates.codec.rounded_norm", lambda *_: 1.0)
    with pytest.raises(ValueError, match="do not take part"):
        plan.encode(Update(delta, Tally(1)), _seed(), nothing)


@pytest.mark.parametrize("multiplier", [0.5, 1.0, 7.0])
@pytest.mark.parametrize(("phones", "minimum"), [(13, 10), (100, 80)])
def test_noise_of_a_real_size_fits_the_encoding_that_is_made_for_it(
    plan: RoundPlan, multiplier: float, phones: int, minimum: int
) -> None:
    privacy = replace(plan.privacy, noise_multiplier=multiplier)
    dimension = 650_000
    encoding = noised_encoding(phones, minimum, privacy, plan.clip, dimension)
    scale = NoiseScale.of(replace(plan, dimension=dimension, encoding=encoding, minimum=minimum, privacy=privacy))
    # It does not wrap, uses most of its room, and rounding adds little to what noise has to hide.
    largest = math.sqrt(scale.phone_variance * phones) * WRAP_SIGMAS
    assert 0.6 * encoding.largest < largest <= encoding.largest
    assert scale.sensitivity * encoding.step < 1.25 * plan.clip


def test_noise_that_16_bits_cannot_hold_is_refused(plan: RoundPlan) -> None:
    with pytest.raises(NoiseError, match="no room"):
        noised_encoding(13, 10, replace(plan.privacy, noise_multiplier=30.0), 1.0, 650_000)


def test_a_noised_sum_decodes_to_the_sum_plus_noise_of_the_promised_size(plan: RoundPlan) -> None:
    total = plan.session.vector.zeros()
    zero = Update(np.zeros(plan.dimension, np.float32), Tally(1))
    for index in range(8):
        noise = phone_noise(plan, _seed("noise", index))
        total.add(plan.encode(zero, _seed("round", index), noise))
    scale = NoiseScale.of(plan)
    expected = plan.encoding.step * math.sqrt(8 * scale.phone_variance)
    decoded = plan.decode(total, 8).delta
    # The rotation pads; what belongs to padding is cut off, the rest keeps its variance.
    assert padded(plan.dimension) > plan.dimension
    assert np.std(decoded) == pytest.approx(expected, rel=5 / math.sqrt(2 * plan.dimension))


def test_noise_that_would_wrap_around_is_refused(plan: RoundPlan) -> None:
    with pytest.raises(NoiseError, match="wrap around"):
        phone_noise(replace(plan, encoding=ModularEncoding(8, 12, 1e-3)), bytes(32))


def test_a_plan_that_counts_on_nobody_is_refused(plan: RoundPlan) -> None:
    with pytest.raises(NoiseError, match="raise the minimum"):
        phone_noise(replace(plan, privacy=replace(plan.privacy, corrupt=8)), bytes(32))


def test_a_plan_without_noise_has_none_to_draw(plan: RoundPlan) -> None:
    with pytest.raises(NoiseError, match="no noise"):
        phone_noise(replace(plan, privacy=Privacy()), bytes(32))


def test_a_round_costs_a_little_more_than_the_gaussian_would(plan: RoundPlan) -> None:
    gaussian = 1 / (2 * 0.7**2)
    assert gaussian * (1 - 1e-12) <= round_rho(NoiseScale.of(plan)) < 1.02 * gaussian


@pytest.mark.parametrize("variance", [2.0, 10.0, 300.0])
@pytest.mark.parametrize("shift", [1, 3])
def test_rho_bounds_the_renyi_divergence_of_skellam_noise(variance: float, shift: int) -> None:
    rho = round_rho(NoiseScale(Mechanism.SKELLAM, 1, float(shift), variance, 1))
    values = np.arange(-int(12 * math.sqrt(variance) + 30), int(12 * math.sqrt(variance) + 30))

    def log_probability(k: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(ive(np.abs(k), variance), 1e-290))

    for order in (2, 3, 5):
        terms = order * log_probability(values - shift) + (1 - order) * log_probability(values)
        divergence = np.log(np.exp(terms).sum()) / (order - 1)
        assert 0 < divergence <= rho * order


@pytest.mark.parametrize("variance", [0.3, 0.6, 2.0])
def test_rho_bounds_the_renyi_divergence_of_sums_of_discrete_gaussians(variance: float) -> None:
    phones = 3
    one = _probabilities(_discrete_gaussian(variance))
    total = np.convolve(np.convolve(one, one), one)
    rho = round_rho(NoiseScale(Mechanism.DISCRETE_GAUSSIAN, 1, 1.0, variance, phones))
    shifted, still = np.append(0, total), np.append(total, 0)
    both = (shifted > 1e-300) & (still > 1e-300)
    for order in (2, 3, 5):
        terms = order * np.log(shifted[both]) + (1 - order) * np.log(still[both])
        assert 0 < np.log(np.exp(terms).sum()) / (order - 1) <= rho * order


@pytest.mark.parametrize("factor", [2, 16])
def test_a_wide_discrete_gaussian_is_one_of_its_two_parts(factor: int) -> None:
    """The convolution that draws it, summed over all of its parts, beside the distribution itself."""
    deviation = 40.0 * factor
    inner = math.sqrt((deviation / factor) ** 2 - 4**2)
    fine = np.arange(-50 * factor, 50 * factor + 1)
    density = np.exp(-np.square(fine) / (2 * (4 * factor) ** 2))
    coarse = np.arange(-500, 501)
    weights = np.exp(-np.square(coarse) / (2 * inner**2))
    for value in (0, 1, 7, 3 * factor + 1, int(2 * deviation)):
        left = value - factor * coarse
        inside = np.abs(left) <= fine[-1]
        found = (weights[inside] * density[left[inside] + 50 * factor]).sum() / weights.sum() / density.sum()
        numbers = np.arange(-20 * int(deviation), 20 * int(deviation) + 1)
        exact = math.exp(-(value**2) / (2 * deviation**2)) / np.exp(-np.square(numbers) / (2 * deviation**2)).sum()
        assert found == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("deviation", [1.0, 3.0, 4096.0, 5000.0, 3e9])
def test_wide_noise_is_gaussian_of_its_size(deviation: float) -> None:
    drawn = wide_gaussian(deviation, 100_000, bytes(32))
    assert drawn.std() == pytest.approx(deviation, rel=0.02)
    if deviation > 100:
        assert stats.kstest(drawn / deviation, "norm").pvalue > 1e-3
        assert np.mean(drawn % 2) == pytest.approx(0.5, abs=0.01)  # every integer may come
    assert not np.array_equal(drawn, wide_gaussian(deviation, 100_000, bytes([1]) * 32))


@pytest.mark.parametrize("deviation", [0.1, 2.0**51, math.nan])
def test_noise_that_no_integers_have_is_refused(deviation: float) -> None:
    with pytest.raises(NoiseError, match="change the clip or the noise multiplier"):
        wide_gaussian(deviation, 1, bytes(32))
