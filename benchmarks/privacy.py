"""Recall against epsilon, and what populations of several sizes can afford.

    uv run python -m benchmarks.privacy
    uv run python -m benchmarks.privacy --noise
    uv run python -m benchmarks.privacy --only gaussian_0.003 skellam_0.003

ChitChat has too few clients for useful privacy, so a larger cohort's noise is *simulated*: the clients that there are
train, and the mean of their clipped updates gets the noise that the mean of a larger cohort would have. What a noise
level costs then depends on the population alone: a fiftieth of it is a cohort, so that in the rounds measured here each
phone takes part once. A larger cohort's mean would also be a better one, which is not simulated. Noise that clients
make, in integers, is not simulated but theirs: on their mean it is as large as the server's at the same level. Frozen
rare rows are measured without noise. Levels `blt_epsilon_*` have the noise with which a population meets an epsilon,
and give `recall_loss_*_points`. `--noise` compares mechanisms by what the accountant says alone, in seconds.

Everything is kept as soon as it is done (`--out`), so the script goes on where it was stopped.
"""

import argparse
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import tree_noise
from benchmarks.results import CORPUS, Figure, write
from federation.privacy.accountant import Account, Sampling, epsilon_of_gaussian
from federation.privacy.buffers import noise_on_models, optimised
from federation.privacy.conversion import epsilon_of_rho
from federation.privacy.participation import Participation
from federation.privacy.proposals import proposals
from federation.privacy.toeplitz import Buffers, banded_square_root, prefix_variances, squared_sensitivity
from federation.privacy.training import BY_CLIENTS, BY_SERVER, PrivateTraining, RunRecord
from federation.rounds.server_optimizers import OptimizerSettings
from federation.simulation.central_training import CentralTraining
from federation.simulation.client_training import ClientTraining
from federation.simulation.config import SimulationConfig
from federation.simulation.evaluation import Evaluator
from federation.simulation.prepare import prepared
from federation.simulation.run import Run
from federation.updates.frozen_rows import FrozenRows
from fedkey.paths import RUNS, cache
from fedkey.progress import TrainingProgress
from model.checkpoint import Checkpoint
from model.evaluation import Evaluation, compare
from model.evaluation.plot import plot_tradeoff
from model.layout import NetworkConfig

CLIP = 2.5  # about the median norm of an update at the start
DELTA = 1e-8
POPULATIONS = {"10k": 10_000, "100k": 100_000, "1M": 1_000_000}
PASSES = 50
"""Cohorts that a population makes."""

PUBLISHED_ROUNDS, PUBLISHED_DELTA, PUBLISHED_MULTIPLIER, MAX_COHORT = 2000, 1e-10, 7.0, 6500
"""Of Gboard's published runs."""

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "privacy.png"


