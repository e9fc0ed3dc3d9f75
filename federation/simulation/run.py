"""A training run on disk: warm start, rounds of federated averaging, a state saved after every round.

A run can be killed at any point; started again with the same settings it goes on from its last state and ends with the
same weights, since everything random is derived from (seed, round, client).
"""

import asyncio
import dataclasses
import json
import os
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow_federated as tff

from federation.errors import ConfigError
from federation.robustness import Decision, Memory, counts, log
from federation.simulation import central
from federation.simulation.config import SimulationConfig
from federation.simulation.defended import Client, DefendedRounds, pseudonym
from federation.simulation.execution import Worker
from federation.simulation.fedavg import Cohort, Server, ServerState
from model.batches import Rows
from model.checkpoint import Checkpoint
from model.evaluation import Totals
from model.layout import FlatWeights, NetworkConfig
from model.vocabulary import Vocabulary

_FINAL_LEARNING_RATE = 0.02
_DEFENCE = "defence"
_SAMPLING, _SHUFFLING, _EVALUATION, _GROUPING = range(4)
_JUDGED_BY = 10  # every so many-th public row is kept for the defence's gate


@dataclass(frozen=True)
class FederatedRows:
    """What a run trains on and watches.

    Attributes:
        seed: packed public messages.
        train: each client's packed training messages.
        validation: each client's packed later messages.
    """

    seed: Rows
    train: Sequence[Rows]
    validation: Sequence[Rows]


class RoundReport(NamedTuple):
    """What one round did.

    Attributes:
        number: of the round, from 1.
        training: totals over the clients' local training.
        clients: that took part.
        seconds: it took.
        validation: federated evaluation after the round, in the rounds that have one.
        decisions: of the defence; nothing if there is none.
    """

    number: int
    training: Totals
    clients: int
    seconds: float
    validation: Totals | None
    decisions: tuple[Decision, ...] | None = None


class Progress(NamedTuple):
    """Where a run stands after a round.

    Attributes:
        state: of the server.
        made_by: the round that made the state; 0 for the warm start. Earlier than the last one if that was refused.
        memory: of the defence.
    """

    state: ServerState
    made_by: int = 0
    memory: Memory = Memory()


@dataclass(frozen=True)
class Watcher:
    """Callbacks that show progress; each does nothing by default."""

    warm_start: Callable[[int, int, float], None] = lambda _step, _steps, _loss: None
    round_done: Callable[[RoundReport], None] = lambda _report: None


