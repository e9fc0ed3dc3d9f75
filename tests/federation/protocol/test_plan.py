import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from federation.protocol.plan import PLAN_BYTES, Deadlines, Mechanism, Privacy, RoundPlan
from federation.protocol.policy import PhonePolicy
from federation.secure_aggregation import Vector, VectorFormat
from federation.secure_aggregation.errors import ImpossibleSumError, PlanRefusedError
from federation.updates.codec import COUNTERS, LOSS_UNITS, MAX_COUNT
from federation.updates.counts import MAX_TOKEN_LOSS
from federation.updates.encoding import Encoding, ModularEncoding, PackedEncoding, choose
from federation.updates.rotation import padded
from federation.updates.sparsification import SUBSET_BYTES, Stratum, Subset
from federation.updates.update import Tally, Update
from tests.federation.secure_aggregation.cohort import digest, private_key

DIMENSION = 5000
MODEL = b"the bytes of a model"
PLAN = RoundPlan(
    round_id=7,
    model_sha256=hashlib.sha256(MODEL).digest(),
    dimension=DIMENSION,
    encoding=choose(10, 1.0, DIMENSION),
    clip=1.0,
    weight_cap=100,
    rotation_seed=digest("seed"),
    minimum=3,
    deadlines=Deadlines(10, 20, 300, 320, 340),
)
NOISY = Privacy(Mechanism.SKELLAM, 0.5, 2)
SERVER = private_key("round server")
SERVER_KEY = SERVER.public_key().public_bytes_raw()


def _updates(phones: int) -> list[Update]:
    random = np.random.default_rng(1)
    deltas = random.normal(0, 0.01, (phones, DIMENSION)).astype(np.float32)
    return [
        Update(delta, Tally(examples=index * 30, tokens=100 + index, loss=2.5 * index, hits=index))
        for index, delta in enumerate(deltas)
    ]


def _sum(plan: RoundPlan, updates: list[Update]) -> Vector:
    total = plan.session.vector.zeros()
    for index, update in enumerate(updates):
        total.add(plan.encode(update, digest("rounding", index)))
    return total


@pytest.mark.parametrize(
    "encoding", [PLAN.encoding, PackedEncoding(5, 10, 0.1), ModularEncoding(16, 10, 1e-4)], ids=repr
)
def test_a_plan_encodes_and_decodes_a_weighted_sum(encoding: Encoding) -> None:
    plan = replace(PLAN, encoding=encoding)
    updates = _updates(6)
    decoded = plan.decode(_sum(plan, updates), 6)
    weights = np.array([min(update.tally.examples, 100) for update in updates])
    exact = sum(weight * update.delta for weight, update in zip(weights, updates, strict=True))
    assert np.linalg.norm(decoded.delta - exact) < 0.05 * np.linalg.norm(exact)
    assert np.allclose(decoded.mean, decoded.delta / 380)
    assert decoded.tally == Tally(examples=int(weights.sum()), tokens=615, loss=37.5, hits=15, unclipped=6)
    assert weights.sum() == 0 + 30 + 60 + 90 + 100 + 100
    assert decoded.phones == 6


def test_updates_are_clipped_before_they_are_weighted() -> None:
    update = Update(np.full(DIMENSION, 100, np.float32), Tally(50))
    decoded = PLAN.decode(PLAN.encode(update, digest("one")), 1)
    assert np.linalg.norm(decoded.mean) == pytest.approx(1.0, rel=0.01)
    assert np.linalg.norm(decoded.delta) == pytest.approx(50.0, rel=0.01)


def test_the_norm_of_what_phones_encoded_is_known_afterwards() -> None:
    updates = _updates(6)
    weights = [min(update.tally.examples, 100) / 100 for update in updates]
    mean = sum(weight * update.delta for weight, update in zip(weights, updates, strict=True)) / 6
    assert PLAN.codec.encoded_norm(PLAN.decode(_sum(PLAN, updates), 6)) == pytest.approx(np.linalg.norm(mean), rel=0.02)


SUBSET = Subset((Stratum(1000, 1000), Stratum(DIMENSION - 1000, 1000)))


def test_a_plan_with_a_subset_sends_less_and_is_wrong_by_as_much_as_stated() -> None:
    plan = replace(PLAN, encoding=choose(10, 1.5, SUBSET.kept), clip=1.5, subset=SUBSET)
    assert plan.codec.coordinates == padded(2000) == 4096
    assert plan.session.vector.words == 4096 // 4
    updates = _updates(6)
    weights = np.array([min(update.tally.examples, 100) for update in updates])
    exact = sum(weight * update.delta for weight, update in zip(weights, updates, strict=True))
    decoded = plan.decode(_sum(plan, updates), 6)
    assert np.count_nonzero(decoded.delta) == SUBSET.kept
    assert np.linalg.norm(decoded.delta[:1000] - exact[:1000]) < 0.01 * np.linalg.norm(exact[:1000])
    lost = np.sum((decoded.delta - exact)[1000:] ** 2)
    assert lost == pytest.approx(3 * np.sum(exact[1000:] ** 2), rel=0.2)
    assert plan.codec.energies(decoded).sum() == pytest.approx(np.sum((exact / weights.sum()) ** 2), rel=0.2)
    assert decoded.tally.examples == weights.sum()


