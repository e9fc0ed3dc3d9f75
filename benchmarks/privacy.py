"""Recall against epsilon, and what populations of several sizes can afford.

    uv run python -m benchmarks.privacy

ChitChat has too few clients for useful privacy, so a larger cohort's noise is *simulated*: the clients that there are
train, and the mean of their clipped updates gets the noise that the mean of a larger cohort would have. What a noise
level costs then depends on the population alone: a fiftieth of it is a cohort, so that in the rounds measured here each
phone takes part once. A larger cohort's mean would also be a better one, which is not simulated. Everything is kept as
soon as it is done (`--out`), so the script goes on where it was stopped.
"""

import argparse
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.results import Figure, write
from federation.cli.paths import RUNS, cache
from federation.cli.progress import TrainingProgress
from federation.privacy.accountant import Account, Participation, Sampling
from federation.privacy.proposals import proposals
from federation.privacy.training import PrivateTraining, RunRecord
from federation.privacy.zcdp import gaussian_rho
from federation.simulation.central import CentralTraining
from federation.simulation.config import SimulationConfig
from federation.simulation.fedavg import ClientTraining, ServerOptimizer
from federation.simulation.judge import Judge
from federation.simulation.prepare import prepared
from federation.simulation.run import Run
from model.checkpoint import Checkpoint
from model.evaluation import Evaluation, compare
from model.evaluation.plot import plot_tradeoff

CLIP = 2.5  # about the median norm of an update at the start
DELTA = 1e-8
POPULATIONS = {"10k": 10_000, "100k": 100_000, "1M": 1_000_000}
PASSES = 50
"""Cohorts that a population makes."""

PUBLISHED_ROUNDS, PUBLISHED_DELTA, LARGEST_COHORT = 2000, 1e-10, 6500
"""Of Gboard's published runs."""

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "privacy.png"


@dataclass(frozen=True)
class Level:
    """A noise level.

    Attributes:
        mechanism: `gaussian` or `tree`; `none` has no noise.
        noise: standard deviation on a mean over the clip; of a node, for the tree.
    """

    mechanism: str
    noise: float = 0.0

    @property
    def name(self) -> str:
        """Of its figures."""
        return f"{self.mechanism}_{self.noise:g}" if self.noise else self.mechanism

    def settings(self, cohort: int) -> PrivateTraining:
        """Return the privacy of a run whose simulated cohort is the second population's."""
        size = POPULATIONS["100k"] // PASSES
        return PrivateTraining(
            self.mechanism,  # type: ignore[arg-type]
            self.noise * size,
            clip=CLIP,
            noise_cohort=size if self.noise else 0,
            minimum_separation=554 // cohort,
            delta=DELTA,
        )


LEVELS = (
    Level("none"),
    Level("gaussian", 1e-4),
    Level("gaussian", 3e-4),
    Level("gaussian", 1e-3),
    Level("gaussian", 3e-3),
    Level("gaussian", 1e-2),
    Level("tree", 3e-3),
    Level("tree", 1e-2),
)


def main() -> None:
    """Train at every level, measure, account and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=PASSES, help=f"at most {PASSES}, so that phones come once")
    parser.add_argument("--cohort", type=int, default=15, help="clients that train in a round")
    parser.add_argument("--users", type=int, default=12, help="held-out users that models are judged on")
    parser.add_argument("--out", type=Path, default=RUNS / "privacy", help="folder for what is kept between calls")
    arguments = parser.parse_args()
    config = SimulationConfig(
        rounds=arguments.rounds,
        cohort=arguments.cohort,
        evaluate_every=arguments.rounds,
        warm_start=CentralTraining(epochs=4),
        client=ClientTraining(learning_rate=2.0, weighting="uniform"),
        server=ServerOptimizer("sgd", learning_rate=1.0, momentum=0.9),
    )
    ready = prepared("chitchat", cache())
    judge = Judge(ready.split, most_users=arguments.users)

    def judged(model: Path) -> Evaluation:
        kept = model.with_suffix(".json")
        if not kept.exists():
            kept.write_text(judge.network(Checkpoint.load(model), name=model.parent.name).to_json())
        return Evaluation.from_json(kept.read_text())

    evaluations: dict[Level, Evaluation] = {}
    start: Path | None = None
    for level in LEVELS:
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
    record = RunRecord.load(arguments.out / LEVELS[1].name)
    _report(evaluations, before, arguments.rounds, record)


def _report(evaluations: dict[Level, Evaluation], before: Evaluation, rounds: int, record: RunRecord) -> None:
    best = evaluations[LEVELS[0]]
    judged = {"before_rounds": before} | {level.name: evaluation for level, evaluation in evaluations.items()}
    figures = [
        Figure(f"{metric}_{name}", evaluation.value(metric), "%", "no noise", best.value(metric))
        for name, evaluation in judged.items()
        for metric in ("top1", "top3")
    ]
    figures += [
        Figure(f"standard_error_of_top1_{name}_minus_no_noise", compare(best, evaluation).standard_error, "%")
        for name, evaluation in judged.items()
        if evaluation is not best
    ]
    curves: dict[str, list[tuple[float, float]]] = {}
    for level, evaluation in evaluations.items():
        if not level.noise:
            continue
        for label, population in POPULATIONS.items():
            cohort = population // PASSES
            spent = _account(level, cohort, Participation(rounds, 1, rounds)).epsilon
            figures.append(Figure(f"epsilon_{level.name}_simulated_population_{label}", spent, f"at delta {DELTA:g}"))
            kind = "tree" if level.mechanism == "tree" else "fresh"
            name = f"{label} phones, cohort {cohort:,}, {kind} noise"
            curves.setdefault(name, []).append((spent, evaluation.value("top1")))
        own = _account(level, record.cohort, record.ledger.participation).epsilon
        figures.append(Figure(f"epsilon_{level.name}_554_clients_themselves", own, f"at delta {DELTA:g}"))
    figures += _affordable()
    write("privacy", figures)
    PICTURE.parent.mkdir(exist_ok=True)
    levels = {"no noise": best.value("top1"), "before the rounds (public text)": before.value("top1")}
    plot_tradeoff(
        dict(sorted(curves.items(), key=lambda item: item[0].split()[0], reverse=True)),
        levels,
        (f"epsilon at delta {DELTA:g}, simulated noise cohorts", "top-1 recall, %"),
        PICTURE,
    )


def _account(level: Level, cohort: int, participation: Participation) -> Account:
    multiplier = level.noise * cohort
    if level.mechanism == "tree":
        return Account.tree(multiplier, participation, DELTA, sampling=Sampling.ARRIVAL)
    rho = gaussian_rho(multiplier)
    return Account.independent(rho, participation, DELTA, sampling=Sampling.ARRIVAL, whole_orders=False)


def _affordable() -> Iterator[Figure]:
    """Yield, from the accountant alone, the least noise that populations can train with as long as Gboard did."""
    for target in (1.0, 4.0, 8.9):
        for label, population in POPULATIONS.items():
            cohorts = [size for size in (20, 50, 100, 200, 500, 1000, 2000, LARGEST_COHORT) if size <= population // 10]
            found = proposals(target, PUBLISHED_DELTA, population, [PUBLISHED_ROUNDS], cohorts)
            fresh = min(row.fresh_on_all_rounds for row in found)
            tree = min(row.tree_on_all_rounds for row in found if row.tree_on_all_rounds is not None)
            name = f"noise_on_{PUBLISHED_ROUNDS}_rounds_epsilon_{target:g}_population_{label}"
            yield Figure(name, tree, "clip", "fresh noise", fresh)


if __name__ == "__main__":
    main()
