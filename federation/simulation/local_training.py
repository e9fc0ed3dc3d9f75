"""A client's local training as one TensorFlow function: batches are slices of its rows, without a `tf.data` pipeline.

TFF's template for client work computes the same (a test holds one against the other); its pipeline, and two more
computations around it, cost every client 9 ms, which is more than a client of a few messages trains for.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from federation.simulation.client_training import ClientTraining
from model.network import dropout_noise, loss_and_hits

_EVALUATED_ROWS = 64
"""In a batch of an evaluation."""

_Weights = tuple[tf.Tensor, ...]
_Totals = tuple[tf.Tensor, ...]  # loss, hits, targets
_Step = Callable[[_Weights, tf.Tensor], tuple[_Weights, _Totals]]


class Trained(NamedTuple):
    """What a client has after training.

    Attributes:
        delta: Weights after training minus before; zero if they are no longer finite.
        weight: That the client counts by; 0 if its weights are no longer finite.
        totals: Loss, hits and targets over all batches, each before its step; likewise.
    """

    delta: _Weights
    weight: tf.Tensor
    totals: _Totals


def trained(initial: _Weights, rows: tf.Tensor, training: ClientTraining) -> Trained:
    """Train on rows int32 [rows, length + 1], in order, by SGD on clipped gradients.

    With a proximal strength every step is pulled back towards the initial weights (FedProx, Li et al. 2020). TFF 0.87
    has that as a template of its own, but adds the proximal gradient with the wrong sign.
    """

    def stepped(weights: _Weights, batch: tf.Tensor) -> tuple[_Weights, _Totals]:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            # What is dropped follows from what a batch holds and from the weights it meets.
            length = batch.shape[1]
            seed = tf.stack([tf.reduce_sum(batch * tf.range(1, length + 1)), tf.bitcast(weights[1][0], tf.int32)])
            totals = loss_and_hits(weights, batch, dropout_noise(weights, batch, training.dropout, seed))
            mean_loss = totals[0] / tf.maximum(totals[2], 1.0)
        gradients = tape.gradient(mean_loss, weights)
        if training.gradient_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, training.gradient_norm)
        if training.proximal_strength:
            pull = training.proximal_strength
            gradients = [g + pull * (w - w0) for g, w, w0 in zip(gradients, weights, initial, strict=True)]
        rate = training.learning_rate
        return tuple(w - rate * g for w, g in zip(weights, gradients, strict=True)), totals

    weights, totals = _over_batches(initial, rows, training.batch_rows, stepped)
    delta = tuple(after - before for after, before in zip(weights, initial, strict=True))
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(part)) for part in delta])
    weight = tf.cast(tf.shape(rows)[0], tf.float32) if training.weighting == "examples" else tf.constant(1.0)
    return Trained(
        tuple(tf.where(finite, part, tf.zeros_like(part)) for part in delta),
        tf.where(finite, weight, 0.0),
        tuple(tf.where(finite, part, 0.0) for part in totals),
    )


def evaluated(weights: _Weights, rows: tf.Tensor) -> _Totals:
    """Return loss, hits and targets of rows."""
    return _over_batches((), rows, _EVALUATED_ROWS, lambda _, batch: ((), loss_and_hits(weights, batch)))[1]


def _over_batches(initial: _Weights, rows: tf.Tensor, batch_rows: int, step: _Step) -> tuple[_Weights, _Totals]:
    count = tf.shape(rows)[0]

    def body(first: tf.Tensor, weights: _Weights, totals: _Totals) -> tuple[tf.Tensor, _Weights, _Totals]:
        weights, more = step(weights, rows[first : first + batch_rows])
        return first + batch_rows, weights, tuple(a + b for a, b in zip(totals, more, strict=True))

    zero = tf.constant(0.0)
    _, weights, totals = tf.while_loop(
        lambda first, *_: first < count, body, (tf.constant(0), initial, (zero, zero, zero)), parallel_iterations=1
    )
    return weights, totals
