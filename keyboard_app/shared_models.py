"""The shared models that came to this phone: which is in use, how each did, and the way back."""

import contextlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from federation.base.files import write_private
from federation.protocol import model_codec as codec
from keyboard_app.model_comparison import Measured
from keyboard_app.status import ModelEntry
from model.engine import Export, Predictor
from model.next_words import MixtureNextWords
from model.spellings import Spellings


class SharedModels:
    """The versions of one network's weights, in a folder. Shared weights are nobody's secret and not encrypted.

    Safe to use from several threads. What writes raises OSError if it cannot.

    Args:
        folder: made with the first model.
        export: what the app came with; its own version is always there, and in use until another is.
    """

    def __init__(self, folder: Path, export: Export) -> None:
        self._folder = folder
        self._export = export
        self._spellings = Spellings(export.vocabulary)
        self._facts = folder / "models.json"
        self._lock = threading.Lock()

    @property
    def export(self) -> Export:
        """What the app came with."""
        return self._export

    @property
    def versions(self) -> list[int]:
        """All versions that are here, oldest first."""
        own = self._export.manifest.version
        found = {int(path.stem) for path in self._folder.glob("*.weights") if path.stem.isdigit()}
        return sorted(found | {own})

    @property
    def in_use(self) -> int:
        """The version to predict with."""
        version = self._read().get("in_use")
        return version if version in self.versions else self._export.manifest.version

    def use(self, version: int) -> None:
        """Choose the version to predict with."""
        with self._lock:
            self._write(self._read() | {"in_use": version})

    @property
    def offered(self) -> int | None:
        """The version that the server had when it was looked at last; the owner may have chosen another since."""
        return self._read().get("offered")

    def offer(self, version: int) -> None:
        """Note which version the server has."""
        with self._lock:
            self._write(self._read() | {"offered": version})

    def weights(self, version: int) -> bytes | None:
        """Return the weights of a version; None for those of the export."""
        if version == self._export.manifest.version:
            return None
        return self._path(version).read_bytes()

    def add(self, version: int, weights: bytes) -> None:
        """Keep another version beside the one in use, which is the way back, and that of the export."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self._path(version), weights)
        for old in set(self.versions) - {self._export.manifest.version, self.in_use, version}:
            self._path(old).unlink(missing_ok=True)

    def measured(self, version: int) -> Measured | None:
        """Return how a version did on the user's own text when it was compared last."""
        values = self._read().get("measured", {}).get(str(version))
        return None if values is None else Measured(*values)

    def note(self, version: int, measured: Measured) -> None:
        """Keep how a version did."""
        values = [measured.top1, measured.top3, measured.words]
        with self._lock:
            facts = self._read()
            self._write(facts | {"measured": facts.get("measured", {}) | {str(version): values}})

    def predictor(self, version: int) -> Predictor:
        """Return the network with a version's weights.

        Raises:
            ValueError, OSError: they cannot be used.
        """
        weights = self.weights(version)
        if weights is None:
            return self._export.predictor()
        trainer = self._export.trainer()
        trainer.set_weights(codec.from_bytes(weights))
        return trainer

    def next_words(self, version: int) -> MixtureNextWords:
        """Return a version that predicts; that of the export if it cannot be used."""
        try:
            predictor = self.predictor(version)
        except (OSError, ValueError):
            predictor = self._export.predictor()
        return MixtureNextWords(predictor, self._export.vocabulary, self._export.mixture, self._spellings)

    def entries(self) -> Sequence[ModelEntry]:
        """Return what the screens show of every version, newest first."""
        in_use = self.in_use
        return tuple(self._entry(version, in_use=version == in_use) for version in reversed(self.versions))

    def _entry(self, version: int, *, in_use: bool) -> ModelEntry:
        measured = self.measured(version)
        if measured is None:
            return ModelEntry(version, in_use, None, None, 0)
        return ModelEntry(version, in_use, measured.top1, measured.top3, measured.words)

    def _path(self, version: int) -> Path:
        return self._folder / f"{version}.weights"

    def _read(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            facts = json.loads(self._facts.read_text())
            if isinstance(facts, dict):
                return facts
        return {}

    def _write(self, facts: dict[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self._facts, json.dumps(facts).encode())
