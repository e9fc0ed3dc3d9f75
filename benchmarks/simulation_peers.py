"""The same local training by hand: the phone's NumPy engine, the network in JAX with a scan over time and in PyTorch.

All take the steps that a simulated client takes: SGD on clipped gradients, over its rows in order. PyTorch, and pfl
which needs it, are no dependencies of this project: they run under a Python that has PyTorch (`simulation_torch`).
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peer_environments import command, environment, packages
from federation.simulation.client_training import ClientTraining
from model.batches import Rows
from model.engine.numpy_engine import NumPyTrainer
from model.engine.weight_files import packed
from model.layout import FlatWeights, Layout, NetworkConfig
from model.vocabulary import BOUNDARY, PAD

PFL = ("pfl==0.6.0", "numpy<2")

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


def without_torch(python: Path) -> str:
    """Return in one sentence what to install so that a Python can run PyTorch and pfl; nothing if it can."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    asked = f"import sys, torch; assert sys.version.startswith('{version}.')"
    try:
        found = subprocess.run([str(python), "-c", asked], capture_output=True, check=False).returncode == 0
    except OSError:
        found = False
    if found:
        return ""
    return (
        f"{python} is no Python {version} with PyTorch: install Debian's python3-torch and libopenblas0-pthread, "
        "name another with --torch-python, or leave it and pfl out with --peers numpy jax"
    )


def by_torch(
    python: Path, weights: FlatWeights, clients: Sequence[Rows], training: ClientTraining
) -> tuple[dict[str, float], dict[str, FlatWeights]]:
    """Train clients by PyTorch by hand and by pfl, named `torch` and `pfl`.

    Returns:
        Milliseconds of CPU a client, and the weights of the first client after its training, both by name.
    """
    given: dict[str, Any] = {f"weight_{number}": weight for number, weight in enumerate(weights)}
    given |= {f"rows_{number}": rows for number, rows in enumerate(clients)}
    numbers = {name: getattr(training, name) for name in ("learning_rate", "gradient_norm", "batch_rows")}
    with tempfile.TemporaryDirectory() as name:
        paths = [str(Path(name) / "input.npz"), str(Path(name) / "output.npz")]
        np.savez(paths[0], **given, **numbers, pad=PAD, boundary=BOUNDARY)
        variables = os.environ | {"PYTHONPATH": str(packages(environment(*PFL)))}
        subprocess.run(command(python, "simulation_torch.py", paths), check=True, env=variables)
        with np.load(paths[1]) as found:
            after = {name: [found[f"{name}_{number}"] for number in range(len(weights))] for name in ("torch", "pfl")}
            return {name: float(found[name]) for name in after}, after
