"""Federated rounds in a plain loop, with the engine that phones run: what benchmarks of rounds have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from benchmarks.results import CORPUS
from federation.simulation import central
from federation.simulation.central_training import CentralTraining
from federation.simulation.prepare import Prepared, prepared
from federation.updates.update import Tally, Update
from fedkey.paths import cache
from model.batches import ROW_LENGTH, Rows
from model.checkpoint import Checkpoint
from model.engine import TRAINING_BATCH, Trainer
from model.engine.litert_engine import LiteRTTrainer
from model.evaluation import Totals
from model.layout import FlatVector, Layout, NetworkConfig
from model.litert_files import training_file

CLIENT_ROWS = 32
"""Rows of 20 pieces that a client trains on in a round."""

LEARNING_RATE = 1.0


@dataclass(frozen=True)
class Fleet:
    """ChitChat's clients, an engine to train each of them with, and a briefly trained common start.

    Attributes:
        ready: the corpus.
        trainer: LiteRT.
        start: weights before the first round.
        train, validation: rows of each client.
    """

    ready: Prepared
    trainer: Trainer
    start: FlatVector
    train: Sequence[Rows]
    validation: Sequence[Rows]

    @classmethod
    def warmed_up(cls, size: str = "small", epochs: int = 2) -> Self:
        """Train on the public seed and make the engine's file."""
        ready = prepared(CORPUS, cache())
        rows = ready.rows(ROW_LENGTH)
        network = NetworkConfig.named(size, ready.vocabulary.size)
        weights = central.train(network, rows.seed, CentralTraining(epochs=epochs), seed=1)
        trainer = LiteRTTrainer(training_file(Checkpoint(network, weights, ready.vocabulary)), network)
        return cls(ready, trainer, Layout.of(network.layout).flatten(weights), rows.train, rows.validation)

    def update(self, weights: FlatVector, client: int, seed: Sequence[int], *, batches: int | None = None) -> Update:
        """Train a client from `weights` on some of its rows, on at most this many batches."""
        rows = self.train[client]
        rows = rows[np.random.default_rng(seed).permutation(len(rows))[:CLIENT_ROWS]]
        if batches is not None:
            rows = rows[: batches * TRAINING_BATCH]
        return Update(trained(self.trainer, weights, rows, LEARNING_RATE), Tally(len(rows)))

    def evaluate(self, weights: FlatVector, clients: int | None = None) -> list[Totals]:
        """Return totals of each client's later messages."""
        self.trainer.set_weights(weights)
        return [self.trainer.evaluate(rows) for rows in self.validation[:clients]]

    def checkpoint(self, weights: FlatVector) -> Checkpoint:
        """Return a model with these weights."""
        network = self.trainer.network
        return Checkpoint(network, list(Layout.of(network.layout).unflatten(weights).values()), self.ready.vocabulary)


def trained(
    trainer: Trainer,
    weights: FlatVector,
    rows: Rows,
    learning_rate: float,
    *,
    gradient_norm: float = 1.0,
    dropout: float = 0.0,
    random: np.random.Generator | None = None,
) -> FlatVector:
    """Return what one pass over rows, in their order, changes; the settings are those of `Trainer.train`."""
    trainer.set_weights(weights)
    for first in range(0, len(rows), TRAINING_BATCH):
        batch = rows[first : first + TRAINING_BATCH]
        trainer.train(batch, learning_rate=learning_rate, gradient_norm=gradient_norm, dropout=dropout, random=random)
    delta: FlatVector = trainer.weights() - weights
    return delta


def cosine_rate(number: int, rounds: int) -> float:
    """Return the server's learning rate in a round: from 1 along a cosine to a fiftieth."""
    return central.cosine(number / rounds, 0.02)


def recall_percent(totals: Sequence[Totals]) -> float:
    """Return the share of pieces predicted first, in percent."""
    return 100 * sum(total.hits for total in totals) / sum(total.targets for total in totals)
