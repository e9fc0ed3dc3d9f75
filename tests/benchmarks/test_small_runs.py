"""Every benchmark still measures: one small run of each, whose figures mean nothing but that they are there."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from model.export import export
from model.layout import NetworkConfig, initial_weights
from model.vocabulary import Vocabulary
from tests.benchmarks.test_help import FOLDER, SCRIPTS

SMALL = {
    "arm64": "--parts numpy --export {model}",
    "attack_server": "--phones 6 --attacks counters --profiles trusted --out attack_server",
    "attacks": "--victims 2 --secret-rounds 1 --rounds 1 --cohort 20 --passes 1 --parts reconstruction",
    "client_deltas": "deltas.npy --clients 2",
    "communication": "--rounds 1 --cohort 3 --users 2",
    "counting": "--corpus {corpus} --every 10 --out counting",
    "demo": "--corpus {corpus} --rounds 2 --headless-phones 5 --phone-rounds 1 --users 2",
    "faults": "--injections 2 --out faults",
    "heterogeneity": "--rounds 1 --played 5 --goal 7",
    "keyboard": "{model} --presses 3 --blocks 1 --idle-seconds 1",
    "model_bounds": "--rounds 1 --phones 3",
    "ondevice": "small --parts engines --runs 1",
    "phones": "--rounds 1 --phones 5 --runs 2",
    "privacy": "--rounds 1 --cohort 3 --every 10 --levels blt_epsilon_4_1M --out privacy",
    "quality": "--corpus {corpus} --settings {settings} --seeds 1 --mixture --every 10 --out quality",
    "secure_aggregation": "--phones 10 --parameters 1000 --flower-up-to 0 --crowd 20 --group 10",
    "secure_aggregation_recall": "--rounds 1 --cohort 3 --seeds 1 --encodings lane4",
    "server": "--workers 2 --phones 6 --check-ins 20 --hidden 16 --advertise 10 20 --fleet 8",
    "simulation": "--cohort 2 --rounds 30 --timed-rounds 1 --large-cohort 20 --hand-clients 2 --peers numpy jax",
    "trap": "--phones 3 --lengths 1 --amplitudes 1 --noise 0.5 --draws 1",
    "typing": "--corpus {corpus} --share 0.1",
    "untrusted": "--rounds 1 --phones 50 --trained 2 --lever-rounds 1 --every 10 --out untrusted",
}
"""Options of each script that keep it short."""

RUN_TWICE = ("quality", "privacy")
"""Scripts whose small runs are in tests of their own."""

SETTINGS = """
size = "small"
rounds = 2
cohort = 2
evaluate_every = 1

[client]
learning_rate = 0.5
"""

WORDS = ["tea", "rice", "music", "rain", "bread", "chess", "trains", "books", "today", "often", "never", "again"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred users who write what nobody needs to read."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("corpus") / "small.jsonl"
    with path.open("w") as file:
        for user in range(100):
            for _ in range(14):
                said = " ".join(random.choice(WORDS, 6))
                file.write(json.dumps({"user": f"user-{user}", "text": f"do you like {said}"}) + "\n")
    return path


@pytest.fixture(scope="module")
def model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a keyboard predicts with."""
    texts = [json.loads(line)["text"] for line in corpus.read_text().splitlines()]
    vocabulary = Vocabulary.train(texts, size=120)
    network = NetworkConfig(vocabulary.size, embedding=16, hidden=24)
    checkpoint = Checkpoint(network, initial_weights(network, 3), vocabulary)
    return export(checkpoint, tmp_path_factory.mktemp("model") / "phone").directory


Run = Callable[[str, str], dict[str, float]]


@pytest.fixture
def run(corpus: Path, model: Path, tmp_path: Path) -> Run:
    """Runs a script with options, and returns the figures that are there afterwards."""
    results, settings = tmp_path / "results", tmp_path / "settings.toml"
    settings.write_text(SETTINGS)
    environment = {
        "FEDKEY_BENCHMARK_CORPUS": str(corpus),
        "FEDKEY_BENCHMARK_RESULTS": str(results),
        "PYTHONPATH": str(FOLDER.parent),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }

    def finished(script: str, options: str) -> dict[str, float]:
        words = options.format(corpus=corpus, model=model, settings=settings).split()
        found = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{script}", *words],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == 0, found.stderr[-3000:]
        entries = [entry for file in results.glob("*.json") for entry in json.loads(file.read_text())]
        return {entry["figure"]: entry["value"] for entry in entries}

    return finished


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("script", [script for script in SMALL if script not in RUN_TWICE])
def test_a_small_run_writes_figures(script: str, run: Run, tmp_path: Path) -> None:
    figures = run(script, SMALL[script])
    if script == "client_deltas":  # writes what another one reads
        assert (tmp_path / "deltas.npy").exists()
        return
    assert figures
    assert all(isinstance(value, float | int) for value in figures.values())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_later_seeds_join_the_figures_that_are_there(run: Run) -> None:
    options = SMALL["quality"].replace("--seeds 1", "")
    first = run("quality", f"{options} --seeds 1")
    assert first["small_seeds"] == 1
    later = run("quality", f"{options} --first-seed 2 --seeds 3")
    assert later["small_seeds"] == 3
    names = ("small_mixture_top1", "small_mixture_2_top1", "small_mixture_3_top1")
    assert later["small_mixture_top1_mean_over_seeds"] == pytest.approx(sum(later[name] for name in names) / 3)
    unchanged = first.keys() - {"small_seeds"}
    assert {name: later[name] for name in unchanged} == {name: first[name] for name in unchanged}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_later_seeds_of_private_runs_join_them(run: Run) -> None:
    first = run("privacy", SMALL["privacy"])
    later = run("privacy", SMALL["privacy"] + " --seed 2")
    cost = "recall_loss_1m_eps4_points"
    assert later[f"{cost}_mean_over_seeds"] == pytest.approx((first[cost] + later[f"{cost}_seed_2"]) / 2)
    assert {name: later[name] for name in first} == first


def test_every_benchmark_has_a_small_run() -> None:
    assert set(SMALL) == set(SCRIPTS)
