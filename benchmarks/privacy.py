"""Recall against epsilon, and what populations of several sizes can afford.

    uv run python -m benchmarks.privacy
    uv run python -m benchmarks.privacy --levels blt_epsilon_4_1M
    uv run python -m benchmarks.privacy --levels blt_epsilon_4_1M --seed 2
    uv run python -m benchmarks.privacy --noise

ChitChat's clients train the public start for 500 rounds: once without noise, and once for each level, with the noise
that a population needs for an epsilon, correlated (`blt`) or fresh (`gaussian`). 554 clients are too few for useful
privacy, so a larger cohort is *simulated*: the clients that there are train, and their mean gets the noise that the
mean of the population's best cohort has, of at most 6,500 phones, each of which comes once in every pass over the
population. A larger cohort's mean would also be a better one, which is not simulated. Recall is of words that held-out
people wrote. Figures of levels that are not measured stay; two and more are drawn. Runs of another seed than the first
are figures of their own, beside the mean and the spread over the seeds that are there. `--noise` compares mechanisms by
what the accountant says alone, in seconds.

Everything is kept as soon as it is done (`--out`), so the script goes on where it was stopped.
"""

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks import tree_noise
from benchmarks.arguments import whole
from benchmarks.noised_rounds import Ground, Recipe, train
from benchmarks.results import Figure, over_seeds, write, written
from federation.privacy.accountant import Account, Sampling, epsilon_of_gaussian
from federation.privacy.buffers import noise_on_models, optimised
from federation.privacy.central import exact_encoding, sensitivity
from federation.privacy.conversion import epsilon_of_rho
from federation.privacy.participation import Participation
from federation.privacy.proposals import Proposal, proposals
from federation.privacy.toeplitz import Buffers, banded_square_root, prefix_variances, squared_sensitivity
from fedkey.paths import RUNS
from model.evaluation import Evaluation, compare
from model.evaluation.plot import plot_tradeoff

ROUNDS, COHORT = 500, 20
CLIP = 2.0  # what the longest updates are cut to; the median client's has 1.1
ROWS = 160  # all that five of six clients have
RATE = 0.8  # of the server
DELTA = 1e-8
POPULATIONS = {"10k": 10_000, "100k": 100_000, "1M": 1_000_000}
COHORTS = (20, 50, 100, 200, 500, 1000, 2000, 6500)
"""Of phones that make a mean; the largest is that of Gboard's published runs."""

PUBLISHED_ROUNDS, PUBLISHED_DELTA, PUBLISHED_MULTIPLIER = 2000, 1e-10, 7.0
"""Of Gboard's published runs."""

_GAIN = "gain_over_public_start_none"
PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "privacy.png"


