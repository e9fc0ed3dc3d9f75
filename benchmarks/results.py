"""How benchmarks report: a table on the terminal and `results/NAME.json`."""

import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from model import files

CORPUS = os.environ.get("FEDKEY_BENCHMARK_CORPUS", "chitchat")
"""What benchmarks run on that have no option for it."""

RESULTS = Path(os.environ.get("FEDKEY_BENCHMARK_RESULTS", Path(__file__).parent / "results"))


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        figure: its name.
        value: measured.
        unit: of both values.
        reference: what it is compared with.
        reference_value: measured in the same run, or published.
    """

    figure: str
    value: float
    unit: str
    reference: str = ""
    reference_value: float | None = None

    @property
    def ratio(self) -> float | None:
        """Value over reference value."""
        return self.value / self.reference_value if self.reference_value else None


def write(
    name: str, figures: Sequence[Figure], *, script: str = "", keep: Callable[[str], bool] = lambda _: False
) -> Path:
    """Print `figures` and write them into `results/NAME.json`; return its path.

    Args:
        name: of the file; up to a dash also of the script, unless `script` says another.
        figures: measured.
        script: module below `benchmarks`.
        keep: which figures of an earlier run stay in the file, by name.
    """
    said = [_said(argument) for argument in sys.argv[1:]]
    command = " ".join(["uv run python -m", f"benchmarks.{script or name.split('-', maxsplit=1)[0]}", *said])
    for figure in figures:
        line = f"{figure.figure:<36} {figure.value:>12.4g} {figure.unit}"
        if figure.reference_value is not None:
            line += f"   {figure.reference}: {figure.reference_value:.4g}"
        if figure.ratio is not None:
            line += f"   ratio {figure.ratio:.3f}"
        print(line)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    entries = [entry for entry in _entries(path) if keep(entry["figure"])]
    entries += [asdict(figure) | {"ratio": figure.ratio, "command": command} for figure in figures]
    files.write(path, json.dumps(entries, indent=1) + "\n")
    return path


def written(name: str) -> list[Figure]:
    """Return the figures that `results/NAME.json` holds; none if there is no such file."""
    entries = _entries(RESULTS / f"{name}.json")
    return [Figure(**{field.name: entry[field.name] for field in fields(Figure)}) for entry in entries]


def over_seeds(name: str, values: Sequence[float], unit: str) -> list[Figure]:
    """Return mean and standard deviation of a figure of several seeds; nothing of one seed."""
    if len(values) < 2:
        return []
    return [
        Figure(f"{name}_mean_over_seeds", statistics.fmean(values), unit),
        Figure(f"{name}_spread_over_seeds", statistics.stdev(values), "points, standard deviation"),
    ]


def _entries(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return found


def _said(argument: str) -> str:
    """Return an argument of the command line without folders and addresses of this machine."""
    if "://" in argument:
        return "URL"  # of a database: it may hold a password
    return Path(argument).name if Path(argument).is_absolute() else argument


def kept(path: Path, measure: Callable[[], str]) -> str:
    """Return the text in `path`; if there is none yet, measure it and keep it there, whole or not at all."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, measure())
    return path.read_text()


def kept_figures(path: Path, measure: Callable[[], Sequence[Figure]]) -> list[Figure]:
    """Return the figures in `path`, measured if they are not there yet."""
    text = kept(path, lambda: json.dumps([asdict(figure) for figure in measure()]))
    return [Figure(**entry) for entry in json.loads(text)]
