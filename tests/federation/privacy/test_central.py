"""Noise by a round server: its size, its correlation over rounds, and what it hides."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import ConfigError
from federation.privacy.accountant import Participation, tree_squared_sensitivity
from federation.privacy.central import CentralNoise, exact_encoding, sensitivity

SECRET = bytes(range(32))
MANY = 40_000
FRESH = CentralNoise(mechanism="gaussian", noise_multiplier=2.0)
TREE = CentralNoise(mechanism="tree", noise_multiplier=2.0)


def test_no_noise_is_nothing() -> None:
    assert not CentralNoise().on_sum(SECRET, 3, 2, 0.0, 50).any()


def test_fresh_noise_is_gaussian_of_its_size_and_independent_between_rounds() -> None:
    drawn = np.stack([FRESH.on_sum(SECRET, number, number - 1, 3.0, MANY) for number in (1, 2)])
    assert drawn.std(axis=1) == pytest.approx([3.0, 3.0], rel=0.02)
    assert abs(drawn.mean()) < 5 * 3 / math.sqrt(2 * MANY)
    assert abs(np.corrcoef(drawn)[0, 1]) < 5 / math.sqrt(MANY)
    assert np.mean(np.abs(drawn) < 3.0) == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.01)


def test_a_round_that_is_finished_again_gets_the_same_noise_and_another_server_another() -> None:
    for noise in (FRESH, TREE):
        again = [noise.on_sum(SECRET, 6, 5, 1.0, 100) for _ in range(2)]
        np.testing.assert_array_equal(*again)
        assert not np.allclose(again[0], noise.on_sum(bytes(32), 6, 5, 1.0, 100))


@pytest.mark.parametrize("restart", [0, 4])
def test_a_model_carries_the_noise_of_the_nodes_that_its_rounds_are_made_of(restart: int) -> None:
    tree = CentralNoise(mechanism="tree", noise_multiplier=2.0, restart_rounds=restart)
    carried = np.zeros(MANY, np.float32)
    for number in range(1, 12):
        carried += tree.on_sum(SECRET, number, number - 1, 1.0, MANY)
        trees = [restart] * (number // restart) + [number % restart] if restart else [number]
        assert carried.var() == pytest.approx(sum(each.bit_count() for each in trees), rel=0.05)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8, unique=True).map(sorted), st.sampled_from([0, 3, 8]))
def test_what_is_carried_follows_from_the_last_round_whichever_were_refused(rounds: list[int], restart: int) -> None:
    tree = CentralNoise(mechanism="tree", noise_multiplier=1.0, restart_rounds=restart)
    steps = [tree.on_sum(SECRET, new, old, 1.0, 30) for old, new in itertools.pairwise([0, *rounds])]
    np.testing.assert_allclose(sum(steps), tree.on_sum(SECRET, rounds[-1], 0, 1.0, 30), atol=1e-4)


@pytest.mark.parametrize(("rounds", "restart"), [(8, 0), (11, 0), (11, 4)])
def test_the_accountants_sensitivity_covers_the_nodes_that_are_used(rounds: int, restart: int) -> None:
    """By brute force: which used nodes hold each choice of participations, each node a release of its own."""
    tree = CentralNoise(mechanism="tree", noise_multiplier=1.0, restart_rounds=restart)
    used = {node for number in range(1, rounds + 1) for node in tree._nodes(number)}
    worst = 0
    for participations in itertools.combinations(range(rounds), 2):
        held = 0
        for number, level, place in used:
            first = number * (restart or rounds) + (place << (level - 1))
            held += sum(first <= each < first + (1 << (level - 1)) for each in participations) ** 2
        worst = max(worst, held)
    assert worst <= tree_squared_sensitivity(Participation(rounds, 2, 1), restart)


@pytest.mark.parametrize(
    "settings",
    [
        {"mechanism": "laplace", "noise_multiplier": 1.0},
        {"mechanism": "gaussian"},
        {"noise_multiplier": 1.0},
        {"mechanism": "gaussian", "noise_multiplier": math.inf},
        {"mechanism": "gaussian", "noise_multiplier": 1.0, "restart_rounds": 3},
    ],
)
def test_impossible_noise_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"central\."):
        CentralNoise(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("phones", [5, 50, 255])
def test_a_phone_moves_a_sum_by_its_clip_and_rounding_at_most(phones: int) -> None:
    clip, dimension = 2.0, 5000
    encoding = exact_encoding(phones, clip, dimension)
    assert clip < sensitivity(encoding, clip, dimension) < 1.1 * clip
    random = np.random.default_rng(0)
    vector = np.zeros(8192, np.float32)
    vector[:dimension] = random.normal(size=dimension)
    vector *= np.float32(clip / np.linalg.norm(vector))
    moved = encoding.dequantise(encoding.quantise(vector, bytes(32)), 1)
    assert np.linalg.norm(moved) <= sensitivity(encoding, clip, dimension)
