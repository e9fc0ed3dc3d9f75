"""Smaller uploads: all phones of a round send the same random subset of coordinates.

The flat vector is cut into a few strata. In each a fixed number of coordinates is drawn from the round's public seed
and scaled up by the inverse of the share drawn. The map is linear and the same for all phones, so the mean of subsets
is the subset of the mean, and its expectation over seeds is the mean itself. Its squared error is, over strata,

    sum of energy(s) * (size(s) / kept(s) - 1),

which is least when `kept` goes with size times root mean square (Neyman 1934, On the Two Different Aspects of the
Representative Method). `Subset.allocate` finds strata and shares from the energy of an earlier mean, which the server
knows anyway: it costs no phone's privacy and no phone needs to remember anything.

Random masks of updates are from Konečný et al. 2016, https://arxiv.org/abs/1610.05492; that a sketch must be linear
to go through secure aggregation, and that 10x costs less than 4 %, from Chen et al. 2022,
https://arxiv.org/abs/2203.03761.
"""

import hashlib
import math
import struct
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from federation.updates.random_stream import random_order, random_words
from model.layout import FlatVector

MAX_STRATA = 8
MIN_SHARE = 0.25
"""Of a stratum are kept at least so much as of the whole: an earlier mean does not say all about the next."""

CHUNKS = 256
"""Parts of a vector whose energies are looked at."""

_LAYOUT = struct.Struct(f"<{2 * MAX_STRATA}I")
SUBSET_BYTES = _LAYOUT.size

_LABEL = b"fedkey subset v1\0"
_BISECTIONS = 100

Energies = npt.NDArray[np.float64]
"""Squared L2 norm of each of `CHUNKS` nearly equal parts of a flat vector."""


class Stratum(NamedTuple):
    """Consecutive coordinates of a flat vector.

    Attributes:
        size: how many there are.
        kept: how many of them phones send.
    """

    size: int
    kept: int


