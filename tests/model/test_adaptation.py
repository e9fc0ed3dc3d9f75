import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.adaptation import Adaptation

SHIPPED = (0.5, 0.3, 0.2)
probabilities = st.floats(1e-9, 1.0)


def test_nothing_typed_is_what_was_shipped() -> None:
    assert Adaptation().weights(SHIPPED) == SHIPPED
    assert Adaptation().own_factor == 1


@given(st.lists(st.tuples(*[probabilities] * 3), min_size=1, max_size=40))
def test_weights_stay_a_distribution(rows: list[tuple[float, ...]]) -> None:
    adaptation = Adaptation()
    for _ in range(3):
        adaptation.observe(np.array(rows), SHIPPED)
    weights = adaptation.weights(SHIPPED)
    assert sum(weights) == pytest.approx(1)
    assert min(weights) > 0


def test_the_part_that_predicts_an_owner_gains_slowly() -> None:
    adaptation = Adaptation()
    gained = []
    for _ in range(40):
        adaptation.observe(np.tile([0.1, 0.1, 0.9], (50, 1)), SHIPPED)
        gained.append(adaptation.weights(SHIPPED)[2])
    assert gained == sorted(gained)
    assert gained[0] < 0.25
    assert gained[-1] > 0.6


def test_what_was_long_ago_is_forgotten() -> None:
    adaptation = Adaptation()
    adaptation.observe(np.tile([0.1, 0.1, 0.9], (5000, 1)), SHIPPED)
    then = adaptation.weights(SHIPPED)[2]
    for _ in range(60):
        adaptation.observe(np.tile([0.9, 0.1, 0.1], (1000, 1)), SHIPPED)
    assert adaptation.weights(SHIPPED)[2] < 0.1 < then


def test_what_is_known_outlives_the_coming_of_counts_and_their_going() -> None:
    adaptation = Adaptation()
    two, three = (0.5, 0.5), (0.5, 0.25, 0.25)
    adaptation.observe(np.tile([0.9, 0.1], (4000, 1)), two)
    before = adaptation.weights(two)
    with_counts = adaptation.weights(three)
    assert before[0] > 0.7
    assert with_counts[0] == pytest.approx(before[0])
    assert with_counts[1] == with_counts[2] == pytest.approx(before[1] / 2)
    adaptation.observe(np.tile([0.1, 0.1, 0.9], (4000, 1)), three)
    assert adaptation.weights(three)[2] > with_counts[2]
    back = adaptation.weights(two)
    assert back[1] == pytest.approx(sum(adaptation.weights(three)[1:]))


def test_pieces_that_no_part_expects_tell_nothing() -> None:
    adaptation = Adaptation()
    adaptation.observe(np.zeros((10, 3)), SHIPPED)
    assert adaptation.weights(SHIPPED) == pytest.approx(SHIPPED)


def test_own_n_grams_that_predict_weigh_more_and_others_less() -> None:
    better, worse = Adaptation(), Adaptation()
    for _ in range(30):
        better.observe_own(np.full(20, 0.01), np.full(20, 0.3), np.full(20, 0.1))
        worse.observe_own(np.full(20, 0.1), np.full(20, 0.001), np.full(20, 0.1))
    assert better.own_factor > 2
    assert worse.own_factor < 0.5


def test_it_survives_storage_and_nonsense_does_not() -> None:
    adaptation = Adaptation((3.0, 2.0), 1.5, 2.5)
    assert Adaptation.from_json(adaptation.to_json()) == adaptation
    for changed in ({"own": float("nan")}, {"explained": [-1.0]}, {"explained": ["x"]}, {"own": None}):
        with pytest.raises((TypeError, ValueError)):
            Adaptation.from_json(adaptation.to_json() | changed)
    with pytest.raises(KeyError):
        Adaptation.from_json({})
