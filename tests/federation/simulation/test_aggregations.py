"""Private means: identities first, then the distribution of their noise, then whole runs."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
import tensorflow_federated as tff
from scipy import stats

from federation.errors import ConfigError
from federation.privacy.mechanisms import NoiseScale, phone_noise
from federation.privacy.toeplitz import Buffers
from federation.privacy.training import PrivateTraining
from federation.privacy.zcdp import round_rho
from federation.simulation.aggregations import Aggregation, MeanState, aggregation
from federation.updates.sparsification import Subset
from federation.updates.update import Tally, Update, clip

DIMENSION = 5000
COHORT = 8
SECRET = bytes(range(32))
ROUNDING = 2e-5
"""Of a mean of eight, over the clip: a server sums integers."""


def updates(count: int = COHORT, norm: float = 1.0) -> list[Update]:
    random = np.random.default_rng(count)
    deltas = random.normal(0, norm / math.sqrt(DIMENSION), (count, DIMENSION)).astype(np.float32)
    return [Update(delta, Tally(index + 1)) for index, delta in enumerate(deltas)]


def make(settings: PrivateTraining, *, uniform: bool = True, secret: bytes = SECRET) -> Aggregation:
    buffers = PAIR if settings.mechanism == "blt" else Buffers()
    return aggregation(settings, cohort=COHORT, dimension=DIMENSION, uniform=uniform, secret=secret, buffers=buffers)


def one(settings: PrivateTraining, cohort: list[Update], number: int = 1, secret: bytes = SECRET) -> np.ndarray:
    chosen = make(settings, secret=secret)
    return applied(chosen, chosen.initialize(), cohort, number)[0]


def applied(chosen: Aggregation, state: MeanState, cohort: list[Update], number: int) -> tuple[np.ndarray, MeanState]:
    total, after = chosen.apply(state, cohort, number)
    return total.mean, after


def alike(cohort: list[Update]) -> list[Update]:
    return [Update(update.delta, Tally(1)) for update in cohort]


GAUSSIAN = PrivateTraining("gaussian", 0.0, clip=5.0)
BLT = replace(GAUSSIAN, mechanism="blt")
PAIR = Buffers((0.7786, 0.99327), (0.32365, 0.1471))


def test_without_clip_and_noise_a_mean_is_plain_averaging_exactly() -> None:
    cohort = updates()
    total = cohort[0].delta * np.float32(1)
    for weight, update in enumerate(cohort[1:], start=2):
        total = total + update.delta * np.float32(weight)
    assert np.array_equal(one(PrivateTraining(), cohort), total / np.float32(36))
    # A clip that nobody reaches changes no bit either.
    assert np.array_equal(one(PrivateTraining(clip=1e6), cohort), total / np.float32(36))


@pytest.mark.parametrize("settings", [GAUSSIAN, BLT, replace(GAUSSIAN, adaptive_quantile=0.5)], ids=str)
def test_a_server_without_noise_averages(settings: PrivateTraining) -> None:
    cohort = updates()
    plain = np.mean([update.delta for update in cohort], axis=0)
    np.testing.assert_allclose(one(settings, cohort), plain, atol=ROUNDING * settings.clip)


@pytest.mark.parametrize("mechanism", ["none", "gaussian", "blt"])
def test_every_update_is_clipped(mechanism: str) -> None:
    cohort = alike(updates())
    expected = np.mean([clip(update.delta, 0.3) for update in cohort], axis=0)
    found = one(PrivateTraining(mechanism, 0.0, clip=0.3), cohort)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, expected, atol=1e-7 if mechanism == "none" else ROUNDING * 0.3)


@pytest.mark.usefixtures("worker")
def test_a_mean_is_tffs_differentially_private_one() -> None:
    cohort = updates()
    factory = tff.aggregators.DifferentiallyPrivateFactory.gaussian_fixed(0.0, COHORT, 0.3)
    process = factory.create(tff.types.TensorType(np.float32, [DIMENSION]))
    theirs = process.next(process.initialize(), [update.delta for update in cohort]).result
    np.testing.assert_allclose(one(replace(GAUSSIAN, clip=0.3), cohort), theirs, atol=ROUNDING * 0.3)


def silence(count: int = COHORT) -> list[Update]:
    return [Update(np.zeros(DIMENSION, np.float32), Tally(1))] * count


def near(found: float, expected: float) -> None:
    """A sample variance of DIMENSION normal draws, within five standard errors."""
    assert found == pytest.approx(expected, rel=5 * math.sqrt(2 / DIMENSION))


@pytest.mark.parametrize("mechanism", ["skellam", "discrete_gaussian"])
def test_clients_make_the_noise_that_phones_make(mechanism: str) -> None:
    settings = PrivateTraining(mechanism, 1.0, clip=0.5, minimum=6, corrupt=1)  # type: ignore[arg-type]
    simulated = one(settings, silence())
    plan = settings.plan(1, COHORT, DIMENSION, bytes(32), uniform=True)
    total = plan.session.vector.zeros()
    for index in range(COHORT):  # a cohort of phones, with seeds of their own
        seeds = [hashlib.sha256(bytes([index, purpose])).digest() for purpose in range(2)]
        total.add(plan.encode(silence(1)[0], seeds[0], phone_noise(plan, seeds[1])))
    phones = plan.decode(total, COHORT).mean
    assert stats.ks_2samp(simulated, phones).pvalue > 1e-3
    # Noise is sized for 5 of 8: 8 make more than was promised.
    scale = NoiseScale.of(plan)
    promised = (1.0 * scale.sensitivity * plan.encoding.step / COHORT) ** 2
    for noise in (simulated, phones):
        near(float(np.var(noise)), 8 / 5 * promised)
    # Rounding costs the clip a little; z is relative to what has to be hidden.
    assert 0.5 < scale.sensitivity * plan.encoding.step < 0.5 * 1.01


def test_with_drop_outs_the_noise_that_is_left_is_what_was_promised() -> None:
    settings = PrivateTraining("skellam", 1.0, clip=0.5, minimum=6, corrupt=0)
    plan = settings.plan(1, COHORT, DIMENSION, bytes(32), uniform=True)
    promised = (NoiseScale.of(plan).sensitivity * plan.encoding.step) ** 2
    near(float(np.var(6 * one(settings, silence(6)))), promised)
    near(float(np.var(8 * one(settings, silence(8)))), 8 / 6 * promised)
    with pytest.raises(ValueError, match="5 clients are left"):
        one(settings, silence(5))


def test_updates_come_through_the_noise_of_clients() -> None:
    cohort = [Update(update.delta, Tally(3 * update.tally.examples)) for update in updates()]
    settings = PrivateTraining("skellam", 0.01, clip=2.0, weight_cap=12)
    mean = make(settings, uniform=False)
    found, _ = applied(mean, mean.initialize(), cohort, 1)
    weights = np.minimum([update.tally.examples for update in cohort], 12)
    expected = np.average([update.delta for update in cohort], axis=0, weights=weights)
    # Noise on the sum has z * clip * cap; the sum is over all examples.
    assert np.std(found - expected) < 1.2 * 0.01 * 2.0 * 12 / weights.sum()


@pytest.mark.parametrize(("noise_cohort", "size"), [(0, COHORT), (1000, 1000)])
def test_a_server_adds_noise_of_its_multiplier_to_the_sum(noise_cohort: int, size: int) -> None:
    settings = PrivateTraining("gaussian", 2.0, clip=0.5, noise_cohort=noise_cohort)
    noise = one(settings, silence())
    near(float(np.var(noise)), (2.0 * 0.5 / size) ** 2)
    assert stats.kstest(noise / np.std(noise), "norm").pvalue > 1e-3


def test_correlated_noise_leaves_on_the_sum_of_rounds_what_its_buffers_say() -> None:
    mean = make(PrivateTraining("blt", 2.0, clip=0.5))
    state, total = mean.initialize(), np.zeros(DIMENSION)
    for number, expected in enumerate(PAIR.prefix_variances(6), start=1):
        noise, state = applied(mean, state, silence(), number)
        total += noise
        near(float(np.var(total)), expected * (2.0 * 0.5 / COHORT) ** 2)


@pytest.mark.parametrize("mechanism", ["skellam", "gaussian", "blt"])
def test_noise_follows_from_the_secret_and_the_round(mechanism: str) -> None:
    settings = PrivateTraining(mechanism, 2.0, clip=0.5)  # type: ignore[arg-type]
    first = one(settings, silence())
    assert np.array_equal(first, one(settings, silence()))
    assert not np.array_equal(first, one(settings, silence(), secret=bytes(32)))
    mean = make(settings)
    _, state = applied(mean, mean.initialize(), silence(), 1)
    second, _ = applied(mean, state, silence(), 2)
    assert abs(np.corrcoef(first, second)[0, 1]) < (1 if mechanism == "blt" else 5 / math.sqrt(DIMENSION))
    again, _ = applied(make(settings), [array.copy() for array in state], silence(), 2)  # as stored and read
    assert np.array_equal(second, again)


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        (PrivateTraining(clip=0.1), 0.1),
        (PrivateTraining("gaussian", 0.0, clip=0.1), 0.1),
        (PrivateTraining("skellam", 1e-4, clip=0.1), 0.1),
        (PrivateTraining("skellam", 0.02, clip=0.1), 0.3),  # what tells the share is noised as well
    ],
    ids=["plain", "by the server", "by clients", "by clients, noised"],
)
def test_an_adaptive_clip_follows_the_quantile_of_norms(settings: PrivateTraining, tolerance: float) -> None:
    cohort = [Update(delta * np.float32(scale), Tally(1)) for scale, delta in zip(range(1, 9), _units(), strict=True)]
    mean = make(replace(settings, adaptive_quantile=0.5, clip_learning_rate=0.5))
    state = mean.initialize()
    for number in range(1, 40):
        _, state = applied(mean, state, cohort, number)
    # Half of the norms 1 to 8 are below a clip of 4 to 5.
    assert float(state[0]) == pytest.approx(4.5, rel=tolerance)


def test_groups_of_a_round_have_one_clip() -> None:
    cohort = [Update(delta * np.float32(4), Tally(1)) for delta in _units()]
    mean = make(PrivateTraining(clip=1.0, adaptive_quantile=0.5))
    state, norms = mean.initialize(), []
    for number, group in [(1, 0), (1, 1), (2, 0), (2, 1)]:
        total, state = mean.apply(state, cohort[:1], number, group)
        norms.append(np.linalg.norm(total.delta))
    assert norms == pytest.approx([1.0, 1.0, math.exp(0.1), math.exp(0.1)])


@pytest.mark.parametrize("settings", [PrivateTraining(clip=5.0), PrivateTraining("skellam", 1e-5, clip=5.0)], ids=str)
def test_a_subset_of_coordinates_stands_for_all(settings: PrivateTraining) -> None:
    cohort, subset = alike(updates()), Subset.allocate(DIMENSION, 0.25)
    mean = make(settings)
    expected = np.mean([update.delta for update in cohort], axis=0)
    found = []
    for number in range(1, 61):
        total, _ = mean.apply(mean.initialize(), cohort, number, subset=subset)
        assert np.count_nonzero(total.delta) <= subset.kept
        found.append(total.mean)
    error = np.linalg.norm(np.mean(found, axis=0) - expected) / np.linalg.norm(expected)
    assert error == pytest.approx(math.sqrt(3 / 60), rel=0.2)  # variance 1 / share - 1 over sixty draws


def test_what_clients_pay_does_not_depend_on_the_clip() -> None:
    settings = PrivateTraining("skellam", 1.5, clip=1.0)
    costs = [
        round_rho(NoiseScale.of(settings.plan(1, COHORT, DIMENSION, bytes(32), uniform=True, clip=clip_norm)))
        for clip_norm in (1.0, 0.37, 11.0)
    ]
    assert costs == pytest.approx([costs[0]] * 3, rel=1e-6)


def _units() -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(5).normal(size=(DIMENSION, COHORT)))[0].T.astype(np.float32)


def test_what_an_adaptive_clip_releases_is_paid_by_more_noise_on_updates() -> None:
    settings = PrivateTraining("gaussian", 0.6, clip=1.0, adaptive_quantile=0.5)
    on_sum, on_count = settings.sum_noise_multiplier(COHORT), 0.05 * COHORT / 0.5
    assert 1 / on_sum**2 + 1 / on_count**2 == pytest.approx(1 / 0.6**2)
    with pytest.raises(ConfigError, match="larger cohort or a fixed clip"):
        replace(settings, noise_multiplier=0.9).sum_noise_multiplier(COHORT)
