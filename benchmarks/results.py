"""How benchmarks report: a table on the terminal and `results/NAME.json`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


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


def write(name: str, figures: Sequence[Figure]) -> Path:
    """Print `figures` and write them into `results/NAME.json`; return its path."""
    command = " ".join(["uv run python -m", f"benchmarks.{name.split('-', maxsplit=1)[0]}", *sys.argv[1:]])
    for figure in figures:
        line = f"{figure.figure:<36} {figure.value:>12.4g} {figure.unit}"
        if figure.reference_value is not None:
            line += f"   {figure.reference}: {figure.reference_value:.4g}   ratio {figure.ratio:.3f}"
        print(line)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    entries = [asdict(figure) | {"ratio": figure.ratio, "command": command} for figure in figures]
    path.write_text(json.dumps(entries, indent=1) + "\n")
    return path
