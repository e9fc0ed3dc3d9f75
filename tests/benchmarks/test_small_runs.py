"""Every benchmark still measures: one small run of each, whose figures mean nothing but that they are there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.test_help import FOLDER, SCRIPTS

TINY = """
size = "small"
rounds = 1
cohort = 2
evaluate_every = 1
evaluate_clients = 2
client_rows = 8

[client]
learning_rate = 0.5
"""

SMALL = {
    "attacks": "--victims 2 --secret-rounds 1 --rounds 1 --cohort 20 --passes 1",
    "communication": "--rounds 1 --cohort 2 --users 2",
    "heterogeneity": "--rounds 1 --played 5 --goal 5",
    "phones": "--rounds 1 --phones 5 --runs 2",
    "privacy": "--rounds 1 --cohort 3 --users 2",
    "secure_aggregation": "--phones 10 --parameters 1000 --flower-up-to 10 --crowd 20 --group 10",
    "secure_aggregation_recall": "--rounds 1 --cohort 2 --seeds 1 --encodings lane4",
    "server": "--workers 1 --phones 10 --check-ins 20 --hidden 8",
    "simulation": "--cohort 2 --rounds 30 --timed-rounds 1",
}
"""Options of each script that keep it short."""


@pytest.mark.slow
@pytest.mark.parametrize("script", SMALL)
def test_a_small_run_writes_figures(script: str, tmp_path: Path) -> None:
    settings = tmp_path / "tiny.toml"
    settings.write_text(TINY)
    results = tmp_path / "results"
    paths = {"PYTHONPATH": str(FOLDER.parent), "FEDKEY_BENCHMARK_RESULTS": str(results), "TF_CPP_MIN_LOG_LEVEL": "3"}
    found = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{script}", *SMALL[script].format(settings=settings).split()],
        cwd=tmp_path,
        env=os.environ | paths,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    figures = [figure for file in results.glob("*.json") for figure in json.loads(file.read_text())]
    assert figures
    assert all(isinstance(figure["value"], float | int) for figure in figures)


def test_every_benchmark_has_a_small_run() -> None:
    assert set(SMALL) == set(SCRIPTS)
