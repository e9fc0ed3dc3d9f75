import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from model.layout import NetworkConfig, initial_weights
from model.network import loss_and_hits
from model.widening import widened

NETWORK = NetworkConfig(12, embedding=4, hidden=6)
WEIGHTS = [weight * 2 for weight in initial_weights(NETWORK, 1)]
ROWS = tf.constant([[2, 3, 4, 5, 2, 6, 7, 2], [2, 8, 9, 10, 11, 3, 2, 0]], tf.int32)


@pytest.mark.parametrize("hidden", [6, 7, 15])
def test_a_wider_network_predicts_the_same(hidden: int) -> None:
    wider = dataclasses.replace(NETWORK, hidden=hidden)
    weights = widened(WEIGHTS, NETWORK, wider, seed=1)
    assert [weight.shape for weight in weights] == list(wider.layout.values())
    assert {weight.dtype for weight in weights} == {np.dtype(np.float32)}
    before, after = (float(loss_and_hits(own, ROWS)[0]) for own in (WEIGHTS, weights))
    assert after == pytest.approx(before, rel=1e-5)


def test_copies_of_a_cell_learn_different_things() -> None:
    wider = dataclasses.replace(NETWORK, hidden=12)
    weights = [tf.constant(weight) for weight in widened(WEIGHTS, NETWORK, wider, seed=1)]
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = loss_and_hits(weights, ROWS)[0]
    (gradient,) = (g.numpy() for g in tape.gradient(loss, [weights[4]]))
    assert len(np.unique(np.round(gradient, 9))) == len(gradient)


@pytest.mark.parametrize("changed", [{"hidden": 5}, {"embedding": 5}, {"vocabulary_size": 13}])
def test_what_is_not_wider_is_refused(changed: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="number of its cells"):
        widened(WEIGHTS, NETWORK, dataclasses.replace(NETWORK, **changed), seed=1)
