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
_Step = Callable[[_Weights, tf.Tensor, tf.Tensor], tuple[_Weights, _Totals]]


class Trained(NamedTuple):
    """What clients have after training.

    Attributes:
        delta: Weights after training minus before; of several clients, the sum of theirs times their weights.
        weight: That they count by. It is 0, and so is the delta, for a client whose weights are no longer finite.
        totals: Loss, hits and targets over all batches, each before its step; likewise.
    """

    delta: _Weights
    weight: tf.Tensor
    totals: _Totals


def trained(initial: _Weights, rows: tf.Tensor, training: ClientTraining) -> Trained:
    """Train a client on rows int32 [rows, length + 1], in order, by SGD on clipped gradients.

    With a proximal strength every step is pulled back towards the initial weights (FedProx, Li et al. 2020). TFF 0.87
    has that as a template of its own, but adds the proximal gradient with the wrong sign.
    """
    delta, finite, weight, totals = _trained(initial, rows, training)
    return Trained(tuple(tf.math.multiply_no_nan(part, finite) for part in delta), weight, totals)


def trained_together(initial: _Weights, rows: tf.Tensor, counts: tf.Tensor, training: ClientTraining) -> Trained:
    """Train several clients, each alone from the initial weights as `trained` does, and add them up.

    A client of few rows takes less time than a call of TFF does, so these share one.

    Args:
        initial: weights.
        rows: int32 [rows, length + 1], those of one client after those of another.
        counts: of rows of each, int32 [clients].
        training: of a client.
    """

    def body(number: tf.Tensor, first: tf.Tensor, together: Trained) -> tuple[tf.Tensor, tf.Tensor, Trained]:
        after = first + counts[number]
        delta, _, weight, totals = _trained(initial, rows[first:after], training)
        added = Trained(
            tuple(a + tf.math.multiply_no_nan(part, weight) for a, part in zip(together.delta, delta, strict=True)),
            together.weight + weight,
            tuple(a + b for a, b in zip(together.totals, totals, strict=True)),
        )
        return number + 1, after, added

    zero = tf.constant(0.0)
    nothing = Trained(tuple(tf.zeros_like(part) for part in initial), zero, (zero, zero, zero))
    begin, clients = (tf.constant(0), tf.constant(0), nothing), tf.shape(counts)[0]
    *_, together = tf.while_loop(lambda number, *_: number < clients, body, begin, parallel_iterations=1)
    return Trained(*together)


def dropout_seed(initial: _Weights, batch: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """Return the seed int32 [2] of what is dropped from a batch that begins at a client's row number `first`.

    The initial weights stand for the round. Weights met later differ in their last bits from processor to processor.
    """
    content = tf.reduce_sum(batch * tf.range(1, batch.shape[1] + 1))
    return tf.stack([content + first, tf.bitcast(initial[1][0], tf.int32)])


def _trained(
    initial: _Weights, rows: tf.Tensor, training: ClientTraining
) -> tuple[_Weights, tf.Tensor, tf.Tensor, _Totals]:
    """Return a client's delta as it is, whether that is finite (1 or 0), its weight and its totals.

    A small client's time goes into passes over all weights, so there are few.
    """

    def stepped(weights: _Weights, batch: tf.Tensor, first: tf.Tensor) -> tuple[_Weights, _Totals]:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            noise = dropout_noise(weights, batch, training.dropout, dropout_seed(initial, batch, first))
            totals = loss_and_hits(weights, batch, noise)
            mean_loss = totals[0] / tf.maximum(totals[2], 1.0)
        gradients = tape.gradient(mean_loss, weights)
        rate = tf.constant(training.learning_rate)
        if training.gradient_norm:
            norm = tf.linalg.global_norm(gradients)
            # A norm that is not finite makes the rate so too.
            rate *= tf.minimum(1.0, training.gradient_norm / norm) + (norm - norm)
        stepping = tuple(w - rate * g for w, g in zip(weights, gradients, strict=True))
        if training.proximal_strength:
            pull = training.learning_rate * training.proximal_strength
            stepping = tuple(s - pull * (w - w0) for s, w, w0 in zip(stepping, weights, initial, strict=True))
        return stepping, totals

    weights, totals = _over_batches(initial, rows, training.batch_rows, stepped)
    delta = tuple(after - before for after, before in zip(weights, initial, strict=True))
    is_finite = tf.math.is_finite(tf.add_n([tf.reduce_sum(part) for part in delta]))
    finite = tf.cast(is_finite, tf.float32)
    weight = finite * (tf.cast(tf.shape(rows)[0], tf.float32) if training.weighting == "examples" else 1.0)
    return delta, finite, weight, tuple(tf.math.multiply_no_nan(part, finite) for part in totals)


def evaluated(weights: _Weights, rows: tf.Tensor) -> _Totals:
    """Return loss, hits and targets of rows."""
    return _over_batches((), rows, _EVALUATED_ROWS, lambda _, batch, __: ((), loss_and_hits(weights, batch)))[1]


def _over_batches(initial: _Weights, rows: tf.Tensor, batch_rows: int, step: _Step) -> tuple[_Weights, _Totals]:
    count = tf.shape(rows)[0]

    def body(first: tf.Tensor, weights: _Weights, totals: _Totals) -> tuple[tf.Tensor, _Weights, _Totals]:
        weights, more = step(weights, rows[first : first + batch_rows], first)
        return first + batch_rows, weights, tuple(a + b for a, b in zip(totals, more, strict=True))

    zero = tf.constant(0.0)
    _, weights, totals = tf.while_loop(
        lambda first, *_: first < count, body, (tf.constant(0), initial, (zero, zero, zero)), parallel_iterations=1
    )
    return weights, totals
