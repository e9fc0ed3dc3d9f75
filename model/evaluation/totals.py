"""What training and evaluation on packed rows count, on a phone as in the simulation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Totals(NamedTuple):
    """Sums over the targets of some rows; divide by `targets` for means.

    Attributes:
        loss: cross-entropy in nats.
        hits: targets that were the likeliest piece.
        targets: how many there were.
    """

    loss: float
    hits: float
    targets: float

    @property
    def mean_loss(self) -> float:
        """Cross-entropy in nats a piece."""
        return self.loss / max(self.targets, 1.0)

    @property
    def accuracy(self) -> float:
        """Share of pieces predicted first."""
        return self.hits / max(self.targets, 1.0)

    def __add__(self, other: object) -> "Totals":
        if not isinstance(other, Totals):
            return NotImplemented
        return Totals(self.loss + other.loss, self.hits + other.hits, self.targets + other.targets)


ACCURACY_BINS = 101
"""One for each whole percent."""


@dataclass(frozen=True, eq=False)
class Spread:
    """How evenly a model serves clients: a histogram, since a sum of histograms names nobody.

    Attributes:
        clients: int64[ACCURACY_BINS], how many have an accuracy of this many percent, rounded.
    """

    clients: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.clients.shape != (ACCURACY_BINS,):
            raise ValueError(f"a spread has {ACCURACY_BINS} bins, not {self.clients.shape}")

    @classmethod
    def of(cls, totals: Sequence[Totals]) -> "Spread":
        """Return the spread over clients; those without targets do not count."""
        percent = [round(100 * each.accuracy) for each in totals if each.targets]
        return cls(np.bincount(np.array(percent, np.int64), minlength=ACCURACY_BINS))

    def quantile(self, percent: float) -> float:
        """Return the accuracy, in percent, that this many percent of clients have at most; NaN without clients."""
        running = np.cumsum(self.clients)
        if not running[-1]:
            return float("nan")
        return float(np.searchsorted(running, max(running[-1] * percent / 100, 1)))
