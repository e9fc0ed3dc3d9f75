"""Counts under noise: no way around it, and no more than the plan's clip."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.privacy.mechanisms import noised_encoding, phone_noise
from federation.protocol.plan import Deadlines, Mechanism, Privacy, RoundPlan
from federation.secure_aggregation import Vector
from federation.secure_aggregation.errors import ImpossibleSumError
from federation.updates.counts import COUNTS, MAX_TOKEN_LOSS, MAX_TOKENS, NoisedCounts
from federation.updates.update import Tally, Update
from federation.updates.weighted_sum import WeightedSum
from model.layout import FlatVector

PHONES, DIMENSION, CLIP = 10, 4000, 2.5
PRIVACY = Privacy(Mechanism.SKELLAM, 1.0, 0)
PLAN = RoundPlan(
    round_id=1,
    model_sha256=bytes(32),
    dimension=DIMENSION,
    encoding=noised_encoding(PHONES, PHONES, PRIVACY, CLIP, DIMENSION + COUNTS),
    clip=CLIP,
    weight_cap=512,
    rotation_seed=bytes(32),
    minimum=PHONES,
    deadlines=Deadlines(1, 2, 3, 4, 5),
    privacy=PRIVACY,
)
TALLIES = st.builds(
    Tally,
    examples=st.integers(0, 512),
    tokens=st.integers(0, 1 << 40),
    loss=st.floats(0, 1e15),
    hits=st.integers(0, 1 << 40),
)


def masked(plan: RoundPlan, updates: list[Update], name: int = 0) -> Vector:
    """Return the sum of what phones mask."""
    total = plan.session.vector.zeros()
    for index, update in enumerate(updates):
        seeds = [hashlib.sha256(bytes([kind, index, name])).digest() for kind in (0, 1)]
        total.add(plan.encode(update, seeds[0], phone_noise(plan, seeds[1])))
    return total


def summed(plan: RoundPlan, updates: list[Update], name: int = 0) -> WeightedSum:
    return plan.decode(masked(plan, updates, name), len(updates))


@given(TALLIES, st.floats(0, 100))
def test_delta_and_counts_together_are_within_the_clip(tally: Tally, length: float) -> None:
    counts = NoisedCounts(CLIP, 512)
    delta = np.full(50, min(length, counts.delta_clip) / math.sqrt(50), np.float32)
    vector = counts.beside(delta, tally)
    assert vector.shape == (50 + COUNTS,)
    assert np.linalg.norm(vector.astype(np.float64)) <= CLIP * (1 + 1e-6)


@given(st.integers(1, 512), st.integers(1, MAX_TOKENS), st.floats(0, 1), st.floats(0, 1))
def test_counts_within_their_caps_come_back(examples: int, tokens: int, loss: float, hits: float) -> None:
    tally = Tally(examples, tokens, loss * tokens * MAX_TOKEN_LOSS, int(hits * tokens))
    counts = NoisedCounts(CLIP, 512)
    delta, read = counts.taken_off(counts.beside(np.ones(3, np.float32) / 10, tally))
    assert np.allclose(delta, 0.1)
    assert (read.examples, read.tokens, read.hits) == (tally.examples, tally.tokens, tally.hits)
    assert read.loss == pytest.approx(tally.loss, rel=1e-4, abs=1e-2)


def test_more_tokens_than_count_keep_their_rates() -> None:
    tally = Tally(1, 10 * MAX_TOKENS, 50.0 * MAX_TOKENS, 2 * MAX_TOKENS)
    counts = NoisedCounts(CLIP, 512)
    _, read = counts.taken_off(counts.beside(np.zeros(3, np.float32), tally))
    assert (read.tokens, read.hits) == (MAX_TOKENS, MAX_TOKENS // 5)
    assert read.loss == pytest.approx(5.0 * MAX_TOKENS, rel=1e-4)


def test_nothing_exact_rides_beside_noise() -> None:
    assert PLAN.session.vector.counters == 0
    assert PLAN.codec.coordinates == PLAN.session.vector.words


def test_a_loss_that_spells_words_is_read_at_chance() -> None:
    """A crafted model makes each word cost a power of 64; under noise the digits are gone."""
    spelled = Tally(1, 60, 3 + 0 * 64 + 1 * 64**2, 0)
    updates = [Update(np.zeros(DIMENSION, np.float32), tally) for tally in [spelled, *[Tally(1, 60, 0.0, 0)] * 9]]
    losses = [summed(PLAN, updates, name).tally.loss for name in range(40)]
    # One phone's whole loss, as far as it counts, is no more than one standard deviation of what the server reads.
    assert np.std(losses) > 0.4 * MAX_TOKENS * MAX_TOKEN_LOSS
    digits = {(round(loss) // 64**2) % 64 for loss in losses}
    assert len(digits) > 5


def divisors(plan: RoundPlan, mean: FlatVector, total: Vector) -> list[int]:
    """Return what a mean may have been divided by: times that, it lies on the lattice of the encoding.

    Whoever tries even knows the coordinates of the counts, which nobody publishes.
    """
    codec = plan.codec
    summed = codec.rotation.invert(codec.encoding.dequantise(codec.unpack(total, PHONES).levels, PHONES))
    known = np.concatenate([np.zeros(mean.size), summed[-COUNTS:]])
    still = codec.rotation.apply(known) / codec.encoding.step
    moving = codec.rotation.apply(np.concatenate([mean.astype(np.float64), np.zeros(COUNTS)]))
    moving /= codec.encoding.step * plan.weight_cap
    tried = (moving * divisor + still for divisor in range(1, PHONES * plan.weight_cap + 1))
    return [number for number, levels in enumerate(tried, 1) if np.abs(levels - np.rint(levels)).mean() < 0.02]


@pytest.mark.parametrize("examples", [3, 512])
def test_the_mean_is_divided_by_what_no_phone_changes(examples: int) -> None:
    """The sum of examples must not be readable off the lattice that the released mean lies on."""
    plan = replace(PLAN, dimension=4096 - COUNTS)  # with which nothing of the lattice is cut off
    deltas = np.random.default_rng(7).normal(0, 0.02, (PHONES, plan.dimension)).astype(np.float32)
    tallies = [Tally(100)] * (PHONES - 1) + [Tally(examples)]
    vector = masked(plan, [Update(delta, tally) for delta, tally in zip(deltas, tallies, strict=True)])
    total = plan.decode(vector, PHONES)
    assert total.weight == PHONES * plan.weight_cap
    assert np.allclose(total.mean, total.delta / (PHONES * plan.weight_cap))
    both = total + total
    assert both.weight == 2 * total.weight
    assert (both + WeightedSum(total.delta, Tally(7), 1)).weight == both.weight + 7
    by_examples = (total.delta / np.float32(900 + examples)).astype(np.float32)
    assert divisors(plan, by_examples, vector) == [900 + examples]  # what the attack would read
    assert divisors(plan, total.mean, vector) == [PHONES * plan.weight_cap]


def test_a_noised_sum_of_honest_phones_is_never_too_long_and_garbage_always_is() -> None:
    random = np.random.default_rng(1)
    long = [Update(random.normal(0, 1, DIMENSION).astype(np.float32), Tally(512, 60, 100.0, 5)) for _ in range(PHONES)]
    for name in range(10):
        assert summed(PLAN, long, name).phones == PHONES
    same = replace(long[0], delta=np.ones(DIMENSION, np.float32))
    assert summed(PLAN, [same] * PHONES).phones == PHONES
    for name in range(10):
        total = PLAN.session.vector.zeros()
        words = np.random.default_rng(name).integers(0, 1 << (8 * total.words.itemsize), total.words.size, np.uint64)
        with pytest.raises(ImpossibleSumError, match="discard the round"):
            PLAN.decode(Vector(total.counters, words.astype(total.words.dtype)), PHONES)
