"""A training run on disk: warm start, rounds of federated averaging, a state saved after every round.

A run can be killed at any point; started again with the same settings it goes on from its last state and ends with the
same weights, since everything random is derived from (seed, round, client). With more rounds it goes on beyond its end,
at the learning rates that a run of so many has from there.
"""

import asyncio
import json
import math
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow_federated as tff

from federation.errors import ConfigError, DivergedError
from federation.fleet.scenario import Device
from federation.fleet.virtual_clock import Played, VirtualClock
from federation.privacy.training import BY_CLIENTS, RunRecord
from federation.protocol import message_sizes
from federation.protocol.message_sizes import Traffic
from federation.protocol.plan import Deadlines, RoundPlan
from federation.robustness import Decision, Memory, counts, log
from federation.secure_aggregation import MAX_COHORT, MIN_COHORT
from federation.simulation import central, splits
from federation.simulation.config import SimulationConfig
from federation.simulation.defended import Client, DefendedRounds, pseudonym
from federation.simulation.execution import Worker
from federation.simulation.fedavg import Cohort, FederatedEvaluation, Server, ServerState
from federation.simulation.mixing import with_fitted_mixture
from federation.simulation.participation import choose_cohorts
from federation.simulation.private import MeanState, private_mean
from federation.simulation.run_folder import claim, noise_seed
from federation.updates.encoding import choose
from federation.updates.frozen_rows import FrozenRows
from federation.updates.update import Update
from model import files
from model.batches import Rows, targets_in
from model.checkpoint import Checkpoint
from model.evaluation import QUANTILES, Totals
from model.layout import FlatWeights, Layout, NetworkConfig
from model.vocabulary import Vocabulary

