"""What the dashboard shows of simulated runs: their settings and the figures of their rounds, side by side."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from federation.errors import ConfigError, FederationError
from federation.privacy.training import PRIVACY_RECORD, RunRecord
from model import files

_CHARTS = (
    ("validation_loss", "loss on later messages, nats"),
    ("validation_accuracy", "recall on later messages"),
    ("validation_accuracy_q5", "recall of the worst 5 % of users"),
    ("validation_accuracy_q50", "recall of the middle user"),
    ("validation_accuracy_q95", "recall of the best 5 % of users"),
    ("loss", "training loss, nats"),
    ("clients_per_s", "clients a second"),
)


@dataclass(frozen=True)
class StoredRun:
    """A run on disk.

    Attributes:
        name: of its folder.
        config: its settings, nested ones with dotted names.
        figures: of each round, oldest first.
        privacy: what was spent against the server and against everybody else, or why there is no guarantee.
    """

    name: str
    config: Mapping[str, Any]
    figures: Sequence[Mapping[str, float]]
    privacy: str = ""

    @classmethod
    def load(cls, folder: Path) -> "StoredRun":
        """Read a run.

        Raises:
            ConfigError: there is none in the folder.
        """
        try:
            config = json.loads(files.read(folder / "config.json"))["config"]
            path = folder / "metrics.csv"
            rows = list(csv.DictReader(files.read_text(path).splitlines())) if path.exists() else []
            figures = [{name: float(value) for name, value in row.items() if value not in {"", None}} for row in rows]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(f"there is no run in {folder}: give a folder that `fedkey simulate` wrote") from error
        if not isinstance(config, dict):
            raise ConfigError(f"there is no run in {folder}: give a folder that `fedkey simulate` wrote")
        return cls(folder.resolve().name, dict(_flat(config)), figures, _spent(folder))

    @property
    def rounds(self) -> int:
        """Rounds that are done."""
        return int(self.figures[-1]["round"]) if self.figures else 0

    def latest(self, figure: str) -> float | None:
        """Return a figure of the last round that has it."""
        return next((row[figure] for row in reversed(self.figures) if figure in row), None)

    @property
    def bytes_up(self) -> float:
        """Bytes that all clients of all rounds would have sent."""
        return sum(row.get("bytes_up", 0.0) * row.get("clients", 0.0) for row in self.figures)


def _spent(folder: Path) -> str:
    try:
        return _account(folder, (folder / PRIVACY_RECORD).stat().st_mtime_ns)
    except FileNotFoundError:
        return "no guarantee"


@lru_cache(maxsize=64)
def _account(folder: Path, _changed: int) -> str:
    try:
        account = RunRecord.load(folder).account()
    except FederationError:
        return "no guarantee"
    others = "" if account.others is None else f" against the server, {account.others[1]:.3g} against everybody else"
    return f"epsilon {account.epsilon:.3g}{others}, delta {account.delta:g}"


def differing(runs: Sequence[StoredRun]) -> list[tuple[str, list[Any]]]:
    """Return the settings in which runs differ, with each run's value."""
    names = sorted({name for run in runs for name in run.config})
    rows = [(name, [run.config.get(name) for run in runs]) for name in names]
    return [(name, values) for name, values in rows if any(value != values[0] for value in values)]


def charts(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """Return the series of the charts: each run a line, over rounds."""
    rounds = sorted({int(row["round"]) for run in runs for row in run.figures})
    found = {}
    for figure, title in _CHARTS:
        series = []
        for run in runs:
            by_round = {int(row["round"]): row[figure] for row in run.figures if figure in row}
            series.append({"name": run.name, "y": [by_round.get(number) for number in rounds]})
        found[figure] = {"title": title, "x": rounds, "series": series}
    return found


def _flat(config: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in config.items():
        flat += _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else [(before + name, value)]
    return flat
