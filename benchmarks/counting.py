"""What counting rounds bring: by length of the list, clients, noise; what a phone sends; what a sum betrays.

    uv run python -m benchmarks.counting --every 8

Counts go through the encoding and the noise of a round (`federation.simulation.counting`); masks cancel. Every row is
the public start with the counted n-gram beside it, mixture weights fitted to clients' validation text. Populations
above the corpus's clients are *labelled*: the corpus's clients, each copied, with noise for all of them, so they show
what noise costs at that size and nothing of what more people would teach.
"""

import argparse
import math
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.mixture import SETTINGS, Ground
from benchmarks.results import Figure, kept, write
from federation.privacy.accountant import epsilon_of_rho
from federation.protocol.plan import Mechanism, Privacy
from federation.rounds.counting import CountingSettings, threshold
from federation.simulation.counting import count
from federation.simulation.evaluation import Evaluator
from fedkey.progress import words_bar
from model.checkpoint import Checkpoint
from model.counts import CountedNgram, NgramList
from model.evaluation import Evaluation, compare

LIST_LENGTHS = (50_000, 200_000, 1_000_000)
COHORTS = (100, 300)
LENGTH = 200_000
NOISE_MULTIPLIERS = (0.5, 2.0)
POPULATIONS = (50_000,)
DELTA = 1e-8
SECRET = b"benchmark counting".ljust(32, b"\0")
"""Noise that protects nobody, so that figures can be reproduced."""


def main() -> None:
    """Measure what is not kept yet, and write the figures."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--corpus", default="chitchat")
    parser.add_argument("--every", type=int, default=8, help="judge every so many-th held-out user")
    parser.add_argument("--out", type=Path, default=Path("runs/counting"))
    arguments = parser.parse_args()
    ground = Ground.prepared(arguments.corpus, SETTINGS, arguments.out)
    folder = arguments.out / f"every-{arguments.every}"
    evaluator = Evaluator(ground.ready.split, every=arguments.every, show=words_bar)
    tables = ground.ready.tables["train"]
    clients = [[message.tolist() for message in tables.messages(user)] for user in range(len(tables.users))]
    public = ground.start.mixture.public
    assert public is not None
    rows: dict[str, Evaluation] = {}
    figures: list[Figure] = []

    def row(name: str, model: "partial[Checkpoint]") -> None:
        path = folder / f"{name}.json"
        rows[name] = Evaluation.from_json(kept(path, lambda: evaluator.network(model(), name=name).to_json()))

    row("public", partial(ground.with_parts, ground.start))
    for length in LIST_LENGTHS:
        row(f"list_{length}", partial(_counted, ground, clients, NgramList.of(public, length)))
    listed = NgramList.of(public, LENGTH)
    for cohort in COHORTS:
        chosen = np.random.default_rng(cohort).choice(len(clients), min(cohort, len(clients)), replace=False)
        row(f"clients_{cohort}", partial(_counted, ground, [clients[index] for index in chosen], listed))
    for multiplier in NOISE_MULTIPLIERS:
        row(f"noise_{multiplier:g}", partial(_counted, ground, clients, listed, multiplier))
        for population in POPULATIONS:
            name = f"noise_{multiplier:g}_population_{population}"
            row(name, partial(_population, ground, clients, listed, multiplier, population))
        rho = 1 / (2 * multiplier**2)
        figures.append(Figure(f"epsilon_noise_{multiplier:g}", epsilon_of_rho(rho, DELTA), f"at delta {DELTA:g}"))
    base = rows["public"]
    for name, evaluation in rows.items():
        figures += [
            Figure(f"{name}_{metric}", evaluation.value(metric), "%", "public", base.value(metric))
            for metric in ("top1", "top3", "ksr")
        ]
        if name != "public":
            found = compare(base, evaluation)
            figures += [
                Figure(f"{name}_over_public_top1_points", found.difference, "points"),
                Figure(f"{name}_over_public_top1_standard_error", found.standard_error, "points"),
            ]
    sent = count(clients[:50], listed, CountingSettings(), secret=SECRET).upload_bytes
    figures.append(Figure("upload_mb", sent / 1e6, "MB a phone and counting round"))
    figures += _membership(clients, listed)
    write("counting", figures)


def _counted(ground: Ground, clients: list[list[list[int]]], listed: NgramList, multiplier: float = 0.0) -> Checkpoint:
    settings = CountingSettings()
    privacy = Privacy(Mechanism.SKELLAM, multiplier) if multiplier else None
    result = count(clients, listed, settings, secret=SECRET, privacy=privacy)
    return ground.with_parts(ground.start, result.ngram(listed))


def _population(
    ground: Ground, clients: list[list[list[int]]], listed: NgramList, multiplier: float, population: int
) -> Checkpoint:
    """Return what a fleet in which every client stands for many would count, with the noise of one sum over it."""
    settings = CountingSettings()
    copies = population / len(clients)
    exact = count(clients, listed, settings, secret=SECRET).counts * copies
    deviation = multiplier * settings.clip * math.sqrt(math.ceil(population / 256))  # groups add their noise up
    noise = np.random.default_rng(1).normal(0, deviation, len(listed))
    counts = ((exact + noise) / copies).astype(np.float32)
    counted = CountedNgram(counts, listed, threshold=threshold(deviation, len(listed)) / copies)
    return ground.with_parts(ground.start, counted)


def _membership(clients: list[list[list[int]]], listed: NgramList) -> list[Figure]:
    """Attack: everybody else's counts are known; did this client type a phrase that nobody else typed?"""
    settings = CountingSettings()
    group = clients[:50]
    each = np.array([np.minimum(listed.count(client), 1) for client in group])
    alone = np.flatnonzero(each.sum(axis=0) == 1)
    nobody = np.flatnonzero((each.sum(axis=0) == 0) & (np.arange(len(listed)) >= listed.size))
    random = np.random.default_rng(2)
    members, others = (random.choice(places, min(500, len(places)), replace=False) for places in (alone, nobody))
    figures: list[Figure] = []
    for multiplier in (0.0, *NOISE_MULTIPLIERS):
        privacy = Privacy(Mechanism.SKELLAM, multiplier) if multiplier else None
        counts = count(group, listed, settings, secret=SECRET, privacy=privacy).counts
        higher = (counts[members][:, None] > counts[others][None, :]).mean()
        figures.append(
            Figure(
                f"membership_auc_noise_{multiplier:g}",
                float(higher),
                "area under the curve; 0.5 is chance",
                "without noise",
                figures[0].value if figures else None,
            )
        )
    return figures


if __name__ == "__main__":
    main()
