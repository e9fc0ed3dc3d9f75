"""A run's states on disk: one after every round, of which the last few and the best are kept."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from federation.robustness import Memory
from federation.simulation.aggregations import MeanState
from federation.updates.sparsification import Energies
from model import arrays, files
from model.layout import FlatWeights, NetworkConfig
from model.wording import DAMAGE

_DEFENCE = "defence"


class ServerState(NamedTuple):
    """The one global state.

    Attributes:
        weights: Model weights in layout order.
        optimizer: What the server optimizer remembers.
    """

    weights: FlatWeights
    optimizer: list[npt.NDArray[Any]]


class Progress(NamedTuple):
    """Where a run stands after a round.

    Attributes:
        state: State of the server.
        mean: What the aggregation of updates remembers.
        made_by: Round that made the state; 0 for the warm start. Earlier than the last one if that was refused.
        memory: What the defence remembers.
        energies: Where the last step's energy lies, by which clients choose what they send; empty if that is not known.
    """

    state: ServerState
    mean: MeanState
    made_by: int = 0
    memory: Memory = Memory()
    energies: Energies = np.zeros(0)


class States:
    """The states of a run.

    Args:
        folder: where they are.
        network: sizes.
        keep: how many of the latest stay.
    """

    def __init__(self, folder: Path, network: NetworkConfig, keep: int) -> None:
        self._folder = folder
        self._network = network
        self._keep = keep

    def save(self, number: int, progress: Progress) -> None:
        """Keep the state after a round, whole or not at all, and remove old ones."""
        self._folder.mkdir(exist_ok=True)
        named = dict(zip(self._network.layout, progress.state.weights, strict=True))
        named |= {f"optimizer.{i}": value for i, value in enumerate(progress.state.optimizer)}
        named |= {f"mean.{i}": value for i, value in enumerate(progress.mean)}
        described = json.dumps({"made_by": progress.made_by, "memory": progress.memory.to_json()})
        with files.writing(self._path(number)) as file:
            np.savez(
                file, **named, energies=progress.energies, **{_DEFENCE: np.frombuffer(described.encode(), np.uint8)}
            )
        best = progress.memory.best
        for old in sorted(self._folder.glob("round-*.npz"))[: -self._keep]:
            if best is None or old != self._path(best.round_number):
                old.unlink()

    def latest(self) -> tuple[int, Progress] | None:
        """Return the last round of which there is a whole state, and that state."""
        for path in sorted(self._folder.glob("round-*.npz"), reverse=True):
            try:
                return _number_of(path), self._read(path)
            except DAMAGE:
                continue  # a torn disk write: the state before it is good
        return None

    def after(self, number: int) -> ServerState:
        """Return the state after a round that is kept."""
        return self._read(self._path(number)).state

    def _path(self, number: int) -> Path:
        return self._folder / f"round-{number:06}.npz"

    def _read(self, path: Path) -> Progress:
        with arrays.archive(path) as kept:
            weights = [kept[name] for name in self._network.layout]
            optimizer, mean = _numbered(kept, "optimizer"), _numbered(kept, "mean")
            if _DEFENCE not in kept:  # of a run that an older version began, which had no defence
                return Progress(ServerState(weights, optimizer), mean, _number_of(path))
            described = json.loads(kept[_DEFENCE].tobytes())
            energies = kept["energies"] if "energies" in kept else np.zeros(0)
        memory = Memory.from_json(described["memory"])
        return Progress(ServerState(weights, optimizer), mean, described["made_by"], memory, energies)


def _number_of(path: Path) -> int:
    return int(path.stem.removeprefix("round-"))


def _numbered(kept: Mapping[str, npt.NDArray[Any]], part: str) -> list[npt.NDArray[Any]]:
    return [kept[f"{part}.{i}"] for i in range(sum(name.startswith(f"{part}.") for name in kept))]