def test_the_clip_bounds_what_is_sent_also_when_a_subset_is_scaled_up() -> None:
    plan = replace(PLAN, encoding=choose(10, 1.0, SUBSET.kept), subset=SUBSET)
    decoded = plan.decode(plan.encode(Update(np.full(DIMENSION, 100, np.float32), Tally(100)), digest("one")), 1)
    assert np.linalg.norm(decoded.mean) == pytest.approx(1.0, rel=0.01)


def test_groups_add_up() -> None:
    updates = _updates(6)
    first, second = (PLAN.decode(_sum(PLAN, part), 3) for part in (updates[:3], updates[3:]))
    both = first + second
    assert both.phones == 6
    assert both.tally == first.tally + second.tally
    assert np.allclose(both.delta, PLAN.decode(_sum(PLAN, updates), 6).delta, atol=0.05)


def test_a_sum_without_noise_has_an_example_of_every_phone() -> None:
    update = Update(np.zeros(DIMENSION, np.float32), Tally(0))
    with pytest.raises(ImpossibleSumError, match="counter"):
        PLAN.decode(PLAN.encode(update, digest("none")), 1)


def test_counts_are_capped() -> None:
    update = Update(np.zeros(DIMENSION, np.float32), Tally(10**15, 10**15, 1e15, 10**15))
    assert PLAN.encode(update, digest("many")).counters.tolist() == [100, MAX_COUNT, MAX_COUNT, MAX_COUNT, 1]


IMPOSSIBLE = [
    [301, 0, 0, 0],
    [2, 0, 0, 0],
    [2**64 - 7, 0, 0, 0],
    [3, 3 * MAX_COUNT + 1, 0, 0],
    [3, 3 * MAX_COUNT, 2**63, 0],
    [3, 3 * MAX_COUNT, 0, 2**63],
    [3, 10, 0, 11],
    [3, 10, 10 * int(MAX_TOKEN_LOSS) * LOSS_UNITS + 4, 0],
    [3, 10, 0, 0, 4],
]


@pytest.mark.parametrize("counters", IMPOSSIBLE)
def test_impossible_counters_are_noticed(counters: list[int]) -> None:
    words = PLAN.encode(_updates(1)[0], digest("words")).words
    with pytest.raises(ImpossibleSumError, match=r"counter|tokens"):
        PLAN.decode(Vector(np.array(counters + [0] * (COUNTERS - len(counters)), np.uint64), words), 3)


@pytest.mark.parametrize("encoding", [PLAN.encoding, ModularEncoding(16, 10, 1e-4)])
def test_a_sum_longer_than_its_phones_can_make_it_is_noticed(encoding: Encoding) -> None:
    plan = replace(PLAN, encoding=encoding)
    honest = _sum(plan, _updates(6)[1:])
    assert plan.decode(honest, 5).tally.examples == 380
    few = honest.counters.copy()
    few[0] = 5  # as a phone does that masks a negative count
    with pytest.raises(ImpossibleSumError, match="longer"):
        plan.decode(Vector(few, _sum(plan, [Update(u.delta * 99, Tally(100)) for u in _updates(5)]).words), 5)
    garbage = np.frombuffer(np.random.default_rng(1).bytes(honest.words.nbytes), honest.words.dtype)
    with pytest.raises(ImpossibleSumError):
        plan.decode(Vector(honest.counters, (honest.words + garbage).astype(honest.words.dtype)), 5)