_FINAL_LEARNING_RATE = 0.02
_DEFENCE = "defence"
_SAMPLING, _SHUFFLING, _EVALUATION, _GROUPING = range(4)
_DIVERGED_NATS = 1.0
_MIXTURE_WEIGHTS = "mixture_weights"  # fitted to clients' later messages, and part of the model
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
        clients: that are in the sum.
        seconds: that training took.
        traffic: bytes of a client, with a download of the whole model.
        validation: federated evaluation after the round, in the rounds that have one.
        decisions: of the defence; nothing if there is none.
        played: what the scenario made of it, if there is one.
    """

    number: int
    training: Totals
    clients: int
    seconds: float
    traffic: Traffic
    validation: FederatedEvaluation | None
    played: Played | None = None
    decisions: tuple[Decision, ...] | None = None


class Progress(NamedTuple):
    """Where a run stands after a round.

    Attributes:
        state: of the server.
        mean: what a private mean remembers.
        made_by: the round that made the state; 0 for the warm start. Earlier than the last one if that was refused.
        memory: of the defence.
    """

    state: ServerState
    mean: MeanState
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
        directory: holds `config.json`, `warm_start/`, `states/`, `model/`, `metrics.csv`, `tensorboard/`,
            and where there is noise `privacy.json` (who took part) and `noise_seed`, which has to stay secret.
        config: all settings.
        vocabulary: of the network.
        rows: what clients and server hold.

    Raises:
        ConfigError: the folder holds a run with other settings, or there are too few clients for its privacy.
    """

    def __init__(self, directory: Path, config: SimulationConfig, vocabulary: Vocabulary, rows: FederatedRows) -> None:
        self.directory, self.config, self.vocabulary, self._rows = directory, config, vocabulary, rows
        self.network = NetworkConfig.named(config.size, vocabulary.size)
        self._states = directory / "states"
        if config.scenario is not None:
            clients = config.scenario.clients
            train = [own for own in splits.spread(rows.train, clients, config.seed) if len(own)]
            self._rows = rows = FederatedRows(rows.seed, train, splits.spread(rows.validation, clients, config.seed))
        self._steps = message_sizes.of_round(*self._round_of_phones(), model_bytes=4 * self.network.parameters)
        self._clock = self._virtual_clock()
        order = np.random.default_rng([config.seed, _EVALUATION]).permutation(len(rows.validation))
        self._validation = [rows.validation[client] for client in order[: config.evaluate_clients]]
        privacy, uniform = config.privacy, config.client.weighting == "uniform"
        size = self._max_in_sum if privacy.mechanism in BY_CLIENTS else min(config.cohort, len(rows.train))
        privacy.check_cohort(size, uniform=uniform)
        if self._clock is None:
            self._cohorts = choose_cohorts(
                len(rows.train),
                size,
                config.rounds,
                seed=[config.seed, _SAMPLING],
                separation=privacy.minimum_separation,
                most=privacy.max_participations,
            )
        self._layout = Layout.of(self.network.layout)
        self._frozen = FrozenRows.of(self.network, vocabulary.piece_frequencies, privacy.min_frequency)
        claim(directory, config, vocabulary)
        if self.rounds_done > config.rounds:
            raise ConfigError(f"{directory} has done {self.rounds_done} rounds already: ask for more with --rounds")
        buffers = privacy.buffers(config.rounds, len(rows.train), size)
        self._record = RunRecord(privacy, size, uniform, self._layout.dimension, buffers=buffers)
        if self.rounds_done and privacy.mechanism != "none":
            self._record = RunRecord.load(directory)
        secret = noise_seed(directory) if privacy.mechanism != "none" else b""
        self._mean = private_mean(
            privacy,
            cohort=size,
            dimension=self._layout.dimension,
            uniform=uniform,
            secret=secret,
            buffers=self._record.buffers,
        )

    @property
    def _max_in_sum(self) -> int:
        scenario, cohort = self.config.scenario, self.config.cohort
        return min(cohort if scenario is None else scenario.rounds.max_phones(cohort), len(self._rows.train))

    @property
    def warm_start_path(self) -> Path:
        """Where the model before the first round is."""
        return self.directory / "warm_start"

    @property
    def model_path(self) -> Path:
        """Where the trained model is, once there is one."""
        return self.directory / "model"

    @property
    def traffic(self) -> Traffic:
        """Bytes that a phone would send and receive in a round, with a download of the whole model."""
        return Traffic.sum(self._steps)

    @property
    def rounds_done(self) -> int:
        """How many rounds earlier calls have done and saved."""
        latest = self._latest()
        return latest[0] if latest else 0

    def train(self, watcher: Watcher | None = None) -> Checkpoint:
        """Train to the last round, from wherever the run stands, and write the model."""
        watcher = watcher or Watcher()
        start = self._start(watcher)
        weights = start.weights
        with Worker() as worker:
            cohort = Cohort(self.network, self.config.row_length, self.config.client)
            server = Server(self.network, self.config.server)
            done, progress = self._latest() or (0, Progress(server.initialize(weights), self._mean.initialize()))
            defended = self._defended(cohort, server)
            csv = tff.program.CSVFileReleaseManager(self.directory / "metrics.csv", key_fieldname="round")
            board = tff.program.TensorBoardReleaseManager(self.directory / "tensorboard")

            def release(figures: dict[str, float], number: int) -> None:
                asyncio.run(board.release(figures, key=number))
                asyncio.run(csv.release(figures, key=number))

            if not done:
                release(_validation_figures(cohort.evaluate(progress.state.weights, self._validation)), 0)
            for number in range(done + 1, self.config.rounds + 1):
                progress, report = self._round(cohort, server, defended, progress, number)
                self._check_convergence(progress, report)
                figures = _figures(report)
                self._record = self._record.showing(figures, _MIXTURE_WEIGHTS)
                release(figures, number)
                self._save(number, progress)
                watcher.round_done(report)
                worker.recycle_if_above(self.config.worker_limit_mb << 20)
        checkpoint = Checkpoint(self.network, progress.state.weights, self.vocabulary, start.mixture)
        checkpoint = with_fitted_mixture(checkpoint, self._validation)
        checkpoint.save(self.model_path)
        return checkpoint

    @property
    def noise_over_clip(self) -> float:
        """Length of the noise on a round's mean over that of the longest update; 0 without noise."""
        return self.config.privacy.noise_over_clip(self._record.cohort, self._record.dimension, self._record.uniform)

    def _check_convergence(self, progress: Progress, report: RoundReport) -> None:
        """Raise DivergedError if the model predicts worse than by guessing, or is no longer finite."""
        loss, guessing = report.training.mean_loss, math.log(self.vocabulary.size)
        finite = all(np.isfinite(weight).all() for weight in progress.state.weights)
        if finite and (not report.clients or loss <= guessing + _DIVERGED_NATS):
            return
        told = f"the loss is {loss:.1f} nats a piece, and guessing has {guessing:.1f}" if finite else "it is not finite"
        noise = self.noise_over_clip
        cause = (
            f"noise on a round's mean is {noise:.2g} times as long as the longest update: lower the noise multiplier "
            "or raise the cohort (or privacy.noise_cohort)"
            if noise > 1
            else "lower the learning rates"
        )
        raise DivergedError(f"the model came apart by round {report.number}: {told}; {cause}, and use --restart")

    def begin_with(self, start: Checkpoint) -> None:
        """Begin with a model instead of training one on the public seed; a run that has begun is left as it is.

        Raises:
            ConfigError: it has another size or another vocabulary.
        """
        if start.network != self.network or start.vocabulary.key != self.vocabulary.key:
            raise ConfigError(f"the start is not a {self.config.size} network of this vocabulary: choose its --size")
        if not self.warm_start_path.exists():
            start.save(self.warm_start_path)

    def _start(self, watcher: Watcher) -> Checkpoint:
        if self.warm_start_path.exists():
            return Checkpoint.load(self.warm_start_path)
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
        checkpoint = Checkpoint(self.network, weights, self.vocabulary)
        checkpoint.save(self.warm_start_path)
        return checkpoint

    @property
    def _judged_by(self) -> npt.NDArray[np.bool_]:
        """Which public rows the defence's gate judges by."""
        chosen: npt.NDArray[np.bool_] = np.arange(len(self._rows.seed)) % _JUDGED_BY == _JUDGED_BY - 1
        return chosen

    def _defended(self, cohort: Cohort, server: Server) -> DefendedRounds | None:
        if not self.config.defence.enabled:
            return None
        return DefendedRounds(cohort, server, self.network, self.config.defence, self._rows.seed[self._judged_by])

    def _round(
        self, cohort: Cohort, server: Server, defended: DefendedRounds | None, progress: Progress, number: int
    ) -> tuple[Progress, RoundReport]:
        started = time.monotonic()
        played = None if self._clock is None else self._clock.round(number)
        chosen = self._chosen(number, played, progress)
        clients = [Client(client, self._client_rows(number, client)) for client in chosen]
        training, decisions = Totals(0.0, 0.0, 0.0), None
        if defended:
            progress, training, decisions = self._defended_round(server, defended, progress, clients, number)
        elif clients:
            gradient, mean, training = self._mean_delta(cohort, progress, [client.rows for client in clients], number)
            state = server.apply(progress.state, gradient, self._server_rate(number))
            progress = Progress(state, mean, number)
        self._record = self._record.after(number, np.array(chosen, np.int64))
        seconds = time.monotonic() - started
        due = number % self.config.evaluate_every == 0 or number == self.config.rounds
        validation = cohort.evaluate(progress.state.weights, self._validation) if due else None
        report = RoundReport(number, training, len(clients), seconds, self.traffic, validation, played, decisions)
        return progress, report

    def _defended_round(
        self, server: Server, defended: DefendedRounds, progress: Progress, clients: Sequence[Client], number: int
    ) -> tuple[Progress, Totals, tuple[Decision, ...]]:
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
        return Progress(state, progress.mean, made_by, outcome.memory), training, outcome.decisions

    def _chosen(self, number: int, played: Played | None, progress: Progress) -> list[int]:
        """Return a round's clients, those of the scenario or drawn, without any that are in quarantine."""
        among = self._cohorts[number - 1] if played is None else played.contributed
        return [int(client) for client in among if progress.memory.may_take_part(pseudonym(int(client)), number)]

    def _server_rate(self, number: int) -> float:
        config = self.config
        falls = central.cosine(number / config.rounds, _FINAL_LEARNING_RATE) if config.schedule == "cosine" else 1.0
        return config.server.learning_rate * falls

    def _mean_delta(
        self, cohort: Cohort, progress: Progress, rows: Sequence[Rows], number: int
    ) -> tuple[FlatWeights, MeanState, Totals]:
        """Return the cohort's mean delta, initial minus final weights, and the state of the private mean."""
        privacy, weights = self.config.privacy, progress.state.weights
        if not privacy.changes_updates:
            result = cohort.train(weights, rows)
            return [delta / max(result.weight, 1e-12) for delta in result.delta_sum], progress.mean, result.training
        updates, training = cohort.updates(weights, rows)
        updates = [Update(self._frozen.protect(update.delta), update.tally) for update in updates]
        mean, private = self._mean.mean(progress.mean, updates, number)
        # Noise is on every coordinate; on frozen ones there is nothing else.
        return list(self._layout.unflatten(-self._frozen.protect(mean)).values()), private, training

    def _client_rows(self, number: int, client: int) -> Rows:
        """Return a client's rows in the order it trains on them this round, as far as its budget goes.

        They come once for each local epoch.
        """
        rows = self._rows.train[client]
        random = np.random.default_rng([self.config.seed, _SHUFFLING, number, client])
        if self.config.client_rows:
            rows = rows[random.permutation(len(rows))[: self.config.client_rows]]
        rows = np.concatenate([rows[random.permutation(len(rows))] for _ in range(self.config.local_epochs)])
        if self._clock is None:
            return rows
        batch = self.config.client.batch_rows
        return rows[: batch * self._clock.device(client).steps(-(-len(rows) // batch), targets_in(rows))]

    def _round_of_phones(self) -> tuple[RoundPlan, int]:
        """Return the plan of a round of phones that this run stands for, and how many phones would be in its roster."""
        scenario = self.config.scenario
        most = self.config.cohort if scenario is None else scenario.rounds.max_phones(self.config.cohort)
        phones = min(max(most, MIN_COHORT), MAX_COHORT)
        dimension = self.network.parameters
        plan = RoundPlan(
            round_id=1,
            model_sha256=bytes(32),
            dimension=dimension,
            encoding=choose(phones, 1.0, dimension),
            clip=1.0,
            weight_cap=1,
            rotation_seed=bytes(32),
            minimum=MIN_COHORT,
            deadlines=Deadlines(1, 2, 3, 4, 5),
        )
        return plan, phones

    def _virtual_clock(self) -> VirtualClock | None:
        if self.config.scenario is None:
            return None

        def tokens(number: int, device: Device) -> int:
            return targets_in(self._client_rows(number, device.index))

        return VirtualClock(
            self.config.scenario, self.config.seed, len(self._rows.train), tokens, self.config.cohort, self._steps
        )

    def _save(self, number: int, progress: Progress) -> None:
        if self.config.privacy.mechanism != "none":
            self._record.save(self.directory)
        self._states.mkdir(exist_ok=True)
        arrays = dict(zip(self.network.layout, progress.state.weights, strict=True))
        arrays |= {f"optimizer.{i}": value for i, value in enumerate(progress.state.optimizer)}
        arrays |= {f"mean.{i}": value for i, value in enumerate(progress.mean)}
        described = json.dumps({"made_by": progress.made_by, "memory": progress.memory.to_json()})
        with files.writing(self._state_path(number)) as file:
            np.savez(file, **arrays, **{_DEFENCE: np.frombuffer(described.encode(), np.uint8)})
        best = progress.memory.best
        for old in sorted(self._states.glob("round-*.npz"))[: -self.config.keep_states]:
            if best is None or old != self._state_path(best.round_number):
                old.unlink()

    def _latest(self) -> tuple[int, Progress] | None:
        for path in sorted(self._states.glob("round-*.npz"), reverse=True):
            try:
                return _number_of(path), self._progress(path)
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
            optimizer, mean = _numbered(arrays, "optimizer"), _numbered(arrays, "mean")
            if _DEFENCE not in arrays:  # of a run that an older version began, which had no defence
                return Progress(ServerState(weights, optimizer), mean, _number_of(path))
            described = json.loads(arrays[_DEFENCE].tobytes())
        memory = Memory.from_json(described["memory"])
        return Progress(ServerState(weights, optimizer), mean, described["made_by"], memory)


def _number_of(path: Path) -> int:
    return int(path.stem.removeprefix("round-"))


def _numbered(arrays: Mapping[str, npt.NDArray[Any]], part: str) -> list[npt.NDArray[Any]]:
    return [arrays[f"{part}.{i}"] for i in range(sum(name.startswith(f"{part}.") for name in arrays))]


def _figures(report: RoundReport) -> dict[str, float]:
    figures = {
        "loss": report.training.mean_loss,
        "accuracy": report.training.accuracy,
        "clients": report.clients,
        "clients_per_s": report.clients / report.seconds,
        "bytes_up": report.traffic.up,
        "bytes_down": report.traffic.down,
    }
    if report.decisions is not None:
        figures |= counts(report.decisions)
    if report.played is not None:
        figures |= {
            "selected": len(report.played.selected),
            "completed": report.played.completed,
            "wasted": report.played.wasted,
            "virtual_hours": report.played.closed_seconds / 3600,
        }
    if report.validation is not None:
        figures |= _validation_figures(report.validation)
    return figures


def _validation_figures(validation: FederatedEvaluation) -> dict[str, float]:
    return {
        "validation_loss": validation.totals.mean_loss,
        "validation_accuracy": validation.totals.accuracy,
    } | {f"validation_accuracy_q{percent}": validation.spread.quantile(percent) / 100 for percent in QUANTILES}
