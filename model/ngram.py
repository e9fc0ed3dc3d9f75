"""Interpolated modified Kneser-Ney n-grams: the baseline that every network must beat, and a cache of one's own words.

Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (Computer Speech and Language,
1999), sections 2.7 and 3. `KneserNey` works on any alphabet of ids, so one class predicts words and spells those that
nobody has seen.
"""

import json
import math
import zipfile
import zlib
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


class NgramWordModel:
    """A word n-gram as a `WordModel`: whole words and marks, unknown ones spelled by a character n-gram.

    An unknown token has the probability of UNKNOWN times that of its spelling; a character that no spelling has is one
    of all code points. What is known is settled at the start, so that a personal cache can share a network's lexicon:
    give it the lexicon, then `add` what the user typed.

    Args:
        symbols: words, marks and classes that are known; classes always are.
        order: longest n-gram of words.
        spelled: words and marks from which the spelling of unknown ones is learnt; by default `symbols`.
        unknown_weight: how many unseen symbols UNKNOWN stands for, while no text tells.
        name: for tables; by default the order.
    """

    def __init__(
        self,
        symbols: Iterable[str],
        *,
        order: int = 5,
        spelled: Iterable[str] | None = None,
        unknown_weight: float = 1.0,
        name: str | None = None,
    ) -> None:
        known = set(symbols) | set(CLASSES)
        self.name = name or f"{order}-gram"
        self.words: tuple[str, ...] = tuple(sorted(symbol for symbol in known if symbol[0].isalnum()))
        # Words come first, so that the lexicon is a slice of every distribution.
        self._symbols = (*self.words, *sorted(known.difference(self.words)))
        self._ids = {symbol: i for i, symbol in enumerate(self._symbols, _FIRST_SYMBOL)}
        self._lexicon = slice(_FIRST_SYMBOL, _FIRST_SYMBOL + len(self.words))
        self._unknown_weight = unknown_weight
        base = np.ones(_FIRST_SYMBOL + len(known))
        base[BEGIN], base[UNKNOWN] = 0, unknown_weight
        self._ngram = KneserNey(size=len(base), order=order, base=base / base.sum())
        self._speller = _Speller(known if spelled is None else spelled)

    @classmethod
    def train(
        cls,
        messages: Sequence[Sequence[Token]],
        *,
        order: int = 5,
        vocabulary_size: int = 10_000,
        name: str | None = None,
    ) -> "NgramWordModel":
        """Learn from tokenised messages; their `vocabulary_size` commonest symbols are known, ties by code point."""
        counts = Counter(token.symbol for message in messages for token in message)
        known = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))[:vocabulary_size]
        # As many new symbols are to come as were seen once (Good and Turing).
        once = sum(count == 1 for count in counts.values())
        model = cls(known, order=order, spelled=counts, unknown_weight=max(1, once), name=name)
        model.add(messages)
        return model

    def add(self, messages: Iterable[Sequence[Token]]) -> None:
        """Learn from more messages, as `KneserNey.add` does; what is known and how it is spelled stay as they are."""
        self._ngram.add(self._encode(token.symbol for token in message) for message in messages)

    def score(self, messages: Sequence[Sequence[Token]]) -> MessageScores:
        """See `WordModel.score`; word scores are probabilities."""
        ids = [self._encode(token.symbol for token in message) for message in messages]
        log_probabilities = self._ngram.log_probabilities(ids)
        is_word = np.fromiter(chain.from_iterable((*(t.is_word for t in own), False) for own in messages), np.bool_)
        log_probabilities[_unknown(ids)] += self._speller.log_probabilities(
            [token.symbol for message in messages for token in message if token.symbol not in self._ids]
        )
        return MessageScores(log_probabilities, self._ngram.distributions(ids, is_word)[:, self._lexicon])

    def distribution(self, context: Iterable[str]) -> Floats:
        """Return the probability of each of `words` after the symbols of a message so far; float32 [words]."""
        return self._ngram.distribution(self._encode(context))[self._lexicon]

    def save(self, file: Path | BinaryIO) -> None:
        """Write everything as one .npz without pickle, the text added so far (as ids) included.

        The file tells what was typed: a personal cache must be encrypted, so give it an `io.BytesIO`.
        """
        if isinstance(file, Path):
            with file.open("wb") as opened:
                self.save(opened)
            return
        described = {
            "name": self.name,
            "order": self._ngram.order,
            "unknown_weight": self._unknown_weight,
            "symbols": self._symbols,
            "spelled": self._speller.symbols,
        }
        description = np.frombuffer(json.dumps(described).encode(), np.uint8)
        np.savez_compressed(file, text=self._ngram.text, ngram_1=description)

    @classmethod
    def load(cls, file: Path | BinaryIO) -> "NgramWordModel":
        """Read what `save` wrote.

        Raises:
            OSError: the file cannot be opened.
            ValueError: the content is something else, or damaged.
        """
        if isinstance(file, Path):
            with file.open("rb") as opened:
                return cls.load(opened)
        try:
            with np.load(file, allow_pickle=False) as arrays:
                described = json.loads(arrays["ngram_1"].tobytes())
                text = arrays["text"]
            model = cls(**described)
            model._ngram.add(own[1:-1].tolist() for own in np.split(text, np.flatnonzero(text == END) + 1)[:-1])
        except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError("not an n-gram model of this version: train it anew") from error
        return model

    def _encode(self, symbols: Iterable[str]) -> list[int]:
        return [self._ids.get(symbol, UNKNOWN) for symbol in symbols]


def _unknown(sequences: Iterable[Sequence[int]]) -> npt.NDArray[np.bool_]:
    """Return for every id, and for the END, of every sequence whether it is UNKNOWN."""
    return np.fromiter(chain.from_iterable((*(i == UNKNOWN for i in own), False) for own in sequences), np.bool_)


class _Speller:
    """Spelling of symbols, learnt from distinct ones, each as important as the other."""

    def __init__(self, symbols: Iterable[str], order: int = 6) -> None:
        self.symbols = sorted(set(symbols).difference(CLASSES))
        characters = sorted(set().union(*self.symbols))
        self._ids = {character: i for i, character in enumerate(characters, _FIRST_SYMBOL)}
        self._ngram = KneserNey(size=_FIRST_SYMBOL + len(characters), order=order)
        self._ngram.add(map(self._encode, self.symbols))

    def log_probabilities(self, symbols: Sequence[str]) -> Floats:
        """Return the natural log probability of each symbol's characters and end, float32 [symbols]."""
        ids = [self._encode(symbol) for symbol in symbols]
        each = self._ngram.log_probabilities(ids)
        each[_unknown(ids)] -= math.log(_CODE_POINTS)
        owner = np.repeat(np.arange(len(ids)), [len(own) + 1 for own in ids])
        sums: Floats = np.bincount(owner, each, len(ids)).astype(np.float32)
        return sums

    def _encode(self, symbol: str) -> list[int]:
        return [self._ids.get(character, UNKNOWN) for character in symbol]
