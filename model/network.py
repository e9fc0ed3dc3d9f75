"""The network: next-piece prediction with a coupled input-forget LSTM (Hard et al. 2018), defined once.

Pure functions of (weights, tokens). TFF trains them as a functional model, `model.litert_files` turns them into the
file a phone trains with. The order of the weights is that of `model.layout`.

The three differentiable pieces carry hand-written gradients: plain autodiff of the same network needs operations that
LiteRT's built-in set lacks, and is slower on a processor.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from model.vocabulary import BOUNDARY, PAD

Weights = Sequence[tf.Tensor]


def _transposed(matrix: tf.Tensor) -> tf.Tensor:
    """Transpose a matrix by way of three dimensions.

    The converter would fold a plain transposition into the product as FULLY_CONNECTED, which LiteRT computes several
    times slower than BATCH_MATMUL where the weights are variables.
    """
    rows, columns = matrix.shape
    return tf.reshape(tf.transpose(tf.reshape(matrix, [rows, 1, columns]), [2, 1, 0]), [columns, rows])


@tf.custom_gradient
def _lookup(embedding: tf.Tensor, ids: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
    """Rows of `embedding` [V, E] at `ids` [N]; duplicate ids add their gradients."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, None]:
        return tf.scatter_nd(ids[:, None], upstream, tf.shape(embedding)), None

    return tf.gather(embedding, ids), gradient


@tf.custom_gradient
def _scaled(values: tf.Tensor, factors: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
    """Product of two tensors of one shape; `factors` get no gradient."""
    return values * factors, lambda upstream: (upstream * factors, None)


@tf.custom_gradient
def _cifg(
    inputs: tf.Tensor,
    keep: tf.Tensor,
    input_kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor,
    projection: tf.Tensor,
) -> tuple[tf.Tensor, Callable[..., Any]]:
    """Run the recurrence over `inputs` [T, B, E] from a zero state; `keep` [T, B, 1] is 0 where the state restarts.

    Returns the projected outputs [T, B, E]. Back-propagation through time is written out; weight gradients are one
    matrix product each, after the loop.
    """
    steps, embedding, hidden = inputs.shape[0], inputs.shape[2], projection.shape[0]
    batch = tf.shape(inputs)[1]
    flat_inputs = tf.reshape(inputs, [-1, embedding])
    projected = tf.unstack(tf.reshape(tf.matmul(flat_inputs, input_kernel) + bias, [steps, batch, 3 * hidden]))
    keeps = tf.unstack(keep)
    cell = tf.zeros([batch, hidden])
    output = tf.zeros([batch, embedding])
    saved = []
    outputs = []
    for t in range(steps):
        carried, before = cell * keeps[t], output * keeps[t]
        gates = projected[t] + tf.matmul(before, recurrent_kernel)
        candidate = tf.tanh(gates[:, :hidden])
        rest = tf.sigmoid(gates[:, hidden:])
        forget, out = rest[:, :hidden], rest[:, hidden:]
        cell = candidate + forget * (carried - candidate)
        squashed = tf.tanh(cell)
        exposed = out * squashed
        output = tf.matmul(exposed, projection)
        saved.append((carried, before, candidate, forget, out, squashed, exposed))
        outputs.append(output)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
        d_outputs = tf.unstack(upstream)
        d_cell = tf.zeros_like(cell)
        d_recurrent = tf.zeros_like(output)
        d_gates_all: list[tf.Tensor] = []
        recurrent_transposed, projection_transposed = _transposed(recurrent_kernel), _transposed(projection)
        d_output_all: list[tf.Tensor] = []
        for t in reversed(range(steps)):
            carried, _, candidate, forget, out, squashed, _ = saved[t]
            d_output = d_outputs[t] + d_recurrent
            d_exposed = tf.matmul(d_output, projection_transposed)
            d_cell = d_cell + d_exposed * out * (1.0 - squashed * squashed)
            d_gates = tf.concat(
                [
                    d_cell * (1.0 - forget) * (1.0 - candidate * candidate),
                    d_cell * (carried - candidate) * forget * (1.0 - forget),
                    d_exposed * squashed * out * (1.0 - out),
                ],
                axis=1,
            )
            d_recurrent = tf.matmul(d_gates, recurrent_transposed) * keeps[t]
            d_cell = d_cell * forget * keeps[t]
            d_gates_all.append(d_gates)
            d_output_all.append(d_output)
        d_gates_flat = tf.concat(d_gates_all[::-1], axis=0)
        d_output_flat = tf.concat(d_output_all[::-1], axis=0)
        before_flat = tf.concat([s[1] for s in saved], axis=0)
        exposed_flat = tf.concat([s[6] for s in saved], axis=0)
        d_inputs = tf.reshape(tf.matmul(d_gates_flat, _transposed(input_kernel)), tf.shape(inputs))
        return (
            d_inputs,
            None,
            tf.matmul(flat_inputs, d_gates_flat, transpose_a=True),
            tf.matmul(before_flat, d_gates_flat, transpose_a=True),
            tf.reduce_sum(d_gates_flat, axis=0),
            tf.matmul(exposed_flat, d_output_flat, transpose_a=True),
        )

    return tf.stack(outputs), gradient


@tf.custom_gradient
def _softmax_loss(
    outputs: tf.Tensor, embedding: tf.Tensor, bias: tf.Tensor, targets: tf.Tensor, mask: tf.Tensor
) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable[..., Any]]:
    """Masked sums over positions of the cross-entropy and of the top-1 hits, from `outputs` [N, E], `targets` [N]."""
    logits = tf.matmul(outputs, _transposed(embedding)) + bias  # [N, V]
    highest = tf.reduce_max(logits, axis=1)
    probabilities = tf.nn.softmax(logits)
    # The likeliest piece cannot underflow as a target can.
    log_total = highest - tf.math.log(tf.reduce_max(probabilities, axis=1))
    target_rows = tf.gather(embedding, targets)
    target_logits = tf.reduce_sum(outputs * target_rows, axis=1) + tf.gather(bias, targets)
    loss = tf.reduce_sum(mask * (log_total - target_logits))
    # The two products that give one logit may differ in the last bit.
    hits = tf.reduce_sum(mask * tf.cast(target_logits >= highest - 1e-5 * tf.abs(highest), tf.float32))

    def gradient(upstream: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, ...]:
        scale = (mask * upstream)[:, None]
        d_outputs = (tf.matmul(probabilities, embedding) - target_rows) * scale
        scaled = tf.concat([outputs * scale, scale], axis=1)
        both = tf.matmul(probabilities, scaled, transpose_a=True)  # [V, E + 1]
        d_target = tf.scatter_nd(targets[:, None], scaled, tf.shape(both))
        d_both = both - d_target
        return d_outputs, d_both[:, :-1], d_both[:, -1], None, None

    return (loss, hits), gradient


