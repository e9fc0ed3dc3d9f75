"""A training run on disk: warm start, rounds of federated averaging, a state saved after every round.

A run can be killed at any point; started again with the same settings it goes on from its last state and ends with the
same weights, since everything random is derived from (seed, round, client). With more rounds it goes on beyond its end,
at the learning rates that a run of that length has from there.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from pathlib import Path

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
from federation.robustness import Outcome, PieceRows, log
from federation.secure_aggregation import MAX_COHORT, MIN_COHORT
from federation.simulation import central, splits
from federation.simulation.aggregations import MeanState, aggregation
from federation.simulation.config import SimulationConfig
from federation.simulation.fedavg import Cohort, Server
from federation.simulation.mixing import with_fitted_mixture
from federation.simulation.participation import choose_cohorts
from federation.simulation.report import RoundReport, Watcher, figures, validation_figures
from federation.simulation.rounds import Client, Rounds, pseudonym
from federation.simulation.rows import FederatedRows
from federation.simulation.run_folder import claim, noise_seed
from federation.simulation.states import Progress, ServerState, States
from federation.simulation.voting import rho_of_votes
from federation.simulation.workers import Workers
from federation.updates.encoding import choose
from federation.updates.frozen_rows import FrozenRows
from federation.updates.sparsification import Subset, chunk_energies
from federation.updates.transforms import Freeze
from model.batches import Rows, targets_in
from model.checkpoint import Checkpoint
from model.evaluation import Totals
from model.layout import Layout, NetworkConfig
from model.vocabulary import Vocabulary

_FINAL_LEARNING_RATE = 0.02
_SAMPLING, _SHUFFLING, _EVALUATION, _GROUPING = range(4)
_DIVERGED_NATS = 1.0
_MIXTURE_WEIGHTS = "mixture_weights"  # fitted to clients' later messages, and part of the model
_JUDGED_BY = 10  # every n-th public row is kept for the defence's gate


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
        self._states = States(directory / "states", self.network, config.keep_states)
        voters = len(rows.train)
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
        # In one sum: secure aggregation's sums are those of groups, where there is a defence.
        summed = min(size, 2 * config.defence.group_phones - 1) if config.defence.enabled else size
        privacy.check_cohort(summed, uniform=uniform)
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
        votes = rho_of_votes(privacy, voters, vocabulary) if config.words else 0.0
        self._record = RunRecord(privacy, summed, uniform, self._layout.dimension, buffers=buffers, votes_rho=votes)
        if self.rounds_done and privacy.mechanism != "none":
            self._record = RunRecord.load(directory)
        secret = noise_seed(directory) if privacy.mechanism != "none" else b""
        self._aggregation = aggregation(
            privacy,
            cohort=summed,
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
    def validation(self) -> Sequence[Rows]:
        """Later messages of the clients that federated evaluations ask, packed."""
        return self._validation

    @property
    def rounds_done(self) -> int:
        """How many rounds earlier calls have done and saved."""
        latest = self._states.latest()
        return latest[0] if latest else 0

    def train(self, watcher: Watcher | None = None) -> Checkpoint:
        """Train to the last round, from wherever the run stands, and write the model."""
        watcher = watcher or Watcher()
        start = self._start(watcher)
        with Workers(self.config.workers) as workers:
            cohort = Cohort(self.network, self.config.row_length, self.config.client, over=workers.map)
            server = Server(self.network, self.config.server)
            first = Progress(server.initialize(start.weights), self._aggregation.initialize())
            done, progress = self._states.latest() or (0, first)
            rounds = self._rounds(cohort, server)
            csv = tff.program.CSVFileReleaseManager(self.directory / "metrics.csv", key_fieldname="round")
            board = tff.program.TensorBoardReleaseManager(self.directory / "tensorboard")

            def release(figures: dict[str, float], number: int) -> None:
                asyncio.run(board.release(figures, key=number))
                asyncio.run(csv.release(figures, key=number))

            if not done:
                release(validation_figures(cohort.evaluate(progress.state.weights, self._validation)), 0)
            for number in range(done + 1, self.config.rounds + 1):
                before = workers.repeated
                progress, report = self._round(cohort, server, rounds, progress, number)
                report = report._replace(repeated=workers.repeated - before)
                self._check_convergence(progress, report)
                told = figures(report)
                self._record = self._record.showing(told, _MIXTURE_WEIGHTS)
                release(told, number)
                if self.config.privacy.mechanism != "none":
                    self._record.save(self.directory)
                self._states.save(number, progress)
                watcher.round_done(report)
                workers.recycle_if_above(self.config.worker_limit_mb << 20)
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
        raise DivergedError(f"the model diverged by round {report.number}: {told}; {cause}, and use --restart")

    def begin_with(self, start: Checkpoint) -> None:
        """Begin with a model instead of training one on the public seed; a run that has begun is left as it is.

        Raises:
            ConfigError: it has another size or another vocabulary.
        """
        if start.network != self.network or start.vocabulary.key != self.vocabulary.key:
            raise ConfigError(f"the start is not a {self.config.size} network of this vocabulary: choose its --size")
        if not self.warm_start_path.exists():
            start.save(self.warm_start_path)

    def _start(self, watcher: Watcher | None = None) -> Checkpoint:
        watcher = watcher or Watcher()
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

    def _rounds(self, cohort: Cohort, server: Server) -> Rounds:
        config = self.config
        return Rounds(
            cohort,
            server,
            self.network,
            defence=config.defence,
            public=self._rows.seed[self._judged_by],
            pieces=PieceRows.of(self.network, self.vocabulary.piece_frequencies),
            freeze=Freeze(self._frozen),
            aggregation=self._aggregation if config.privacy.changes_updates or config.upload_share < 1 else None,
            upload_share=config.upload_share,
        )

    def _round(
        self, cohort: Cohort, server: Server, rounds: Rounds, progress: Progress, number: int
    ) -> tuple[Progress, RoundReport]:
        started = time.monotonic()
        played = None if self._clock is None else self._clock.round(number)
        chosen = self._chosen(number, played, progress)
        clients = [Client(client, self._client_rows(number, client)) for client in chosen]
        training, decisions = Totals(0.0, 0.0, 0.0), None
        if clients:
            seed = np.random.default_rng([self.config.seed, _GROUPING, number]).bytes(32)
            rate = self._server_rate(number)
            outcome, mean, training = rounds.round(progress, clients, number=number, learning_rate=rate, seed=seed)
            if self.config.defence.enabled:
                log(number, outcome.decisions)
                decisions = outcome.decisions
            progress = self._after(outcome, mean, progress, server, number)
        self._record = self._record.after(number, np.array(chosen, np.int64))
        seconds = time.monotonic() - started
        due = number % self.config.evaluate_every == 0 or number == self.config.rounds
        validation = cohort.evaluate(progress.state.weights, self._validation) if due else None
        report = RoundReport(number, training, len(clients), seconds, self.traffic, validation, played, decisions)
        return progress, report

    def _after(
        self, outcome: Outcome[ServerState], mean: MeanState, before: Progress, server: Server, number: int
    ) -> Progress:
        state, made_by = outcome.state, before.made_by if outcome.total is None else number
        energies = before.energies
        if outcome.total is not None:
            step = self._layout.flatten(
                [after - earlier for after, earlier in zip(state.weights, before.state.weights, strict=True)]
            )
            energies = chunk_energies(step)
        if outcome.rollback_to is not None:
            made_by = outcome.rollback_to
            first = made_by == 0
            state = server.initialize(self._start().weights) if first else self._states.after(made_by)
            energies = np.zeros(0)
        return Progress(state, mean, made_by, outcome.memory, energies)

    def _chosen(self, number: int, played: Played | None, progress: Progress) -> list[int]:
        """Return a round's clients, those of the scenario or drawn, without any that are in quarantine."""
        among = self._cohorts[number - 1] if played is None else played.contributed
        return [int(client) for client in among if progress.memory.may_take_part(pseudonym(int(client)), number)]

    def _server_rate(self, number: int) -> float:
        config = self.config
        falls = central.cosine(number / config.rounds, _FINAL_LEARNING_RATE) if config.schedule == "cosine" else 1.0
        return config.server.learning_rate * falls

    def _client_rows(self, number: int, client: int) -> Rows:
        """Return a client's rows in the order it trains on them this round, as far as its budget goes.

        They come once for each local epoch.
        """
        rows = self._rows.train[client]
        random = np.random.default_rng([self.config.seed, _SHUFFLING, number, client])
        if self.config.client_rows:
            rows = rows[random.permutation(len(rows))[: self.config.client_rows]]
        rows = np.concatenate([rows[random.permutation(len(rows))] for _ in range(self.config.client.epochs)])
        if self._clock is None:
            return rows
        batch = self.config.client.batch_rows
        return rows[: batch * self._clock.device(client).steps(-(-len(rows) // batch), targets_in(rows))]

    def _round_of_phones(self) -> tuple[RoundPlan, int]:
        """Return the plan of a round of phones that this run stands for, and how many phones would be in its roster."""
        scenario = self.config.scenario
        most = self.config.cohort if scenario is None else scenario.rounds.max_phones(self.config.cohort)
        phones = min(max(most, MIN_COHORT), MAX_COHORT)
        dimension, share = self.network.parameters, self.config.upload_share
        subset = None if share == 1 else Subset.allocate(dimension, share)
        sent = dimension if subset is None else subset.kept
        plan = RoundPlan(
            round_id=1,
            model_sha256=bytes(32),
            dimension=dimension,
            encoding=choose(phones, 1.0, sent, coarse=share < 1),
            clip=1.0,
            weight_cap=1,
            rotation_seed=bytes(32),
            minimum=MIN_COHORT,
            deadlines=Deadlines(1, 2, 3, 4, 5),
            subset=subset,
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
