"""Rare-word protection: what too few phones can have touched is not learned.

In a sum over a cohort, the embedding row of a piece that hardly anybody types shows whether one phone typed it. A phone
zeroes those coordinates of its delta before clipping, so nothing of them is in any sum, and a server leaves these rows
of the model as they are. Which rows they are follows from public text alone, so it says nothing about anyone.

A piece with a share f of public text is expected from about n (1 - (1 - f)^t) of n phones that train on t pieces each.
The rest of the network still learns from the words; only noise hides what it learns.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from model.layout import FlatVector, NetworkConfig

_BY_PIECE = ("embedding", "output_bias")
"""Weights with a row for each piece; the embedding is also the output's."""


@dataclass(frozen=True, eq=False)
class FrozenRows:
    """Rows that rounds may not change.

    Attributes:
        coordinates: bool[dimension], true where the flat vector is frozen.
        pieces: how many pieces' rows.
    """

    coordinates: npt.NDArray[np.bool_]
    pieces: int

    @classmethod
    def of(cls, network: NetworkConfig, frequencies: npt.NDArray[np.float64], min_frequency: float) -> Self:
        """Return the rows of pieces rarer than `min_frequency`.

        Args:
            network: sizes.
            frequencies: `Vocabulary.piece_frequencies`.
            min_frequency: share of public text; 0 freezes nothing.
        """
        rare = frequencies < min_frequency
        parts = [
            np.repeat(rare, size // rare.size) if name in _BY_PIECE else np.zeros(size, np.bool_)
            for name, size in ((name, int(np.prod(shape))) for name, shape in network.layout.items())
        ]
        return cls(np.concatenate(parts), int(rare.sum()))

    def protect(self, delta: FlatVector) -> FlatVector:
        """Return `delta` with zeros where it is frozen."""
        if not self.pieces:
            return delta
        return np.where(self.coordinates, np.float32(0), delta)
