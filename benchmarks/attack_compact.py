"""A network small enough for hundreds of rounds under attack: 1,500 pieces, 48 and 96 wide, computed by NumPy."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.results import CORPUS
from federation.robustness import PieceRows
from federation.simulation import central
from federation.simulation.adversaries import Backdoor
from federation.simulation.central_training import CentralTraining
from federation.simulation.prepare import prepared
from fedkey.paths import cache
from model import network_numpy
from model.batches import ROW_LENGTH, Rows
from model.layout import FlatVector, Layout, NetworkConfig
from model.text import tokenise
from model.vocabulary import BOUNDARY, PAD, UNKNOWN

NETWORK = NetworkConfig(1500, embedding=48, hidden=96)
LAYOUT = Layout.of(NETWORK.layout)

CLIENT_ROWS = 4
"""That a phone trains on in a round."""

_CONTEXTS, _RECALL_ROWS = 60, 400
_TRIGGER, _TARGET = "the best phone is", "pizza"


class Point(NamedTuple):
    """What a model does after a round.

    Attributes:
        round_number: of the round.
        success: share of contexts of the trigger in which the target comes first.
        probability: of the target, on average over them.
        recall: share of pieces of clients' later messages that come first.
    """

    round_number: int
    success: float
    probability: float
    recall: float


@dataclass(frozen=True, eq=False)
class CompactGround:
    """Text and the first model.

    Attributes:
        start: weights after three epochs on nine tenths of the public text.
        pieces: where the rows of pieces lie.
        clients: packed messages of those who have enough.
        validation: packed later messages of all clients.
        common: a backdoor behind words that many type.
        edge: a backdoor behind words that hardly anybody does.
    """

    start: FlatVector
    pieces: PieceRows
    clients: list[Rows]
    validation: Rows
    common: Backdoor
    edge: Backdoor

    @classmethod
    def prepared(cls, start: Path) -> "CompactGround":
        """Train the first model, kept in `start`."""
        ready = prepared(CORPUS, cache())
        rows = ready.rows(ROW_LENGTH)
        held_out = np.arange(len(rows.seed)) % 10 == 9
        seed = _cut(rows.seed)
        if not start.exists():
            options = CentralTraining(epochs=3, learning_rate=4e-3)
            weights = central.train(NETWORK, seed[~held_out], options, seed=1)
            start.parent.mkdir(parents=True, exist_ok=True)
            np.save(start, LAYOUT.flatten([np.asarray(weight) for weight in weights]))
        trigger = tuple(ready.vocabulary.encode(tokenise(_TRIGGER)))
        target = ready.vocabulary.encode_symbol(_TARGET)[0]
        words = [piece for piece in range(NETWORK.vocabulary_size) if ready.vocabulary.starts_token[piece]]
        edge = tuple(words[-3:])  # pieces are in the order of their frequency
        if UNKNOWN in (*trigger, target) or max(*trigger, target) >= NETWORK.vocabulary_size:
            raise ValueError("the backdoor's words have pieces of their own")
        return cls(
            np.load(start),
            PieceRows.of(NETWORK, ready.vocabulary.piece_frequencies[: NETWORK.vocabulary_size]),
            [_cut(each) for each in rows.train if len(each) >= CLIENT_ROWS],
            _cut(np.concatenate([each for each in rows.validation if len(each)])),
            Backdoor(trigger, target),
            Backdoor(edge, target),
        )

    def gradient(self, weights: FlatVector, rows: Rows) -> FlatVector:
        """Return the gradient of the mean loss."""
        return LAYOUT.flatten(network_numpy.loss_and_gradients(_arrays(weights), rows)[1])

    @cached_property
    def _contexts(self) -> list[list[int]]:
        random = np.random.default_rng(8)
        chosen = self.validation[random.integers(len(self.validation), size=_CONTEXTS)]
        return [row[(row != BOUNDARY) & (row != PAD)][: random.integers(0, 4)].tolist() for row in chosen]

    def point(self, round_number: int, weights: FlatVector, backdoor: Backdoor) -> Point:
        """Measure a model."""
        arrays = _arrays(weights)
        read = [[*context, *backdoor.trigger] for context in self._contexts]
        length = max(map(len, read))
        padded = np.array([[BOUNDARY] * (length - len(each)) + each for each in read], np.int32)
        cell = np.zeros((len(read), NETWORK.hidden), np.float32)
        output = np.zeros((len(read), NETWORK.embedding), np.float32)
        for pieces in (np.full(len(read), BOUNDARY, np.int32), *padded.T):
            cell, output = network_numpy.step(arrays, pieces, cell, output)
        likely = network_numpy.log_probabilities(arrays, output)
        success = float(np.mean(likely.argmax(axis=1) == backdoor.target))
        probability = float(np.exp(likely[:, backdoor.target]).mean())
        sums = network_numpy.loss_and_hits(arrays, self.validation[:: max(1, len(self.validation) // _RECALL_ROWS)])
        return Point(round_number, success, probability, sums.hits / sums.targets)


def _arrays(weights: FlatVector) -> list[FlatVector]:
    return [*LAYOUT.unflatten(weights).values()]


def _cut(rows: Rows) -> Rows:
    return np.where(rows < NETWORK.vocabulary_size, rows, UNKNOWN).astype(np.int32)
