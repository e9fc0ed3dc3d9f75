"""What the phone's whole mixture predicts, and what each part of it brings, beside what pooled text would give.

    uv run python -m benchmarks.quality --mixture

    uv run python -m benchmarks.quality --mixture --corpus nus_sms.jsonl.gz --settings benchmarks/mixture-nus.toml
    uv run python -m benchmarks.quality --mixture --corpus ubuntu_irc.jsonl.gz --settings benchmarks/mixture-irc.toml

evaluates all held-out users, or every n-th (`--every`); figures of other corpora begin with `nus_` or `irc_`.
Rows: the public start; one counting round on top of it; federated training; both; with the user's own earlier
messages; and the same from text in one place: a 5-gram, a network, and a mixture that gets the same n-grams. The
counts are the exact sum over all clients, as secure aggregation gives it without noise. Mixture weights are fitted to
clients' validation text by federated evaluation, for every row alike.
"""

import csv
import dataclasses
import itertools
import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmarks.results import RESULTS, Figure, kept, over_seeds, write, written
from federation.simulation import central
from federation.simulation.central_training import CentralTraining
from federation.simulation.config import SimulationConfig
from federation.simulation.evaluation import Evaluator
from federation.simulation.mixing import with_fitted_mixture
from federation.simulation.prepare import Prepared, prepared
from federation.simulation.run import Run
from fedkey import paths
from fedkey.progress import TrainingProgress, words_bar
from model import public_start
from model.batches import Rows, targets_in
from model.checkpoint import Checkpoint
from model.counts import CountedNgram, NgramList
from model.evaluation import CHANGE_QUANTILES, SHOWN, Evaluation, compare, table
from model.evaluation.plot import plot_learning
from model.mixture import Mixture

SETTINGS = Path(__file__).parent / "mixture.toml"
LIST_LENGTH = 600_000
FITTED_EVERY = 4  # every n-th client fits the weights: they are three numbers
SHORTER_LISTS = (200_000,)
_SHORT = {"nus_sms": "nus", "ubuntu_irc": "irc"}  # corpora, as figures name them
_LOWEST = 10  # percent of users who are served worst
_LONG_WORDS = 5


@dataclasses.dataclass(frozen=True)
class Ground:
    """Everything that rows are made from.

    Attributes:
        config: of the federated run.
        start: the public start.
        ready: the corpus, encoded with the start's vocabulary.
        validation: clients' later text, which weights are fitted to.
        out: folder for everything that is kept between calls.
    """

    config: SimulationConfig
    start: Checkpoint
    ready: Prepared
    validation: list[Rows]
    out: Path

    @classmethod
    def prepared(cls, corpus: str, settings: Path, out: Path) -> "Ground":
        """Read the corpus and the start."""
        config = dataclasses.replace(SimulationConfig.beginning("public", settings), corpus=corpus)
        start = public_start.load(config.size)
        ready = prepared(
            corpus,
            paths.cache(),
            min_messages=config.min_messages,
            max_users=config.max_users,
            vocabulary=start.vocabulary,
        )
        validation = list(ready.rows(config.row_length).validation)[::FITTED_EVERY]
        return cls(config, start, ready, validation, out)

    def counted(self, length: int) -> CountedNgram:
        """Return the sum of all clients' counts of the public list."""
        assert self.start.mixture.public is not None
        listed = NgramList.of(self.start.mixture.public, length)
        tables = self.ready.tables["train"]
        counts = np.zeros(len(listed), np.int64)
        for user in range(len(tables.users)):
            counts += listed.count(message.tolist() for message in tables.messages(user))
        return CountedNgram(counts, listed)

    def with_parts(self, network: Checkpoint, counted: CountedNgram | None = None) -> Checkpoint:
        """Return a network with the public n-gram and counts beside it, weights fitted."""
        parts = 2 if counted is None else 3
        mixture = Mixture((1 / parts,) * parts, self.start.mixture.public, counted)
        return with_fitted_mixture(dataclasses.replace(network, mixture=mixture), self.validation)

    def federated(self, seed: int) -> Checkpoint:
        """Return the federated network of a seed, trained if it is not there."""
        config = dataclasses.replace(self.config, seed=seed)
        run = Run(
            self.out / f"federated-{seed}", config, self.ready.vocabulary, self.ready.rows(self.config.row_length)
        )
        run.begin_with(self.start)
        if run.model_path.exists() and run.rounds_done == config.rounds:
            return Checkpoint.load(run.model_path)
        with TrainingProgress(config.rounds, run.rounds_done) as progress:
            return run.train(progress.watcher)

    def central(self) -> Checkpoint:
        """Return the start trained on all clients' text in one place, on as many targets as federation sees."""
        path = self.out / "central"
        if path.exists():
            return Checkpoint.load(path)
        federated_rows = self.ready.rows(self.config.row_length)
        rows = self.ready.central_rows(self.config.row_length)
        visits = self.config.rounds * self.config.cohort * self.config.client.epochs / len(federated_rows.train)
        epochs = max(1, round(visits * sum(map(targets_in, federated_rows.train)) / targets_in(rows)))
        options = CentralTraining(epochs=epochs, learning_rate=1e-3, batch_rows=32, dropout=0.2)
        weights = central.train(
            self.start.network, rows, options, seed=1, start=self.start.weights, resume=self.out / "central.npz"
        )
        checkpoint = dataclasses.replace(self.start, weights=weights)
        checkpoint.save(path)
        return checkpoint


