"""Noise by a server: its size, its correlation over rounds, and what it costs whatever becomes of a round."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import ConfigError
from federation.privacy.central import MAX_ROUNDS, NoisedLevels, NoiseStream, exact_encoding, sensitivity
from federation.privacy.errors import NoiseError
from federation.privacy.toeplitz import Buffers
from federation.protocol.central_noise import CentralNoise
from federation.updates.encoding import Levels
from federation.updates.rotation import Rotation

PAIR = Buffers((0.7786, 0.99327), (0.32365, 0.1471))
MANY = 40_960
STEPS = 1 << 16
STILL = np.zeros(MANY, np.int64)


def rotation(number: int, dimension: int = MANY) -> Rotation:
    return Rotation(number.to_bytes(32, "little"), dimension)


def stream(buffers: Buffers = PAIR, secret: int = 1, dimension: int = MANY) -> NoiseStream:
    return NoiseStream.begin(buffers, dimension, lambda size: bytes([secret]) * size)


def run(buffers: Buffers, rounds: int, deviation: float = 50.0) -> np.ndarray:
    """Return the noise of each round in standard deviations, where every round has a rotation of its own."""
    noise, state = [], stream(buffers)
    for number in range(rounds):
        turned = rotation(number)
        noised, state = state.noised(STILL, turned, deviation, bytes([number]))
        noise.append(turned.invert(noised.steps / (STEPS * deviation)))
    return np.stack(noise)


@pytest.mark.parametrize("buffers", [Buffers(), PAIR], ids=["fresh", "blt"])
def test_noise_of_rounds_is_correlated_as_the_inverse_of_its_matrix(buffers: Buffers) -> None:
    rounds = 6
    noise = run(buffers, rounds)
    coefficients = buffers.coefficients(rounds)
    matrix = sum(value * np.eye(rounds, k=-index) for index, value in enumerate(coefficients))
    inverse = np.linalg.inv(matrix)
    measured = noise @ noise.T / MANY
    assert np.abs(measured - inverse @ inverse.T).max() < 6 * math.sqrt(2 / MANY)
    # What is left on the models is what the account of the mechanism says.
    carried = np.cumsum(noise, axis=0).var(axis=1)
    np.testing.assert_allclose(carried, buffers.prefix_variances(rounds), rtol=0.06)


def test_noise_before_it_is_correlated_is_a_gaussian_of_its_size() -> None:
    noise = run(Buffers(), 1)[0]
    assert np.mean(np.abs(noise) < 1.0) == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.01)


def test_a_round_that_is_finished_again_gets_the_same_noise() -> None:
    state = stream()
    for number in range(3):
        first, after = state.noised(STILL, rotation(number), 9.0, b"nonce")
        second, _ = state.noised(STILL, rotation(number), 9.0, b"nonce")
        np.testing.assert_array_equal(first.steps, second.steps)
        state = after


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((stream(), b"a"), (stream(), b"b")),  # a restored server opens its rounds anew
        ((stream(secret=1), b"a"), (stream(secret=2), b"a")),  # another installation
        ((stream(), b"a"), (stream().noised(STILL, rotation(0), 9.0, b"x")[1], b"a")),  # a later round
    ],
    ids=["nonce", "secret", "round"],
)
def test_noise_never_comes_twice(one: tuple[NoiseStream, bytes], other: tuple[NoiseStream, bytes]) -> None:
    drawn = [state.noised(STILL, rotation(0), 100.0, nonce)[0].steps for state, nonce in (one, other)]
    assert abs(np.corrcoef(*drawn)[0, 1]) < 0.5
    assert np.mean(drawn[0] == drawn[1]) < 1e-3


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([3.0, 40.0, 700.0]), min_size=1, max_size=6), st.integers(0, 5), st.integers(0, 2**32))
def test_neighbouring_sums_differ_by_what_is_accounted_for(deviations: list[float], at: int, seed: int) -> None:
    """What z has to be for both to give the same output differs by the phone's column, to the rounding allowed for."""
    dimension, at = 5000, at % len(deviations)
    random = np.random.default_rng(seed)
    moved = random.normal(size=8192)
    moved = np.rint(moved * 300 / np.linalg.norm(moved)).astype(np.int64)
    outputs, drawn, state = [], [], stream(dimension=dimension)
    for number, deviation in enumerate(deviations):
        sums = random.integers(-50, 50, 8192)
        noised, after = state.noised(sums, rotation(number, dimension), deviation, bytes([number]))
        outputs.append((sums, noised))
        state = after
    for phone in (0, 1):
        state = stream(dimension=dimension)
        needed = []
        for number, (deviation, (sums, noised)) in enumerate(zip(deviations, outputs, strict=True)):
            theirs = sums - phone * (number == at) * moved
            needed.append(_independent(state, theirs, noised, rotation(number, dimension), deviation))
            state = _after(state, theirs, noised, rotation(number, dimension), deviation)
        drawn.append(np.stack(needed))
    lengths = np.linalg.norm(drawn[1] - drawn[0], axis=1)  # in standard deviations of each round
    size = float(np.linalg.norm(moved)) / deviations[at]
    expected = PAIR.coefficients(len(deviations) - at) * size
    slack = 2.0 * math.sqrt(8192) / (STEPS * np.array(deviations[at:]))
    assert (lengths[:at] < 1e-9).all()
    assert (lengths[at:] <= expected + slack).all()


