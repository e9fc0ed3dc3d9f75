"""Rotation: spreads every update evenly over the coordinates, so that few levels are enough for each.

A seeded permutation and signs, then Walsh-Hadamard transforms of blocks of 4096. The idea of rotating before quantising
is that of Suresh et al., Distributed Mean Estimation with Limited Communication (ICML 2017),
https://arxiv.org/abs/1611.00429.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from federation.updates.random_stream import random_order, random_words

Reals = npt.NDArray[np.float32]
Float = TypeVar("Float", np.float32, np.float64)

BLOCK = 4096
"""Coordinates that one Walsh-Hadamard transform mixes; vectors are padded to a multiple."""

_SIDE = 64


def padded(dimension: int) -> int:
    """Return the length of a rotated vector."""
    return -(-dimension // BLOCK) * BLOCK


class Rotation:
    """An orthogonal map of float[dimension] into float[padded(dimension)], and its inverse, in 32 or 64 bits.

    Args:
        seed: 32 public bytes, the same for the cohort.
        dimension: at least 1.
    """

    def __init__(self, seed: bytes, dimension: int) -> None:
        if dimension < 1:
            raise ValueError(f"a vector has at least one coordinate, not {dimension}")
        size = padded(dimension)
        stream = random_words(seed, size + -(-size // 64), "<u8")
        self._order = random_order(stream[:size])
        bits = np.unpackbits(stream[size:].view(np.uint8), count=size, bitorder="little")
        self._signs = 1 - 2 * bits.astype(np.float32)
        self._dimension = dimension

    def apply(self, vector: npt.NDArray[Float]) -> npt.NDArray[Float]:
        """Return the rotated vector; its L2 norm is that of `vector`."""
        if vector.shape != (self._dimension,):
            raise ValueError(f"this rotation takes {self._dimension} coordinates, not {vector.shape}")
        longer = np.zeros(self._order.size, vector.dtype)
        longer[: self._dimension] = vector
        signed: npt.NDArray[Float] = longer[self._order] * self._signs
        return _transform(signed)

    def invert(self, rotated: npt.NDArray[Float]) -> npt.NDArray[Float]:
        """Return the vector that `apply` maps to `rotated`."""
        if rotated.shape != self._order.shape:
            raise ValueError(f"this rotation gives {self._order.size} coordinates, not {rotated.shape}")
        longer = np.empty(self._order.size, rotated.dtype)
        longer[self._order] = _transform(rotated) * self._signs
        shorter: npt.NDArray[Float] = longer[: self._dimension]
        return shorter


def _hadamard(side: int) -> Reals:
    """Return the orthonormal Walsh-Hadamard matrix, float32[side, side]."""
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < side:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    orthonormal: Reals = matrix / np.float32(np.sqrt(side))
    return orthonormal


_HADAMARD = _hadamard(_SIDE)


def _transform(vector: npt.NDArray[Float]) -> npt.NDArray[Float]:
    """Return the Walsh-Hadamard transform of each block, which is its own inverse."""
    blocks = vector.reshape(-1, _SIDE, _SIDE)  # H[4096] is the Kronecker product of H[64] with itself
    transformed: npt.NDArray[Float] = np.matmul(np.matmul(_HADAMARD, blocks), _HADAMARD)
    return transformed.reshape(-1)
