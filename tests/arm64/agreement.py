"""How far two processors agree: the same probe on both, and what differs."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.engine import Engine
from tests.arm64.processor import ROOT, Processor

_SEEN = 8
"""Levels of 255 by which a colour differs so that one may see it."""

EXACT = ("levels", "words", "stream", "public", "pieces", "hits")
"""What has to be the same to the bit."""

Numbers = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Agreement:
    """What an engine computes here and there.

    Attributes:
        machines: names of both processors.
        strips: of each text, words on the strip and the correction, here and there.
        here, there: the numbers of both.
    """

    machines: tuple[str, str]
    strips: Sequence[tuple[Any, Any]]
    here: Numbers
    there: Numbers

    @property
    def same_strips(self) -> float:
        """Share of texts whose strip and correction are the same."""
        return sum(ours == theirs for ours, theirs in self.strips) / len(self.strips)

    @property
    def differing(self) -> list[str]:
        """Names of `EXACT` that differ."""
        return [name for name in EXACT if not np.array_equal(self.here[name], self.there[name])]

    def relative(self, name: str) -> float:
        """Return the largest difference relative to the number here."""
        ours, theirs = self.here[name], self.there[name]
        return float(np.max(np.abs(theirs - ours) / np.maximum(np.abs(ours), 1e-12)))

    def absolute(self, name: str) -> float:
        """Return the largest difference."""
        return float(np.max(np.abs(self.there[name] - self.here[name])))


def measure(processor: Processor, engine: Engine, export: Path, folder: Path) -> Agreement:
    """Run the probe on both processors.

    Args:
        processor: the other one.
        engine: which both compute with.
        export: folder of the model.
        folder: an existing one, to write to.
    """
    probe = ROOT / "tests/arm64/probe.py"
    outs = [folder / f"{engine.name}-{where}.npz" for where in ("here", "there")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, probe, engine.name, export, outs[0]]
    here = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    there = processor.python(probe, engine.name, export, outs[1], litert=engine is Engine.LITERT)
    said = [json.loads(text.splitlines()[-1]) for text in (here, there)]
    numbers = []
    for out in outs:
        with np.load(out) as file:
            numbers.append({name: file[name] for name in file.files})
    return Agreement(
        (said[0]["machine"], said[1]["machine"]),
        list(zip(said[0]["strips"], said[1]["strips"], strict=True)),
        numbers[0],
        numbers[1],
    )


def painted(processor: Processor, export: Path, folder: Path) -> tuple[int, float]:
    """Paint a phone's window on both processors, into here.png and there.png.

    Returns:
        how many colours there are, and the share of pixels that differ visibly.
    """
    paint = ROOT / "tests/arm64/paint.py"
    here = os.environ | {"PYTHONPATH": str(ROOT)}
    for name, command, environment in (
        ("here", sys.executable, here),
        ("there", processor.command, processor.environment()),
    ):
        arguments = [command, paint, export, folder / f"{name}-profiles", folder / name]
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    ours, theirs = (np.load(folder / f"{name}.npy").astype(np.int16) for name in ("here", "there"))
    differing = np.abs(ours - theirs).max(axis=2) > _SEEN
    return len(np.unique(ours.reshape(-1, 3), axis=0)), float(differing.mean())
