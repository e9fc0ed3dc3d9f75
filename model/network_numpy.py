"""`model.network` in NumPy, for phones that have neither TensorFlow nor LiteRT.

The same functions with the same hand-written gradients, held to `model.network` one by one and as a whole by
tests/model/test_network_numpy.py. Each returns its value and what takes the gradient of the loss by that value to the
gradients of the loss by its arguments. Positions without a target are left out instead of masked: they add nothing.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.batches import Rows
from model.vocabulary import BOUNDARY, PAD

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]
Weights = Sequence[Floats]
Noise = tuple[Floats, Floats]
"""What the embedded inputs and the outputs, each [length, batch, embedding], are multiplied with."""


class Sums(NamedTuple):
    """Sums over the targets of a batch: cross-entropy in nats, top-1 hits, and how many targets there were."""

    loss: float
    hits: float
    targets: float


def lookup(embedding: Floats, ids: Ids) -> tuple[Floats, Callable[[Floats, Floats], None]]:
    """Return rows of `embedding` [V, E] at `ids` [N], and what adds their gradients [N, E] to one of [V, E]."""

    def add_gradient(upstream: Floats, total: Floats) -> None:
        order = np.argsort(ids, kind="stable")
        distinct, starts = np.unique(ids[order], return_index=True)
        total[distinct] += np.add.reduceat(upstream[order], starts, axis=0)

    return embedding[ids], add_gradient


def cifg(
    inputs: Floats, keep: Floats, input_kernel: Floats, recurrent_kernel: Floats, bias: Floats, projection: Floats
) -> tuple[Floats, Callable[[Floats], tuple[Floats, ...]]]:
    """Run the recurrence over `inputs` [T, B, E] from a zero state; `keep` [T, B, 1] is 0 where the state restarts.

    Returns the projected outputs [T, B, E], and their gradient's way to those of `inputs` and of the four weights.
    """
    steps, batch, embedding = inputs.shape
    hidden = len(projection)
    halves = _halves(hidden)
    flat_inputs = inputs.reshape(-1, embedding)
    gates = ((flat_inputs @ input_kernel + bias) * halves).reshape(steps, batch, 3 * hidden)
    halved_kernel = recurrent_kernel * halves
    carried, squashed, exposed = (np.empty((steps, batch, hidden), np.float32) for _ in range(3))
    before, outputs = (np.empty((steps, batch, embedding), np.float32) for _ in range(2))
    cell, output = np.zeros((batch, hidden), np.float32), np.zeros((batch, embedding), np.float32)
    for t in range(steps):
        np.multiply(cell, keep[t], out=carried[t])
        np.multiply(output, keep[t], out=before[t])
        gates[t] += before[t] @ halved_kernel
        candidate, forget, out = _activated(gates[t])
        cell = candidate + forget * (carried[t] - candidate)
        np.tanh(cell, out=squashed[t])
        np.multiply(out, squashed[t], out=exposed[t])
        output = np.matmul(exposed[t], projection, out=outputs[t])

    def gradient(upstream: Floats) -> tuple[Floats, ...]:
        candidate, forget, out = gates[..., :hidden], gates[..., hidden : 2 * hidden], gates[..., 2 * hidden :]
        by_exposed = out * (1 - squashed * squashed)  # [T, B, H], as all of these
        by_candidate = (1 - forget) * (1 - candidate * candidate)
        by_forget = (carried - candidate) * forget * (1 - forget)
        by_out = squashed * out * (1 - out)
        kept = forget * keep
        d_cell, d_recurrent = np.zeros_like(cell), np.zeros_like(output)
        d_gates, d_outputs = np.empty_like(gates), np.empty_like(outputs)
        for t in reversed(range(steps)):
            np.add(upstream[t], d_recurrent, out=d_outputs[t])
            d_exposed = d_outputs[t] @ projection.T
            d_cell += d_exposed * by_exposed[t]
            np.multiply(d_cell, by_candidate[t], out=d_gates[t, :, :hidden])
            np.multiply(d_cell, by_forget[t], out=d_gates[t, :, hidden : 2 * hidden])
            np.multiply(d_exposed, by_out[t], out=d_gates[t, :, 2 * hidden :])
            d_recurrent = (d_gates[t] @ recurrent_kernel.T) * keep[t]
            d_cell *= kept[t]
        flat = d_gates.reshape(-1, 3 * hidden)
        return (
            (flat @ input_kernel.T).reshape(inputs.shape),
            flat_inputs.T @ flat,
            before.reshape(-1, embedding).T @ flat,
            flat.sum(axis=0),
            exposed.reshape(-1, hidden).T @ d_outputs.reshape(-1, embedding),
        )

    return outputs, gradient


def softmax_loss(
    outputs: Floats, embedding: Floats, bias: Floats, targets: Ids
) -> tuple[Sums, Callable[[float], tuple[Floats, Floats, Floats]]]:
    """Return the sums over positions from `outputs` [N, E] and `targets` [N], all of them targets.

    The gradient goes from one number, by the loss, to those of `outputs`, `embedding` and `bias`; take it once.
    """
    logits = outputs @ embedding.T  # [N, V]
    logits += bias
    highest = logits.max(axis=1, keepdims=True)
    positions = np.arange(len(targets))
    target_logits = logits[positions, targets]
    # Another product of the same numbers may differ in the last bit: `model.network` counts such a target as a hit.
    hits = target_logits >= (highest - 1e-5 * np.abs(highest))[:, 0]
    logits -= highest
    exponentials = np.exp(logits, out=logits)
    totals = exponentials.sum(axis=1, keepdims=True)
    losses = (np.log(totals) + highest)[:, 0] - target_logits

    def gradient(upstream: float) -> tuple[Floats, Floats, Floats]:
        d_logits = np.multiply(exponentials, np.float32(upstream) / totals, out=exponentials)
        d_logits[positions, targets] -= np.float32(upstream)
        return d_logits @ embedding, d_logits.T @ outputs, np.ones(len(targets), np.float32) @ d_logits

    return Sums(float(losses.sum()), float(np.count_nonzero(hits)), float(len(targets))), gradient


def loss_and_hits(weights: Weights, rows: Rows) -> Sums:
    """Return the sums over packed `rows`, int32 [batch, length + 1] as `model.batches.pack` makes them."""
    return _forward(weights, rows, None)[0]


def loss_and_gradients(weights: Weights, rows: Rows, noise: Noise | None = None) -> tuple[Sums, list[Floats]]:
    """Return the sums over packed `rows`, and the gradients of their mean loss by each weight in layout order."""
    sums, gradient = _forward(weights, rows, noise)
    return sums, gradient()


def step(weights: Weights, tokens: Ids, cell: Floats, output: Floats) -> tuple[Floats, Floats]:
    """Read one piece each: from `tokens` [N] and the state (`cell` [N, H], `output` [N, E]) to the next state."""
    embedding, _, input_kernel, recurrent_kernel, gate_bias, projection = weights
    keep = (tokens != BOUNDARY).astype(np.float32)[:, None]
    gates = embedding[tokens] @ input_kernel + gate_bias
    gates += (output * keep) @ recurrent_kernel
    gates *= _halves(len(projection))
    candidate, forget, out = _activated(gates)
    cell = candidate + forget * (cell * keep - candidate)
    return cell, (out * np.tanh(cell)) @ projection


def log_probabilities(weights: Weights, output: Floats) -> Floats:
    """Return natural log probabilities [N, V] of the next piece after a state's `output` [N, E]."""
    logits: Floats = output @ weights[0].T
    logits += weights[1]
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits


