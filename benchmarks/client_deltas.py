"""Deltas of simulated clients, as what encodings are judged by.

    uv run python -m benchmarks.client_deltas deltas.npy

trains a network on the public seed (or takes that of `--model`), lets each of some clients train one epoch from it, and
writes float32[clients, parameters], weights after training minus before.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.arguments import whole
from benchmarks.results import CORPUS
from federation.simulation import central
from federation.simulation.central_training import CentralTraining
from federation.simulation.client_training import ClientTraining
from federation.simulation.fedavg import Cohort
from federation.simulation.prepare import prepared
from federation.simulation.workers import Workers
from fedkey.paths import cache
from model.checkpoint import Checkpoint
from model.layout import Layout, NetworkConfig

ROW_LENGTH = 20


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--clients", type=whole, default=48)
    parser.add_argument("--size", default="small", help="of the network, without --model")
    parser.add_argument("--model", type=Path, help="folder of a trained model")
    arguments = parser.parse_args()
    ready = prepared(CORPUS, cache())
    rows = ready.rows(ROW_LENGTH)
    network = NetworkConfig.named(arguments.size, ready.vocabulary.size)
    if arguments.model is None:
        weights = central.train(network, rows.seed, CentralTraining(epochs=2), seed=1)
    else:
        checkpoint = Checkpoint.load(arguments.model)
        network, weights = checkpoint.network, checkpoint.weights
    layout = Layout.of(network.layout)
    chosen = np.random.default_rng(1).choice(len(rows.train), arguments.clients, replace=False)
    deltas = np.empty((arguments.clients, layout.dimension), np.float32)
    with Workers():
        cohort = Cohort(network, ROW_LENGTH, ClientTraining())
        for number, client in enumerate(chosen):
            result = cohort.train(weights, [rows.train[client]])
            deltas[number] = layout.flatten(result.delta_sum) / max(result.weight, 1e-12)
    np.save(arguments.file, deltas)
    print(f"{deltas.shape} in {arguments.file}, norms {np.linalg.norm(deltas, axis=1).round(3).tolist()}")


if __name__ == "__main__":
    main()
