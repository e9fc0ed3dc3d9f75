"""The engine that LiteRT computes, from the files of `model.litert_files`.

Every predictor and every trainer is an interpreter of its own with one thread, so that a key press never waits for
training.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ai_edge_litert
import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from model.batches import ROW_LENGTH, Rows
from model.engine.interface import TRAINING_BATCH, ExportError, Floats, Noise, Predictor, State, Trainer
from model.evaluation import Totals
from model.layout import FlatVector, Layout, NetworkConfig
from model.spellings import EXPANDED
from model.vocabulary import PAD

VERSION: str = ai_edge_litert.__version__

_NO_CLIPPING = 3e38

_STDERR = 2
_NOTICES = threading.Lock()


class LiteRTPredictor(Predictor):
    """See `Predictor`.

    Args:
        file: a LiteRT file with the signatures `step` and `expand`.
        network: the sizes it was made with.

    Raises:
        ExportError: it is no such file.
    """

    def __init__(self, file: bytes, network: NetworkConfig) -> None:
        super().__init__(network)
        self._interpreter = _interpreter(file)
        self._step = _runner(self._interpreter, "step")
        self._expand = _runner(self._interpreter, "expand")
        self._begin()

    def step(self, state: State, piece: int) -> State:
        """See `Predictor.step`."""
        after = self._step(token=np.array([piece], np.int32), cell=state.cell, output=state.output)
        return State(after["next_cell"], after["next_output"], after["following"])

    def expand(self, state: State, pieces: npt.NDArray[np.int64]) -> Floats:
        """See `Predictor.expand`."""
        tokens = np.full(EXPANDED, PAD, np.int32)
        tokens[: len(pieces)] = pieces
        following: Floats = self._expand(tokens=tokens, cell=state.cell, output=state.output)["following"]
        return following[: len(pieces)]


class LiteRTTrainer(LiteRTPredictor, Trainer):
    """See `Trainer`.

    Args:
        file: a LiteRT file with the signatures of `model.litert_files`'s training file.
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
        """See `Trainer.weights`."""
        values = self._get()
        return self._layout.flatten([values[name] for name in self.network.layout])

    def _take(self, vector: FlatVector) -> None:
        self._set(**self._layout.unflatten(vector))

    def _descend(self, rows: Rows, learning_rate: float, gradient_norm: float, noise: Noise | None) -> Totals:
        inputs, outputs = noise or (np.ones((ROW_LENGTH, TRAINING_BATCH, self.network.embedding), np.float32),) * 2
        return _totals(
            self._train(
                rows=_batch(rows),
                input_noise=inputs,
                output_noise=outputs,
                learning_rate=np.array([learning_rate], np.float32),
                gradient_norm=np.array([gradient_norm or _NO_CLIPPING], np.float32),
            )
        )

    def _measure(self, rows: Rows) -> Totals:
        return _totals(self._evaluate(rows=_batch(rows)))


def check_runtime(oldest: str) -> None:
    """Check that this LiteRT is at least the version `oldest`.

    Raises:
        ExportError: it is older.
    """
    if _release(VERSION) < _release(oldest):
        raise ExportError(f"the model needs ai-edge-litert {oldest}: update {VERSION}")


def _batch(rows: Rows) -> Rows:
    """Return at most `TRAINING_BATCH` rows as that many: of one shape LiteRT computes faster, and PAD is no target."""
    batch = np.full((TRAINING_BATCH, ROW_LENGTH + 1), PAD, np.int32)
    batch[: len(rows)] = rows
    return batch


def _interpreter(file: bytes) -> Interpreter:
    try:
        with _without_notices():
            interpreter = Interpreter(model_content=file, num_threads=1)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ExportError("LiteRT cannot read the model: download or export it again") from error
    return interpreter


@contextmanager
def _without_notices() -> Iterator[None]:
    """Send the process's stderr nowhere: LiteRT says there that it made a delegate, and cannot be asked not to."""
    with _NOTICES:
        kept, nowhere = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, _STDERR)
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
            os.close(nowhere)


def _runner(interpreter: Interpreter, name: str) -> Any:
    if name not in interpreter.get_signature_list():
        raise ExportError(f"the model lacks {name!r}: export it again with this version of fedkey")
    return interpreter.get_signature_runner(name)


def _totals(values: dict[str, Any]) -> Totals:
    return Totals(float(values["loss"]), float(values["hits"]), float(values["targets"]))


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
