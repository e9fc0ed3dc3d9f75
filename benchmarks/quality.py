"""Prediction quality on held-out users: n-grams, the network on the seed only, centrally trained, and federated.

Every part is kept as soon as it is done (`--out`), so the script goes on where it was stopped. The central network sees
as many targets as the federated one: the same passes over the clients' text, and the warm start's over the seed.

    uv run python -m benchmarks.quality
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.progress import Progress

from benchmarks import mixture, personal
from benchmarks.arguments import whole
from benchmarks.results import RESULTS, Figure, write
from federation.simulation import central
from federation.simulation.central_training import CentralTraining
from federation.simulation.config import SimulationConfig
from federation.simulation.evaluation import Evaluator
from federation.simulation.prepare import Prepared, prepared
from federation.simulation.run import Run
from fedkey.paths import RUNS, cache
from fedkey.progress import TrainingProgress, words_bar
from model.batches import targets_in
from model.checkpoint import Checkpoint
from model.evaluation import METRICS, Evaluation, compare, table
from model.evaluation.plot import plot_models
from model.layout import NetworkConfig

SETTINGS = Path(__file__).parent / "quality.toml"
SHOWN = ("top1", "top3", "ksr", "bits_per_character")


def main() -> None:
    """Train, evaluate and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="chitchat", help="`chitchat` or a corpus file")
    parser.add_argument("--settings", type=Path, default=SETTINGS, help="of the federated run")
    parser.add_argument("--seeds", type=whole, default=3, help="federated runs")
    parser.add_argument("--out", type=Path, help="folder for everything that is kept between calls")
    parser.add_argument("--personal", action="store_true", help="measure personalisation of the first federated run")
    parser.add_argument("--mixture", action="store_true", help="measure the mixture and each part of it")
    parser.add_argument(
        "--first-seed", type=whole, default=1, help="with --mixture: measure only later runs, and keep what is there"
    )
    parser.add_argument("--every", type=whole, default=1, help="with --mixture: only every n-th held-out user")
    arguments = parser.parse_args()
    if not 1 <= arguments.first_seed <= arguments.seeds:
        parser.error("--first-seed is from 1 to the number of --seeds")
    if arguments.first_seed > 1 and not arguments.mixture:
        parser.error("--first-seed needs --mixture")
    name = Path(arguments.corpus).name.split(".")[0]
    out: Path = arguments.out or RUNS / f"quality-{name}"
    out.mkdir(parents=True, exist_ok=True)
    if arguments.mixture:
        seeds = range(arguments.first_seed, arguments.seeds + 1)
        settings = mixture.SETTINGS if arguments.settings == SETTINGS else arguments.settings
        mixture.measure(arguments.corpus, settings, out / "mixture", every=arguments.every, seeds=seeds)
        return
    config = replace(SimulationConfig.from_toml(arguments.settings), corpus=arguments.corpus)
    ready = prepared(arguments.corpus, cache())
    if arguments.personal:
        personal.measure(name.split("_", maxsplit=1)[0], ready, out / "federated-1" / "model")
        return
    evaluator = Evaluator(ready.split, show=words_bar)

    def kept(label: str, measure: Callable[[], Evaluation]) -> Evaluation:
        path = out / f"{label}.json"
        if not path.exists():
            path.write_text(measure().to_json())
        evaluation = Evaluation.from_json(path.read_text())
        print(table([evaluation]), flush=True)
        return evaluation

    ngram_seed = kept("ngram-seed", lambda: evaluator.ngram("seed"))
    ngram_central = kept("ngram-central", lambda: evaluator.ngram("central"))
    federated, seed_only = [], []
    for seed in range(1, arguments.seeds + 1):
        run = Run(
            out / f"federated-{seed}", replace(config, seed=seed), ready.vocabulary, ready.rows(config.row_length)
        )
        federated.append(kept(f"federated-seed-{seed}", partial(_federated, run, evaluator)))
        if seed == 1:
            seed_only.append(kept("network-seed", partial(_warm_start, run, evaluator)))
    bound = kept("network-central", lambda: evaluator.network(_central(config, ready, out), name="network, central"))
    evaluations = [ngram_seed, ngram_central, seed_only[0], bound, *federated]
    print(table(evaluations))
    for base in (ngram_central, bound):
        found = compare(base, federated[0])
        print(
            f"federated against {base.name}: top-1 {found.difference:+.2f} ({found.standard_error:.2f}), "
            f"{found.helped:.0%} of users helped, {found.harmed:.0%} harmed"
        )
    _report(name, evaluations, federated, seed_only[0], bound)


