"""A worker, and a small corpus to run on."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federation.simulation.central import CentralTraining
from federation.simulation.config import SimulationConfig
from federation.simulation.execution import Worker
from federation.simulation.fedavg import ClientTraining, ServerOptimizer
from federation.simulation.prepare import prepared
from federation.simulation.run import Run

ROUNDS = 5


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as running:
        yield running


@pytest.fixture(scope="module")
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


@pytest.fixture
def make(corpus: Path, tmp_path: Path) -> Callable[..., Run]:
    def run(name: str, **changes: object) -> Run:
        config = SimulationConfig(
            corpus=str(corpus),
            row_length=8,
            rounds=ROUNDS,
            cohort=4,
            evaluate_every=2,
            warm_start=CentralTraining(epochs=1),
            client=ClientTraining(learning_rate=0.5, batch_rows=2, dropout=0.1),
            server=ServerOptimizer(name="adam", learning_rate=0.01),
        )
        ready = prepared(str(corpus), tmp_path / "cache")
        return Run(tmp_path / name, replace(config, **changes), ready.vocabulary, ready.rows(config.row_length))  # type: ignore[arg-type]

    return run
