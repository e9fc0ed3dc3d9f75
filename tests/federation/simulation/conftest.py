"""A worker, and a small corpus to run on."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federation.rounds.server_optimizers import OptimizerSettings
from federation.simulation.central_training import CentralTraining
from federation.simulation.client_training import ClientTraining
from federation.simulation.config import SimulationConfig
from federation.simulation.prepare import prepared
from federation.simulation.report import RoundReport, Watcher
from federation.simulation.run import Run
from federation.simulation.workers import Workers
from model.checkpoint import Checkpoint

ROUNDS = 5

NewRun = Callable[..., Run]


@pytest.fixture(scope="module")
def worker() -> Iterator[Workers]:
    with Workers() as running:
        yield running


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty users who each like a word of their own."""
    random = np.random.default_rng(0)
    nouns = ["tea", "rice", "music", "rain", "bread", "chess", "trains", "books"]
    path = tmp_path_factory.mktemp("corpus") / "small.jsonl"
    with path.open("w") as file:
        for user in range(40):
            for _ in range(12):
                own = nouns[user % len(nouns)]
                start = random.choice(["i like", "we want", "do you like"])
                text = f"{start} {own} {random.choice(['today', 'a lot', ''])}"
                file.write(json.dumps({"user": f"user-{user}", "text": text}) + "\n")
    return path


@pytest.fixture(scope="session")
def new_run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> NewRun:
    """Return what makes a run on the corpus in a folder, or opens it again."""
    ready = prepared(str(corpus), tmp_path_factory.mktemp("prepared"))

    def run(directory: Path, **changes: object) -> Run:
        config = SimulationConfig(
            corpus=str(corpus),
            row_length=8,
            rounds=ROUNDS,
            cohort=4,
            evaluate_every=2,
            evaluate_clients=10,
            warm_start=CentralTraining(epochs=1),
            client=ClientTraining(learning_rate=0.5, batch_rows=2, dropout=0.1),
            server=OptimizerSettings(name="adam", learning_rate=0.01),
        )
        return Run(directory, replace(config, **changes), ready.vocabulary, ready.rows(config.row_length))  # type: ignore[arg-type]

    return run


@pytest.fixture
def make(new_run: NewRun, tmp_path: Path) -> Callable[..., Run]:
    def run(name: str, **changes: object) -> Run:
        return new_run(tmp_path / name, **changes)

    return run


class StoppedError(Exception):
    pass


def stop_after(number: int) -> Watcher:
    """Return what stops a run after a round."""

    def stop(report: RoundReport) -> None:
        if report.number == number:
            raise StoppedError

    return Watcher(round_done=stop)


def train_and_keep(run: Run, *, after: int, stopped: str) -> tuple[Checkpoint, list[RoundReport]]:
    """Train to the end, and keep beside the run's folder one as it would be had the run been killed after a round."""
    reports: list[RoundReport] = []

    def keep(report: RoundReport) -> None:
        reports.append(report)
        if report.number == after:
            shutil.copytree(run.directory, run.directory.with_name(stopped))

    return run.train(Watcher(round_done=keep)), reports


def same(a: Checkpoint, b: Checkpoint) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.weights, b.weights, strict=True))
