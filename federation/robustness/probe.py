"""Readings with the phone's engine, for a server without TensorFlow."""

import numpy as np

from federation.robustness.gate import Reading
from model.batches import Rows
from model.engine import Trainer
from model.layout import FlatVector


class EngineProbe:
    """Measures models.

    Args:
        trainer: whose weights it changes.
        rows: held-out public text, packed.
        canaries: of `phrases`.
    """

    def __init__(self, trainer: Trainer, rows: Rows, canaries: Rows) -> None:
        self._trainer, self._rows, self._canaries = trainer, rows, canaries

    def __call__(self, weights: FlatVector) -> Reading:
        """Measure the model with these weights, which are finite."""
        self._trainer.set_weights(weights)
        certainties = []
        for phrase in self._canaries:
            state = self._trainer.start
            for piece in phrase[1:]:
                state = self._trainer.step(state, int(piece))
            certainties.append(float(np.exp(state.following.max())))
        return Reading(self._trainer.evaluate(self._rows).mean_loss, tuple(certainties))