@dataclass(frozen=True)
class Subset:
    """Which coordinates are sent: some of each stratum.

    Attributes:
        strata: at most `MAX_STRATA`, in the order of the flat vector.
    """

    strata: tuple[Stratum, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.strata) <= MAX_STRATA:
            raise ValueError(f"a subset has 1 to {MAX_STRATA} strata, not {len(self.strata)}")
        if not all(1 <= stratum.kept <= stratum.size for stratum in self.strata) or self.dimension >= 1 << 32:
            raise ValueError(f"of a stratum 1 to all coordinates are kept: {self.strata}")

    @classmethod
    def whole(cls, dimension: int) -> Self:
        """Return the subset of all coordinates."""
        return cls((Stratum(dimension, dimension),))

    @classmethod
    def allocate(cls, dimension: int, share: float, energies: Energies | None = None) -> Self:
        """Return the subset of about `share` of all coordinates that is expected to lose least.

        Args:
            dimension: of the vectors.
            share: above 0, at most 1; `MIN_SHARE` of it is kept of every stratum.
            energies: `chunk_energies` of an earlier mean; without them all coordinates are alike.

        Raises:
            ValueError: there is no such share.
        """
        if not 0 < share <= 1:
            raise ValueError(f"a share is above 0 and at most 1, not {share}")
        kept = max(1, round(share * dimension))
        if energies is None or not energies.sum() > 0 or kept == dimension:
            return cls((Stratum(dimension, kept),))
        edges, running = _edges(dimension), np.concatenate([[0.0], np.cumsum(energies)])
        cuts = _best_cuts(edges, running)
        sizes = np.diff(edges[cuts])
        wanted = np.sqrt(sizes * np.diff(running[cuts]))
        least = np.maximum(1, np.floor(MIN_SHARE * share * sizes))
        # Counts go with what is wanted, but none is below its least or above its size: bisect the factor.
        low, high = 0.0, dimension / float(wanted[wanted > 0].min())
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if np.clip(middle * wanted, least, sizes).sum() > kept:
                high = middle
            else:
                low = middle
        counts = np.floor(np.clip(low * wanted, least, sizes)).astype(int)
        return cls(tuple(Stratum(int(size), int(count)) for size, count in zip(sizes, counts, strict=True)))

    @property
    def dimension(self) -> int:
        """Of the vectors."""
        return sum(stratum.size for stratum in self.strata)

    @property
    def kept(self) -> int:
        """Coordinates that phones send."""
        return sum(stratum.kept for stratum in self.strata)

    def to_bytes(self) -> bytes:
        """Return size u32 and kept u32 of each stratum, zeros where there is none: `SUBSET_BYTES`."""
        numbers = [number for stratum in self.strata for number in stratum]
        return _LAYOUT.pack(*numbers, *[0] * (2 * MAX_STRATA - len(numbers)))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the subset in `SUBSET_BYTES` bytes.

        Raises:
            ValueError: there is no such subset.
        """
        numbers = _LAYOUT.unpack(data)
        pairs = [Stratum(*numbers[at : at + 2]) for at in range(0, len(numbers), 2)]
        while pairs and pairs[-1] == (0, 0):
            pairs.pop()
        return cls(tuple(pairs))


class Sampler:
    """The linear map of a subset and a round's seed from float32[dimension] into float32[kept], and back.

    Args:
        seed: 32 public bytes, the same for the cohort.
        subset: what is kept.
    """

    def __init__(self, seed: bytes, subset: Subset) -> None:
        self._subset = subset
        self._indices: npt.NDArray[np.int64] | None = None
        if subset.kept == subset.dimension:
            return
        words = random_words(hashlib.sha256(_LABEL + seed).digest(), subset.dimension, "<u8")
        chosen, scales, start = [], [], 0
        for size, kept in subset.strata:
            drawn = random_order(words[start : start + size])[:kept]
            chosen.append(start + np.sort(drawn).astype(np.int64))
            scales.append(np.full(kept, size / kept, np.float32))
            start += size
        self._indices, self._scales = np.concatenate(chosen), np.concatenate(scales)

    def apply(self, vector: FlatVector) -> FlatVector:
        """Return the kept coordinates, scaled up so that `restore` has the expectation `vector`."""
        if vector.shape != (self._subset.dimension,):
            raise ValueError(f"this subset is of {self._subset.dimension} coordinates, not {vector.shape}")
        return vector if self._indices is None else vector[self._indices] * self._scales

    def restore(self, kept: FlatVector) -> FlatVector:
        """Return float32[dimension] with these coordinates in their places and zeros elsewhere."""
        if kept.shape != (self._subset.kept,):
            raise ValueError(f"this subset keeps {self._subset.kept} coordinates, not {kept.shape}")
        if self._indices is None:
            return kept
        whole = np.zeros(self._subset.dimension, np.float32)
        whole[self._indices] = kept
        return whole

    def energies(self, restored: FlatVector) -> Energies:
        """Return an unbiased estimate of `chunk_energies` of the vector that `restored` was made from."""
        if self._indices is None:
            return chunk_energies(restored)
        evened = np.zeros(self._subset.dimension, np.float32)
        # A coordinate that is there one time in m is m times as large then: its square is m times too large on average.
        evened[self._indices] = restored[self._indices] / np.sqrt(self._scales)
        return chunk_energies(evened)


def chunk_energies(vector: FlatVector) -> Energies:
    """Return the squared L2 norm of each of `CHUNKS` nearly equal parts, fewer if there are fewer coordinates."""
    squares: Energies = np.add.reduceat(np.square(vector, dtype=np.float64), _edges(vector.size)[:-1])
    return squares


def _edges(dimension: int) -> npt.NDArray[np.int64]:
    return np.linspace(0, dimension, min(CHUNKS, dimension) + 1).astype(np.int64)


def _best_cuts(edges: npt.NDArray[np.int64], running: Energies) -> npt.NDArray[np.int64]:
    """Return positions in `edges` that begin and end strata: those with the least sum of root(size * energy).

    That sum, squared and divided by what is kept, is the error that the best allocation leaves, but for the energy that
    is there. Dynamic programming over the end of the last stratum.

    Args:
        edges: of the chunks.
        running: energy before each edge.
    """
    count = len(edges) - 1
    cost = np.sqrt(np.maximum(running - running[:, None], 0.0) * np.maximum(edges - edges[:, None], 0))
    cost[np.tril_indices(count + 1)] = math.inf  # a stratum ends after it begins
    best, steps = cost[0], []
    for _ in range(min(MAX_STRATA, count) - 1):
        ways = best[:, None] + cost
        before = ways.argmin(axis=0)
        steps.append(before)
        best = np.minimum.reduce(ways)
    cuts = [count]
    for before in reversed(steps):
        cuts.append(int(before[cuts[-1]]))
    return np.array([0, *reversed(cuts)])