def _halves(hidden: int) -> Floats:
    """Return what gates [3 H] are multiplied with before `_activated`: 1 for candidates, 1/2 for the other two."""
    return np.repeat(np.array([1, 0.5, 0.5], np.float32), hidden)


def _activated(gates: Floats) -> tuple[Floats, Floats, Floats]:
    """Return candidate, forget and output gate, each [N, H], as views of `gates` [N, 3 H], which is overwritten.

    The logistic function of x is (1 + tanh(x / 2)) / 2, so that one tanh does for all three.
    """
    hidden = gates.shape[1] // 3
    np.tanh(gates, out=gates)
    rest = gates[:, hidden:]
    rest *= 0.5
    rest += 0.5
    return gates[:, :hidden], rest[:, :hidden], rest[:, hidden:]


def _forward(weights: Weights, rows: Rows, noise: Noise | None) -> tuple[Sums, Callable[[], list[Floats]]]:
    """Return the sums over rows, and what gives the gradients of their mean loss."""
    embedding, output_bias, input_kernel, recurrent_kernel, gate_bias, projection = weights
    has_target = rows[:, 1:] != PAD
    steps = int(np.flatnonzero(has_target.any(axis=0))[-1]) + 1 if has_target.any() else 0
    by_time = np.ascontiguousarray(rows.T[: steps + 1])
    inputs, wanted = by_time[:-1], by_time[1:] != PAD  # [steps, batch]
    keep = (inputs != BOUNDARY).astype(np.float32)[:, :, None]
    embedded, add_lookup_gradient = lookup(embedding, inputs.ravel())
    embedded = embedded.reshape(*inputs.shape, embedding.shape[1])
    if noise is not None:
        embedded = embedded * noise[0][:steps]
    outputs, recurrence_gradient = cifg(embedded, keep, input_kernel, recurrent_kernel, gate_bias, projection)
    if noise is not None:
        outputs = outputs * noise[1][:steps]
    sums, loss_gradient = softmax_loss(outputs[wanted], embedding, output_bias, by_time[1:][wanted])

    def gradients() -> list[Floats]:
        d_chosen, d_embedding, d_bias = loss_gradient(1 / max(sums.targets, 1.0))
        d_outputs = np.zeros_like(outputs)
        d_outputs[wanted] = d_chosen
        if noise is not None:
            d_outputs *= noise[1][:steps]
        d_inputs, *d_recurrence = recurrence_gradient(d_outputs)
        if noise is not None:
            d_inputs *= noise[0][:steps]
        add_lookup_gradient(d_inputs.reshape(-1, embedding.shape[1]), d_embedding)
        return [d_embedding, d_bias, *d_recurrence]

    return sums, gradients