class Run:
    """One training run and its folder.

    Args:
        directory: holds `config.json`, `warm_start/`, `states/`, `model/`, `metrics.csv` and `tensorboard/`.
        config: all settings.
        vocabulary: of the network.
        rows: what clients and server hold.

    Raises:
        ConfigError: the folder holds a run with other settings.
    """

    def __init__(self, directory: Path, config: SimulationConfig, vocabulary: Vocabulary, rows: FederatedRows) -> None:
        self.directory, self.config, self._vocabulary, self._rows = directory, config, vocabulary, rows
        self.network = NetworkConfig.named(config.size, vocabulary.size)
        self._states = directory / "states"
        order = np.random.default_rng([config.seed, _EVALUATION]).permutation(len(rows.validation))
        self._validation = [rows.validation[client] for client in order[: config.evaluate_clients]]
        _claim(directory, config, vocabulary)

    @property
    def warm_start_path(self) -> Path:
        """Where the model before the first round is."""
        return self.directory / "warm_start"

    @property
    def model_path(self) -> Path:
        """Where the trained model is, once there is one."""
        return self.directory / "model"

    @property
    def rounds_done(self) -> int:
        """How many rounds earlier calls have done and saved."""
        latest = self._latest()
        return latest[0] if latest else 0

    def train(self, watcher: Watcher | None = None) -> Checkpoint:
        """Train to the last round, from wherever the run stands, and write the model."""
        watcher = watcher or Watcher()
        weights = self._warm_start(watcher)
        with Worker() as worker:
            cohort = Cohort(self.network, self.config.row_length, self.config.client)
            server = Server(self.network, self.config.server)
            done, progress = self._latest() or (0, Progress(server.initialize(weights)))
            defended = self._defended(cohort, server)
            csv = tff.program.CSVFileReleaseManager(self.directory / "metrics.csv", key_fieldname="round")
            board = tff.program.TensorBoardReleaseManager(self.directory / "tensorboard")

            def release(figures: dict[str, float], number: int) -> None:
                asyncio.run(board.release(figures, key=number))
                asyncio.run(csv.release(figures, key=number))

            if not done:
                release(_validation_figures(cohort.evaluate(progress.state.weights, self._validation)), 0)
            for number in range(done + 1, self.config.rounds + 1):
                if defended:
                    progress, report = self._defended_round(cohort, server, defended, progress, number)
                else:
                    progress, report = self._round(cohort, server, progress, number)
                release(_figures(report), number)
                self._save(number, progress)
                watcher.round_done(report)
                worker.recycle_if_above(self.config.worker_limit_mb << 20)
        checkpoint = self._checkpoint(progress.state.weights)
        checkpoint.save(self.model_path)
        return checkpoint

    def _warm_start(self, watcher: Watcher) -> FlatWeights:
        if self.warm_start_path.exists():
            return Checkpoint.load(self.warm_start_path).weights
        options = self.config.warm_start
        seed = self._rows.seed[~self._judged_by] if self.config.defence.enabled else self._rows.seed
        steps = options.epochs * -(-len(seed) // options.batch_rows)
        weights = central.train(
            self.network,
            seed,
            options,
            seed=self.config.seed,
            progress=lambda step, loss: watcher.warm_start(step, steps, loss),
        )
        self._checkpoint(weights).save(self.warm_start_path)
        return weights

    @property
    def _judged_by(self) -> npt.NDArray[np.bool_]:
        """Which public rows the defence's gate judges by."""
        chosen: npt.NDArray[np.bool_] = np.arange(len(self._rows.seed)) % _JUDGED_BY == _JUDGED_BY - 1
        return chosen

    def _defended(self, cohort: Cohort, server: Server) -> DefendedRounds | None:
        if not self.config.defence.enabled:
            return None
        return DefendedRounds(cohort, server, self.network, self.config.defence, self._rows.seed[self._judged_by])

    def _round(self, cohort: Cohort, server: Server, progress: Progress, number: int) -> tuple[Progress, RoundReport]:
        started = time.monotonic()
        clients = self._chosen(number, Memory())
        result = cohort.train(progress.state.weights, [client.rows for client in clients])
        mean = [delta / max(result.weight, 1e-12) for delta in result.delta_sum]
        state = server.apply(progress.state, mean, self._server_rate(number))
        validation = self._validated(cohort, state, number)
        report = RoundReport(number, result.training, len(clients), time.monotonic() - started, validation)
        return Progress(state, number), report

    def _defended_round(
        self, cohort: Cohort, server: Server, defended: DefendedRounds, progress: Progress, number: int
    ) -> tuple[Progress, RoundReport]:
        started = time.monotonic()
        clients = self._chosen(number, progress.memory)
        outcome, training = defended.round(
            progress.state,
            progress.memory,
            clients,
            number=number,
            made_by=progress.made_by,
            learning_rate=self._server_rate(number),
            seed=np.random.default_rng([self.config.seed, _GROUPING, number]).bytes(32),
        )
        log(number, outcome.decisions)
        state, made_by = outcome.state, progress.made_by if outcome.total is None else number
        if outcome.rollback_to is not None:
            state, made_by = self._state_after(outcome.rollback_to, server), outcome.rollback_to
        validation = self._validated(cohort, state, number)
        seconds = time.monotonic() - started
        report = RoundReport(number, training, len(clients), seconds, validation, outcome.decisions)
        return Progress(state, made_by, outcome.memory), report

    def _chosen(self, number: int, memory: Memory) -> list[Client]:
        """Draw a round's clients among those that are not in quarantine."""
        able = [client for client in range(len(self._rows.train)) if memory.may_take_part(pseudonym(client), number)]
        random = np.random.default_rng([self.config.seed, _SAMPLING, number])
        drawn = random.choice(len(able), min(self.config.cohort, len(able)), replace=False)
        return [Client(able[index], self._client_rows(number, able[index])) for index in drawn]

    def _server_rate(self, number: int) -> float:
        config = self.config
        falls = central.cosine(number / config.rounds, _FINAL_LEARNING_RATE) if config.schedule == "cosine" else 1.0
        return config.server.learning_rate * falls

    def _validated(self, cohort: Cohort, state: ServerState, number: int) -> Totals | None:
        due = number % self.config.evaluate_every == 0 or number == self.config.rounds
        return cohort.evaluate(state.weights, self._validation) if due else None

    def _client_rows(self, number: int, client: int) -> Rows:
        """Return a client's rows in the order it trains on them this round, once for each local epoch."""
        rows = self._rows.train[client]
        random = np.random.default_rng([self.config.seed, _SHUFFLING, number, client])
        if self.config.client_rows:
            rows = rows[random.permutation(len(rows))[: self.config.client_rows]]
        return np.concatenate([rows[random.permutation(len(rows))] for _ in range(self.config.local_epochs)])

    def _checkpoint(self, weights: FlatWeights) -> Checkpoint:
        return Checkpoint(self.network, weights, self._vocabulary)

    def _save(self, number: int, progress: Progress) -> None:
        self._states.mkdir(exist_ok=True)
        arrays = dict(zip(self.network.layout, progress.state.weights, strict=True))
        arrays |= {f"optimizer.{i}": value for i, value in enumerate(progress.state.optimizer)}
        described = json.dumps({"made_by": progress.made_by, "memory": progress.memory.to_json()})
        path = self._state_path(number)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, **arrays, **{_DEFENCE: np.frombuffer(described.encode(), np.uint8)})
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        best = progress.memory.best
        for old in sorted(self._states.glob("round-*.npz"))[: -self.config.keep_states]:
            if best is None or old != self._state_path(best.round_number):
                old.unlink()

    def _latest(self) -> tuple[int, Progress] | None:
        for path in sorted(self._states.glob("round-*.npz"), reverse=True):
            try:
                return int(path.stem.removeprefix("round-")), self._progress(path)
            except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
                continue  # a torn disk write: the state before it is good
        return None

    def _state_after(self, number: int, server: Server) -> ServerState:
        """Return the state after a round; 0 is the warm start."""
        if number == 0:
            return server.initialize(Checkpoint.load(self.warm_start_path).weights)
        return self._progress(self._state_path(number)).state

    def _state_path(self, number: int) -> Path:
        return self._states / f"round-{number:06}.npz"

    def _progress(self, path: Path) -> Progress:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            weights = [arrays[name] for name in self.network.layout]
            optimizer = [arrays[f"optimizer.{i}"] for i in range(len(arrays.files) - len(weights) - 1)]
            described = json.loads(arrays[_DEFENCE].tobytes())
        return Progress(ServerState(weights, optimizer), described["made_by"], Memory.from_json(described["memory"]))


def _claim(directory: Path, config: SimulationConfig, vocabulary: Vocabulary) -> None:
    """Make the folder this run's, or check that it is."""
    ours: dict[str, Any] = {"config": dataclasses.asdict(config), "vocabulary": vocabulary.key}
    path = directory / "config.json"
    if path.exists():
        theirs = json.loads(path.read_text())
        if theirs != ours:
            before = theirs.get("config", {})
            differing = [name for name, value in ours["config"].items() if before.get(name) != value] or ["vocabulary"]
            raise ConfigError(
                f"{directory} holds a run with another {differing[0]}: "
                "choose another folder with --out, or start over with --restart"
            )
        return
    directory.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(ours, indent=1))
    partial.replace(path)


def _figures(report: RoundReport) -> dict[str, float]:
    figures = {
        "loss": report.training.mean_loss,
        "accuracy": report.training.accuracy,
        "clients_per_s": report.clients / report.seconds,
    }
    if report.decisions is not None:
        figures |= counts(report.decisions)
    if report.validation is not None:
        figures |= _validation_figures(report.validation)
    return figures


def _validation_figures(validation: Totals) -> dict[str, float]:
    return {"validation_loss": validation.mean_loss, "validation_accuracy": validation.accuracy}
