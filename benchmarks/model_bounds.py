"""How far honest rounds move a model, which the untrusted profile's bounds follow from.

    uv run python -m benchmarks.model_bounds

Phones that hold ChitChat's clients train the public start as a round server's default task says, with the engine in
NumPy. Each delta is clipped to the plan's clip and all weigh alike. The mean is applied as it is (the round server's
default optimizer, a step of one), once without noise, and once with that of a cohort at the floor of the untrusted
profile: a Gaussian of the deviation that all phones' integer noise has together, when no more than half of it is
counted on and nobody is missing.
"""

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.arguments import real, whole
from benchmarks.results import CORPUS, Figure, write
from federation.protocol.training_settings import TrainingSettings
from federation.protocol.trust import UNTRUSTED
from federation.simulation.prepare import prepared
from federation.updates.update import clip
from fedkey.paths import cache
from model import public_start
from model.batches import ROW_LENGTH, Rows
from model.engine import TRAINING_BATCH, Trainer
from model.engine.numpy_engine import NumPyTrainer
from model.engine.weight_files import packed
from model.layout import FlatVector

CLIENT_ROWS = 64
"""Rows of 20 pieces that a phone trains on at most: about 130 messages of a week."""

TRAINING = TrainingSettings()


@dataclass(frozen=True)
class Moved:
    """What some rounds did to a model.

    Attributes:
        norms: of the deltas of all phones, before clipping.
        steps: of all rounds, L2.
        drift: from the start, after the last.
    """

    norms: Sequence[float]
    steps: Sequence[float]
    drift: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=whole, default=6)
    parser.add_argument("--phones", type=whole, default=UNTRUSTED.min_phones)
    parser.add_argument("--clip", type=real, default=0.3)
    arguments = parser.parse_args()
    start = public_start.load("small")
    rows = prepared(CORPUS, cache(), vocabulary=start.vocabulary).rows(ROW_LENGTH).train
    trainer = NumPyTrainer(packed(start.weights, "float32"), start.network)
    first = trainer.weights()
    deviation = UNTRUSTED.min_noise_multiplier * arguments.clip * math.sqrt(1 / UNTRUSTED.counted_share)
    per_weight = deviation / arguments.phones
    plain = moved(trainer, first, rows, arguments.rounds, arguments.phones, arguments.clip, 0.0)
    noised = moved(trainer, first, rows, arguments.rounds, arguments.phones, arguments.clip, per_weight)
    bounds = [
        Figure("delta_norm_median", float(np.median(plain.norms)), "L2", "clip", arguments.clip),
        Figure("delta_norm_largest", max(plain.norms), "L2", "clip", arguments.clip),
        Figure("step_largest", max(plain.steps), "L2", "max_step", UNTRUSTED.max_step),
        Figure("step_largest_at_the_floor", max(noised.steps), "L2", "max_step", UNTRUSTED.max_step),
        Figure("drift", plain.drift, "L2", "max_drift", UNTRUSTED.max_drift),
        Figure("drift_at_the_floor", noised.drift, "L2", "max_drift", UNTRUSTED.max_drift),
        Figure("rounds", arguments.rounds, ""),
        Figure("phones", arguments.phones, ""),
        Figure("norm_of_the_start", float(np.linalg.norm(first)), "L2", "max_drift", UNTRUSTED.max_drift),
    ]
    write("model_bounds", bounds)


def moved(
    trainer: Trainer, first: FlatVector, clients: Sequence[Rows], rounds: int, phones: int, norm: float, noise: float
) -> Moved:
    """Run some rounds; noise is the deviation in each weight of a mean."""
    weights, norms, steps, began = first, [], [], time.monotonic()
    for number in range(rounds):
        random = np.random.default_rng([number, 1])
        total = np.zeros(len(first))
        for client in random.choice(len(clients), phones, replace=False):
            delta = trained(trainer, weights, clients[client], random)
            norms.append(float(np.linalg.norm(delta)))
            total += clip(delta, norm)
        step = total / phones + noise * random.standard_normal(len(first))
        weights = (weights + step).astype(np.float32)
        steps.append(float(np.linalg.norm(step)))
        print(f"round {number + 1} of {rounds}, noise {noise:.2g}: a step of {steps[-1]:.3f}", flush=True)
    print(f"{time.monotonic() - began:.0f} s")
    return Moved(norms, steps, float(np.linalg.norm(weights - first)))


def trained(trainer: Trainer, weights: FlatVector, rows: Rows, random: np.random.Generator) -> FlatVector:
    """Return a phone's delta."""
    trainer.set_weights(weights)
    chosen = rows[random.permutation(len(rows))[:CLIENT_ROWS]]
    for first in range(0, len(chosen), TRAINING_BATCH):
        trainer.train(
            chosen[first : first + TRAINING_BATCH],
            learning_rate=TRAINING.learning_rate,
            gradient_norm=TRAINING.gradient_norm,
            dropout=TRAINING.dropout,
            random=random,
        )
    return trainer.weights() - weights


if __name__ == "__main__":
    main()
