"""Central training of the same network with Adam: the warm start on the public seed, and the bound for federation."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from model.batches import Rows
from model.layout import FlatWeights, NetworkConfig, initial_weights
from model.network import dropout_noise, loss_and_hits

_GRADIENT_NORM = 1.0
_WARM_UP_STEPS = 100
_FINAL_SHARE = 0.02
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class CentralTraining:
    """How a network is trained on text that lies in one place.

    Attributes:
        epochs: passes over the rows; 0 leaves the weights random.
        learning_rate: of Adam (Kingma and Ba 2015) at its peak; it warms up, then falls along a cosine.
        batch_rows: rows in a batch.
        dropout: share of the embedded inputs and of the outputs set to zero.
    """

    epochs: int = 6
    learning_rate: float = 2e-3
    batch_rows: int = 16
    dropout: float = 0.2


def train(
    network: NetworkConfig,
    rows: Rows,
    options: CentralTraining,
    *,
    seed: int,
    progress: Callable[[int, float], None] = lambda _step, _loss: None,
) -> FlatWeights:
    """Train from random weights.

    Args:
        network: sizes.
        rows: packed messages.
        options: how.
        seed: of the weights, of the order and of dropout.
        progress: called after each step with its number, from 1, and the batch's mean loss in nats.
    """
    weights = [tf.Variable(weight) for weight in initial_weights(network, seed)]
    first = [tf.Variable(tf.zeros_like(weight)) for weight in weights]
    second = [tf.Variable(tf.zeros_like(weight)) for weight in weights]

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, rows.shape[1]], tf.int32),
            tf.TensorSpec([], tf.float32),
            tf.TensorSpec([], tf.float32),
        ]
    )
    def take_step(batch: tf.Tensor, rate: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        values = [weight.read_value() for weight in weights]
        with tf.GradientTape() as tape:
            tape.watch(values)
            unit_seed = tf.stack([seed, 2 * tf.cast(number, tf.int32)])
            noise = dropout_noise(values, batch, options.dropout, unit_seed)
            loss, _, targets = loss_and_hits(values, batch, noise)
            loss = loss / tf.maximum(targets, 1.0)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, values), _GRADIENT_NORM)
        for weight, m, v, gradient in zip(weights, first, second, gradients, strict=True):
            m.assign(_BETA_1 * m + (1 - _BETA_1) * gradient)
            v.assign(_BETA_2 * v + (1 - _BETA_2) * tf.square(gradient))
            corrected = tf.sqrt(v / (1 - tf.pow(_BETA_2, number))) + _EPSILON
            weight.assign_sub(rate * m / (1 - tf.pow(_BETA_1, number)) / corrected)
        return loss

    random = np.random.default_rng([seed, 1])
    steps = options.epochs * math.ceil(len(rows) / options.batch_rows)
    number = 0
    for _ in range(options.epochs):
        order = random.permutation(len(rows))
        for start in range(0, len(order), options.batch_rows):
            number += 1
            rate = options.learning_rate * min(1, number / _WARM_UP_STEPS) * cosine(number / steps, _FINAL_SHARE)
            loss = take_step(rows[order[start : start + options.batch_rows]], rate, float(number))
            progress(number, float(loss))
    return [weight.numpy() for weight in weights]


def cosine(done: float, final: float) -> float:
    """Return a factor that falls from 1 at the start (`done` 0) to `final` at the end (`done` 1)."""
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))
