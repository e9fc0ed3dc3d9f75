"""Speed and memory of the simulation beside TFF's stock federated averaging, and a client's training by hand.

The stock side and ours train a network of the same sizes on the same messages of the same cohort, one local epoch,
batches of as many messages or rows; the stock one as TFF's tutorials write it: padded messages, `keras.layers.LSTM`, a
dense softmax, `build_weighted_fed_avg` in TFF's default execution context. By hand are NumPy (the phone's engine), JAX
and PyTorch, on one thread: the same network and steps without any federation (`benchmarks.simulation_peers`). pfl
simulates federated averaging of the same PyTorch network. All compute in float32 on the same rows, batches and steps.

    uv run python -m benchmarks.simulation
    uv run python -m benchmarks.simulation --parts large --large-cohort 10000   # other parts' figures stay

PyTorch is Debian's (`apt install python3-torch libopenblas0-pthread`) or that of the Python that `--torch-python`
names, since the one on PyPI brings gigabytes for graphics processors; pfl is installed beside it, in the cache.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import IO, Literal

import numpy as np
import psutil
import tensorflow as tf
import tensorflow_federated as tff

from benchmarks.arguments import whole
from benchmarks.results import CORPUS, Figure, write
from benchmarks.simulation_peers import Train, by_jax, by_numpy, by_torch, without_torch
from federation.rounds.server_optimizers import OptimizerSettings
from federation.simulation.client_training import ClientTraining
from federation.simulation.fedavg import PART_CLIENTS, Cohort, Server
from federation.simulation.prepare import Prepared, prepared
from federation.simulation.workers import Workers
from fedkey.paths import cache
from model.batches import Rows, pack
from model.layout import NetworkConfig, initial_weights

LENGTH = 20
BATCH = 8
TRAINING = ClientTraining(learning_rate=0.5, batch_rows=BATCH, dropout=0.0)
_KINDS: dict[str, tuple[Literal["small", "gboard"], int | None]] = {
    "small": ("small", None),
    "gboard": ("gboard", None),
    "few_rows": ("small", 2),
}
"""Clients of the corpus by size of the network and how many of their rows they have."""
_MIN_CPU_SECONDS = 0.5  # the system tells a process's time in hundredths
_PARTS = {
    "stock": ("clients_per_s", "targets_per_s", "cpu_s_per_client", "rss_*"),
    "large": ("peak_mb_cohort_*",),
    "workers": ("speedup_two_workers",),
    "hands": ("client_cpu_ms_*", "cpu_ratio_best_peer*"),
}
"""Figures of each part that can be measured by itself."""
_PEERS = ("numpy", "jax", "torch", "pfl")
_TORCH = {"torch", "pfl"}
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def main() -> None:
    """Measure, in one process each so that neither disturbs the other's memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=whole, default=20)
    parser.add_argument("--rounds", type=whole, default=100, help="rounds whose memory is watched, 30 or more")
    parser.add_argument("--timed-rounds", type=whole, default=5, help="rounds that each side is timed over, in turn")
    parser.add_argument("--large-cohort", type=whole, default=2000, help="clients in a round whose memory is watched")
    parser.add_argument("--hand-clients", type=whole, default=40, help="clients that are also trained by hand")
    parser.add_argument("--peers", nargs="+", choices=_PEERS, default=_PEERS, help="that also train those")
    parser.add_argument("--torch-python", type=Path, default=Path("/usr/bin/python3"), help="that has PyTorch")
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=list(_PARTS), help="that are measured")
    parser.add_argument(
        "--side", choices=["ours", "stock", "memory", "large", "workers", "hands"], help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if arguments.side == "memory":
        print(json.dumps(_memory(arguments.cohort, arguments.rounds)))
    elif arguments.side == "large":
        print(json.dumps(_large(arguments.large_cohort)))
    elif arguments.side == "workers":
        print(json.dumps(_two_workers(arguments.cohort, arguments.timed_rounds)))
    elif arguments.side == "hands":
        print(json.dumps(_hands(arguments.hand_clients, arguments.peers, arguments.torch_python)))
    elif arguments.side:
        side = _ours if arguments.side == "ours" else _stock
        print(json.dumps(side(arguments.cohort, arguments.timed_rounds)))
    else:
        needed = "hands" in arguments.parts and _TORCH & set(arguments.peers)
        missing = without_torch(arguments.torch_python) if needed else ""
        if missing:
            sys.exit(missing)
        _compare(arguments)


def _compare(arguments: argparse.Namespace) -> None:
    def run(side: str) -> dict[str, float]:
        options = [f"--cohort={arguments.cohort}", f"--rounds={arguments.rounds}"]
        options += [f"--timed-rounds={arguments.timed_rounds}", f"--large-cohort={arguments.large_cohort}"]
        options += [f"--hand-clients={arguments.hand_clients}", f"--side={side}"]
        options += [f"--torch-python={arguments.torch_python}", "--peers", *arguments.peers]
        with tempfile.TemporaryFile("w+") as output:
            environment = os.environ | _ONE_THREAD if side == "hands" else os.environ
            command = [sys.executable, "-m", "benchmarks.simulation", *options]
            _alone(command, output, environment)
            output.seek(0)
            measured: dict[str, float] = json.loads(output.read().strip().splitlines()[-1])
        return measured

    figures: list[Figure] = []
    if "stock" in arguments.parts:
        ours, stock, memory = run("ours"), run("stock"), run("memory")
        figures += [
            Figure(name, ours[name], unit, "stock TFF", stock[name])
            for name, unit in (("clients_per_s", "1/s"), ("targets_per_s", "1/s"), ("cpu_s_per_client", "s"))
        ]
        figures.append(Figure("rss_growth_mb_100_rounds", memory["growth_mb"] * 100 / arguments.rounds, "MB"))
        figures.append(Figure("rss_peak_mb", memory["peak_mb"], "MB", "stock TFF", stock["peak_mb"]))
    if "large" in arguments.parts:
        figures.append(Figure(f"peak_mb_cohort_{arguments.large_cohort}", run("large")["peak_mb"], "MB"))
    if "workers" in arguments.parts:
        workers = run("workers")
        figures.append(Figure("speedup_two_workers", workers["one"] / workers["two"], "times"))
    if "hands" in arguments.parts:
        figures += _beside_hands(run("hands"), arguments.peers)
    measured = {figure.figure for figure in figures}
    kept = [pattern for part, patterns in _PARTS.items() if part not in arguments.parts for pattern in patterns]
    kept += _PARTS["large"]  # of cohorts of other sizes
    write("simulation", figures, keep=lambda name: name not in measured and any(fnmatch(name, each) for each in kept))


def _beside_hands(hands: Mapping[str, float], peers: Sequence[str]) -> list[Figure]:
    ratios = {kind: hands[f"ours_{kind}"] / min(hands[f"{peer}_{kind}"] for peer in peers) for kind in _KINDS}
    return [
        *(
            Figure(f"client_cpu_ms_{kind}", hands[f"ours_{kind}"], "ms", peer, hands[f"{peer}_{kind}"])
            for kind in _KINDS
            for peer in peers
        ),
        *(Figure(f"cpu_ratio_best_peer_{kind}", ratio, "times") for kind, ratio in ratios.items()),
        Figure("cpu_ratio_best_peer", max(ratios.values()), "times"),
    ]


def _alone(command: list[str], output: IO[str], environment: Mapping[str, str]) -> None:
    """Run a side to its end, and end what it leaves behind: stock TFF's process that computes outlives its parent."""
    process = subprocess.Popen(command, stdout=output, env=environment, start_new_session=True)
    try:
        failed = process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if failed:
        raise subprocess.CalledProcessError(failed, command)


def _large(cohort: int) -> dict[str, float]:
    """Return the most memory that a round of so many clients took; clients come again where the corpus has fewer."""
    ready = prepared(CORPUS, cache())
    rows, network = ready.rows(LENGTH).train, _network(ready)
    chosen = np.random.default_rng(0).choice(len(rows), cohort, replace=cohort > len(rows))
    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.2):
            peak = max(peak, _peak_mb())

    with Workers() as workers:
        half = Cohort(network, LENGTH, TRAINING, over=workers.map)
        watching = threading.Thread(target=watch)
        watching.start()
        half.train(initial_weights(network, 0), [rows[client] for client in chosen])
        done.set()
        watching.join()
    return {"peak_mb": peak}


