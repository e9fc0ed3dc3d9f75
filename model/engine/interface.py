"""What a phone's engine does, whichever library computes it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.batches import ROW_LENGTH, Rows
from model.evaluation import Totals
from model.layout import FlatVector, NetworkConfig
from model.vocabulary import BOUNDARY

Floats = npt.NDArray[np.float32]
Noise = tuple[Floats, Floats]
"""What the embedded inputs and the outputs, each [20, TRAINING_BATCH, embedding], are multiplied with."""

TRAINING_BATCH = 8


class ExportError(ValueError):
    """An exported model that cannot be used; the message says why and what to do."""


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


class Predictor(ABC):
    """The network one piece at a time.

    Args:
        network: its sizes.

    Attributes:
        start: the state at the beginning of a message.
    """

    start: State

    def __init__(self, network: NetworkConfig) -> None:
        self.network = network

    @abstractmethod
    def step(self, state: State, piece: int) -> State:
        """Return the state after one more piece."""

    @abstractmethod
    def expand(self, state: State, pieces: npt.NDArray[np.int64]) -> Floats:
        """Return log probabilities [pieces, size] of what follows each of at most `EXPANDED` pieces."""

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

    def _begin(self) -> None:
        """Set `start`, for the weights as they are."""
        nothing_read = State(
            np.zeros((1, self.network.hidden), np.float32),
            np.zeros((1, self.network.embedding), np.float32),
            np.zeros((1, self.network.vocabulary_size), np.float32),
        )
        self.start = self.step(nothing_read, BOUNDARY)


class Trainer(Predictor):
    """The network with weights that change: mini-batch gradient descent on the phone."""

    @abstractmethod
    def weights(self) -> FlatVector:
        """Return all weights as one vector float32 [parameters], in layout order."""

    def set_weights(self, vector: FlatVector) -> None:
        """Take all weights from one vector.

        Raises:
            ValueError: it has another length, or numbers that are not finite; nothing was changed.
        """
        if vector.shape != (self.network.parameters,):
            raise ValueError(f"the weights have shape ({self.network.parameters},), not {vector.shape}")
        if not np.isfinite(vector).all():
            raise ValueError("weights must be finite: the model diverged, keep the one before")
        self._take(vector)
        self._begin()

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
        noise = _noise(dropout, self.network.embedding, random) if dropout and random is not None else None
        return self._descend(rows, learning_rate, gradient_norm, noise)

    def evaluate(self, rows: Rows) -> Totals:
        """Return sums over any number of rows, int32 [rows, 21].

        Raises:
            ValueError: rows of another length or with ids out of range.
        """
        self._check(rows)
        totals = Totals(0.0, 0.0, 0.0)
        for start in range(0, len(rows), TRAINING_BATCH):
            totals += self._measure(rows[start : start + TRAINING_BATCH])
        return totals

    @abstractmethod
    def _take(self, vector: FlatVector) -> None:
        """Take weights that were checked."""

    @abstractmethod
    def _descend(self, rows: Rows, learning_rate: float, gradient_norm: float, noise: Noise | None) -> Totals:
        """Take one step on rows that were checked; a `gradient_norm` of 0 cuts nothing."""

    @abstractmethod
    def _measure(self, rows: Rows) -> Totals:
        """Return sums over at most `TRAINING_BATCH` rows that were checked."""

    def _check(self, rows: Rows) -> None:
        if rows.ndim != 2 or rows.shape[1] != ROW_LENGTH + 1 or rows.dtype != np.int32:
            raise ValueError(f"rows must be int32 [batch, {ROW_LENGTH + 1}], not {rows.dtype} {rows.shape}")
        if rows.size and not 0 <= rows.min() <= rows.max() < self.network.vocabulary_size:
            raise ValueError(f"ids must be 0 to {self.network.vocabulary_size - 1}, not {rows.min()} to {rows.max()}")


def _noise(dropout: float, embedding: int, random: np.random.Generator) -> Noise:
    shape = (ROW_LENGTH, TRAINING_BATCH, embedding)
    inputs, outputs = (
        (random.random(shape, np.float32) >= dropout).astype(np.float32) / np.float32(1 - dropout) for _ in range(2)
    )
    return inputs, outputs
