"""Simulated runs in a local store of MLflow: settings as parameters, figures of rounds as metrics."""

import contextlib
import hashlib
import math
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

# Read by MLflow when it is imported: it would tell its makers of every use, and log each table that it makes.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from federation.errors import ConfigError
from federation.server.dashboard.runs import StoredRun
from model import files

EXPERIMENT = "fedkey"
_KEY, _ROUNDS = "fedkey.key", "fedkey.rounds"
_BATCH = 100
_LONGEST_VALUE = 6000


class MlflowStore:
    """A store of MLflow's, one SQLite file.

    Args:
        path: of the file; made if there is none.

    Raises:
        ConfigError: it is something else, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        _must_be_ours(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._sentences():
            self._client = MlflowClient(f"sqlite:///{path.resolve()}")
            found = self._client.get_experiment_by_name(EXPERIMENT)
            self._experiment: str = found.experiment_id if found else self._client.create_experiment(EXPERIMENT)

    def add(self, folder: Path) -> int:
        """Write a run, or the rounds that it has done since it was last written; return how many were new.

        A run whose settings have changed, as one that was told to go on for longer, becomes another.

        Raises:
            ConfigError: there is no run in the folder, or the store cannot be written.
        """
        run = StoredRun.load(folder)
        settings = files.read(folder / "config.json")
        key = hashlib.sha256(str(folder.resolve()).encode() + b"\0" + settings).hexdigest()
        with self._sentences():
            there = self._client.search_runs([self._experiment], f"tags.`{_KEY}` = '{key}'")
            if there:
                run_id, last = there[0].info.run_id, int(there[0].data.tags[_ROUNDS])
            else:
                run_id, last = self._begun(run, key), -1
            at = _milliseconds(folder / "metrics.csv") if run.figures else 0
            new = [row for row in run.figures if row["round"] > last]
            metrics = [
                Metric(name, value, at, int(row["round"]))
                for row in new
                for name, value in row.items()
                if name != "round" and math.isfinite(value)
            ]
            for first in range(0, len(metrics), _BATCH):
                self._client.log_batch(run_id, metrics=metrics[first : first + _BATCH])
            tags = {_ROUNDS: str(max([last, *(int(row["round"]) for row in new)])), "privacy": run.privacy}
            self._client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()])
            status = "FINISHED" if run.rounds == run.config.get("rounds") else "RUNNING"
            self._client.update_run(run_id, status=status)
        return len(new)

    def _begun(self, run: StoredRun, key: str) -> str:
        # The key comes last: what was cut off before it is begun anew.
        made = self._client.create_run(self._experiment, run_name=run.name, tags={_ROUNDS: "-1"})
        run_id: str = made.info.run_id
        params = [Param(name, _value(value)) for name, value in run.config.items()]
        for first in range(0, len(params), _BATCH):
            self._client.log_batch(run_id, params=params[first : first + _BATCH])
        self._client.set_tag(run_id, _KEY, key)
        return run_id

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            raise ConfigError(f"MLflow's store {self._path} cannot be used: {str(error).splitlines()[0]}") from error


def _value(value: object) -> str:
    return str(value)[:_LONGEST_VALUE]


def _milliseconds(path: Path) -> int:
    return path.stat().st_mtime_ns // 1_000_000


def _must_be_ours(path: Path) -> None:
    if not path.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        tables = set()
    if not {"experiments", "runs", "metrics"} <= tables:
        raise ConfigError(f"{path} is no store of MLflow's: choose another --store")
