"""How far a group's mean moves what the model knows of single pieces.

Who plants a word behind a phrase moves the rows of the few pieces that both consist of, round after round; an honest
phone spreads an update of the same length over everything that was typed. So a mean that is as long as others gives
itself away by its longest row, compared with how far honest groups move a piece that is as frequent. This needs no
second round and no majority of honest groups: each group is judged by itself.

Among honest groups the longest rows grow with about the fourth root of a piece's share of public text, from the rarest
to the most frequent, so one number tells what is usual. Row-wise limits against planted words go back to norm bounding
(Sun et al. 2019, https://arxiv.org/abs/1911.07963), which bounds only the length of the whole.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from model.layout import FlatVector, NetworkConfig

_MIN_FREQUENCY = 1e-5
"""Rarer pieces are treated as this frequent: they move when one phone types them once."""

_POWER = 0.25


class Move(NamedTuple):
    """The row that a mean moves farthest for how frequent its piece is.

    Attributes:
        length: L2 norm of its move, over what is usual for a piece so frequent.
        piece: its id.
    """

    length: float
    piece: int


@dataclass(frozen=True, eq=False)
class PieceRows:
    """Where each piece's row lies in the flat vector, and how far it may usually move.

    Attributes:
        embedding: numbers in a row of the embedding, which begins the vector; a number of bias a piece follows it.
        usual: float64[pieces], of a row's move, up to one factor for all.
    """

    embedding: int
    usual: npt.NDArray[np.float64]

    @classmethod
    def of(cls, network: NetworkConfig, frequencies: npt.NDArray[np.float64]) -> Self:
        """Return the rows of a network.

        Args:
            network: sizes.
            frequencies: `Vocabulary.piece_frequencies`.
        """
        return cls(network.embedding, np.clip(frequencies, _MIN_FREQUENCY, 1.0) ** _POWER)

    def farthest(self, mean: FlatVector) -> Move:
        """Return the farthest row of a mean, which is finite."""
        pieces = len(self.usual)
        rows = mean[: pieces * self.embedding].reshape(pieces, self.embedding)
        bias = mean[pieces * self.embedding :][:pieces]
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64) + np.square(bias, dtype=np.float64)
        moves = np.sqrt(squares) / self.usual
        piece = int(np.argmax(moves))
        return Move(float(moves[piece]), piece)
