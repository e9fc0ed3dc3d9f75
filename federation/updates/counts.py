"""The counts of an update as coordinates beside its delta, so that noise on the one hides the other as well.

Exact counters beside a noised sum would be a way around the noise: a model made for it turns a loss into an account of
which words were typed. So where phones add noise, each count is capped, scaled, and part of the one vector that is
clipped to the plan's clip, rotated, and noised; the mean of the deltas is divided by a number that no text changes.
"""

import math
from dataclasses import dataclass

import numpy as np

from federation.updates.update import Tally
from model.layout import FlatVector

COUNTS = 5
"""Examples, tokens, loss, hits, and whether the delta was within the clip norm."""

MAX_TOKEN_LOSS = 16.0
"""Nats of loss that a token counts for at most: a uniform guess among a million pieces costs 14."""

MAX_TOKENS = 4096
"""Tokens that a phone counts for at most under noise; loss and hits of more are scaled down with them."""

_SHARE = 0.1
"""Of the clip's length, what counts have."""


@dataclass(frozen=True)
class NoisedCounts:
    """Counts of one round under noise.

    Attributes:
        clip: Largest L2 norm of delta and counts together.
        weight_cap: Number of examples that count at most.
    """

    clip: float
    weight_cap: int

    @property
    def delta_clip(self) -> float:
        """Largest L2 norm of a delta, so that no longer one comes out when counts are put beside it."""
        return self.clip * math.sqrt(1 - _SHARE**2)

    def beside(self, delta: FlatVector, tally: Tally) -> FlatVector:
        """Return float32[len(delta) + COUNTS], no longer than `clip`.

        Args:
            delta: no longer than `delta_clip`.
            tally: its examples are those that count.
        """
        return np.concatenate([delta, (self._shares(tally) * self._unit).astype(np.float32)])

    def taken_off(self, summed: FlatVector) -> tuple[FlatVector, Tally]:
        """Return the deltas' sum and estimates of the summed counts, of a noised sum of `beside`."""
        examples, tokens, loss, hits, unclipped = np.maximum(summed[-COUNTS:].astype(np.float64) / self._unit, 0.0)
        counts = Tally(
            round(examples * self.weight_cap),
            round(tokens * MAX_TOKENS),
            float(loss * MAX_TOKENS * MAX_TOKEN_LOSS),
            round(hits * MAX_TOKENS),
            round(unclipped),
        )
        return summed[:-COUNTS], counts

    @property
    def _unit(self) -> float:
        return self.clip * _SHARE / math.sqrt(COUNTS)

    def _shares(self, tally: Tally) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return each count as a share of its cap, 0 to 1."""
        less = min(1.0, MAX_TOKENS / tally.tokens) if tally.tokens else 0.0
        tokens = tally.tokens * less
        loss, hits = min(tally.loss * less, tokens * MAX_TOKEN_LOSS), min(tally.hits * less, tokens)
        return np.array(
            [
                tally.examples / self.weight_cap,
                tokens / MAX_TOKENS,
                loss / (MAX_TOKENS * MAX_TOKEN_LOSS),
                hits / MAX_TOKENS,
                min(tally.unclipped, 1),
            ]
        )
