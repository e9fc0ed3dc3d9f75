from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from federation.errors import ConfigError
from federation.rounds.server_optimizers import (
    Adagrad,
    Adam,
    OptimizerSettings,
    ServerOptimizer,
    ServerState,
    SgdMomentum,
    Yogi,
)

STEPS = 5


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SgdMomentum(learning_rate=0.7, momentum=0.9), tff.learning.optimizers.build_sgdm(0.7, 0.9)),
        (SgdMomentum(learning_rate=1.0, momentum=0.0), tff.learning.optimizers.build_sgdm(1.0, None)),
        (Adam(), tff.learning.optimizers.build_adam(0.01, beta_1=0.9, beta_2=0.99, epsilon=1e-3)),
        (Yogi(), tff.learning.optimizers.build_yogi(0.01, beta_1=0.9, beta_2=0.99, epsilon=1e-3)),
        (Adagrad(), tff.learning.optimizers.build_adagrad(0.01, initial_preconditioner_value=0.0, epsilon=1e-3)),
    ],
    ids=["momentum", "averaging", "adam", "yogi", "adagrad"],
)
def test_it_is_tffs_optimizer_step_by_step(ours: ServerOptimizer, theirs: tff.learning.optimizers.Optimizer) -> None:
    random = np.random.default_rng(0)
    weights = random.normal(size=50).astype(np.float32)
    state = ours.initialize(weights)
    theirs_state, their_weights = theirs.initialize(tf.TensorSpec([50])), tf.constant(weights)
    for _ in range(STEPS):
        delta = random.normal(0, 0.1, 50).astype(np.float32)
        state = ours.apply(ServerState.of(state.weights, state.slots_to_bytes()), delta)
        theirs_state, their_weights = theirs.next(theirs_state, their_weights, tf.constant(-delta))
        np.testing.assert_allclose(state.weights, their_weights, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("sgd", SgdMomentum(learning_rate=0.3, momentum=0.5)),
        ("adam", Adam(learning_rate=0.3, first_moment=0.5)),
        ("yogi", Yogi(learning_rate=0.3, first_moment=0.5)),
        ("adagrad", Adagrad(learning_rate=0.3)),
    ],
)
def test_settings_name_every_optimizer(name: Any, optimizer: ServerOptimizer) -> None:
    assert OptimizerSettings(name=name, learning_rate=0.3, momentum=0.5).optimizer == optimizer


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError):
        SgdMomentum(momentum=1.0)
    with pytest.raises(ConfigError):
        Adam(epsilon=0)