def _two_workers(cohort: int, rounds: int) -> dict[str, float]:
    """Return the seconds of rounds on one worker of one thread, and on two."""
    ready = prepared(CORPUS, cache())
    rows, network = ready.rows(LENGTH).train, _network(ready)
    chosen = np.random.default_rng(0).choice(len(rows), 5 * cohort, replace=5 * cohort > len(rows))
    weights, clients = initial_weights(network, 0), [rows[client] for client in chosen]
    seconds = {}
    for name, places in (("one", ("local",)), ("two", ("local", "local"))):
        with Workers(places, threads=1) as workers:
            half = Cohort(network, LENGTH, TRAINING, over=workers.map)
            half.train(weights, clients[: 2 * PART_CLIENTS * len(places)])  # compiles
            started = time.perf_counter()
            for _ in range(rounds):
                half.train(weights, clients)
            seconds[name] = time.perf_counter() - started
    return seconds


def _hands(clients: int, peers: Sequence[str], torch_python: Path) -> dict[str, float]:
    """Return CPU milliseconds of a client's training, here and by peers, of three kinds of clients."""
    ready = prepared(CORPUS, cache())
    everybody = ready.rows(LENGTH).train
    chosen = [everybody[user] for user in np.random.default_rng(0).choice(len(everybody), clients, replace=False)]
    measured: dict[str, float] = {}
    with Workers() as workers:
        for kind, (size, most_rows) in _KINDS.items():
            network = NetworkConfig.named(size, ready.vocabulary.size)
            weights, rows = initial_weights(network, 0), [own[:most_rows] for own in chosen]
            half = Cohort(network, LENGTH, TRAINING, over=workers.map)
            hands = {"numpy": by_numpy(network, weights, TRAINING), "jax": by_jax(weights, TRAINING)}
            hands = {name: train for name, train in hands.items() if name in peers}
            results = {name: train(rows[0]) for name, train in hands.items()}
            took = {name: _cpu_ms(partial(_each, train, rows), clients) for name, train in hands.items()}
            if _TORCH & set(peers):
                more, after = by_torch(torch_python, weights, rows, TRAINING)
                took, results = took | more, results | after
            took["ours"] = _cpu_ms(partial(half.train, weights, rows), clients)
            alone = half.train(weights, rows[:1])
            expected = [begin + delta / alone.weight for begin, delta in zip(weights, alone.delta_sum, strict=True)]
            for name, result in results.items():
                for one, other in zip(result, expected, strict=True):
                    np.testing.assert_allclose(one, other, atol=2e-3, err_msg=name)
            measured |= {f"{name}_{kind}": milliseconds for name, milliseconds in took.items()}
    return measured


def _each(train: Train, clients: Sequence[Rows]) -> None:
    for rows in clients:
        train(rows)


def _cpu_ms(work: Callable[[], object], clients: int) -> float:
    for _ in range(2):  # each of a worker's threads compiles
        work()
    before, took, repeats = _cpu_seconds(), 0.0, 0
    while took < _MIN_CPU_SECONDS:
        work()
        took, repeats = _cpu_seconds() - before, repeats + 1
    return took * 1e3 / (repeats * clients)


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
        half = Cohort(network, LENGTH, TRAINING)
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
        half = Cohort(network, LENGTH, TRAINING)
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