def alone(checkpoint: Checkpoint) -> Checkpoint:
    """Return the network without n-grams."""
    return dataclasses.replace(checkpoint, mixture=Mixture())


def measure(corpus: str, settings: Path, out: Path, *, every: int, seeds: range) -> None:
    """Measure every row that is not kept yet, and write the figures.

    Without the first seed only its later runs' rows are measured, and all other figures stay as they were written.
    """
    ground = Ground.prepared(corpus, settings, out)
    measured = _Measured(ground, every)
    if 1 in seeds:
        measured.start()
    for seed in seeds:
        measured.run(seed)
    if 1 not in seeds:
        _report_seeds(corpus, measured.rows)
        return
    measured.center()
    _report(corpus, measured.rows, ground, every)


class _Measured:
    """Rows, evaluated on every n-th user and kept in a file each; what several rows need is made once."""

    def __init__(self, ground: Ground, every: int) -> None:
        self.rows: dict[str, Evaluation] = {}
        self._ground = ground
        self._evaluator = Evaluator(ground.ready.split, every=every, show=words_bar)
        self._folder = ground.out / f"every-{every}"
        self._counted = cache(ground.counted)
        self._public_mixture = cache(partial(ground.with_parts, ground.start))
        self._federated = cache(ground.federated)
        self._central = cache(ground.central)
        self._mixture = cache(self._mixed)

    def start(self) -> None:
        """Measure the public start, and it with counts."""
        self._row("public_network", lambda: alone(self._ground.start))
        self._row("public_mixture", self._public_mixture)
        self._row("counted_only", lambda: self._ground.with_parts(self._ground.start, self._counted(LIST_LENGTH)))

    def run(self, seed: int) -> None:
        """Measure a federated run; the first also without counts, with shorter lists and with users' own text."""
        suffix = "" if seed == 1 else f"_{seed}"
        self._row(f"mixture{suffix}", partial(self._mixture, seed))
        self._row(f"federated{suffix}", lambda: alone(self._federated(seed)))
        if seed > 1:
            return
        self._row("mixture_without_counts", lambda: self._ground.with_parts(self._federated(seed)))
        self._row("mixture_cache", partial(self._mixture, seed), own=True)
        self._row("public_mixture_cache", self._public_mixture, own=True)
        for length in SHORTER_LISTS:
            self._row(f"mixture_list_{length}", partial(self._mixture, seed, length))

    def center(self) -> None:
        """Measure what text in one place gives."""
        self._kept("ngram_central", lambda: self._evaluator.ngram("central"))
        self._row("central_network", lambda: alone(self._central()))
        self._row("central_mixture", lambda: self._ground.with_parts(self._central(), self._counted(LIST_LENGTH)))

    def _mixed(self, seed: int, length: int = LIST_LENGTH) -> Checkpoint:
        return self._ground.with_parts(self._federated(seed), self._counted(length))

    def _row(self, name: str, make: Callable[[], Checkpoint], *, own: bool = False) -> None:
        measure = self._evaluator.network_with_own_words if own else self._evaluator.network
        self._kept(name, lambda: measure(make(), name=name))

    def _kept(self, name: str, measure: Callable[[], Evaluation]) -> None:
        path = self._folder / f"{name}.json"
        self.rows[name] = Evaluation.from_json(kept(path, lambda: measure().to_json()))
        print(table([self.rows[name]]), flush=True)


