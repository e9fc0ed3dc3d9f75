"""Speed and memory of the simulation against TFF's stock federated averaging with a stock Keras LSTM.

Both train a network of the same sizes on the same messages of the same cohort, one local epoch, batches of as many
messages or rows; the stock one as TFF's tutorials write it: padded messages, `keras.layers.LSTM`, a dense softmax,
`build_weighted_fed_avg` in TFF's default execution context.

    uv run python -m benchmarks.simulation
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import psutil
import tensorflow as tf
import tensorflow_federated as tff

from benchmarks.results import CORPUS, Figure, write
from federation.rounds.server_optimizers import OptimizerSettings
from federation.simulation.client_training import ClientTraining
from federation.simulation.fedavg import Cohort, Server
from federation.simulation.prepare import Prepared, prepared
from federation.simulation.workers import Workers
from fedkey.paths import cache
from model.batches import pack
from model.layout import NetworkConfig, initial_weights

LENGTH = 20
BATCH = 8


def main() -> None:
    """Measure, in one process each so that neither disturbs the other's memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=100, help="rounds whose memory is watched, 30 or more")
    parser.add_argument("--timed-rounds", type=int, default=5, help="rounds that each side is timed over, in turn")
    parser.add_argument("--side", choices=["ours", "stock", "memory"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if arguments.side == "memory":
        print(json.dumps(_memory(arguments.cohort, arguments.rounds)))
    elif arguments.side:
        side = _ours if arguments.side == "ours" else _stock
        print(json.dumps(side(arguments.cohort, arguments.timed_rounds)))
    else:
        _compare(arguments)


def _compare(arguments: argparse.Namespace) -> None:
    def run(side: str) -> dict[str, float]:
        options = [f"--cohort={arguments.cohort}", f"--rounds={arguments.rounds}"]
        options += [f"--timed-rounds={arguments.timed_rounds}", f"--side={side}"]
        with tempfile.TemporaryFile("w+") as output:
            subprocess.run([sys.executable, "-m", "benchmarks.simulation", *options], stdout=output, check=True)
            output.seek(0)
            measured: dict[str, float] = json.loads(output.read().strip().splitlines()[-1])
        return measured

    ours, stock, memory = run("ours"), run("stock"), run("memory")
    write(
        "simulation",
        [
            Figure("clients_per_s", ours["clients_per_s"], "1/s", "stock TFF", stock["clients_per_s"]),
            Figure("targets_per_s", ours["targets_per_s"], "1/s", "stock TFF", stock["targets_per_s"]),
            Figure("cpu_s_per_client", ours["cpu_s_per_client"], "s", "stock TFF", stock["cpu_s_per_client"]),
            Figure("rss_growth_mb_100_rounds", memory["growth_mb"] * 100 / arguments.rounds, "MB"),
            Figure("rss_peak_mb", memory["peak_mb"], "MB", "stock TFF", stock["peak_mb"]),
        ],
    )


def _cohort_messages(ready: Prepared, size: int, number: int) -> tuple[list[int], int]:
    chosen = np.random.default_rng(number).choice(len(ready.tables["train"].users), size, replace=False).tolist()
    targets = sum(len(message) + 1 for user in chosen for message in ready.tables["train"].messages(user))
    return chosen, targets


def _cpu_seconds() -> float:
    """CPU time of this process and of the worker it started."""
    return sum(float(sum(p.cpu_times()[:2])) for p in (psutil.Process(), *psutil.Process().children(recursive=True)))


def _peak_mb() -> float:
    processes = (psutil.Process(), *psutil.Process().children(recursive=True))
    return sum(float(p.memory_info().rss) for p in processes) / 1e6


def _timed(rounds: int, cohort: int, one_round: Callable[[int], int]) -> dict[str, float]:
    one_round(0)  # traces and compiles
    started, cpu, targets, peak = time.perf_counter(), _cpu_seconds(), 0, 0.0
    for number in range(1, rounds + 1):
        targets += one_round(number)
        peak = max(peak, _peak_mb())
    seconds = time.perf_counter() - started
    return {
        "clients_per_s": rounds * cohort / seconds,
        "targets_per_s": targets / seconds,
        "cpu_s_per_client": (_cpu_seconds() - cpu) / (rounds * cohort),
        "peak_mb": peak,
    }


def _network(ready: Prepared) -> NetworkConfig:
    return NetworkConfig.named("small", ready.vocabulary.size)


def _ours(cohort: int, rounds: int) -> dict[str, float]:
    ready = prepared(CORPUS, cache())
    rows = ready.rows(LENGTH).train
    network = _network(ready)
    with Workers():
        half = Cohort(network, LENGTH, ClientTraining(learning_rate=0.5, batch_rows=BATCH, dropout=0.0))
        server = Server(network, OptimizerSettings(name="sgd", momentum=0.0))
        state = server.initialize(initial_weights(network, 0))

        def one_round(number: int) -> int:
            nonlocal state
            chosen, targets = _cohort_messages(ready, cohort, number)
            result = half.train(state.weights, [rows[user] for user in chosen])
            state = server.apply(state, [delta / result.weight for delta in result.delta_sum], 1.0)
            return targets

        return _timed(rounds, cohort, one_round)


def _memory(cohort: int, rounds: int) -> dict[str, float]:
    """Memory of Python and worker after ten rounds and after all, the worker recycled as a run does."""
    ready = prepared(CORPUS, cache())
    rows = ready.rows(LENGTH).train
    network = _network(ready)
    seen = []
    with Workers() as worker:
        half = Cohort(network, LENGTH, ClientTraining(learning_rate=0.5, batch_rows=BATCH, dropout=0.0))
        server = Server(network, OptimizerSettings(name="sgd", momentum=0.0))
        state = server.initialize(initial_weights(network, 0))
        for number in range(rounds):
            chosen, _ = _cohort_messages(ready, cohort, number)
            result = half.train(state.weights, [rows[user] for user in chosen])
            state = server.apply(state, [delta / result.weight for delta in result.delta_sum], 1.0)
            seen.append(_peak_mb())
            worker.recycle_if_above(1500 << 20)
    return {"growth_mb": float(np.mean(seen[-10:]) - np.mean(seen[10:20])), "peak_mb": max(seen)}


def _stock(cohort: int, rounds: int) -> dict[str, float]:
    tff.backends.native.set_sync_local_cpp_execution_context()
    ready = prepared(CORPUS, cache())
    network = _network(ready)
    table = ready.tables["train"]
    spec = (tf.TensorSpec([None, LENGTH], tf.int32), tf.TensorSpec([None, LENGTH], tf.int32))

    def dataset(user: int) -> tf.data.Dataset:
        # A row a message, and one more for each twenty further pieces: the same targets, padded.
        padded = np.concatenate([pack([message], LENGTH) for message in table.messages(user)])
        return tf.data.Dataset.from_tensor_slices((padded[:, :-1], padded[:, 1:])).batch(BATCH)

    def model() -> tff.learning.models.VariableModel:
        keras = tf.keras.Sequential(
            [
                tf.keras.layers.Embedding(
                    network.vocabulary_size, network.embedding, mask_zero=True, input_length=LENGTH
                ),
                tf.keras.layers.LSTM(network.hidden, return_sequences=True),
                tf.keras.layers.Dense(network.embedding),
                tf.keras.layers.Dense(network.vocabulary_size),
            ]
        )
        return tff.learning.models.from_keras_model(
            keras, loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True), input_spec=spec
        )

    process = tff.learning.algorithms.build_weighted_fed_avg(
        model, client_optimizer_fn=tff.learning.optimizers.build_sgdm(0.5)
    )
    state = process.initialize()

    def one_round(number: int) -> int:
        nonlocal state
        chosen, targets = _cohort_messages(ready, cohort, number)
        state = process.next(state, [dataset(user) for user in chosen]).state
        return targets

    return _timed(rounds, cohort, one_round)


if __name__ == "__main__":
    main()
