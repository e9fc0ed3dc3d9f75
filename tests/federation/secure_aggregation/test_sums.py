"""The result is the sum of the survivors' vectors, exactly, or there is none."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.secure_aggregation import Vector, VectorFormat, min_threshold
from federation.secure_aggregation.errors import TooFewPhonesError
from federation.updates.encoding import Encoding, ModularEncoding, PackedEncoding
from tests.federation.secure_aggregation.cohort import DEVICES, Session, digest, equal, parameters

STEPS = ("advertise", "share", "mask", "confirm", "unmask")
NEVER = len(STEPS)


def _run(session: Session, drops: dict[int, int]) -> None:
    """Run a session in which phone i leaves before step `drops[i]`."""
    for number, step in enumerate(STEPS):
        getattr(session, step)([index for index, leaves in drops.items() if leaves > number])


def _check(drops: dict[int, int], minimum: int) -> bool:
    """Run and check a session; return whether it had a result."""
    left = [[index for index, leaves in drops.items() if leaves > number] for number in range(NEVER)]
    joined, sharers, survivors, signers, answers = (len(each) for each in left)
    threshold = min_threshold(joined)
    quorum = max(threshold, minimum)
    enough = joined >= minimum and sharers >= quorum and survivors >= quorum and min(signers, answers) >= threshold
    session = Session(len(drops), parameters(minimum=minimum))
    if not enough:
        with pytest.raises(TooFewPhonesError):
            _run(session, drops)
        return False
    _run(session, drops)
    result = session.aggregate()
    assert equal(result.vector, session.expected(left[2]))
    assert result.survivors == tuple(DEVICES[index].key.device_id for index in left[2])
    assert not result.blame.suspects
    return True


@pytest.mark.parametrize("step", range(NEVER))
def test_every_subset_of_five_phones_may_drop_out_at_any_one_step(step: int) -> None:
    results = 0
    for dropped in itertools.product([False, True], repeat=5):
        results += _check({index: step if gone else NEVER for index, gone in enumerate(dropped)}, minimum=3)
    # Of five, 16 subsets leave three or more to join; at later steps four of five are needed.
    assert results == (16 if step == 0 else 6)


@pytest.mark.slow
def test_five_phones_may_drop_out_at_any_steps() -> None:
    results = sum(
        _check(dict(enumerate(leaves)), minimum=3) for leaves in itertools.product(range(NEVER + 1), repeat=5)
    )
    assert results == 116


@st.composite
def _encodings(draw: st.DrawFn, phones: int) -> Encoding:
    if draw(st.booleans()):
        return PackedEncoding(draw(st.integers(2, 8)), phones, draw(st.floats(0.1, 10)))
    return ModularEncoding(draw(st.sampled_from([8, 16])), phones, draw(st.floats(0.001, 1)))


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_the_result_is_the_sum_of_the_quantised_vectors_exactly(data: st.DataObject) -> None:
    n = data.draw(st.integers(3, 12), "phones")
    encoding = data.draw(_encodings(n), "encoding")
    dimension = data.draw(st.integers(1, 70), "dimension")
    threshold = min_threshold(n)
    steps = [STEPS.index("share"), STEPS.index("mask"), STEPS.index("confirm"), STEPS.index("unmask"), NEVER]
    drops = dict.fromkeys(range(n), NEVER)
    for index in data.draw(st.lists(st.integers(0, n - 1), max_size=n - threshold, unique=True), "drop-outs"):
        drops[index] = data.draw(st.sampled_from(steps), f"step of {index}")
    layout = VectorFormat(1, encoding.words(dimension), encoding.word_bytes)
    session = Session(n, parameters(vector=layout, maximum=n))
    values = np.random.default_rng(n + dimension).normal(0, 3, (n, dimension)).astype(np.float32)
    levels = [encoding.quantise(row, digest(index)) for index, row in enumerate(values)]
    session.vectors = {
        index: Vector(np.array([2**50 + index], np.uint64), encoding.pack(each)) for index, each in enumerate(levels)
    }
    _run(session, drops)
    survivors = [index for index, leaves in drops.items() if leaves > STEPS.index("mask")]
    result = session.aggregate().vector
    exact = sum(levels[index] for index in survivors)
    if isinstance(encoding, ModularEncoding):
        half = encoding.largest + 1
        exact = (exact + half) % (2 * half) - half
    assert np.array_equal(encoding.unpack(result.words, dimension, len(survivors)), exact)
    assert int(result.counters[0]) == sum(2**50 + index for index in survivors)


@pytest.mark.parametrize("word_bytes", [1, 8])
def test_a_masked_vector_alone_is_uniform(word_bytes: int) -> None:
    session = Session(4, parameters(vector=VectorFormat(1, 1 << 16, word_bytes)), seed="uniform")
    session.vectors = {index: session.parameters.vector.zeros() for index in range(4)}
    session.advertise().share().mask(close=False)
    for message in session.messages.values():
        counts = np.bincount(np.frombuffer(message[-(1 << 16) :], np.uint8), minlength=256)
        chi_square = float(((counts - 256) ** 2 / 256).sum())
        # 255 degrees of freedom: 255 +- 22.6; five standard deviations.
        assert 142 < chi_square < 368
    assert len(set(session.messages.values())) == 4


@pytest.mark.slow
def test_a_large_cohort_with_a_quarter_of_drop_outs() -> None:
    drops = {index: NEVER if index % 4 else 2 + index % 3 for index in range(64)}
    assert _check(drops, minimum=32)


def test_a_configured_minimum_above_the_threshold_holds_at_every_step() -> None:
    for step, name in enumerate(STEPS[:3]):
        session = Session(6, parameters(minimum=6))
        with pytest.raises(TooFewPhonesError) as error:
            _run(session, {index: step if index == 0 else NEVER for index in range(6)})
        assert (error.value.present, error.value.needed) == (5, 6), name