def test_a_plan_says_how_its_vectors_are_summed() -> None:
    session = PLAN.session
    assert session.plan_hash == PLAN.hash
    assert (session.minimum, session.maximum) == (3, 10)
    assert session.vector == VectorFormat(COUNTERS, padded(DIMENSION) // 4, 8)
    session.vector.check(PLAN.encode(_updates(1)[0], digest("format")))


CHANGES: list[dict[str, Any]] = [
    {"round_id": 8},
    {"model_sha256": digest("another model")},
    {"dimension": DIMENSION + 1},
    {"encoding": PackedEncoding(5, 10, PLAN.encoding.bound if isinstance(PLAN.encoding, PackedEncoding) else 1.0)},
    {"encoding": replace(PLAN.encoding, phones=11)},
    {"encoding": PackedEncoding(4, 10, 0.5)},
    {"encoding": ModularEncoding(8, 10, 0.5)},
    {"clip": 1.5},
    {"weight_cap": 101},
    {"rotation_seed": digest("another seed")},
    {"minimum": 4},
    {"subset": Subset((Stratum(DIMENSION, 100),))},
    {"subset": Subset((Stratum(100, 90), Stratum(DIMENSION - 100, 10)))},
    {"subset": Subset((Stratum(100, 100), Stratum(DIMENSION - 100, DIMENSION - 100)))},
    *({"deadlines": replace(PLAN.deadlines, **{name: value + 1})} for name, value in vars(PLAN.deadlines).items()),
    {"encoding": ModularEncoding(8, 10, 0.5), "privacy": NOISY},
    {"encoding": ModularEncoding(8, 10, 0.5), "privacy": replace(NOISY, mechanism=Mechanism.DISCRETE_GAUSSIAN)},
    {"encoding": ModularEncoding(8, 10, 0.5), "privacy": replace(NOISY, noise_multiplier=0.6)},
    {"encoding": ModularEncoding(8, 10, 0.5), "privacy": replace(NOISY, corrupt=3)},
]


def test_everything_in_a_plan_is_in_its_hash() -> None:
    plans = [PLAN, *(replace(PLAN, **change) for change in CHANGES)]
    assert len({plan.hash for plan in plans}) == len(plans)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_plan_comes_back_from_bytes(change: dict[str, Any]) -> None:
    plan = replace(PLAN, **change)
    assert len(plan.to_bytes()) == PLAN_BYTES
    assert RoundPlan.from_bytes(plan.to_bytes()) == plan
    assert RoundPlan.from_signed(plan.signed(SERVER), SERVER_KEY) == plan


def test_an_altered_plan_is_refused() -> None:
    signed = PLAN.signed(SERVER)
    for position in range(0, len(signed), 7):
        altered = signed[:position] + bytes([signed[position] ^ 1]) + signed[position + 1 :]
        with pytest.raises(PlanRefusedError, match="not signed"):
            RoundPlan.from_signed(altered, SERVER_KEY)
    with pytest.raises(PlanRefusedError, match="not signed"):
        RoundPlan.from_signed(PLAN.signed(private_key("another server")), SERVER_KEY)


def test_impossible_bytes_are_refused() -> None:
    data = PLAN.to_bytes()
    for wrong, match in [
        (data[:-1], "bytes, not"),
        (b"\1" + data[1:], "version"),
        (data[:45] + b"\7" + data[46:], "kind 7"),
        (data[: -SUBSET_BYTES - 22] + b"\0\0" + data[-SUBSET_BYTES - 20 :], "3 to 256"),
        (data[:-SUBSET_BYTES] + b"\1" + data[1 - SUBSET_BYTES :], "stratum"),
    ]:
        with pytest.raises(PlanRefusedError, match=match):
            RoundPlan.from_bytes(wrong)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"model_sha256": b""}, "32 bytes"),
        ({"rotation_seed": b""}, "32 bytes"),
        ({"clip": 0.0}, "clip"),
        ({"clip": float("inf")}, "clip"),
        ({"weight_cap": 0}, "weight cap 0"),
        ({"dimension": 0}, "dimension 0"),
        ({"minimum": 2}, "3 to 256"),
        ({"minimum": 11}, "3 to 256"),
        ({"privacy": NOISY}, "wraps"),
        ({"subset": Subset.whole(DIMENSION + 1)}, "none of 5000"),
    ],
)
def test_impossible_plans(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        replace(PLAN, **change)


def test_impossible_parts() -> None:
    for multiplier, mechanism in [(-1.0, Mechanism.SKELLAM), (0.0, Mechanism.SKELLAM), (1.0, Mechanism.NONE)]:
        with pytest.raises(ValueError, match="noise multiplier"):
            Privacy(mechanism, multiplier)
    for seconds in [(0, 1, 2, 3, 4), (1, 1, 2, 3, 4), (1, 3, 2, 4, 5), (1, 2, 3, 3, 4), (1, 2, 3, 4, 4)]:
        with pytest.raises(ValueError, match="one after the other"):
            Deadlines(*seconds)


def test_noise_is_added_where_the_plan_asks_for_it_and_only_there() -> None:
    noisy = replace(PLAN, encoding=ModularEncoding(16, 10, 1e-4), privacy=NOISY)
    update = _updates(2)[1]
    noise = np.arange(padded(DIMENSION)) - 4000
    with_noise = noisy.encode(update, digest("same"), noise)
    without = noisy.encode(update, digest("same"), np.zeros_like(noise))
    assert np.array_equal(with_noise.words - without.words, noise.astype(np.int16).view(np.uint16))
    for plan, given in [(noisy, None), (PLAN, noise)]:
        with pytest.raises(ValueError, match="noise"):
            plan.encode(update, digest("same"), given)


POLICY = PhonePolicy(min_phones=3, min_noise_multiplier=0.0, max_clip=1.0, max_bits=16)


def test_a_phone_agrees_to_a_plan_within_its_policy() -> None:
    POLICY.check(PLAN, last_round_id=6)


@pytest.mark.parametrize(
    ("policy", "last_round_id", "match"),
    [
        (POLICY, 7, "round 7 is not after round 7"),
        (POLICY, 8, "not after"),
        (replace(POLICY, min_phones=4), 6, "sum of 3 phones"),
        (replace(POLICY, min_noise_multiplier=0.1), 6, "noise"),
        (replace(POLICY, max_clip=0.5), 6, "clip"),
        (replace(POLICY, max_bits=8), 6, "bits"),
    ],
)
def test_a_phone_refuses_a_plan_below_its_policy(policy: PhonePolicy, last_round_id: int, match: str) -> None:
    with pytest.raises(PlanRefusedError, match=match):
        policy.check(PLAN, last_round_id)
