"""Runs in MLflow's own store, read back with MLflow itself; in processes of their own, as its imports warn."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
READ = """
import json, sys
from mlflow.tracking import MlflowClient
client = MlflowClient(f"sqlite:///{sys.argv[1]}")
(experiment,) = [each for each in client.search_experiments() if each.name == "fedkey"]
told = []
for run in client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"]):
    history = {
        name: [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }
    told.append([run.info.run_name, run.info.status, run.data.params, history])
print(json.dumps(told))
"""


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


def written(*folders: Path, store: Path) -> str:
    done = python("-m", "fedkey", "mlflow", *map(str, folders), "--store", str(store))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def read(store: Path) -> Any:
    done = python("-W", "ignore", "-c", READ, str(store))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run(folder: Path, rounds: int, done: int, rate: float) -> Path:
    """Write what a run leaves behind: of all rounds, and of every second one what was validated."""
    folder.mkdir(exist_ok=True)
    config = {"rounds": rounds, "client": {"learning_rate": rate}, "scenario": None}
    (folder / "config.json").write_text(json.dumps({"config": config, "vocabulary": "v"}))
    lines = ["round,loss,validation_accuracy"]
    lines += [f"{each},{5 - each / 10},{each / 100 if each % 2 == 0 else ''}" for each in range(1, done + 1)]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_mlflow_reads_back_settings_and_figures_of_runs_that_went_on(tmp_path: Path) -> None:
    store = tmp_path / "made" / "mlflow.db"
    one, two = run(tmp_path / "one", 4, 2, 0.5), run(tmp_path / "two", 2, 2, 0.25)
    assert f"{one}: 2 new rounds" in written(one, two, store=store)
    assert [told[:2] for told in read(store)] == [["one", "RUNNING"], ["two", "FINISHED"]]
    run(one, 4, 4, 0.5)
    again = written(one, two, store=store)
    assert f"{one}: 2 new rounds" in again
    assert f"{two}: 0 new rounds" in again
    first, second = read(store)
    assert first[:3] == ["one", "FINISHED", {"rounds": "4", "client.learning_rate": "0.5", "scenario": "None"}]
    assert first[3]["loss"] == [[1, 4.9], [2, 4.8], [3, 4.7], [4, 4.6]]
    assert first[3]["validation_accuracy"] == [[2, 0.02], [4, 0.04]]
    assert second[2]["client.learning_rate"] == "0.25"


def test_a_file_that_is_none_of_mlflows_stays_as_it_is(tmp_path: Path) -> None:
    folder = run(tmp_path / "one", 2, 1, 0.5)
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("CREATE TABLE rounds (id INTEGER)")
    database.close()
    (tmp_path / "text.db").write_text("no database at all")
    for name in ("other.db", "text.db"):
        before = (tmp_path / name).read_bytes()
        done = python("-m", "fedkey", "mlflow", str(folder), "--store", str(tmp_path / name))
        assert done.returncode == 1
        assert "no store of MLflow's" in done.stderr
        assert done.stderr.count("\n") == 1
        assert (tmp_path / name).read_bytes() == before