def _report(corpus: str, rows: dict[str, Evaluation], ground: Ground, every: int) -> None:
    print(table(list(rows.values())))
    against = {
        "mixture": ("ngram_central", "central_network", "central_mixture", "public_mixture", "mixture_without_counts"),
        "mixture_cache": ("ngram_central", "central_mixture", "public_mixture", "public_mixture_cache", "mixture"),
        "counted_only": ("public_mixture", "ngram_central"),
        "mixture_without_counts": ("public_mixture", "federated"),
        "federated": ("public_network", "central_network"),
        "public_mixture": ("public_network", "ngram_central"),
    }
    pooled = rows["ngram_central"]
    figures = [
        Figure(f"{name}_{metric}", evaluation.value(metric), "%", "pooled 5-gram", pooled.value(metric))
        for name, evaluation in rows.items()
        for metric in SHOWN
    ]
    for name, bases in against.items():
        for base in bases:
            if name not in rows or base not in rows:
                continue
            for metric in SHOWN:
                found = compare(rows[base], rows[name], metric)
                label = f"{name}_over_{base}_{metric}"
                figures += [
                    Figure(f"{label}_points", found.difference, "points"),
                    Figure(f"{label}_standard_error", found.standard_error, "points"),
                ]
                if metric == "top1":
                    figures += [
                        Figure(f"{label}_users_helped_percent", 100 * found.helped, "%"),
                        Figure(f"{label}_users_harmed_percent", 100 * found.harmed, "%"),
                    ]
                    figures += [
                        Figure(f"{label}_user_q{percent}", change, "points, of a user")
                        for percent, change in zip(CHANGE_QUANTILES, found.quantiles, strict=True)
                    ]
    words = float(pooled.counts["words"].sum())
    figures += [
        Figure(
            f"{name}_top1_lowest_decile",
            _lowest(row),
            "% at a tenth of users",
        )
        for name, row in rows.items()
    ]
    figures += [
        Figure("users", len(pooled.users), f"users, every {every}. held-out one"),
        Figure("words", words, "word positions"),
        Figure("rounds", ground.config.rounds, f"rounds of {ground.config.cohort}, {ground.config.size} network"),
        Figure("client_learning_rate", ground.config.client.learning_rate, "of SGD"),
        Figure("client_dropout", ground.config.client.dropout, "share"),
    ]
    name, file, prefix = _named(corpus)
    figures += [*_rounds(ground, name), _repeated(ground)]
    named = [dataclasses.replace(figure, figure=f"{prefix}{figure.figure}") for figure in figures]
    write(file, [*named, *_summary(named, prefix)], script="quality")


def _report_seeds(corpus: str, rows: dict[str, Evaluation]) -> None:
    """Write the rows of later seeds beside what is there, and how far the seeds lie apart."""
    _, file, prefix = _named(corpus)
    figures = [
        Figure(f"{prefix}{name}_{metric}", evaluation.value(metric), "%")
        for name, evaluation in rows.items()
        for metric in SHOWN
    ]
    measured = {figure.figure for figure in figures}
    earlier = [figure for figure in written(file) if figure.figure not in measured]
    figures += _summary([*earlier, *figures], prefix)
    measured |= {figure.figure for figure in figures}
    write(file, figures, script="quality", keep=lambda name: name not in measured)


def _named(corpus: str) -> tuple[str, str, str]:
    """Return a corpus's name, that of the file of its figures, and what these begin with."""
    name = Path(corpus).name.split(".")[0]
    return (name, "mixture", "") if corpus == "chitchat" else (name, f"mixture-{name}", f"{_SHORT.get(name, name)}_")


def _summary(figures: Sequence[Figure], prefix: str) -> list[Figure]:
    """Return how many federated runs there are, and mean and standard deviation of their rows."""
    summary = []
    for row, metric in itertools.product(("mixture", "federated"), SHOWN):
        values = [each.value for each in figures if re.fullmatch(rf"{prefix}{row}(_\d+)?_{metric}", each.figure)]
        if row == "federated" and metric == "top1":
            summary.append(Figure(f"{prefix}seeds", len(values), "federated runs"))
        summary += over_seeds(f"{prefix}{row}_{metric}", values, "%")
    return summary


def _lowest(row: Evaluation) -> float:
    return float(np.nanpercentile(row.per_user("top1"), _LOWEST))


def _rounds(ground: Ground, name: str) -> list[Figure]:
    """Return the loss of clients' later messages over the rounds of the first run, what a round gains, and draw it."""
    with (ground.out / "federated-1" / "metrics.csv").open(encoding="utf-8") as file:
        told = [row for row in csv.DictReader(file) if row.get("validation_loss")]
    rounds = [int(row["round"]) for row in told]
    losses = [float(row["validation_loss"]) for row in told]
    RESULTS.mkdir(parents=True, exist_ok=True)
    plot_learning(rounds, losses, "nats a piece", RESULTS / f"mixture-{name}-rounds.svg")
    figures = [
        Figure(f"validation_loss_after_{number}_rounds", loss, "nats a piece of clients' later messages")
        for number, loss in zip(rounds, losses, strict=True)
    ]
    for (before, more), (after, less) in itertools.pairwise(zip(rounds, losses, strict=True)):
        gain = 1000 * (more - less) / (after - before)
        figures.append(Figure(f"gain_of_a_round_up_to_{after}", gain, "thousandths of a nat a piece"))
    return figures


def _repeated(ground: Ground) -> Figure:
    """Return how much of the held-out text clients wrote word for word: forwarded messages flatter whatever counts."""
    split = ground.ready.split
    written = {text for texts in split.train.values() for text in texts}
    asked = [text for texts in split.held_out.values() for text in texts if len(text.split()) >= _LONG_WORDS]
    share = sum(text in written for text in asked) / max(len(asked), 1)
    return Figure("held_out_messages_of_clients_percent", 100 * share, f"% of those of {_LONG_WORDS} words or more")
