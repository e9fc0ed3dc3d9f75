"""What all attacks share: a briefly trained model, phones that train it with the engine that phones run, and text."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.results import CORPUS
from federation.simulation import central
from federation.simulation.central_training import CentralTraining
from federation.simulation.prepare import prepared
from fedkey.paths import cache
from model.batches import Rows
from model.checkpoint import Checkpoint
from model.engine import TRAINING_BATCH, Trainer
from model.engine.litert_engine import LiteRTTrainer
from model.layout import FlatVector, Layout, NetworkConfig
from model.litert_files import training_file
from model.vocabulary import Vocabulary

ROW_LENGTH = 20
LEARNING_RATE, GRADIENT_NORM, DROPOUT = 0.5, 1.0, 0.25
"""Of local training, as the round server's settings have them."""


@dataclass(frozen=True, eq=False)
class Ground:
    """Model, phones and text.

    Attributes:
        network: sizes of the model.
        vocabulary: its pieces.
        start: its weights before any round.
        engine: trains.
        other: an engine beside it, for weights that are compared.
        public: packed public text that the model was not trained on.
        seen: packed public text that it was trained on.
        clients: each client's packed training messages.
        validation: packed later messages of all clients.
    """

    network: NetworkConfig
    vocabulary: Vocabulary
    start: FlatVector
    engine: Trainer
    other: Trainer
    public: Rows
    seen: Rows
    clients: list[Rows]
    validation: Rows

    @classmethod
    def prepared(cls, start: Path) -> "Ground":
        """Train the small network on nine tenths of the public seed of ChitChat, two epochs; kept in `start`."""
        ready = prepared(CORPUS, cache())
        rows = ready.rows(ROW_LENGTH)
        held_out = np.arange(len(rows.seed)) % 10 == 9
        network = NetworkConfig.named("small", ready.vocabulary.size)
        if not start.exists():
            weights = central.train(network, rows.seed[~held_out], CentralTraining(epochs=2), seed=1)
            Checkpoint(network, weights, ready.vocabulary).save(start)
        checkpoint = Checkpoint.load(start)
        file = training_file(checkpoint)
        return cls(
            network,
            ready.vocabulary,
            Layout.of(network.layout).flatten(checkpoint.weights),
            LiteRTTrainer(file, network),
            LiteRTTrainer(file, network),
            rows.seed[held_out],
            rows.seed[~held_out],
            list(rows.train),
            np.concatenate([each for each in rows.validation if len(each)]),
        )

    def delta(self, weights: FlatVector, rows: Rows, random: np.random.Generator, epochs: int = 1) -> FlatVector:
        """Return what a phone's weights move by when it trains on `rows` from `weights`."""
        self.engine.set_weights(weights)
        for _ in range(epochs):
            order = random.permutation(len(rows))
            for start in range(0, len(order), TRAINING_BATCH):
                self.engine.train(
                    rows[order[start : start + TRAINING_BATCH]],
                    learning_rate=LEARNING_RATE,
                    gradient_norm=GRADIENT_NORM,
                    dropout=DROPOUT,
                    random=random,
                )
        moved: FlatVector = self.engine.weights() - weights
        return moved

    def accuracy(self, weights: FlatVector, rows: int) -> float:
        """Return the share of pieces of clients' later messages that the model has first, over evenly spread rows."""
        self.engine.set_weights(weights)
        return self.engine.evaluate(self.validation[:: max(1, len(self.validation) // rows)]).accuracy
