"""The shared models that came to this phone: which is in use, how each did, and the way back."""

import contextlib
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from federation.base.files import write_private
from federation.protocol.model_codec import SharedKind
from keyboard_app.model_comparison import Measured
from keyboard_app.shared_parts import SharedParts
from keyboard_app.status import ModelEntry
from model import files
from model.engine import Export
from model.mixture import Mixture
from model.next_words import MixtureNextWords
from model.spellings import Spellings
from model.vocabulary import Vocabulary

NO_COUNTS = 0
"""Version of the counts that the app came with, which may be none at all."""


class Versions:
    """The versions of one part of the shared model, in a folder. They are nobody's secret and not encrypted.

    Safe to use from several threads. What writes raises OSError if it cannot.

    Args:
        folder: made with the first version.
        facts: name of the file that says which is in use and how each did.
        suffix: of the files of versions.
        own: version of what the app came with; always there, and in use until another is.

    Attributes:
        own: as given.
    """

    def __init__(self, folder: Path, facts: str, suffix: str, own: int) -> None:
        self._folder, self._facts, self._suffix, self.own = folder, folder / facts, suffix, own
        self._lock = threading.Lock()

    @property
    def all(self) -> list[int]:
        """All versions that are here, oldest first."""
        found = {int(path.stem) for path in self._folder.glob(f"*{self._suffix}") if path.stem.isdigit()}
        return sorted(found | {self.own})

    @property
    def in_use(self) -> int:
        """The version to predict with."""
        version = self._read().get("in_use")
        return version if version in self.all else self.own

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

    def content(self, version: int) -> bytes | None:
        """Return what the server sent as a version; None for what the app came with."""
        return None if version == self.own else files.read(self._path(version))

    def add(self, version: int, content: bytes) -> None:
        """Keep another version beside the one in use, which is the way back, and that of the app."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self._path(version), content)
        for old in set(self.all) - {self.own, self.in_use, version}:
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

    def entries(self, kind: SharedKind) -> Sequence[ModelEntry]:
        """Return what the screens show of every version, newest first."""
        in_use = self.in_use
        return tuple(self._entry(version, kind, in_use=version == in_use) for version in reversed(self.all))

    def _entry(self, version: int, kind: SharedKind, *, in_use: bool) -> ModelEntry:
        measured = self.measured(version)
        if measured is None:
            return ModelEntry(version, in_use, None, None, 0, kind)
        return ModelEntry(version, in_use, measured.top1, measured.top3, measured.words, kind)

    def _path(self, version: int) -> Path:
        return self._folder / f"{version}{self._suffix}"

    def _read(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            facts = json.loads(files.read(self._facts))
            if isinstance(facts, dict):
                return facts
        return {}

    def _write(self, facts: dict[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self._facts, json.dumps(facts).encode())


class SharedModels:
    """What came to this phone of the shared model: versions of the network's weights, and of what was counted.

    Args:
        folder: of both.
        export: what the app came with.
    """

    def __init__(self, folder: Path, export: Export) -> None:
        self._export = export
        self._kinds: Mapping[SharedKind, Versions] = {
            "model": Versions(folder, "models.json", ".weights", export.manifest.version),
            "counts": Versions(folder, "counts.json", ".counts", NO_COUNTS),
        }
        self._own = _Counted(NO_COUNTS, export.mixture, export.vocabulary, Spellings(export.vocabulary))
        self._latest = self._own

    @property
    def export(self) -> Export:
        """What the app came with."""
        return self._export

    def of(self, kind: SharedKind) -> Versions:
        """Return the versions of weights, or of counts."""
        return self._kinds[kind]

    def parts(self, **versions: int) -> SharedParts:
        """Return the parts in use, or other versions of a kind (`model=2`).

        Raises:
            OSError: a part cannot be read.
        """
        chosen = {kind: versions.get(kind, own.in_use) for kind, own in self._kinds.items()}
        return SharedParts(self.of("model").content(chosen["model"]), self.of("counts").content(chosen["counts"]))

    def next_words(self, **versions: int) -> MixtureNextWords:
        """Return the versions in use, or others of a kind, as what predicts; those of the app if they cannot be."""
        model, counts = (versions.get(kind, own.in_use) for kind, own in self._kinds.items())
        try:
            predictor = SharedParts(weights=self.of("model").content(model)).predictor(self._export)
        except (OSError, ValueError):
            predictor = self._export.predictor()
        counted = self._counted(counts)
        return MixtureNextWords(predictor, counted.vocabulary, counted.mixture, counted.spellings)

    def entries(self) -> Sequence[ModelEntry]:
        """Return what the screens show of every version, newest first: of the weights, then of counts if any came."""
        weights, counts = (own.entries(kind) for kind, own in self._kinds.items())
        return (*weights, *(counts if len(counts) > 1 else ()))

    def _counted(self, version: int) -> "_Counted":
        """Return what a version of the counts makes of n-grams and words; it takes a second to make."""
        if self._latest.version == version:
            return self._latest
        try:
            parts = SharedParts(counts=self.of("counts").content(version))
            mixture, vocabulary = parts.mixture(self._export), parts.vocabulary(self._export)
        except (OSError, ValueError):
            return self._own
        own = self._own
        spellings = own.spellings if vocabulary.key == own.vocabulary.key else Spellings(vocabulary)
        self._latest = _Counted(version, mixture, vocabulary, spellings)
        return self._latest


class _Counted(NamedTuple):
    """What a version of the counts makes of the n-grams and the words that the app came with."""

    version: int
    mixture: Mixture
    vocabulary: Vocabulary
    spellings: Spellings