Noise = tuple[tf.Tensor, tf.Tensor]
"""What the embedded inputs and the outputs, each [length, batch, embedding], are multiplied with."""


def dropout_noise(weights: Weights, rows: tf.Tensor, rate: float, seed: tf.Tensor) -> Noise | None:
    """Return factors that set a share `rate` of units to zero and make up for it, following from `seed` int32 [2].

    None if the rate is zero.
    """
    if not rate:
        return None
    shape = [rows.shape[1] - 1, tf.shape(rows)[0], weights[0].shape[1]]
    uniform = (tf.random.stateless_uniform(shape, seed + tf.constant([0, i])) for i in range(2))
    inputs, outputs = (tf.cast(kept >= rate, tf.float32) / (1.0 - rate) for kept in uniform)
    return inputs, outputs


def loss_and_hits(
    weights: Weights, rows: tf.Tensor, noise: Noise | None = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return summed cross-entropy in nats, top-1 hits and targets (each a float32 scalar) of packed `rows`.

    Args:
        weights: in layout order.
        rows: int32 [batch, length + 1] as `model.batches.pack` makes them; the length is static.
        noise: of `dropout_noise`, while training.
    """
    embedding, output_bias, input_kernel, recurrent_kernel, gate_bias, projection = weights
    steps = rows.shape[1] - 1
    by_time = tf.transpose(rows)  # [length + 1, batch]
    inputs, targets = by_time[:-1], tf.reshape(by_time[1:], [-1])
    keep = tf.cast(tf.not_equal(inputs, BOUNDARY), tf.float32)[:, :, None]
    embedded = _lookup(embedding, tf.reshape(inputs, [-1]))
    embedded = tf.reshape(embedded, [steps, -1, embedding.shape[1]])
    if noise is not None:
        embedded = _scaled(embedded, noise[0])
    outputs = _cifg(embedded, keep, input_kernel, recurrent_kernel, gate_bias, projection)
    if noise is not None:
        outputs = _scaled(outputs, noise[1])
    mask = tf.cast(tf.not_equal(targets, PAD), tf.float32)
    flat = tf.reshape(outputs, [-1, embedding.shape[1]])
    loss, hits = _softmax_loss(flat, embedding, output_bias, targets, mask)
    return loss, hits, tf.reduce_sum(mask)


def step(weights: Weights, tokens: tf.Tensor, cell: tf.Tensor, output: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Read one piece each: from `tokens` [N] and the state (`cell` [N, H], `output` [N, E]) to the next state."""
    embedding, _, input_kernel, recurrent_kernel, gate_bias, projection = weights
    hidden = projection.shape[0]
    keep = tf.cast(tf.not_equal(tokens, BOUNDARY), tf.float32)[:, None]
    gates = tf.matmul(tf.gather(embedding, tokens), input_kernel) + gate_bias
    gates += tf.matmul(output * keep, recurrent_kernel)
    candidate = tf.tanh(gates[:, :hidden])
    rest = tf.sigmoid(gates[:, hidden:])
    cell = candidate + rest[:, :hidden] * (cell * keep - candidate)
    return cell, tf.matmul(rest[:, hidden:] * tf.tanh(cell), projection)


def log_probabilities(weights: Weights, output: tf.Tensor) -> tf.Tensor:
    """Return natural log probabilities [N, V] of the next piece after a state's `output` [N, E]."""
    return tf.nn.log_softmax(tf.matmul(output, weights[0], transpose_b=True) + weights[1])
