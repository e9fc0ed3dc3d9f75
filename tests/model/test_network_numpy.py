"""The network in NumPy against the one definition in TensorFlow, function by function, values and gradients."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model import network, network_numpy
from model.layout import NetworkConfig, initial_weights
from model.vocabulary import BOUNDARY, PAD
from tests.model.engines import random_rows

NETWORK = NetworkConfig(40, embedding=6, hidden=10)
STEPS, BATCH = 7, 3


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(2)


@pytest.fixture
def weights(random: np.random.Generator) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """Larger than initial ones, so that gates saturate and biases matter."""
    return [
        weight * 2 + random.normal(0, 0.1, weight.shape).astype(np.float32) for weight in initial_weights(NETWORK, 1)
    ]


def normal(random: np.random.Generator, *shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return random.normal(0, 1, shape).astype(np.float32)


def test_lookup(random: np.random.Generator) -> None:
    embedding, ids, upstream = normal(random, 9, 4), np.array([3, 8, 3, 0, 3], np.int32), normal(random, 5, 4)
    variable = tf.Variable(embedding)
    with tf.GradientTape() as tape:
        expected = network._lookup(variable, tf.constant(ids))
    gradient = tape.gradient(expected, variable, upstream)
    found, add_gradient = network_numpy.lookup(embedding, ids)
    np.testing.assert_array_equal(found, expected)
    total = np.ones_like(embedding)
    add_gradient(upstream, total)
    np.testing.assert_allclose(total - 1, gradient, atol=1e-6)


@pytest.mark.parametrize("restarts", [False, True])
def test_cifg(random: np.random.Generator, weights: list[Any], restarts: bool) -> None:
    inputs, upstream = normal(random, STEPS, BATCH, 6), normal(random, STEPS, BATCH, 6)
    keep = np.ones((STEPS, BATCH, 1), np.float32)
    if restarts:
        keep[[0, 3, 4], [0, 1, 1]] = 0
    values = [tf.Variable(value) for value in (inputs, *weights[2:])]
    with tf.GradientTape() as tape:
        expected = network._cifg(values[0], tf.constant(keep), *values[1:])
    gradients = tape.gradient(expected, values, upstream)
    found, gradient = network_numpy.cifg(inputs, keep, *weights[2:])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for own, theirs in zip(gradient(upstream), gradients, strict=True):
        np.testing.assert_allclose(own, theirs, atol=2e-5)


def test_softmax_loss(random: np.random.Generator, weights: list[Any]) -> None:
    outputs, targets = normal(random, 11, 6), random.integers(0, 40, 11).astype(np.int32)
    targets[0] = np.argmax(outputs[0] @ weights[0].T + weights[1])
    mask = np.ones(11, np.float32)
    mask[[2, 10]] = 0
    values = [tf.Variable(value) for value in (outputs, *weights[:2])]
    with tf.GradientTape() as tape:
        loss, hits = network._softmax_loss(*values, tf.constant(targets), tf.constant(mask))
        scaled = 0.3 * loss
    gradients = tape.gradient(scaled, values)
    kept = mask > 0
    sums, gradient = network_numpy.softmax_loss(outputs[kept], *weights[:2], targets[kept])
    assert sums == pytest.approx((float(loss), float(hits), 9.0), rel=1e-5)
    assert sums.hits >= 1
    d_outputs, d_embedding, d_bias = gradient(0.3)
    np.testing.assert_allclose(d_outputs, tf.boolean_mask(gradients[0], kept), atol=1e-5)
    np.testing.assert_allclose(d_embedding, gradients[1], atol=1e-5)
    np.testing.assert_allclose(d_bias, gradients[2], atol=1e-5)


def test_a_loss_of_large_logits_is_finite(random: np.random.Generator, weights: list[Any]) -> None:
    outputs, targets = 1e4 * normal(random, 5, 6), np.arange(5, dtype=np.int32)
    sums, gradient = network_numpy.softmax_loss(outputs, *weights[:2], targets)
    assert np.isfinite(sums.loss)
    assert all(np.isfinite(part).all() for part in gradient(1.0))


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_whole(weights: list[Any], dropout: float) -> None:
    rows = random_rows(4, 40)
    rows[1, [0, 6, 7]] = BOUNDARY
    values = [tf.Variable(weight) for weight in weights]
    noise = network.dropout_noise(values, tf.constant(rows), dropout, tf.constant([1, 2]))
    with tf.GradientTape() as tape:
        expected = network.loss_and_hits(values, tf.constant(rows), noise)
        mean = expected[0] / expected[2]
    gradients = tape.gradient(mean, values)
    own_noise = None if noise is None else (noise[0].numpy(), noise[1].numpy())
    sums, found = network_numpy.loss_and_gradients(weights, rows, own_noise)
    assert sums == pytest.approx([float(value) for value in expected], rel=1e-5)
    for own, theirs in zip(found, gradients, strict=True):
        np.testing.assert_allclose(own, theirs, atol=2e-5)
    if noise is None:
        assert network_numpy.loss_and_hits(weights, rows) == sums


def test_a_gap_in_a_row_is_no_target_but_is_read(weights: list[Any]) -> None:
    rows = random_rows(2, 40)
    rows[0, 9:12] = PAD
    rows[0, 12:] = 7
    expected = network.loss_and_hits([tf.constant(weight) for weight in weights], tf.constant(rows))
    assert network_numpy.loss_and_hits(weights, rows) == pytest.approx([float(value) for value in expected], rel=1e-5)


def test_step_and_log_probabilities(random: np.random.Generator, weights: list[Any]) -> None:
    tokens = np.array([5, BOUNDARY, 9], np.int32)
    cell, output = normal(random, 3, 10), normal(random, 3, 6)
    constants = [tf.constant(weight) for weight in weights]
    expected = network.step(constants, tf.constant(tokens), tf.constant(cell), tf.constant(output))
    found = network_numpy.step(weights, tokens, cell, output)
    for own, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, theirs, atol=1e-5)
    np.testing.assert_allclose(
        network_numpy.log_probabilities(weights, found[1]),
        network.log_probabilities(constants, expected[1]),
        atol=1e-5,
    )
