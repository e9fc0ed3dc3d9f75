"""Interpolated modified Kneser-Ney n-grams (Chen and Goodman 1999): the baseline that every network must beat.

`KneserNey` works on any small alphabet of ids, so one class predicts words and spells the words nobody has seen.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.evaluation import MessageScores
from model.text import CLASSES, Token

Ids = npt.NDArray[np.int64]

BEGIN, END, UNKNOWN = 0, 1, 2
_SPECIALS = 3
_MOST_IDS = 1 << 16
_MOST_CONTEXT = 4  # four ids of 16 bits name a context in one integer
_UNSEEN_CHARACTER = 1 / 65536


@dataclass(frozen=True)
class _Order:
    """What follows each context of one length.

    Attributes:
        rows: row of each context, by its packed ids.
        ends: where each row ends in `followers`.
        followers: ids seen after the context.
        probabilities: discounted, of each follower.
        backoff: weight of the shorter context's distribution, a row.
    """

    rows: dict[int, int]
    ends: list[int]
    followers: Ids
    probabilities: npt.NDArray[np.float32]
    backoff: npt.NDArray[np.float32]


class KneserNey:
    """An n-gram model over ids 0 .. size - 1, where BEGIN, END and UNKNOWN are reserved.

    Args:
        sequences: ids of each training sequence, without BEGIN and END.
        size: how many ids there are.
        order: longest n-gram, 1 to 5.

    Raises:
        ValueError: the order or the number of ids is out of range.
    """

    def __init__(self, sequences: Iterable[Sequence[int]], *, size: int, order: int) -> None:
        if not 1 <= order <= _MOST_CONTEXT + 1:
            raise ValueError(f"order must be 1 to {_MOST_CONTEXT + 1}, not {order}")
        if not _SPECIALS < size <= _MOST_IDS:
            raise ValueError(f"size must be {_SPECIALS + 1} to {_MOST_IDS}, not {size}")
        self.size, self.order = size, order
        grams = _windows(sequences, order)  # [positions, order]; the last column is the predicted id
        counted = {n: _adjusted_counts(grams, n, order) for n in range(1, order + 1)}
        unigrams, counts = counted[1]
        if not np.any(unigrams[:, 0] == UNKNOWN):
            # Good and Turing: what was seen once tells how much is still unseen.
            unigrams = np.vstack([unigrams, [[UNKNOWN]]])
            counts = np.append(counts, max(int(np.sum(counts == 1)), 1))
        kept, left = _discounted(counts)
        base = np.full(size, 0.0)
        base[unigrams[:, 0]] = kept / counts.sum()
        predictable = np.arange(size) != BEGIN
        base[predictable] += left.sum() / counts.sum() / np.sum(predictable)
        self._base = base.astype(np.float32)
        self._orders = [_order(*counted[n]) for n in range(2, order + 1)]

    def distribution(self, context: Sequence[int]) -> npt.NDArray[np.float32]:
        """Return the probability of every id after `context`, a sequence's ids so far; float32 [size], sums to 1.

        BEGIN itself is never predicted and has probability 0.
        """
        probabilities = self._base.copy()
        history = [BEGIN, *context][-(self.order - 1) :] if self.order > 1 else []
        packed = 0
        for length, table in enumerate(self._orders, 1):
            if length > len(history):
                break
            packed |= history[-length] << (16 * (length - 1))
            row = table.rows.get(packed)
            if row is None:
                break
            probabilities *= table.backoff[row]
            start, end = table.ends[row], table.ends[row + 1]
            probabilities[table.followers[start:end]] += table.probabilities[start:end]
        return probabilities

    def log_probability(self, sequence: Sequence[int]) -> float:
        """Return the natural log probability of a whole sequence and its end."""
        ids = [*sequence, END]
        return sum(math.log(self.distribution(ids[:i])[target]) for i, target in enumerate(ids))


def _windows(sequences: Iterable[Sequence[int]], order: int) -> Ids:
    """Return every predicted id with the `order - 1` ids before it, BEGIN where a sequence has none."""
    flat: list[int] = []
    for sequence in sequences:
        flat.extend([BEGIN] * max(order - 1, 1))
        flat.extend(sequence)
        flat.append(END)
    ids = np.array(flat, np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([np.full(order - 1, BEGIN), ids]), order)
    return windows[ids != BEGIN]


def _adjusted_counts(grams: Ids, n: int, order: int) -> tuple[Ids, Ids]:
    """Return the distinct n-grams and their adjusted counts: how many ids stand before each, or at the top how often.

    An n-gram that starts a sequence has nothing before it but BEGIN, so its own occurrences count.
    """
    # BEGIN more than once says nothing that BEGIN once does not.
    whole = grams[:, order - n :]
    whole = whole[np.all(whole[:, 1:] != BEGIN, axis=1)]
    if n == order:
        return _unique(whole)
    starting, starting_counts = _unique(whole[whole[:, 0] == BEGIN])
    longer = grams[:, order - n - 1 :]
    longer = longer[np.all(longer[:, 1:] != BEGIN, axis=1)]
    distinct, _ = _unique(longer)
    inner, inner_counts = _unique(distinct[:, 1:])
    return np.vstack([starting, inner]), np.concatenate([starting_counts, inner_counts])


def _unique(rows: Ids) -> tuple[Ids, Ids]:
    if not len(rows):
        return rows, np.zeros(0, np.int64)
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    first = np.append(True, np.any(ordered[1:] != ordered[:-1], axis=1))  # noqa: FBT003
    starts = np.flatnonzero(first)
    return ordered[starts], np.diff(np.append(starts, len(rows)))


def _discounted(counts: Ids) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Split each count into what it keeps and what modified Kneser-Ney takes from it."""
    n1, n2, n3, n4 = (int(np.sum(counts == c)) for c in (1, 2, 3, 4))
    discounts = np.array([0.5, 1.0, 1.5])  # for texts too small to estimate them from
    if n1 and n2 and n3 and n4:
        y = n1 / (n1 + 2 * n2)
        estimated = np.array([1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
        if np.all(estimated > 0) and np.all(estimated < [1, 2, 3]):
            discounts = estimated
    taken = discounts[np.minimum(counts, 3) - 1]
    return counts - taken, taken


def _order(grams: Ids, counts: Ids) -> _Order:
    order = np.lexsort(grams.T[::-1])
    grams, counts = grams[order], counts[order]
    kept, taken = _discounted(counts)
    shifts = 16 * np.arange(grams.shape[1] - 2, -1, -1, dtype=np.uint64)
    contexts = np.bitwise_or.reduce(grams[:, :-1].astype(np.uint64) << shifts, axis=1)
    starts = np.flatnonzero(np.append(True, contexts[1:] != contexts[:-1]))  # noqa: FBT003
    totals = np.add.reduceat(counts, starts)
    repeats = np.diff(np.append(starts, len(grams)))
    return _Order(
        rows={int(context): row for row, context in enumerate(contexts[starts])},
        ends=[*starts.tolist(), len(grams)],
        followers=grams[:, -1].copy(),
        probabilities=(kept / np.repeat(totals, repeats)).astype(np.float32),
        backoff=(np.add.reduceat(taken, starts) / totals).astype(np.float32),
    )


class NgramWordModel:
    """A word n-gram as a `WordModel`: whole words and marks, unknown ones spelled by a character n-gram.

    Args:
        messages: tokenised training text.
        order: longest n-gram.
        vocabulary_size: the so many commonest symbols are known; the rest is UNKNOWN.
        name: for tables.
    """

    def __init__(
        self,
        messages: Sequence[Sequence[Token]],
        *,
        order: int = 5,
        vocabulary_size: int = 10_000,
        name: str | None = None,
    ) -> None:
        self.name = name or f"{order}-gram"
        counts = Counter(token.symbol for message in messages for token in message)
        known = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))[:vocabulary_size]
        self._ids = {symbol: i for i, symbol in enumerate(known, _SPECIALS)}
        self._ngram = KneserNey(map(self._encode, messages), size=len(known) + _SPECIALS, order=order)
        self._speller = _Speller(counts)
        self.words = tuple(sorted(s for s in known if s[0].isalnum() and s not in CLASSES))
        self._columns = np.array([self._ids[word] for word in self.words])

    def score(self, messages: Sequence[Sequence[Token]]) -> MessageScores:
        """See `WordModel.score`; word scores are probabilities."""
        log_probabilities: list[float] = []
        word_scores: list[npt.NDArray[np.float32]] = []
        for message in messages:
            ids = self._encode(message)
            for i, token in enumerate(message):
                probabilities = self._ngram.distribution(ids[:i])
                loss = math.log(probabilities[ids[i]])
                log_probabilities.append(loss + self._speller(token.symbol) if ids[i] == UNKNOWN else loss)
                if token.is_word:
                    word_scores.append(probabilities[self._columns])
            log_probabilities.append(math.log(self._ngram.distribution(ids)[END]))
        return MessageScores(
            np.array(log_probabilities, np.float32),
            np.array(word_scores, np.float32).reshape(-1, len(self.words)),
        )

    def _encode(self, message: Sequence[Token]) -> list[int]:
        return [self._ids.get(token.symbol, UNKNOWN) for token in message]


class _Speller:
    """Log probability of a symbol's characters, learnt from the distinct symbols of a text."""

    def __init__(self, symbols: Iterable[str]) -> None:
        distinct = sorted(symbols)
        characters = sorted(set().union(*distinct))
        self._ids = {character: i for i, character in enumerate(characters, _SPECIALS)}
        encode: Callable[[str], list[int]] = lambda s: [self._ids[c] for c in s]  # noqa: E731
        self._ngram = KneserNey(map(encode, distinct), size=len(characters) + _SPECIALS + 1, order=5)
        self._known: dict[str, float] = {}

    def __call__(self, symbol: str) -> float:
        if symbol not in self._known:
            unseen = sum(c not in self._ids for c in symbol)
            ids = [self._ids.get(c, UNKNOWN) for c in symbol]
            self._known[symbol] = self._ngram.log_probability(ids) + unseen * math.log(_UNSEEN_CHARACTER)
        return self._known[symbol]
