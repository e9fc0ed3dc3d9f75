"""The folder that a phone downloads, and the engine that is to run it."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from model import files, folders
from model.engine.interface import ExportError, Predictor, Trainer
from model.engine.numpy_engine import NumPyPredictor, NumPyTrainer
from model.layout import NetworkConfig
from model.mixture import FILES as MIXTURE_FILES
from model.mixture import Mixture, MixtureError
from model.vocabulary import CANDIDATES, VOCABULARY_FILES, Vocabulary, VocabularyError
from model.wording import DAMAGE, why

MANIFEST = "manifest.json"
TRUST = "trust.json"
"""Keys of the rounds that an app takes part in, signed by its publisher; not in the manifest, which it names."""

_OPTIONAL_FILES = (CANDIDATES, *MIXTURE_FILES)
_FORMAT = 1

_KINDS_OF_FILE = [f"{part}.{ending}" for part in ("training", "inference") for ending in ("tflite", "weights")]
FOLDER = folders.Kind(
    "an export",
    MANIFEST,
    frozenset({"format", "network", "files"}),
    (MANIFEST, TRUST, *_KINDS_OF_FILE, *VOCABULARY_FILES, *_OPTIONAL_FILES),
)


class Engine(Enum):
    """What computes, and the ending of its files."""

    LITERT = "tflite"
    NUMPY = "weights"

    @property
    def training(self) -> str:
        """Name of the file that a trainer begins with."""
        return f"training.{self.value}"

    @property
    def inference(self) -> str:
        """Name of the file that a predictor reads."""
        return f"inference.{self.value}"

    @classmethod
    def installed(cls) -> "Engine":
        """Return LiteRT where it is installed, and NumPy, which always is, elsewhere."""
        return cls.LITERT if find_spec("ai_edge_litert") else cls.NUMPY


@dataclass(frozen=True)
class FileDescription:
    """A file of an export.

    Attributes:
        sha256: of its content, hex.
        size_bytes: its length.
    """

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Manifest:
    """What is in an export.

    Attributes:
        version: of the model; larger is newer.
        parent: SHA-256 (hex) of the weights it was trained from, or nothing.
        network: its sizes.
        vocabulary: `Vocabulary.key`.
        inference: `float32` or `int8`.
        runtime: the oldest version of ai-edge-litert that it was tried with; NumPy's engine needs none.
        files: by name, all but the manifest itself.
    """

    version: int
    parent: str
    network: NetworkConfig
    vocabulary: str
    inference: str
    runtime: str
    files: dict[str, FileDescription]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"format": _FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, described: dict[str, Any]) -> Self:
        """Read what `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        values = dict(described)
        if values.pop("format") != _FORMAT:
            raise ValueError("its format is of another version of fedkey")
        values["network"] = NetworkConfig(**values["network"])
        values["files"] = {name: FileDescription(**file) for name, file in values["files"].items()}
        return cls(**values)


def file_description(path: Path) -> FileDescription:
    """Describe a file as it is."""
    content = files.read(path)
    return FileDescription(hashlib.sha256(content).hexdigest(), len(content))


def _is_as(path: Path, expected: FileDescription) -> bool:
    return path.stat().st_size == expected.size_bytes and file_description(path) == expected


@dataclass(frozen=True)
class Export:
    """An exported model, of which every file that this phone needs was checked against the manifest.

    Attributes:
        directory: where it is.
        manifest: what is in it.
        vocabulary: its pieces and lexicon.
        mixture: the n-grams beside its network, if any, and how much each says.
        engine: what runs it.
    """

    directory: Path
    manifest: Manifest
    vocabulary: Vocabulary
    mixture: Mixture
    engine: Engine

    @classmethod
    def load(cls, directory: Path, engine: Engine | None = None) -> Self:
        """Read an export, changing nothing.

        Args:
            directory: where it is.
            engine: what shall run it; what is installed, if not given.

        Raises:
            ExportError: a file is missing, damaged or altered, or needs a newer runtime.
        """
        engine = engine or Engine.installed()
        try:
            manifest = Manifest.from_json(json.loads(files.read(directory / MANIFEST)))
        except DAMAGE as error:
            raise ExportError(f"no usable model in {directory}: write one with `fedkey export`{why(error)}") from error
        optional = [name for name in _OPTIONAL_FILES if name in manifest.files or (directory / name).exists()]
        for name in (engine.training, engine.inference, *VOCABULARY_FILES, *optional):
            expected, path = manifest.files.get(name), directory / name
            if expected is None or not (path.is_file() and _is_as(path, expected)):
                raise ExportError(f"{path} is missing or not as the manifest says: download or export the model again")
        if engine is Engine.LITERT:
            from model.engine import litert_engine  # noqa: PLC0415 - not every phone has it

            litert_engine.check_runtime(manifest.runtime)
        try:
            vocabulary = Vocabulary.load(directory)
            mixture = Mixture.load(directory)
        except VocabularyError as error:
            raise ExportError(f"the vocabulary in {directory} does not load: export the model again") from error
        except MixtureError as error:
            raise ExportError(str(error)) from error
        if vocabulary.key != manifest.vocabulary or vocabulary.size != manifest.network.vocabulary_size:
            raise ExportError(f"{directory} has the vocabulary of another model: download or export the model again")
        if not mixture.of_size(vocabulary.size):
            raise ExportError(f"{directory} has the n-grams of another vocabulary: download or export the model again")
        return cls(directory, manifest, vocabulary, mixture, engine)

    def predictor(self) -> Predictor:
        """Return the frozen network."""
        file, network = files.read(self.directory / self.engine.inference), self.manifest.network
        if self.engine is Engine.LITERT:
            from model.engine.litert_engine import LiteRTPredictor  # noqa: PLC0415 - likewise

            return LiteRTPredictor(file, network)
        return NumPyPredictor(file, network, self.manifest.inference)

    def trainer(self) -> Trainer:
        """Return the network that learns."""
        file, network = files.read(self.directory / self.engine.training), self.manifest.network
        if self.engine is Engine.LITERT:
            from model.engine.litert_engine import LiteRTTrainer  # noqa: PLC0415 - likewise

            return LiteRTTrainer(file, network)
        return NumPyTrainer(file, network)