def _federated(run: Run, evaluator: Evaluator) -> Evaluation:
    with TrainingProgress(run.config.rounds, run.rounds_done) as progress:
        checkpoint = run.train(progress.watcher)
    return evaluator.network(checkpoint, name=f"network, federated, seed {run.config.seed}")


def _warm_start(run: Run, evaluator: Evaluator) -> Evaluation:
    return evaluator.network(Checkpoint.load(run.warm_start_path), name="network, seed only")


def _central(config: SimulationConfig, ready: Prepared, out: Path) -> Checkpoint:
    """Train centrally on as many targets as the federated run sees, its warm start included."""
    path = out / "central"
    if path.exists():
        return Checkpoint.load(path)
    federated_rows = ready.rows(config.row_length)
    rows = ready.central_rows(config.row_length)
    client_targets = sum(targets_in(own) for own in federated_rows.train)
    visits = config.rounds * config.cohort * config.client.epochs
    budget = client_targets * visits / len(federated_rows.train)
    budget += targets_in(federated_rows.seed) * config.warm_start.epochs
    epochs = max(1, round(budget / targets_in(rows)))
    options = CentralTraining(epochs=epochs, learning_rate=2e-3, batch_rows=32, dropout=0.2)
    network = NetworkConfig.named(config.size, ready.vocabulary.size)
    steps = epochs * -(-len(rows) // options.batch_rows)
    with Progress() as bar:
        task = bar.add_task(f"central training, {epochs} epochs", total=steps)
        weights = central.train(
            network, rows, options, seed=1, progress=lambda step, _: bar.update(task, completed=step)
        )
    checkpoint = Checkpoint(network, weights, ready.vocabulary)
    checkpoint.save(path)
    return checkpoint


def _report(
    corpus: str, evaluations: list[Evaluation], federated: list[Evaluation], seed_only: Evaluation, bound: Evaluation
) -> None:
    def mean(metric: str) -> float:
        return statistics.fmean(evaluation.value(metric) for evaluation in federated)

    units = dict.fromkeys(SHOWN, "%") | {"bits_per_character": "bits"}
    figures = [
        Figure(f"federated_{metric}", mean(metric), units[metric], "central network", bound.value(metric))
        for metric in SHOWN
    ]
    figures += [
        Figure(f"{label}_{metric}", evaluation.value(metric), units[metric])
        for label, evaluation in zip(
            ("ngram_seed", "ngram_central", "network_seed", "network_central"), evaluations, strict=False
        )
        for metric in SHOWN
    ]
    for metric in ("top1", "top3", "ksr"):
        low, high = seed_only.value(metric), bound.value(metric)
        figures.append(
            Figure(f"recovered_share_{metric}", 100 * (mean(metric) - low) / (high - low), "%", "central", 100.0)
        )
        if len(federated) > 1:
            spread = statistics.stdev(evaluation.value(metric) for evaluation in federated)
            figures.append(Figure(f"federated_{metric}_spread_over_seeds", spread, METRICS[metric].label))
    write("quality" if corpus == "chitchat" else f"quality-{corpus}", figures)
    plot_models(evaluations[:5], RESULTS / f"quality-{corpus}.svg")


if __name__ == "__main__":
    main()
