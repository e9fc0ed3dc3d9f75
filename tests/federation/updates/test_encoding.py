import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.secure_aggregation.errors import ImpossibleSumError
from federation.updates.encoding import (
    ENCODING_BYTES,
    Encoding,
    ModularEncoding,
    PackedEncoding,
    choose,
    encoding_from_bytes,
    encoding_to_bytes,
    round_stochastically,
)
from federation.updates.random_stream import random_words
from federation.updates.rotation import BLOCK, Rotation, padded
from tests.federation.secure_aggregation.cohort import digest

SEED = digest("rotation")


def _deltas(phones: int, dimension: int) -> np.ndarray:
    """Heavy-tailed updates that agree in part, a third of them zero, as those of an embedding are."""
    random = np.random.default_rng(phones)
    common = random.standard_t(3, dimension) * (random.random(dimension) > 0.3)
    deltas = (0.5 * common + random.standard_t(3, (phones, dimension))).astype(np.float32)
    return deltas / np.linalg.norm(deltas, axis=1, keepdims=True).max()


def _sum(encoding: Encoding, rotated: list[np.ndarray]) -> np.ndarray:
    """Encode, add and decode as phones and server do."""
    total = np.zeros(encoding.words(rotated[0].size), f"<u{encoding.word_bytes}")
    for index, each in enumerate(rotated):
        total += encoding.pack(encoding.quantise(each, digest("rounding", index)))
    return encoding.dequantise(encoding.unpack(total, rotated[0].size, len(rotated)), len(rotated))


@pytest.mark.parametrize("dimension", [1, 100, BLOCK, BLOCK + 1, 3 * BLOCK - 5])
def test_a_rotation_keeps_the_norm_and_has_an_inverse(dimension: int) -> None:
    vector = _deltas(1, dimension)[0]
    rotation = Rotation(SEED, dimension)
    rotated = rotation.apply(vector)
    assert rotated.shape == (padded(dimension),)
    assert np.linalg.norm(rotated) == pytest.approx(np.linalg.norm(vector), rel=1e-5)
    assert np.allclose(rotation.invert(rotated), vector, atol=1e-6)


def test_a_rotation_is_a_walsh_hadamard_transform_of_permuted_signs() -> None:
    rotation = Rotation(SEED, BLOCK)
    assert sorted(rotation._order) == list(range(BLOCK))
    assert set(rotation._signs.tolist()) == {-1.0, 1.0}
    one = np.zeros(BLOCK, np.float32)
    one[rotation._order[5]] = 1
    parities = np.array([(row & 5).bit_count() % 2 for row in range(BLOCK)])
    expected = rotation._signs[5] * (1 - 2 * parities) / 64
    assert np.allclose(rotation.apply(one), expected)


def test_a_rotation_spreads_a_single_coordinate_evenly() -> None:
    vector = np.zeros(BLOCK, np.float32)
    vector[17] = 1
    assert np.allclose(np.abs(Rotation(SEED, BLOCK).apply(vector)), 1 / 64)


def test_rotations_of_other_seeds_differ() -> None:
    vector = _deltas(1, 500)[0]
    assert not np.allclose(Rotation(SEED, 500).apply(vector), Rotation(digest("other"), 500).apply(vector), atol=1e-3)


def test_rotations_check_lengths() -> None:
    rotation = Rotation(SEED, 10)
    with pytest.raises(ValueError, match="takes 10"):
        rotation.apply(np.ones(11, np.float32))
    with pytest.raises(ValueError, match="gives 4096"):
        rotation.invert(np.ones(10, np.float32))
    with pytest.raises(ValueError, match="at least one"):
        Rotation(SEED, 0)


@given(st.floats(-1000, 1000))
@settings(max_examples=30, deadline=None)
def test_rounding_is_to_a_neighbour_and_unbiased(value: float) -> None:
    uniform = random_words(SEED, 40_000, "<u4")
    rounded = round_stochastically(np.full(uniform.size, value), uniform)
    assert set(rounded.tolist()) <= {int(np.floor(value)), int(np.floor(value)) + 1}
    # Standard error of the mean of 40,000 draws is at most 0.0025.
    assert rounded.mean() == pytest.approx(value, abs=0.0125)


def test_rounding_uses_the_seed() -> None:
    values = np.full(1000, 0.5, np.float32)
    encoding = ModularEncoding(8, 4, 1.0)
    assert np.array_equal(encoding.quantise(values, SEED), encoding.quantise(values, SEED))
    assert not np.array_equal(encoding.quantise(values, SEED), encoding.quantise(values, digest("other")))


