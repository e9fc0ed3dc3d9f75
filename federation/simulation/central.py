"""Central training of the same network with Adam: the warm start on the public seed, and the bound for federation."""

import json
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from federation.simulation.central_training import CentralTraining
from model import arrays, files
from model.batches import Rows
from model.layout import FlatWeights, NetworkConfig, initial_weights
from model.network import dropout_noise, loss_and_hits
from model.wording import DAMAGE

_GRADIENT_NORM = 1.0
_WARM_UP_STEPS = 100
_FINAL_SHARE = 0.02
SAVE_EVERY = 500
"""Steps between two states on disk."""
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


def train(
    network: NetworkConfig,
    rows: Rows,
    options: CentralTraining,
    *,
    seed: int,
    progress: Callable[[int, float], None] = lambda _step, _loss: None,
    start: FlatWeights | None = None,
    resume: Path | None = None,
) -> FlatWeights:
    """Train a network.

    Args:
        network: sizes.
        rows: packed messages.
        options: how.
        seed: of the weights, of the order and of dropout.
        progress: called after each step with its number, from 1, and the batch's mean loss in nats.
        start: weights to begin with; by default random ones.
        resume: file that keeps the state every `SAVE_EVERY` steps. If it is of the same training, that goes on from
            there and ends with the same weights; it is removed at the end.
    """
    weights = [tf.Variable(weight) for weight in start or initial_weights(network, seed)]
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
    state = _State(resume, [*weights, *first, *second], f"{network} {options} {seed} {zlib.crc32(rows.tobytes())}")
    done, number = state.load(), 0
    for _ in range(options.epochs):
        order = random.permutation(len(rows))
        for at in range(0, len(order), options.batch_rows):
            number += 1
            if number <= done:
                continue
            rate = options.learning_rate * min(1, number / _WARM_UP_STEPS) * cosine(number / steps, _FINAL_SHARE)
            loss = take_step(rows[order[at : at + options.batch_rows]], rate, float(number))
            progress(number, float(loss))
            if number % SAVE_EVERY == 0:
                state.save(number)
    state.remove()
    return [weight.numpy() for weight in weights]


class _State:
    """Weights and moments of a training on disk.

    Args:
        path: of the file; None keeps nothing.
        variables: what is kept.
        training: names what is trained and how; a state of another training is not taken.
    """

    def __init__(self, path: Path | None, variables: Sequence[tf.Variable], training: str) -> None:
        self._path, self._variables, self._training = path, variables, training

    def load(self) -> int:
        """Set the variables to what was saved; return the number of steps done, 0 if nothing usable was saved."""
        if self._path is None:
            return 0
        try:
            with arrays.archive(self._path) as kept:
                described = json.loads(kept["training"].tobytes())
                values = [kept[f"{i}"] for i in range(len(self._variables))]
        except DAMAGE:
            return 0
        if described["training"] != self._training:
            return 0
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)
        return int(described["step"])

    def save(self, step: int) -> None:
        """Keep the variables after this many steps."""
        if self._path is None:
            return
        described = json.dumps({"training": self._training, "step": step}).encode()
        arrays = {f"{i}": variable.numpy() for i, variable in enumerate(self._variables)}
        with files.writing(self._path) as file:
            np.savez(file, training=np.frombuffer(described, np.uint8), **arrays)

    def remove(self) -> None:
        """Remove the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def cosine(done: float, final: float) -> float:
    """Return a factor that falls from 1 at the start (`done` 0) to `final` at the end (`done` 1)."""
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))
