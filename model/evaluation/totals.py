"""What training and evaluation on packed rows count, on a phone as in the simulation."""

from typing import NamedTuple


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
