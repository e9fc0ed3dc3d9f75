"""Interpolated modified Kneser-Ney n-grams: the baseline that every network must beat, and a cache of one's own words.

Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (Computer Speech and Language,
1999), sections 2.7 and 3. `KneserNey` works on any alphabet of ids, so one class predicts words and spells those that
nobody has seen.
"""

import json
import math
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from model.evaluation import MessageScores
from model.text import CLASSES, Token

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

BEGIN, END = 0, 1
RESERVED = 2
"""The ids below are BEGIN and END of a sequence; `KneserNey` knows no others."""

UNKNOWN = 2
_FIRST_SYMBOL = 3

_FORMAT = 1
_CODE_POINTS = 0x110000


class _Level(NamedTuple):
    """What follows each context of one length.

    A context of n ids is named by the row of its n - 1 latest ids one level below, and its oldest id. It was never seen
    unless they were, so rows are found level by level, for any order, with keys that fit 64 bits.

    Attributes:
        keys: int64 [contexts], sorted: row below * size + oldest id.
        starts: int64 [contexts + 1]: where each context's n-grams begin.
        grams: int64 [n-grams], sorted: context * size + follower.
        followers: int32 [n-grams].
        probabilities: float32 [n-grams]: of the follower, discounted.
        backoff: float32 [contexts]: weight of the shorter context's distribution.
    """

    keys: Ids
    starts: Ids
    grams: Ids
    followers: npt.NDArray[np.int32]
    probabilities: Floats
    backoff: Floats


class KneserNey:
    """An n-gram model over ids 0 .. size - 1, of which BEGIN and END are reserved.

    Every distribution sums to 1 over all ids but BEGIN, which is never predicted. With nothing added it is `base`.

    Args:
        size: how many ids there are.
        order: longest n-gram, at least 1.
        base: float [size], probabilities before anything is seen; by default all ids but BEGIN are alike.

    Raises:
        ValueError: order, size or base is out of range.
    """

    def __init__(self, *, size: int, order: int, base: npt.ArrayLike | None = None) -> None:
        if order < 1:
            raise ValueError(f"order must be at least 1, not {order}")
        if not RESERVED <= size < 1 << 31:
            raise ValueError(f"size must be {RESERVED} to 2**31 - 1, not {size}")
        self.size, self.order = size, order
        self._base = np.full(size, 1 / (size - 1)) if base is None else np.asarray(base, np.float64)
        if base is None:
            self._base[BEGIN] = 0
        if self._base.shape != (size,) or self._base.min() < 0 or self._base[BEGIN] or abs(self._base.sum() - 1) > 1e-6:
            raise ValueError("base must be a distribution over all ids, with BEGIN at 0")
        self._pieces: list[npt.NDArray[np.int32]] = []
        self._estimates: tuple[Floats, list[_Level]] | None = None

    @property
    def text(self) -> npt.NDArray[np.int32]:
        """All that was added, int32: of each sequence BEGIN, its ids, END."""
        if len(self._pieces) != 1:
            self._pieces = [np.concatenate([np.zeros(0, np.int32), *self._pieces])]
        return self._pieces[0]

    def add(self, sequences: Iterable[Sequence[int]]) -> None:
        """Learn from more sequences of ids, without BEGIN and END; the same as having learnt from all at once.

        Adding only stores. The next question counts everything anew, since discounts and continuation counts depend on
        all of it: about 20 ms for 10,000 ids and 2 s for a million.

        Raises:
            ValueError: an id is out of range or reserved; nothing was added.
        """
        flat = _flatten(sequences)
        own = flat[(flat != BEGIN) & (flat != END)]
        reserved = np.count_nonzero(flat == BEGIN) != np.count_nonzero(flat == END) or np.any(flat[:-1][flat[1:] == BEGIN] != END)
        if reserved or (len(own) and not RESERVED <= own.min() <= own.max() < self.size):
            raise ValueError(f"ids must be {RESERVED} to {self.size - 1}")
        self._pieces.append(flat.astype(np.int32))
        self._estimates = None