def _independent(
    state: NoiseStream, sums: Levels, noised: NoisedLevels, turned: Rotation, deviation: float
) -> np.ndarray:
    earlier = np.array(state.buffers.scales) @ state.held
    subtracted = np.rint(turned.apply(earlier) * deviation * STEPS)
    difference: np.ndarray = (noised.steps - sums * STEPS + subtracted) / (STEPS * deviation)
    return difference


def _after(state: NoiseStream, sums: Levels, noised: NoisedLevels, turned: Rotation, deviation: float) -> NoiseStream:
    added = turned.invert((noised.steps - sums * STEPS) / (STEPS * deviation))
    held = np.array(state.buffers.decays)[:, None] * state.held + added
    return NoiseStream(state.buffers, state.secret, state.rounds + 1, held)


def test_outputs_that_a_neighbour_cannot_have_do_not_occur() -> None:
    """In a million draws; of a float sum with float noise there are such outputs, which the same attack finds.

    A float32 output finer than the gaps between the floats that a neighbour's sum and noise can add up to tells the
    two apart for certain (Mironov 2012). A noised sum of integers is a function of one integer, which both can have.
    """
    half, encoding = np.float32(0.15), exact_encoding(10, 1.0, MANY)
    random, found, unreachable = np.random.default_rng(0), 0, 0
    for number in range(25):
        floats = np.float32(0) + random.normal(scale=0.4, size=MANY).astype(np.float32)
        finer = np.remainder(np.abs(floats).astype(float), float(np.spacing(half))) != 0
        found += int(((np.abs(floats) < half) & finer).sum())  # no sum of 0.3 and a float gives these
        noised, _ = stream(Buffers()).noised(STILL + number % 2 * 37, rotation(number), 40.0, bytes([number]))
        seen = noised.dequantise(encoding, 10)
        integers = np.rint((seen.astype(float) + 10 * encoding.bound) / encoding.step * STEPS).astype(np.int64)
        unreachable += int((NoisedLevels(integers).dequantise(encoding, 10) != seen).sum())
    assert found > 1000
    assert unreachable == 0


def test_noised_sums_decode_to_the_sum_and_its_noise() -> None:
    clip, dimension, phones, deviation = 2.0, 5000, 10, 30.0
    encoding, turned = exact_encoding(phones, clip, dimension), rotation(3, dimension)
    random = np.random.default_rng(1)
    vectors = random.normal(size=(phones, dimension)).astype(np.float32) * np.float32(clip / math.sqrt(dimension) / 2)
    sums = sum(encoding.quantise(turned.apply(each), bytes([i]) * 32) for i, each in enumerate(vectors))
    noised, _ = stream(dimension=dimension).noised(sums, turned, deviation, b"n")
    error = turned.invert(noised.dequantise(encoding, phones)) - vectors.sum(axis=0)
    assert error.std() == pytest.approx(deviation * encoding.step, rel=0.05)


def test_a_stream_does_not_go_on_for_ever() -> None:
    tired = NoiseStream(Buffers(), bytes(32), MAX_ROUNDS, np.zeros((0, MANY)))
    with pytest.raises(NoiseError, match="new server"):
        tired.noised(STILL, rotation(0), 1.0, b"n")


def test_a_stream_keeps_its_secret_to_itself() -> None:
    assert bytes([1] * 32).hex() not in repr(stream())
    assert "\\x01" not in repr(stream())


@pytest.mark.parametrize(
    "values",
    [
        {"mechanism": "laplace", "noise_multiplier": 1.0},
        {"mechanism": "gaussian"},
        {"noise_multiplier": 1.0},
        {"mechanism": "gaussian", "noise_multiplier": math.inf},
        {"mechanism": "blt", "noise_multiplier": 1.0, "min_separation": 0},
    ],
)
def test_impossible_noise_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"must be|does not go with"):
        CentralNoise(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("phones", [5, 50, 255])
def test_a_phone_moves_a_sum_by_its_clip_and_rounding_at_most(phones: int) -> None:
    clip, dimension = 2.0, 5000
    encoding = exact_encoding(phones, clip, dimension)
    most = sensitivity(encoding, clip, dimension) * encoding.step
    assert clip < most < 1.1 * clip
    random = np.random.default_rng(0)
    vector = np.zeros(8192, np.float32)
    vector[:dimension] = random.normal(size=dimension)
    vector *= np.float32(clip / np.linalg.norm(vector))
    moved = encoding.dequantise(encoding.quantise(vector, bytes(32)), 1)
    assert np.linalg.norm(moved) <= most
