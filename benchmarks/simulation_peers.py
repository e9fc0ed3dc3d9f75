"""The same local training by hand: the phone's NumPy engine, and the network again in JAX with a scan over time.

Both take the steps that a simulated client takes: SGD on clipped gradients, over its rows in order.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from federation.simulation.client_training import ClientTraining
from model.batches import Rows
from model.engine.numpy_engine import NumPyTrainer
from model.engine.weight_files import packed
from model.layout import FlatWeights, Layout, NetworkConfig
from model.vocabulary import BOUNDARY, PAD

Train = Callable[[Rows], FlatWeights]
"""From a client's rows to its weights after training."""


def _batches(rows: Rows, size: int) -> list[Rows]:
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def by_numpy(network: NetworkConfig, weights: FlatWeights, training: ClientTraining) -> Train:
    """Return training by the engine that phones without LiteRT have."""
    layout = Layout.of(network.layout)
    begin = layout.flatten(weights)
    trainer = NumPyTrainer(packed(weights, "float32"), network)

    def train(rows: Rows) -> FlatWeights:
        trainer.set_weights(begin)
        for batch in _batches(rows, training.batch_rows):
            trainer.train(batch, learning_rate=training.learning_rate, gradient_norm=training.gradient_norm)
        return list(layout.unflatten(trainer.weights()).values())

    return train


def by_jax(weights: FlatWeights, training: ClientTraining) -> Train:
    """Return training by one compiled step a batch; a last batch that is short is filled up with padding."""

    def mean_loss(values: Sequence[Any], rows: Any) -> Any:
        embedding, output_bias, input_kernel, recurrent_kernel, gate_bias, projection = values
        hidden = projection.shape[0]
        inputs, targets = rows.T[:-1], rows.T[1:]
        projected = embedding[inputs] @ input_kernel + gate_bias
        keep = (inputs != BOUNDARY).astype(jnp.float32)[:, :, None]

        def step(state: Any, at: Any) -> Any:
            cell, output = state
            gates_in, kept = at
            cell, output = cell * kept, output * kept
            gates = gates_in + output @ recurrent_kernel
            candidate, rest = jnp.tanh(gates[:, :hidden]), jax.nn.sigmoid(gates[:, hidden:])
            cell = candidate + rest[:, :hidden] * (cell - candidate)
            output = (rest[:, hidden:] * jnp.tanh(cell)) @ projection
            return (cell, output), output

        begin = (jnp.zeros((rows.shape[0], hidden)), jnp.zeros((rows.shape[0], projection.shape[1])))
        _, outputs = jax.lax.scan(step, begin, (projected, keep))
        logits = outputs @ embedding.T + output_bias
        chosen = jnp.take_along_axis(logits, targets[:, :, None], axis=2)[:, :, 0]
        mask = (targets != PAD).astype(jnp.float32)
        losses = (jax.nn.logsumexp(logits, axis=2) - chosen) * mask
        return losses.sum() / jnp.maximum(mask.sum(), 1.0)

    @jax.jit
    def stepped(values: Sequence[Any], rows: Any) -> Any:
        gradients = jax.grad(mean_loss)(values, rows)
        if training.gradient_norm:
            norm = jnp.sqrt(sum((part**2).sum() for part in gradients))
            gradients = [part * jnp.minimum(1.0, training.gradient_norm / norm) for part in gradients]
        return [value - training.learning_rate * part for value, part in zip(values, gradients, strict=True)]

    begin = [jnp.asarray(value) for value in weights]

    def train(rows: Rows) -> FlatWeights:
        values = begin
        for batch in _batches(rows, training.batch_rows):
            filled = np.full((training.batch_rows, batch.shape[1]), PAD, np.int32)
            filled[: len(batch)] = batch
            values = stepped(values, filled)
        return [np.asarray(value) for value in values]

    return train
