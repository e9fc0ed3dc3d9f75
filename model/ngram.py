"""Interpolated modified Kneser-Ney n-grams over any alphabet of ids.

Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (Computer Speech and Language,
1999), sections 2.7 and 3. `KneserNey` works on any alphabet of ids, so one class predicts words and spells those that
nobody has seen.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

BEGIN, END = 0, 1
RESERVED = 2
"""The ids below are BEGIN and END of a sequence; `KneserNey` knows no others."""


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
        all of it: a few milliseconds for 10,000 ids, half a second for a million.

        Raises:
            ValueError: an id is out of range or reserved; nothing was added.
        """
        self._pieces.append(self._flat(sequences))
        self._estimates = None

    def distributions(self, sequences: Sequence[Sequence[int]], where: npt.NDArray[np.bool_] | None = None) -> Floats:
        """Return the probability of every id at positions of `sequences`, each read from its start.

        Args:
            sequences: ids, without BEGIN and END. There is a position for each id and one for each END.
            where: bool [positions], which of them are wanted; by default all.

        Returns:
            float32 [wanted positions, size], sequence after sequence.
        """
        text = self._flat(sequences)
        at = np.flatnonzero(text != BEGIN)
        return self._dense(text, at if where is None else at[where])

    def distribution(self, context: Sequence[int]) -> Floats:
        """Return the probability of every id after `context`, a sequence's ids so far; float32 [size]."""
        text = self._flat([context])
        probabilities: Floats = self._dense(text, np.array([len(text) - 1]))[0]
        return probabilities

    def log_probabilities(self, sequences: Sequence[Sequence[int]]) -> Floats:
        """Return the natural log probability of every id, and of END, of every sequence; float32 [positions]."""
        text = self._flat(sequences)
        at = np.flatnonzero(text != BEGIN)
        unigram, levels = self._tables()
        target = text[at].astype(np.int64)
        probabilities = unigram[target].astype(np.float64)
        for level, row in zip(levels, self._contexts(text, at), strict=True):
            known = np.flatnonzero(row >= 0)
            gram = _find(level.grams, row[known] * self.size + target[known])
            probabilities[known] *= level.backoff[row[known]]
            probabilities[known[gram >= 0]] += level.probabilities[gram[gram >= 0]]
        logarithms: Floats = np.log(probabilities).astype(np.float32)
        return logarithms

    def _flat(self, sequences: Iterable[Sequence[int]]) -> npt.NDArray[np.int32]:
        """Return BEGIN, the ids and END of every sequence in one array."""
        listed = list(sequences)
        ids = np.fromiter(chain.from_iterable(listed), np.int64)
        if len(ids) and not RESERVED <= ids.min() <= ids.max() < self.size:
            raise ValueError(f"ids must be {RESERVED} to {self.size - 1}, not {ids.min()} to {ids.max()}")
        ends = np.cumsum([len(sequence) + 2 for sequence in listed], dtype=np.int64)
        text = np.full(len(ids) + 2 * len(listed), RESERVED, np.int32)
        text[ends - 1] = END
        text[np.append(0, ends)[:-1]] = BEGIN
        text[text == RESERVED] = ids
        return text

    def _contexts(self, text: npt.NDArray[np.int32], at: Ids) -> list[Ids]:
        """Return, for context lengths 1 .. order - 1, the row of the context before each of `at`; -1 if never seen."""
        depth = _depth(text)[at]
        rows = np.zeros(len(at), np.int64)
        found = []
        for length, level in enumerate(self._tables()[1], 1):
            known = np.flatnonzero((rows >= 0) & (depth >= length))
            longer = np.full(len(at), -1)
            longer[known] = _find(level.keys, rows[known] * self.size + text[at[known] - length])
            rows = longer
            found.append(rows)
        return found

    def _dense(self, text: npt.NDArray[np.int32], at: Ids) -> Floats:
        """Return the distributions before each of `at`, [len(at), size]."""
        unigram, levels = self._tables()
        weight = np.ones(len(at), np.float32)
        additions: list[tuple[Ids, Floats]] = []
        for level, row in zip(reversed(levels), reversed(self._contexts(text, at)), strict=True):
            known = np.flatnonzero(row >= 0)
            start, end = level.starts[row[known]], level.starts[row[known] + 1]
            count = end - start
            gram = np.arange(count.sum()) + np.repeat(end - np.cumsum(count), count)
            cell = np.repeat(known * self.size, count) + level.followers[gram]
            additions.append((cell, np.repeat(weight[known], count) * level.probabilities[gram]))
            weight[known] *= level.backoff[row[known]]
        dense = weight[:, None] * unigram
        for cell, probability in additions:
            dense.reshape(-1)[cell] += probability  # a level has each cell at most once
        return dense

    def _tables(self) -> tuple[Floats, list[_Level]]:
        """Return the distribution without context, and a level for each longer context."""
        if self._estimates is None:
            unigrams, *levels = [self._level(*counted) for counted in self._count()]
            unigram = unigrams.backoff[0] * self._base
            unigram[unigrams.followers] += unigrams.probabilities
            self._estimates = unigram.astype(np.float32), levels
        return self._estimates

    def _count(self) -> list[tuple[Ids, Ids, Ids]]:
        """Return, for each context length from 0, the keys of contexts, their n-grams, and how much these count.

        The longest n-grams count as often as they occur, and so does what starts a sequence; shorter ones count by how
        many ids were seen before them.
        """
        text = self.text
        at = np.flatnonzero(text != BEGIN)
        depth = _depth(text)[at]
        context, keys = np.zeros(len(at), np.int64), np.zeros(1, np.int64)
        gram_of = context
        counted: list[tuple[Ids, Ids, Ids]] = []
        for length in range(self.order):
            if length:
                deep = depth >= length
                at, depth, context, gram_of = at[deep], depth[deep], context[deep], gram_of[deep]
                keys, context = np.unique(context * self.size + text[at - length], return_inverse=True)
            shorter = gram_of
            grams, first, gram_of, counts = np.unique(
                context * self.size + text[at], return_index=True, return_inverse=True, return_counts=True
            )
            if length:
                short_keys, short_grams, short_counts = counted[-1]
                before = np.bincount(shorter[first], minlength=len(short_grams))
                counted[-1] = short_keys, short_grams, np.where(before, before, short_counts)
            counted.append((keys, grams, counts))
        return counted

    def _level(self, keys: Ids, grams: Ids, counts: Ids) -> _Level:
        context, followers = np.divmod(grams, self.size)
        taken = discounts(counts)[np.minimum(counts, 3) - 1]
        totals = np.bincount(context, counts, len(keys))
        backoff = np.divide(np.bincount(context, taken, len(keys)), totals, out=np.ones(len(keys)), where=totals > 0)
        return _Level(
            keys=keys,
            starts=np.searchsorted(context, np.arange(len(keys) + 1)),
            grams=grams,
            followers=followers.astype(np.int32),
            probabilities=((counts - taken) / totals[context]).astype(np.float32),
            backoff=backoff.astype(np.float32),
        )


def discounts(counts: Ids) -> npt.NDArray[np.float64]:
    """Return what modified Kneser-Ney takes from counts of 1, of 2, and of 3 or more; float64 [3].

    Where a small text does not tell (a count of counts is 0, or the estimate is not between 0 and the count), half the
    count is taken.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    taken = np.array([0.5, 1.0, 1.5])
    for c in (1, 2, 3):
        if n[1] and n[c] and n[c + 1]:
            estimate = c - (c + 1) * n[1] / (n[1] + 2 * n[2]) * n[c + 1] / n[c]
            if 0 < estimate < c:
                taken[c - 1] = estimate
    return taken


def _depth(text: npt.NDArray[np.int32]) -> Ids:
    """Return how many ids stand before each in its own sequence, BEGIN included."""
    index: Ids = np.arange(len(text))
    depth: Ids = index - np.maximum.accumulate(np.where(text == BEGIN, index, 0))
    return depth


def _find(keys: Ids, wanted: Ids) -> Ids:
    """Return where each of `wanted` stands in sorted `keys`; -1 where it does not."""
    if not len(keys):
        return np.full(len(wanted), -1)
    index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[index] == wanted, index, -1)
