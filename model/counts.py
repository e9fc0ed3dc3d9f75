"""N-grams that phones count together: a public list, what one phone counts, and the n-gram that a sum of counts makes.

The list is a function of the public n-gram alone: its likeliest n-grams, so that an app that has pinned that file has
pinned what may be asked. A phone's counts are one vector; their sum is all that anybody needs.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from model import arrays
from model.ngram import discounts
from model.ngram_table import PIECE_BITS, Explicit, Ids, NgramTable, context_keys, find
from model.vocabulary import BOUNDARY
from model.wording import DAMAGE, fault

COUNTS = "counts.npz"

MAX_COUNTED_ORDER = 4
"""Four pieces of 15 bits fit 64 bits; longer n-grams that people share are rare."""

LIST_LENGTH = 1_000_000
"""Maximum number of n-grams that phones count: a constant of the app, so that no server can ask about others."""

_MASK = (1 << PIECE_BITS) - 1
_FORMAT = 1


class CountsError(ValueError):
    """Counts that cannot be read, or are of another list."""


@dataclass(frozen=True, eq=False)
class NgramList:
    """A public list of n-grams, in an order that everybody agrees on.

    Every n-gram's beginning is listed as well. A message is read with a boundary before and after it.

    Attributes:
        keys: int64 [n-grams], sorted: 1 and then 15 bits for each piece, so that shorter n-grams come first.
        size: number of pieces.
    """

    keys: Ids
    size: int

    @classmethod
    def of(cls, table: NgramTable, length: int) -> "NgramList":
        """Return the `length` likeliest n-grams of a public n-gram, or all it has of `MAX_COUNTED_ORDER` and less.

        Every piece alone is listed first. How likely the others are is computed from their stored probabilities.

        Raises:
            ValueError: `length` is less than the number of pieces.
        """
        if length < table.size:
            raise ValueError(f"a list has at least its {table.size} pieces, not {length} n-grams")
        keys = [_packed(np.arange(table.size)[:, None])]
        # The opening boundary is as likely as the closing one. Whole codes of a twentieth of a nat add up exactly.
        codes = [np.rint(-20 * np.log(np.maximum(table.unigram.astype(np.float64), 1e-30))).astype(np.int64)]
        for explicit in table.explicit()[: MAX_COUNTED_ORDER - 1]:
            own = _packed(explicit.grams)
            order = np.argsort(own)
            before = find(keys[-1], own[order] >> PIECE_BITS)
            listed = before >= 0
            code = np.rint(-20 * np.log(explicit.probabilities[order])).astype(np.int64) + codes[-1][before]
            keys.append(own[order][listed])
            codes.append(code[listed])
        longer, cost = np.concatenate(keys[1:] or [np.zeros(0, np.int64)]), np.concatenate([codes[0][:0], *codes[1:]])
        best = np.lexsort((longer, cost))[: length - table.size]
        return cls(np.concatenate([keys[0], np.sort(longer[best])]), table.size)

    @staticmethod
    @lru_cache(maxsize=1)
    def pinned(table: NgramTable) -> "NgramList":
        """Return the list that an app with this public n-gram counts: `LIST_LENGTH` n-grams, or all it has.

        It takes a second to make; that of the latest table is kept.
        """
        return NgramList.of(table, max(LIST_LENGTH, table.size))

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of the list: names what is asked."""
        return hashlib.sha256(np.int64(self.size).tobytes() + self.keys.astype("<i8").tobytes()).hexdigest()

    def count(self, messages: Iterable[Sequence[int]]) -> Ids:
        """Return how often each n-gram stands in encoded messages (without boundaries), int64 [n-grams]."""
        total = np.zeros(len(self.keys), np.int64)
        lengths = []
        pieces: list[int] = []
        for message in messages:
            pieces += (BOUNDARY, *message, BOUNDARY)
            lengths.append(len(message) + 2)
        text = np.array(pieces, np.int64)
        ends = np.cumsum(lengths, dtype=np.int64)
        before = np.arange(len(text)) - np.repeat(ends - lengths, lengths)  # pieces in the same message
        # The opening boundary alone is no n-gram: the closing one counts every message already.
        at = np.flatnonzero(before >= 1)
        for order in range(1, MAX_COUNTED_ORDER + 1):
            at = at[before[at] >= order - 1]
            keys = np.ones(len(at), np.int64)
            for back in range(order - 1, -1, -1):
                keys = keys << PIECE_BITS | text[at - back]
            found = find(self.keys, keys)
            total += np.bincount(found[found >= 0], minlength=len(total))
        return total

    def grams(self, which: npt.NDArray[np.bool_], order: int) -> tuple[Ids, Ids]:
        """Return the n-grams of one order among those of a mask, int64 [n, order], and their places in the list."""
        at = np.flatnonzero(which & (_orders(self.keys) == order))
        shifts = PIECE_BITS * np.arange(order - 1, -1, -1)
        return self.keys[at, None] >> shifts & _MASK, at

    def table(self, counts: npt.NDArray[np.floating[Any]] | Ids, *, threshold: float = 0.0) -> NgramTable:
        """Return the n-gram that counts of this list make: absolute discounting, interpolated with shorter contexts.

        Args:
            counts: [n-grams], of many phones together; noise may have made some of them negative.
            threshold: counts that are not above it are taken for noise, and for 0.

        Raises:
            ValueError: there is not a count for each n-gram.
        """
        if counts.shape != self.keys.shape:
            raise ValueError(f"this list has {len(self.keys)} n-grams, not counts of shape {counts.shape}")
        kept = np.where(counts > max(threshold, 0.0), counts, 0.0).astype(np.float64)
        alone = kept[: self.size] + 1 / self.size  # pieces that nobody typed stay possible
        explicit = [self._discounted(order, kept) for order in range(2, MAX_COUNTED_ORDER + 1)]
        while explicit and not len(explicit[-1].grams):
            explicit.pop()
        return NgramTable.assemble(alone / alone.sum(), explicit)

    def _discounted(self, order: int, kept: npt.NDArray[np.float64]) -> Explicit:
        """Return the n-grams of one order that were counted, with what is left for shorter contexts."""
        grams, at = self.grams(kept > 0, order)
        if not len(grams):
            return Explicit(grams, np.zeros(0))
        _, context = np.unique(context_keys(grams[:, :-1]), return_inverse=True)
        counts = kept[at]
        whole = np.maximum(np.rint(counts), 1).astype(np.int64)
        taken = np.minimum(discounts(whole)[np.minimum(whole, 3) - 1], 0.999 * counts)
        # A context stands before n-grams that are not listed, too. The opening boundary is as frequent as the closing.
        contexts = np.zeros(int(context.max()) + 1)
        contexts[context] = kept[find(self.keys, self.keys[at] >> PIECE_BITS)]
        total = np.maximum(np.bincount(context, counts), contexts)
        left = 1 - np.bincount(context, counts - taken) / total
        return Explicit(grams, (counts - taken) / total[context], left[context])


