"""What runs inside the phone: prediction and training with LiteRT, without TensorFlow.

`model.export` writes the folder that `Export.load` reads. A `Predictor` and a `Trainer` are interpreters of their own
with one thread each, so that a key press never waits for training; weights move between them as one flat vector.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import ai_edge_litert
import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from model.batches import ROW_LENGTH, Rows
from model.evaluation import Totals
from model.layout import FlatVector, Layout, NetworkConfig
from model.spellings import EXPANDED
from model.vocabulary import BOUNDARY, PAD, Vocabulary, VocabularyError

Floats = npt.NDArray[np.float32]

TRAINING = "training.tflite"
INFERENCE = "inference.tflite"
MANIFEST = "manifest.json"
TRAINING_BATCH = 8

_FORMAT = 1
_NO_CLIPPING = np.float32(3e38)


class ExportError(ValueError):
    """An exported model that cannot be used; the message says why and what to do."""


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
        runtime: the oldest version of ai-edge-litert that it was tried with.
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
    def from_json(cls, described: dict[str, Any]) -> "Manifest":
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
    content = path.read_bytes()
    return FileDescription(hashlib.sha256(content).hexdigest(), len(content))


@dataclass(frozen=True)
class Export:
    """An exported model whose every file was checked against its manifest.

    Attributes:
        directory: where it is.
        manifest: what is in it.
        vocabulary: its pieces and lexicon.
    """

    directory: Path
    manifest: Manifest
    vocabulary: Vocabulary

    @classmethod
    def load(cls, directory: Path) -> "Export":
        """Read an export, changing nothing.

        Raises:
            ExportError: a file is missing, damaged or altered, or needs a newer runtime.
        """
        try:
            manifest = Manifest.from_json(json.loads((directory / MANIFEST).read_text()))
        except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ExportError(f"no usable model in {directory}: write one with `fedkey export` ({error})") from error
        for name in (TRAINING, INFERENCE, "sentencepiece.model", "lexicon.json"):
            expected, path = manifest.files.get(name), directory / name
            if expected is None or not path.is_file() or file_description(path) != expected:
                raise ExportError(f"{path} is missing or not as the manifest says: download or export the model again")
        installed = ai_edge_litert.__version__
        if _release(installed) < _release(manifest.runtime):
            raise ExportError(f"the model in {directory} needs ai-edge-litert {manifest.runtime}: update {installed}")
        try:
            vocabulary = Vocabulary.load(directory)
        except VocabularyError as error:
            raise ExportError(f"the vocabulary in {directory} does not load: export the model again") from error
        if vocabulary.key != manifest.vocabulary or vocabulary.size != manifest.network.vocabulary_size:
            raise ExportError(f"{directory} has the vocabulary of another model: download or export the model again")
        return cls(directory, manifest, vocabulary)

    def predictor(self) -> "Predictor":
        """Return the frozen network."""
        return Predictor((self.directory / INFERENCE).read_bytes(), self.manifest.network)

    def trainer(self) -> "Trainer":
        """Return the network that learns."""
        return Trainer((self.directory / TRAINING).read_bytes(), self.manifest.network)


class State(NamedTuple):
    """Where the network stands after some pieces.

    Attributes:
        cell: float32 [1, hidden].
        output: float32 [1, embedding].
        following: float32 [1, size]: natural log probabilities of the next piece.
    """

    cell: Floats
    output: Floats
    following: Floats


class Predictor:
    """The network one piece at a time.

    Args:
        file: a LiteRT file with the signatures `step` and `expand`.
        network: the sizes it was made with.

    Raises:
        ExportError: it is no such file.
    """

    def __init__(self, file: bytes, network: NetworkConfig) -> None:
        self.network = network
        self._interpreter = _interpreter(file)
        self._step = _runner(self._interpreter, "step")
        self._expand = _runner(self._interpreter, "expand")
        self._nothing_read = State(
            np.zeros((1, network.hidden), np.float32),
            np.zeros((1, network.embedding), np.float32),
            np.zeros((1, network.vocabulary_size), np.float32),
        )
        self.start = self.step(self._nothing_read, BOUNDARY)
        """The state at the beginning of a message."""

    def step(self, state: State, piece: int) -> State:
        """Return the state after one more piece."""
        after = self._step(token=np.array([piece], np.int32), cell=state.cell, output=state.output)
        return State(after["next_cell"], after["next_output"], after["following"])

    def expand(self, state: State, pieces: npt.NDArray[np.int64]) -> Floats:
        """Return log probabilities [pieces, size] of what follows each of at most `EXPANDED` pieces."""
        tokens = np.full(EXPANDED, PAD, np.int32)
        tokens[: len(pieces)] = pieces
        following: Floats = self._expand(tokens=tokens, cell=state.cell, output=state.output)["following"]
        return following[: len(pieces)]

    def mean_loss(self, messages: Sequence[Sequence[int]]) -> float:
        """Return the mean cross-entropy in nats of the pieces of encoded messages, ends included."""
        losses = []
        for message in messages:
            state = self.start
            for piece in message:
                losses.append(-state.following[0, piece])
                state = self.step(state, piece)
            losses.append(-state.following[0, BOUNDARY])
        return float(np.mean(losses))


class Trainer(Predictor):
    """The network with weights that change: mini-batch gradient descent on the phone.

    Args:
        file: a LiteRT file with the signatures of `model.export`'s training file.
        network: the sizes it was made with.

    Raises:
        ExportError: it is no such file.
    """

    def __init__(self, file: bytes, network: NetworkConfig) -> None:
        super().__init__(file, network)
        self._layout = Layout.of(network.layout)
        self._train, self._evaluate, self._get, self._set = (
            _runner(self._interpreter, name) for name in ("train", "evaluate", "get_weights", "set_weights")
        )

    def weights(self) -> FlatVector:
        """Return all weights as one vector float32 [parameters], in layout order."""
        values = self._get()
        return self._layout.flatten([values[name] for name in self.network.layout])

    def set_weights(self, vector: FlatVector) -> None:
        """Take all weights from one vector.

        Raises:
            ValueError: it has another length, or numbers that are not finite; nothing was changed.
        """
        values = self._layout.unflatten(vector)
        if not np.isfinite(vector).all():
            raise ValueError("weights must be finite: the model diverged, keep the one before")
        self._set(**values)
        self.start = self.step(self._nothing_read, BOUNDARY)

    def train(
        self,
        rows: Rows,
        *,
        learning_rate: float,
        gradient_norm: float = 0.0,
        dropout: float = 0.0,
        random: np.random.Generator | None = None,
    ) -> Totals:
        """Take one step of gradient descent on the mean loss of a batch.

        Args:
            rows: int32 [batch, 21] of at most `TRAINING_BATCH`, as `model.batches.pack` makes them.
            learning_rate: of the step.
            gradient_norm: L2 norm to which a longer gradient is cut; 0 for none.
            dropout: share of the embedded inputs and of the outputs set to zero; needs `random`.
            random: what is dropped.

        Returns:
            sums before the step, over what was not dropped.

        Raises:
            ValueError: too many rows, of another length or with ids out of range; dropout without `random`.
        """
        self._check(rows)
        if len(rows) > TRAINING_BATCH:
            raise ValueError(f"a batch has at most {TRAINING_BATCH} rows, not {len(rows)}")
        if dropout and random is None:
            raise ValueError("dropout needs random numbers")
        shape = (ROW_LENGTH, TRAINING_BATCH, self.network.embedding)
        noise = [np.ones(shape, np.float32)] * 2
        if dropout and random is not None:
            noise = [(random.random(shape, np.float32) >= dropout).astype(np.float32) / (1 - dropout) for _ in range(2)]
        return _totals(
            self._train(
                rows=_batch(rows),
                input_noise=noise[0],
                output_noise=noise[1],
                learning_rate=np.float32(learning_rate),
                gradient_norm=np.float32(gradient_norm) if gradient_norm else _NO_CLIPPING,
            )
        )

    def evaluate(self, rows: Rows) -> Totals:
        """Return sums over any number of rows, int32 [rows, 21].

        Raises:
            ValueError: rows of another length or with ids out of range.
        """
        self._check(rows)
        totals = Totals(0.0, 0.0, 0.0)
        for start in range(0, len(rows), TRAINING_BATCH):
            totals += _totals(self._evaluate(rows=_batch(rows[start : start + TRAINING_BATCH])))
        return totals

    def _check(self, rows: Rows) -> None:
        if rows.ndim != 2 or rows.shape[1] != ROW_LENGTH + 1 or rows.dtype != np.int32:
            raise ValueError(f"rows must be int32 [batch, {ROW_LENGTH + 1}], not {rows.dtype} {rows.shape}")
        if rows.size and not 0 <= rows.min() <= rows.max() < self.network.vocabulary_size:
            raise ValueError(f"ids must be 0 to {self.network.vocabulary_size - 1}, not {rows.min()} to {rows.max()}")


def _batch(rows: Rows) -> Rows:
    """Return at most `TRAINING_BATCH` rows as that many: of one shape LiteRT computes faster, and PAD is no target."""
    batch = np.full((TRAINING_BATCH, ROW_LENGTH + 1), PAD, np.int32)
    batch[: len(rows)] = rows
    return batch


def _interpreter(file: bytes) -> Interpreter:
    try:
        interpreter = Interpreter(model_content=file, num_threads=1)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ExportError("LiteRT cannot read the model: download or export it again") from error
    return interpreter


def _runner(interpreter: Interpreter, name: str) -> Any:
    if name not in interpreter.get_signature_list():
        raise ExportError(f"the model lacks {name!r}: export it again with this version of fedkey")
    return interpreter.get_signature_runner(name)


def _totals(values: dict[str, Any]) -> Totals:
    return Totals(float(values["loss"]), float(values["hits"]), float(values["targets"]))


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