@pytest.mark.parametrize("per_word", range(2, 9))
def test_the_radix_of_lanes_is_the_largest_that_fits(per_word: int) -> None:
    radix = PackedEncoding(per_word, 2, 1.0).radix
    assert radix**per_word <= 1 << 64 < (radix + 1) ** per_word


@pytest.mark.parametrize("per_word", range(2, 9))
@pytest.mark.parametrize("phones", [1, 2, 7, 255])
def test_lanes_at_their_extremes_do_not_carry(per_word: int, phones: int) -> None:
    encoding = PackedEncoding(per_word, phones, 1.0)
    levels = np.array([encoding.levels - 1, 0] * per_word + [encoding.levels - 1], np.int64)
    total = np.zeros(encoding.words(levels.size), np.uint64)
    for _ in range(phones):
        total += encoding.pack(levels)
    assert np.array_equal(encoding.unpack(total, levels.size, phones), phones * levels)
    assert phones * (encoding.levels - 1) < encoding.radix <= phones * encoding.levels + phones


@pytest.mark.parametrize("bits", [8, 16])
def test_wrapped_integers_at_their_extremes(bits: int) -> None:
    encoding = ModularEncoding(bits, 4, 0.5)
    levels = np.array([-encoding.largest, -1, 0, 1, encoding.largest], np.int64)
    packed = encoding.pack(levels)
    assert packed.dtype == f"uint{bits}"
    assert np.array_equal(encoding.unpack(packed, 5, 1), levels)
    assert encoding.pack(np.array([-1]))[0] == 2**bits - 1
    back_and_forth = packed + packed - packed
    assert np.array_equal(encoding.unpack(back_and_forth, 5, 1), levels)


def test_negative_coordinates_survive_wrapping() -> None:
    """Negative floats cast to unsigned integers are undefined; here -3 + 1 is -2."""
    encoding = ModularEncoding(8, 2, 1.0)
    total = _sum(encoding, [np.full(8, -3, np.float32), np.full(8, 1, np.float32)])
    assert total.tolist() == [-2.0] * 8


@pytest.mark.parametrize(
    "encoding",
    [PackedEncoding(4, 3, 2.0), PackedEncoding(5, 3, 2.0), ModularEncoding(8, 3, 0.05), ModularEncoding(16, 3, 0.001)],
)
def test_coordinates_beyond_the_range_are_clipped(encoding: Encoding) -> None:
    values = np.array([-1e30, -1e3, 1e3, 1e30] * 10, np.float32)
    bound = encoding.bound if isinstance(encoding, PackedEncoding) else encoding.largest * encoding.step
    assert np.allclose(_sum(encoding, [values]), np.clip(values, -bound, bound))


def test_lanes_are_packed_as_digits() -> None:
    encoding = PackedEncoding(4, 2, 1.0)
    levels = np.arange(7)  # lane by lane: 0 and 1 in the lowest digit of two words, then 2 and 3, ...
    words = encoding.pack(levels)
    assert words.tolist() == [0 + (2 << 16) + (4 << 32) + (6 << 48), 1 + (3 << 16) + (5 << 32)]


@pytest.mark.parametrize("level", [-1, 32768 + 1])
def test_levels_outside_of_their_range_are_refused(level: int) -> None:
    with pytest.raises(ValueError, match="levels are within"):
        PackedEncoding(4, 2, 1.0).pack(np.array([level]))


@pytest.mark.parametrize("word", [(4 * 16383 + 1) << 16, 1 << 48, 2**64 - 1])
def test_impossible_lanes_are_noticed(word: int) -> None:
    encoding = PackedEncoding(4, 4, 1.0)  # the second word has three coordinates and an empty lane
    words = encoding.pack(np.zeros(7, np.int64))
    words[1] += np.uint64(word)
    with pytest.raises(ImpossibleSumError):
        encoding.unpack(words, 7, 4)


def test_a_sum_of_fewer_phones_has_smaller_lanes() -> None:
    encoding = PackedEncoding(5, 4, 1.0)
    words = encoding.pack(np.full(5, encoding.levels - 1)) * np.uint64(3)
    encoding.unpack(words, 5, 3)
    with pytest.raises(ImpossibleSumError):
        encoding.unpack(words, 5, 2)