class CountedNgram:
    """What phones counted together, as a part of a mixture; of the list, whose n-grams are many, only the name is kept.

    Args:
        counts: [n-grams], sums over phones; those that are not above the threshold are dropped.
        listed: the list they are of.
        threshold: counts that are not above it are noise.

    Attributes:
        list_sha256: SHA-256 (hex) of the list.
        length: of the list.
        threshold: as given.
        table: the n-gram that the counts make.
    """

    def __init__(
        self, counts: npt.NDArray[np.floating[Any]] | Ids, listed: NgramList, *, threshold: float = 0.0
    ) -> None:
        self.list_sha256, self.length, self.threshold = listed.sha256, len(listed), threshold
        kept = np.where(counts > threshold, counts, 0).astype(np.float32)
        self._places = np.flatnonzero(kept).astype(np.uint32)
        self._counts = kept[self._places]
        self.table = listed.table(kept)

    @property
    def counts(self) -> npt.NDArray[np.float32]:
        """How often each n-gram of the list was counted, float32 [n-grams]; 0 for what was dropped."""
        counts = np.zeros(self.length, np.float32)
        counts[self._places] = self._counts
        return counts

    def relisted(self, listed: NgramList, other: NgramList) -> "CountedNgram":
        """Return the same counts over another list of the same vocabulary; n-grams that it lacks are dropped.

        Args:
            listed: the list they are of.
            other: the other one.

        Raises:
            ValueError: they are of another list than `listed`, or the other one is of other pieces.
        """
        if listed.sha256 != self.list_sha256:
            raise ValueError("these counts are of another list of n-grams")
        if other.size != listed.size:
            raise ValueError(f"counts of {listed.size} pieces do not go with a list of {other.size}")
        at = find(listed.keys, other.keys)
        counts = np.where(at >= 0, self.counts[at], np.float32(0))
        return CountedNgram(counts, other, threshold=self.threshold)

    def save(self, directory: Path) -> None:
        """Write COUNTS into an existing folder."""
        described = {
            "format": _FORMAT,
            "list": self.list_sha256,
            "length": self.length,
            "threshold": self.threshold,
        }
        description = np.frombuffer(json.dumps(described).encode(), np.uint8)
        with (directory / COUNTS).open("wb") as file:
            np.savez_compressed(file, description=description, counts=self.counts)

    @classmethod
    def load(cls, directory: Path, public: NgramTable) -> Self:
        """Read what `save` wrote.

        Args:
            directory: where it is.
            public: the n-gram that the list is a part of.

        Raises:
            CountsError: the file is damaged, or of another public n-gram's list.
        """
        try:
            with arrays.archive(directory / COUNTS) as kept:
                described = json.loads(kept["description"].tobytes())
                counts = kept["counts"]
            if described["format"] != _FORMAT:
                raise CountsError(f"the counts in {directory} are of another version of fedkey")
            listed = NgramList.of(public, int(described["length"]))
            threshold = float(described["threshold"])
        except DAMAGE as error:
            raise CountsError(f"no usable counts in {directory}: download the model again ({fault(error)})") from error
        if listed.sha256 != described["list"] or counts.shape != listed.keys.shape or not np.isfinite(counts).all():
            raise CountsError(f"the counts in {directory} are of another list of n-grams: download the model again")
        return cls(counts, listed, threshold=threshold)


def _packed(grams: Ids) -> Ids:
    """Return a number for each n-gram [n, order]: 1, and its pieces."""
    keys = np.ones(len(grams), np.int64)
    for column in range(grams.shape[1]):
        keys = keys << PIECE_BITS | grams[:, column]
    return keys


def _orders(keys: Ids) -> Ids:
    return np.searchsorted(np.int64(1) << PIECE_BITS * np.arange(1, MAX_COUNTED_ORDER + 1), keys, side="right")
