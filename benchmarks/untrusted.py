"""What it costs a model that phones need not trust the server: recall with the noise of the untrusted profile's floor.

    uv run python -m benchmarks.untrusted
    uv run python -m benchmarks.untrusted --parts floor

ChitChat's clients train the public start for 200 rounds of 100 phones, once without noise and once with all the noise
that phones at the floor make together: the profile counts on half of it, and nobody is missing here. Clients, rows,
dropout and clip are the same. With `--trained` only some of the phones train, and their mean, which is a worse one,
gets the noise that the mean of all would have. Recall is of words that held-out people wrote. The part `levers` then
says, in shorter runs, what a smaller upload, frozen rows, a smaller clip and a larger cohort each change, in the loss
on clients' later messages: with noise, and without it.

Everything is kept as soon as it is done (`--out`), so the script goes on where it was stopped.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.arguments import whole
from benchmarks.noised_rounds import Ground, Recipe, phones_noise, train
from benchmarks.results import Figure, write
from federation.protocol.trust import UNTRUSTED
from federation.updates.sparsification import Subset
from fedkey.paths import RUNS
from model.evaluation import compare

CLIP = 0.3
"""With which a step stays within the profile's bound."""

PARTS = ("floor", "levers")

PLAIN = Recipe(rounds=200, cohort=100, clip=CLIP)

LEVERS = {
    "plain": PLAIN,
    "upload_of_a_quarter": replace(PLAIN, upload_share=0.25),
    "frozen_below_1e-4": replace(PLAIN, min_frequency=1e-4),
    "clip_of_a_third": replace(PLAIN, clip=CLIP / 3),
    "twice_the_phones": replace(PLAIN, cohort=2 * PLAIN.cohort),
}


def main() -> None:
    """Train, judge and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=whole, default=PLAIN.rounds)
    parser.add_argument("--phones", type=whole, default=PLAIN.cohort, help="in a round, who make the noise")
    parser.add_argument("--trained", type=whole, default=0, help="of them, that train; their mean is for all; 0: all")
    parser.add_argument("--lever-rounds", type=whole, default=25)
    parser.add_argument("--every", type=whole, default=4, help="only every n-th held-out user")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="figures of the others stay")
    parser.add_argument("--out", type=Path, default=RUNS / "untrusted", help="folder for what is kept between calls")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    ground = Ground(every=arguments.every)
    trained = arguments.trained or arguments.phones
    if "floor" in arguments.parts:
        recipe = replace(PLAIN, rounds=arguments.rounds, cohort=trained)
        figures += floor(ground, recipe, arguments.phones, arguments.out)
    if "levers" in arguments.parts:
        for name, changed in LEVERS.items():
            times = changed.cohort // PLAIN.cohort
            recipe = replace(changed, rounds=arguments.lever_rounds, cohort=times * trained)
            figures += lever(ground, name, recipe, times * arguments.phones, arguments.out)
    left_out = "lever" if "levers" not in arguments.parts else "floor"
    write("untrusted", figures, keep=lambda name: len(arguments.parts) < len(PARTS) and _part(name) == left_out)


def at_the_floor(ground: Ground, recipe: Recipe, phones: int) -> Recipe:
    """Return a recipe with the noise of phones at the untrusted profile's floor."""
    sent = Subset.allocate(ground.weights.size, recipe.upload_share).kept
    return replace(recipe, noise=phones_noise(UNTRUSTED, phones, recipe.clip, sent))


def floor(ground: Ground, recipe: Recipe, phones: int, out: Path) -> Iterator[Figure]:
    """Yield what the floor's noise costs in recall."""
    noisy = at_the_floor(ground, recipe, phones)
    plain_run, noisy_run = train(ground, recipe, out / "none"), train(ground, noisy, out / "floor")
    before = ground.judged(ground.weights, out / "start")
    plain, noised = ground.judged(plain_run.weights, out / "none"), ground.judged(noisy_run.weights, out / "floor")
    cost, gain = compare(noised.held_out, plain.held_out), compare(before.held_out, plain.held_out)
    kept = compare(before.held_out, noised.held_out)
    yield Figure("recall_cost_untrusted_points", cost.difference, "points", "gain of the rounds", gain.difference)
    yield Figure("recall_cost_untrusted_standard_error", cost.standard_error, "points")
    yield Figure("gain_over_public_start_no_noise_points", gain.difference, "points")
    yield Figure("gain_over_public_start_no_noise_standard_error", gain.standard_error, "points")
    yield Figure("gain_over_public_start_untrusted_points", kept.difference, "points", "no noise", gain.difference)
    yield Figure("gain_over_public_start_untrusted_standard_error", kept.standard_error, "points")
    for name, judged in (("public_start", before), ("no_noise", plain), ("untrusted", noised)):
        for metric in ("top1", "top3", "ksr"):
            best = plain.held_out.value(metric)
            yield Figure(f"{metric}_{name}", judged.held_out.value(metric), "%", "no noise", best)
        yield Figure(f"loss_{name}", judged.later.mean_loss, "nats a piece", "no noise", plain.later.mean_loss)
    yield Figure("step_largest_untrusted", max(noisy_run.steps), "L2", "max_step", UNTRUSTED.max_step)
    yield Figure("drift_untrusted", noisy_run.drift, "L2", "max_drift", UNTRUSTED.max_drift)
    yield Figure("drift_no_noise", plain_run.drift, "L2", "max_drift", UNTRUSTED.max_drift)
    yield Figure("noise_on_a_mean", _noise_length(ground, noisy), "L2", "clip", noisy.clip)
    yield Figure("rounds", recipe.rounds, "")
    yield Figure("phones", phones, "")
    yield Figure("phones_that_train", recipe.cohort, "", "phones", phones)


def lever(ground: Ground, name: str, recipe: Recipe, phones: int, out: Path) -> Iterator[Figure]:
    """Yield what a change of the recipe does to the loss, with the floor's noise and without any."""
    noisy = at_the_floor(ground, recipe, phones)
    before = ground.judged(ground.weights, out / "start").later.mean_loss
    losses = []
    for kind, each in (("none", recipe), ("floor", noisy)):
        folder = out / f"{name}-{kind}"
        losses.append(ground.judged(train(ground, each, folder).weights, folder).later.mean_loss)
    plain, noised = losses
    unit = f"thousandths of a nat a piece, {recipe.rounds} rounds, {recipe.cohort} of {phones} phones train"
    yield Figure(f"lever_{name}_gain", 1000 * (before - noised), unit, "no noise", 1000 * (before - plain))
    yield Figure(f"lever_{name}_cost", 1000 * (noised - plain), unit)
    yield Figure(f"lever_{name}_noise_on_a_mean", _noise_length(ground, noisy), "L2", "clip", noisy.clip)


def _noise_length(ground: Ground, recipe: Recipe) -> float:
    sent = Subset.allocate(ground.weights.size, recipe.upload_share).kept
    frozen = float(np.mean(ground.frozen(recipe).coordinates))
    return recipe.noise * recipe.clip * float(np.sqrt(sent * (1 - frozen)))


def _part(figure: str) -> str:
    return "lever" if figure.startswith("lever_") else "floor"


if __name__ == "__main__":
    main()