@dataclass(frozen=True)
class Level:
    """A noise level, or a level of frozen rows.

    Attributes:
        mechanism: of `PrivateTraining`; `none` has no noise.
        noise: standard deviation on a mean over the clip; of the independent noise, for the BLT.
        min_frequency: rows of pieces rarer than this share of public text are frozen.
        epsilon: that the noise is for, instead of `noise`, if it is not 0.
        population: of `POPULATIONS`, whose cohorts then make it.
    """

    mechanism: str
    noise: float = 0.0
    min_frequency: float = 0.0
    epsilon: float = 0.0
    population: str = ""

    @classmethod
    def meeting(cls, epsilon: float, population: str) -> "Level":
        """Return the correlated noise that meets a target in `PASSES` rounds, each phone being in one of them."""
        return cls("blt", epsilon=epsilon, population=population)

    @cached_property
    def on_mean(self) -> float:
        """Standard deviation on a mean over the clip."""
        if not self.epsilon:
            return self.noise
        phones = POPULATIONS[self.population]
        (found,) = proposals(self.epsilon, DELTA, phones, [PASSES], [phones // PASSES])
        return found.multiplier(found.buffers) / found.cohort

    @property
    def name(self) -> str:
        """Of its figures."""
        if self.min_frequency:
            return f"frozen_{self.min_frequency:g}"
        if self.epsilon:
            return f"{self.mechanism}_epsilon_{self.epsilon:g}_{self.population}"
        return f"{self.mechanism}_{self.noise:g}" if self.noise else self.mechanism

    def settings(self, cohort: int) -> PrivateTraining:
        """Return the privacy of a run; the server's noise is that of the second population's cohort."""
        simulated = POPULATIONS["100k"] // PASSES if self.mechanism in BY_SERVER else 0
        return PrivateTraining(
            self.mechanism,  # type: ignore[arg-type]
            self.on_mean * (simulated or cohort),
            clip=CLIP,
            noise_cohort=simulated,
            minimum_separation=554 // cohort,
            min_frequency=self.min_frequency,
            delta=DELTA,
        )


LEVELS = (
    Level("none"),
    Level("gaussian", 1e-4),
    Level("gaussian", 3e-4),
    Level("gaussian", 1e-3),
    Level("gaussian", 3e-3),
    Level("gaussian", 1e-2),
    Level("blt", 3e-3),
    Level("blt", 1e-2),
    Level("skellam", 3e-3),
    *(Level.meeting(epsilon, population) for population in ("1M", "100k") for epsilon in (4.0, 1.0, 9.0)),
    Level("none", min_frequency=1e-5),
    Level("none", min_frequency=1e-4),
)


def main() -> None:
    """Compare mechanisms, or train at every level, measure, account and draw."""
    arguments = _arguments()
    if arguments.noise:
        write("privacy-noise", [*_mechanisms(), *_affordable()])
    else:
        _train(arguments)


def _train(arguments: argparse.Namespace) -> None:
    config = SimulationConfig(
        rounds=arguments.rounds,
        cohort=arguments.cohort,
        evaluate_every=arguments.rounds,
        warm_start=CentralTraining(epochs=4),
        client=ClientTraining(learning_rate=2.0, weighting="uniform"),
        server=OptimizerSettings(name="sgd", learning_rate=1.0, momentum=0.9),
    )
    ready = prepared(CORPUS, cache())
    evaluator = Evaluator(ready.split, max_users=arguments.users)

    def judged(model: Path) -> Evaluation:
        kept = model.with_suffix(".json")
        if not kept.exists():
            kept.write_text(evaluator.network(Checkpoint.load(model), name=model.parent.name).to_json())
        return Evaluation.from_json(kept.read_text())

    evaluations: dict[Level, Evaluation] = {}
    start: Path | None = None
    for level in [LEVELS[0], *(level for level in LEVELS if level.name in arguments.only)]:
        out = arguments.out / level.name
        run = Run(out, replace(config, privacy=level.settings(config.cohort)), ready.vocabulary, ready.rows(20))
        if start is None:
            start = run.warm_start_path
        elif not run.warm_start_path.exists():
            shutil.copytree(start, run.warm_start_path)
        if not run.model_path.exists():
            with TrainingProgress(config.rounds, run.rounds_done) as progress:
                run.train(progress.watcher)
        evaluations[level] = judged(run.model_path)
        print(f"{level.name}: top-1 {evaluations[level].value('top1'):.2f} %", flush=True)
    before = judged(arguments.out / LEVELS[0].name / "warm_start")
    figures = [*_recalls(evaluations, before), *_losses(evaluations, before)]
    figures += [*_frozen(evaluations, run.network, ready.vocabulary.piece_frequencies)]
    for level in evaluations:
        if level.on_mean:
            figures += _epsilons(level, arguments.rounds, RunRecord.load(arguments.out / level.name))
    if len(evaluations) < len(LEVELS):
        # Runs repeat only nearly: figures of two of them in one file, or picture, would not compare.
        write("privacy-only", figures)
        return
    write("privacy", [*figures, *_affordable()])
    _draw(evaluations, before, arguments.rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", action="store_true", help="only compare mechanisms, without training")
    parser.add_argument("--rounds", type=int, default=PASSES, help=f"at most {PASSES}, so that phones come once")
    parser.add_argument("--cohort", type=int, default=15, help="clients that train in a round")
    parser.add_argument("--users", type=int, default=12, help="held-out users that models are judged on")
    parser.add_argument("--out", type=Path, default=RUNS / "privacy", help="folder for what is kept between calls")
    names = [level.name for level in LEVELS[1:]]
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        default=names,
        metavar="NAME",
        help=f"levels to measure beside none, of {', '.join(names)}; into figures of their own, without a picture",
    )
    return parser.parse_args()


def _recalls(evaluations: dict[Level, Evaluation], before: Evaluation) -> Iterator[Figure]:
    best = evaluations[LEVELS[0]]
    judged = {"before_rounds": before} | {level.name: evaluation for level, evaluation in evaluations.items()}
    for name, evaluation in judged.items():
        for metric in ("top1", "top3"):
            yield Figure(f"{metric}_{name}", evaluation.value(metric), "%", "no noise", best.value(metric))
    for name, evaluation in judged.items():
        if evaluation is not best:
            error = compare(best, evaluation).standard_error
            yield Figure(f"standard_error_of_top1_{name}_minus_no_noise", error, "%")
    for level, evaluation in evaluations.items():
        central = evaluations.get(replace(level, mechanism="gaussian"))
        if level.mechanism in BY_CLIENTS and central is not None:
            error = compare(central, evaluation).standard_error
            yield Figure(f"standard_error_of_top1_{level.name}_minus_gaussian", error, "%")


def _losses(evaluations: dict[Level, Evaluation], before: Evaluation) -> Iterator[Figure]:
    """Yield what noise for a target costs in points of top-1 recall, beside what the rounds gain without any."""
    best = evaluations[LEVELS[0]]
    gain = best.value("top1") - before.value("top1")
    for level, evaluation in evaluations.items():
        if level.epsilon:
            name = f"recall_loss_{level.population.lower()}_eps{level.epsilon:g}_points"
            loss = best.value("top1") - evaluation.value("top1")
            yield Figure(name, loss, "points", "gain over public text without noise", gain)


def _frozen(levels: Iterable[Level], network: NetworkConfig, frequencies: npt.NDArray[np.float64]) -> Iterator[Figure]:
    for level in levels:
        if level.min_frequency:
            pieces = FrozenRows.of(network, frequencies, level.min_frequency).pieces
            yield Figure(f"pieces_{level.name}", pieces, "pieces", "vocabulary", len(frequencies))
            rare = frequencies[frequencies < level.min_frequency].sum()
            yield Figure(f"public_text_{level.name}", 100 * float(rare), "%")


def _epsilons(level: Level, rounds: int, record: RunRecord) -> Iterator[Figure]:
    for label, spent in _simulated(level, rounds).items():
        yield Figure(f"epsilon_{level.name}_simulated_population_{label}", spent, f"at delta {DELTA:g}")
    if level.mechanism in BY_CLIENTS:
        own = record.account()
    else:
        own = _account(level, record.cohort, record.ledger.participation)
    yield Figure(f"epsilon_{level.name}_554_clients_themselves", own.epsilon, f"at delta {DELTA:g}")


def _simulated(level: Level, rounds: int) -> dict[str, float]:
    """Return epsilon of each population whose cohorts' noise a level simulates; clients' own noise is nobody else's."""
    if level.mechanism not in BY_SERVER:
        return {}
    once = Participation(rounds, 1, rounds)
    return {label: _account(level, population // PASSES, once).epsilon for label, population in POPULATIONS.items()}


def _draw(evaluations: dict[Level, Evaluation], before: Evaluation, rounds: int) -> None:
    curves: dict[str, list[tuple[float, float]]] = {}
    for level, evaluation in evaluations.items():
        kind = "correlated" if level.mechanism == "blt" else "fresh"
        for label, spent in _simulated(level, rounds).items():
            name = f"{label} phones, cohort {POPULATIONS[label] // PASSES:,}, {kind} noise"
            curves.setdefault(name, []).append((spent, evaluation.value("top1")))
    best = evaluations[LEVELS[0]]
    levels = {"no noise": best.value("top1"), "before the rounds (public text)": before.value("top1")}
    PICTURE.parent.mkdir(exist_ok=True)
    plot_tradeoff(
        dict(sorted(curves.items(), key=lambda item: item[0].split()[0], reverse=True)),
        levels,
        (f"epsilon at delta {DELTA:g}, simulated noise cohorts", "top-1 recall, %"),
        PICTURE,
    )


def _account(level: Level, cohort: int, participation: Participation) -> Account:
    buffers = optimised(participation) if level.mechanism == "blt" else Buffers()
    return Account.planned(buffers, level.on_mean * cohort, participation, DELTA, sampling=Sampling.ARRIVAL)


def _mechanisms() -> Iterator[Figure]:
    """Yield the noise on models at equal rho, and epsilon at equal noise, for the participation Gboard published."""
    run = Participation(PUBLISHED_ROUNDS, 6, 313)
    blt, fresh = noise_on_models(optimised(run), run), noise_on_models(Buffers(), run)
    tree, averaged = tree_noise.noise_on_models(run), tree_noise.averaged_noise_on_models(run)
    bands = banded_square_root(run.rounds, run.min_separation)
    banded = float(np.sqrt(squared_sensitivity(bands, run.worst) * prefix_variances(bands).mean()))
    yield Figure("blt_noise_over_tree", blt / tree, "")
    yield Figure("blt_noise_on_models", blt, "sensitivity", "tree", tree)
    yield Figure("blt_noise_on_models_beside_averaged_tree", blt, "sensitivity", "tree, averaged", averaged)
    yield Figure("blt_noise_on_models_beside_bands", blt, "sensitivity", "banded square root", banded)
    yield Figure("blt_noise_on_models_beside_fresh", blt, "sensitivity", "fresh noise", fresh)
    published = tree_noise.squared_sensitivity(run) / (2 * PUBLISHED_MULTIPLIER**2)
    for name, noise in (("tree", tree), ("averaged_tree", averaged)):
        rho = published * (blt / noise) ** 2
        for suffix, convert in (("", epsilon_of_rho), ("_of_gaussian", epsilon_of_gaussian)):
            spent, before = convert(rho, PUBLISHED_DELTA), convert(published, PUBLISHED_DELTA)
            yield Figure(f"blt_epsilon{suffix}_at_{name}_noise", spent, f"at delta {PUBLISHED_DELTA:g}", "tree", before)


def _affordable() -> Iterator[Figure]:
    """Yield, from the accountant alone, the least noise that populations can train with as long as Gboard did."""
    for target in (1.0, 4.0, 8.9):
        for label, population in POPULATIONS.items():
            cohorts = [size for size in (20, 50, 100, 200, 500, 1000, 2000, MAX_COHORT) if size <= population // 10]
            found = proposals(target, PUBLISHED_DELTA, population, [PUBLISHED_ROUNDS], cohorts)
            fresh = min(row.on_models(Buffers()) for row in found)
            blt = min(row.on_models(row.buffers) for row in found)
            name = f"noise_on_models_{PUBLISHED_ROUNDS}_rounds_epsilon_{target:g}_population_{label}"
            yield Figure(name, blt, "clip", "fresh noise", fresh)


if __name__ == "__main__":
    main()
