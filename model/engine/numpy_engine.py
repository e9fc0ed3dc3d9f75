"""The engine that NumPy computes, for phones without LiteRT, from one file of weights."""

import numpy as np
import numpy.typing as npt

from model import network_numpy
from model.batches import Rows
from model.engine.interface import Floats, Noise, Predictor, State, Trainer
from model.engine.weight_files import unpacked
from model.evaluation import Totals
from model.layout import FlatVector, Layout, NetworkConfig

_MIN_NORM = 1e-12  # by which a gradient's cut is divided


class NumPyPredictor(Predictor):
    """See `Predictor`.

    Args:
        file: weights as `model.engine.weight_files.packed` writes them.
        network: their sizes.
        kind: of the file, `float32` or `int8`.

    Raises:
        ExportError: it is no such file.
    """

    def __init__(self, file: bytes, network: NetworkConfig, kind: str = "float32") -> None:
        super().__init__(network)
        self._layout = Layout.of(network.layout)
        self._use(unpacked(file, network, kind))
        self._begin()

    def step(self, state: State, piece: int) -> State:
        """See `Predictor.step`."""
        cell, output = network_numpy.step(self._weights, np.array([piece], np.int32), state.cell, state.output)
        return State(cell, output, network_numpy.log_probabilities(self._weights, output))

    def expand(self, state: State, pieces: npt.NDArray[np.int64]) -> Floats:
        """See `Predictor.expand`."""
        _, outputs = network_numpy.step(self._weights, pieces.astype(np.int32), state.cell, state.output)
        return network_numpy.log_probabilities(self._weights, outputs)

    def _use(self, vector: FlatVector) -> None:
        """Compute with the numbers of a vector, which is this object's from now on."""
        self._vector = vector
        self._weights = list(self._layout.unflatten(vector).values())


class NumPyTrainer(NumPyPredictor, Trainer):
    """See `Trainer`.

    Args:
        file: float32 weights as `model.engine.weight_files.packed` writes them.
        network: their sizes.

    Raises:
        ExportError: it is no such file.
    """

    def __init__(self, file: bytes, network: NetworkConfig) -> None:
        super().__init__(file, network)

    def weights(self) -> FlatVector:
        """See `Trainer.weights`."""
        return self._vector.copy()

    def _take(self, vector: FlatVector) -> None:
        self._use(vector.astype(np.float32))

    def _descend(self, rows: Rows, learning_rate: float, gradient_norm: float, noise: Noise | None) -> Totals:
        if noise is not None:
            noise = noise[0][:, : len(rows)], noise[1][:, : len(rows)]
        sums, gradients = network_numpy.loss_and_gradients(self._weights, rows, noise)
        rate = np.float32(learning_rate)
        if gradient_norm:
            norm = np.sqrt(sum(np.vdot(gradient, gradient) for gradient in gradients))
            rate *= np.float32(min(1.0, gradient_norm / max(norm, _MIN_NORM)))
        for weight, gradient in zip(self._weights, gradients, strict=True):
            np.multiply(gradient, rate, out=gradient)
            np.subtract(weight, gradient, out=weight)
        return Totals(*sums)

    def _measure(self, rows: Rows) -> Totals:
        return Totals(*network_numpy.loss_and_hits(self._weights, rows))