def test_words_above_all_lanes_are_noticed() -> None:
    encoding = PackedEncoding(5, 1, 1.0)
    with pytest.raises(ImpossibleSumError):
        encoding.unpack(np.array([2**64 - 1], np.uint64), 5, 1)


@pytest.mark.parametrize(
    ("phones", "norm", "expected", "error"),
    [
        (20, None, PackedEncoding, 1e-5),
        (50, None, PackedEncoding, 3e-4),
        (60, 1.0, ModularEncoding, 0.03),
        (60, None, ModularEncoding, 1e-4),
    ],
)
def test_chosen_encodings_are_precise(phones: int, norm: float | None, expected: type, error: float) -> None:
    dimension = 10_000
    deltas = _deltas(phones, dimension)
    exact = deltas.sum(axis=0)
    known = None if norm is None else float(np.linalg.norm(exact)) / phones
    encoding = choose(phones, 1.0, dimension, known)
    assert isinstance(encoding, expected)
    rotation = Rotation(SEED, dimension)
    decoded = rotation.invert(_sum(encoding, [rotation.apply(delta) for delta in deltas]))
    assert np.sum((decoded - exact) ** 2) / np.sum(exact**2) < error


def test_coarse_choices_have_eight_bits_for_every_cohort() -> None:
    chosen = [choose(phones, 1.0, 10, 0.3, coarse=True) for phones in (3, 20, 50, 51, 200)]
    assert [each.bits for each in chosen] == [8] * 5


def test_choices_follow_cohort_and_norm() -> None:
    chosen = [choose(20, 1.0, 10), choose(21, 1.0, 10), choose(51, 1.0, 10), choose(51, 1.0, 10, 0.3)]
    assert [each.bits for each in chosen] == [16, 12.8, 16, 8]
    assert [each.word_bytes for each in chosen] == [8, 8, 2, 1]
    assert choose(51, 1.0, 10, 9.0) == choose(51, 1.0, 10, 1.0)  # a mean is never longer than the clip
    assert all(each.phones in {20, 21, 51} for each in chosen)


def test_a_mean_that_grows_by_half_does_not_wrap_around() -> None:
    random = np.random.default_rng(0)
    phones, dimension = 60, 4096
    encoding = choose(phones, 10.0, dimension, previous_norm=1.0)
    vectors = random.normal(0, 1.5 / np.sqrt(dimension), (phones, dimension)).astype(np.float32)
    vectors[:] = vectors[0]  # all alike: the mean is 1.5 long, the longest that there is to be room for
    levels = sum(encoding.quantise(vector, bytes([i] * 32)).astype(np.int64) for i, vector in enumerate(vectors))
    assert np.abs(levels).max() <= encoding.largest


@pytest.mark.parametrize(
    "encoding", [PackedEncoding(5, 40, 0.25), ModularEncoding(8, 300, 1e-5), ModularEncoding(16, 100, 0.5)]
)
def test_encodings_come_back_from_bytes(encoding: Encoding) -> None:
    data = encoding_to_bytes(encoding)
    assert len(data) == ENCODING_BYTES == 12
    assert encoding_from_bytes(data) == encoding


@pytest.mark.parametrize(("kind", "size"), [(0, 4), (3, 4), (1, 9), (2, 7)])
def test_impossible_encodings_do_not_come_back(kind: int, size: int) -> None:
    with pytest.raises(ValueError, match=r"kind|lanes|bits"):
        encoding_from_bytes(struct.pack("<BBHd", kind, size, 4, 1.0))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_impossible_encodings(scale: float) -> None:
    for make in (lambda: PackedEncoding(4, 4, scale), lambda: ModularEncoding(8, 4, scale)):
        with pytest.raises(ValueError, match="finite and positive"):
            make()
    for make, match in [
        (lambda: PackedEncoding(1, 4, 1.0), "2 to 8 lanes"),
        (lambda: PackedEncoding(8, 256, 1.0), "cannot hold"),
        (lambda: PackedEncoding(4, 0, 1.0), "cannot hold"),
        (lambda: ModularEncoding(4, 4, 1.0), "8 or 16"),
        (lambda: ModularEncoding(8, 0, 1.0), "at least one"),
    ]:
        with pytest.raises(ValueError, match=match):
            make()


def test_random_words_are_a_stream_of_the_seed() -> None:
    words = random_words(SEED, 1000, "<u8")
    assert np.array_equal(words[:10], random_words(SEED, 10, "<u8"))
    assert np.unique(words).size == 1000
    assert not np.array_equal(words, random_words(digest("other"), 1000, "<u8"))