@dataclass(frozen=True)
class Level:
    """The noise with which a population meets an epsilon; without a population there is none.

    Attributes:
        mechanism: `blt` or `gaussian`, fresh every round.
        epsilon: that the noise is for, at `DELTA`.
        population: of `POPULATIONS`.
    """

    mechanism: str = "none"
    epsilon: float = 0.0
    population: str = ""

    @property
    def name(self) -> str:
        """Of its figures."""
        return f"{self.mechanism}_epsilon_{self.epsilon:g}_{self.population}" if self.population else self.mechanism

    @property
    def loss_name(self) -> str:
        """Of the figure of what it costs."""
        fresh = "" if self.mechanism == "blt" else "_fresh"
        return f"recall_loss_{self.population.lower()}_eps{self.epsilon:g}{fresh}_points"

    def owns(self, figure: str) -> bool:
        """Return whether a figure is of this level."""
        return figure.endswith(f"_{self.name}") or (bool(self.population) and figure.startswith(self.loss_name))

    @cached_property
    def proposal(self) -> Proposal:
        """How the population trains with least noise in its models."""
        phones = POPULATIONS[self.population]
        cohorts = [size for size in COHORTS if size <= phones // 10]
        found = proposals(self.epsilon, DELTA, phones, [ROUNDS], cohorts)
        return min(found, key=lambda row: row.on_models(self.buffers(row)))

    def buffers(self, proposal: Proposal) -> Buffers:
        """Return how the noise is correlated."""
        return proposal.buffers if self.mechanism == "blt" else Buffers()

    def recipe(self, rounds: int, cohort: int, dimension: int, seed: int) -> Recipe:
        """Return how a model is trained at this level: with a server's noise for whole sums of the larger cohort."""
        plain = Recipe(rounds=rounds, cohort=cohort, max_rows=ROWS, clip=CLIP, learning_rate=RATE, seed=seed)
        if not self.population:
            return plain
        found = self.proposal
        buffers = self.buffers(found)
        encoding = exact_encoding(found.cohort, CLIP, dimension)
        moved = sensitivity(encoding, CLIP, dimension) * encoding.step / CLIP  # by one phone, rounding included
        noise = found.multiplier(buffers) * moved / found.cohort
        return replace(plain, noise=noise, buffers=buffers)


NONE = Level()
LEVELS = tuple(
    Level(mechanism, epsilon, population)
    for population in ("1M", "100k")
    for mechanism in ("blt", "gaussian")
    for epsilon in (4.0, 1.0, 9.0)
)


def main() -> None:
    """Compare mechanisms, or train at every level, measure, account and draw."""
    arguments = _arguments()
    if arguments.noise:
        write("privacy-noise", [*_mechanisms(), *_affordable()])
    else:
        _train(arguments)


def _train(arguments: argparse.Namespace) -> None:
    ground, seed = Ground(every=arguments.every), arguments.seed
    out = arguments.out if seed == 1 else arguments.out / f"seed-{seed}"
    measured = [level for level in LEVELS if level.name in arguments.levels]
    evaluations: dict[Level, Evaluation] = {}
    for level in [NONE, *measured]:
        recipe = level.recipe(arguments.rounds, arguments.cohort, ground.weights.size, seed)
        trained = train(ground, recipe, out / level.name)
        evaluations[level] = ground.judged(trained.weights, out / level.name).held_out
        print(f"{level.name}: top-1 {evaluations[level].value('top1'):.2f} %", flush=True)
    before, best = ground.judged(ground.weights, out / "start").held_out, evaluations[NONE]
    if seed > 1:
        _write_seed(seed, evaluations, before)
        return
    figures = [
        Figure("rounds", arguments.rounds, ""),
        Figure("clients_that_train", arguments.cohort, ""),
        *_recalls("public_start", before, best),
        *_recalls("none", best, best),
        Figure(f"{_GAIN}_points", compare(before, best).difference, "points"),
        Figure(f"{_GAIN}_standard_error", compare(before, best).standard_error, "points"),
    ]
    for level in measured:
        figures += _figures(level, evaluations[level], before, best)
    others = [level for level in LEVELS if level not in measured]
    write("privacy", figures, keep=lambda name: "_seed_" in name or any(level.owns(name) for level in others))
    if len(measured) > 1:
        _draw(evaluations, before)


def _write_seed(seed: int, evaluations: Mapping[Level, Evaluation], before: Evaluation) -> None:
    """Write what the rounds gain and noise costs in a later seed, and how far the seeds lie apart."""
    best = evaluations[NONE]
    found = {f"{_GAIN}_points": compare(before, best)}
    found |= {level.loss_name: compare(each, best) for level, each in evaluations.items() if level != NONE}
    earlier = {figure.figure: figure.value for figure in written("privacy")}
    figures = []
    for name, difference in found.items():
        label = f"{name}_seed_{seed}"
        figures += [
            Figure(label, difference.difference, "points"),
            Figure(f"{label}_standard_error", difference.standard_error, "points"),
        ]
        values = [
            value for kept, value in earlier.items() if re.fullmatch(rf"{name}(_seed_\d+)?", kept) and kept != label
        ]
        values.append(difference.difference)
        figures += over_seeds(name, values, f"points, of {len(values)} seeds")
    measured = {figure.figure for figure in figures}
    write("privacy", figures, keep=lambda name: name not in measured)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", action="store_true", help="only compare mechanisms, without training")
    parser.add_argument("--rounds", type=whole, default=ROUNDS, help=f"at most {ROUNDS}, which the noise is for")
    parser.add_argument("--cohort", type=whole, default=COHORT, help="clients that train in a round")
    parser.add_argument("--every", type=whole, default=4, help="only every n-th held-out user")
    parser.add_argument("--seed", type=whole, default=1, help="of clients, rows, dropout and noise")
    parser.add_argument("--out", type=Path, default=RUNS / "privacy", help="folder for what is kept between calls")
    names = [level.name for level in LEVELS]
    listed = ", ".join(names)
    parser.add_argument("--levels", nargs="+", choices=names, default=names, metavar="NAME", help=f"of {listed}")
    arguments = parser.parse_args()
    if not 1 <= arguments.rounds <= ROUNDS:
        parser.error(f"--rounds is from 1 to {ROUNDS}, which the noise is for")
    if arguments.seed < 1:
        parser.error("--seed is 1 or more")
    return arguments


def _recalls(name: str, evaluation: Evaluation, best: Evaluation) -> Iterator[Figure]:
    for metric in ("top1", "top3"):
        yield Figure(f"{metric}_{name}", evaluation.value(metric), "%", "no noise", best.value(metric))


def _figures(level: Level, evaluation: Evaluation, before: Evaluation, best: Evaluation) -> Iterator[Figure]:
    """Yield recall at a level, what it costs, and what it rests on."""
    cost, gain, proposal = compare(evaluation, best), compare(before, best), level.proposal
    yield from _recalls(level.name, evaluation, best)
    yield Figure(level.loss_name, cost.difference, "points", "gain over public text without noise", gain.difference)
    yield Figure(f"{level.loss_name}_standard_error", cost.standard_error, "points")
    buffers = level.buffers(proposal)
    multiplier, participation = proposal.multiplier(buffers), proposal.participation
    spent = Account.planned(buffers, multiplier, participation, DELTA, sampling=Sampling.ARRIVAL).epsilon
    yield Figure(f"epsilon_{level.name}", spent, f"at delta {DELTA:g}", "target", level.epsilon)
    yield Figure(f"noise_multiplier_{level.name}", multiplier, "")
    yield Figure(
        f"simulated_cohort_{level.name}", proposal.cohort, "phones", "population", POPULATIONS[level.population]
    )
    yield Figure(f"participations_{level.name}", participation.max_participations, "of a phone")
    yield Figure(f"noise_on_models_{level.name}", proposal.on_models(buffers), "clip")


def _draw(evaluations: dict[Level, Evaluation], before: Evaluation) -> None:
    curves: dict[str, list[tuple[float, float]]] = {}
    for level, evaluation in evaluations.items():
        if level.population:
            kind = "correlated" if level.mechanism == "blt" else "fresh"
            name = f"{level.population} phones, cohort {level.proposal.cohort:,}, {kind} noise"
            curves.setdefault(name, []).append((level.epsilon, evaluation.value("top1")))
    levels = {"no noise": evaluations[NONE].value("top1"), "before the rounds (public text)": before.value("top1")}
    PICTURE.parent.mkdir(exist_ok=True)
    plot_tradeoff(
        {name: sorted(points) for name, points in curves.items()},
        levels,
        (f"epsilon at delta {DELTA:g}, simulated noise cohorts", "top-1 recall, %"),
        PICTURE,
    )


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
            cohorts = [size for size in COHORTS if size <= population // 10]
            found = proposals(target, PUBLISHED_DELTA, population, [PUBLISHED_ROUNDS], cohorts)
            fresh = min(row.on_models(Buffers()) for row in found)
            blt = min(row.on_models(row.buffers) for row in found)
            name = f"noise_on_models_{PUBLISHED_ROUNDS}_rounds_epsilon_{target:g}_population_{label}"
            yield Figure(name, blt, "clip", "fresh noise", fresh)


if __name__ == "__main__":
    main()
