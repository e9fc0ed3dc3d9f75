"""A back-off n-gram over pieces as the phone reads it: a few megabytes, quantised, memory-mapped, NumPy only.

What follows a context is looked up in a tree that is walked from the latest piece to the oldest. Explicit
probabilities are kept in 8 bits, back-off weights in 16, rounded such that no distribution exceeds 1.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from model import arrays, files
from model.wording import DAMAGE, fault

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

MAX_ORDER = 5
PIECE_BITS = 15
"""A context of four pieces has to fit 64 bits, so there are at most 2**15 pieces."""

_PIECE = (1 << PIECE_BITS) - 1
_BEHIND = np.iinfo(np.int64).max  # what no context is found at
_STEP = 0.05  # nats between two codes
_VALUES = np.exp(-_STEP * np.arange(256)).astype(np.float32)
_CONTEXT = np.dtype([("oldest", "<u2"), ("children", "<u2"), ("followers", "<u2"), ("backoff", "<f2")])
_FORMAT = 1

DESCRIPTION = "ngram.json"
_UNIGRAM, _CONTEXTS, _FOLLOWERS, _CODES = (
    f"ngram-{kind}.npy" for kind in ("unigram", "contexts", "followers", "probabilities")
)
FILES = (DESCRIPTION, _UNIGRAM, _CONTEXTS, _FOLLOWERS, _CODES)
"""What a table consists of on disk."""


_Kind = TypeVar("_Kind", bound=np.generic)


class NgramTableError(ValueError):
    """The files of an n-gram are missing, damaged, or of another version."""


class Explicit(NamedTuple):
    """N-grams of one order with their probabilities.

    Attributes:
        grams: int64 [n-grams, order]: the context, oldest piece first, and the follower.
        probabilities: float [n-grams]: of the follower; or what is not yet all of it:
        left: float [n-grams] or one for all: share of the shorter context's probability that is added.
    """

    grams: Ids
    probabilities: npt.NDArray[np.float64]
    left: npt.NDArray[np.float64] | float = 0.0


class NgramTable:
    """Distributions over pieces after contexts of pieces.

    Args:
        unigram: float32 [size]: the distribution after no context.
        contexts: of all lengths from 1 on, one after the other, as `assemble` lays them out.
        followers: uint16, of all contexts.
        codes: uint8, their probabilities.
        lengths: how many contexts there are of each length.
    """

    def __init__(
        self,
        unigram: Floats,
        contexts: npt.NDArray[np.void],
        followers: npt.NDArray[np.uint16],
        codes: npt.NDArray[np.uint8],
        lengths: Sequence[int],
    ) -> None:
        self.size, self.order = len(unigram), len(lengths) + 1
        self.unigram, self._lengths = unigram, tuple(lengths)
        self._followers, self._codes = np.asarray(followers), np.asarray(codes)  # mapped, without a subclass's overhead
        self._backoff = np.ascontiguousarray(contexts["backoff"])
        self._starts = _starts(contexts["followers"])
        self._keys: list[Ids] = []  # of each length, sorted: which shorter context it goes on from, and by which piece
        children = np.array(lengths[:1])
        for own in self._by_length(contexts):
            shorter = np.repeat(np.arange(len(children)), children)
            self._keys.append(np.append(shorter << PIECE_BITS | own["oldest"], _BEHIND))
            children = own["children"]

    @classmethod
    def assemble(cls, unigram: npt.ArrayLike, explicit: Sequence[Explicit]) -> Self:
        """Build a table of some n-grams and their probabilities; all else backs off to shorter contexts.

        Args:
            unigram: float [size], a distribution.
            explicit: n-grams of order 2, 3, ..., each once. The explicit probabilities of a context must add up to
                less than 1.

        Raises:
            ValueError: there are more orders or pieces than a table can have.
        """
        base = np.asarray(unigram, np.float64)
        if len(explicit) >= MAX_ORDER or len(base) > 1 << PIECE_BITS:
            raise ValueError(f"a table has n-grams of {MAX_ORDER} pieces at most, of {1 << PIECE_BITS} at most")
        keys = [np.unique(context_keys(own.grams[:, :-1])) for own in explicit]
        for length in range(len(keys) - 1, 0, -1):
            keys[length - 1] = np.union1d(keys[length - 1], keys[length] >> PIECE_BITS)
        below: list[_Probabilities] = []
        contexts, followers, codes = [], [], []
        for level, own in enumerate(explicit):
            context_key = context_keys(own.grams[:, :-1])
            row = np.searchsorted(keys[level], context_key)
            order = np.argsort(row << PIECE_BITS | own.grams[:, -1], kind="stable")
            row, context_key, follower = row[order], context_key[order], own.grams[order, -1]
            lower = _lower(below, base, context_key >> PIECE_BITS, follower)
            probability = own.probabilities[order] + np.broadcast_to(own.left, len(order))[order] * lower
            count = len(keys[level])
            code = _codes(probability, row, count)
            left = np.maximum(1 - np.bincount(row, _VALUES[code], count), 1e-4)
            uncovered = np.maximum(1 - np.bincount(row, lower, count), 1e-4)
            backoff = _rounded_down(left / uncovered)
            below.append(_Probabilities(keys[level], row << PIECE_BITS | follower, _VALUES[code], backoff))
            packed = np.zeros(count, _CONTEXT)
            packed["oldest"] = keys[level] & _PIECE
            packed["followers"] = np.bincount(row, minlength=count)
            packed["backoff"] = backoff
            if level + 1 < len(keys):
                parents = np.searchsorted(keys[level], keys[level + 1] >> PIECE_BITS)
                packed["children"] = np.bincount(parents, minlength=count)
            contexts.append(packed)
            followers.append(follower.astype(np.uint16))
            codes.append(code)
        return cls(
            base.astype(np.float32),
            np.concatenate([np.zeros(0, _CONTEXT), *contexts]),
            np.concatenate([np.zeros(0, np.uint16), *followers]),
            np.concatenate([np.zeros(0, np.uint8), *codes]),
            [len(own) for own in contexts],
        )

    def distributions(self, contexts: Sequence[Sequence[int]]) -> Floats:
        """Return the probability of every piece after each context, float32 [contexts, size].

        Args:
            contexts: pieces read so far, oldest first, the message's opening boundary included.
        """
        found, left = list(self._found(contexts)), np.ones(len(contexts))
        lefts = []
        for rows, places in reversed(found):  # what longer contexts leave
            lefts.append(left[rows])
            left[rows] *= self._backoff[places]
        dense = left.astype(np.float32)[:, None] * self.unigram
        if found:
            rows, places = (np.concatenate(own) for own in zip(*found, strict=True))
            begins = self._starts[places]
            counts = self._starts[places + 1] - begins
            at = np.repeat(begins - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
            likely = _VALUES[self._codes[at]]
            likely *= np.repeat(np.concatenate(lefts[::-1]).astype(np.float32), counts)
            # Longer contexts come later, and the last one that says something about a piece holds.
            dense.reshape(-1)[np.repeat(rows * self.size, counts) + self._followers[at]] = likely
        return dense

    def _found(self, contexts: Sequence[Sequence[int]]) -> Iterator[tuple[Ids, Ids]]:
        """Yield which of the contexts the table has, and their places in it: by their latest piece, their two, ..."""
        depth = len(self._lengths)
        nothing = (-1,) * depth  # no context has such a piece
        latest = np.array([(*context[: -depth - 1 : -1], *nothing)[:depth] for context in contexts], np.int64)
        latest = latest.reshape(len(contexts), depth)
        rows, shorter, begin = np.arange(len(contexts)), np.zeros(len(contexts), np.int64), 0
        for keys, pieces in zip(self._keys, latest.T, strict=True):
            wanted = shorter << PIECE_BITS | pieces[rows]
            at = keys.searchsorted(wanted)
            there = keys[at] == wanted
            rows, shorter = rows[there], at[there]
            if not len(rows):
                return
            yield rows, shorter + begin
            begin += len(keys) - 1

    def explicit(self) -> list[Explicit]:
        """Return the n-grams that have a probability of their own, of order 2, 3, ..., as they were stored."""
        found = []
        sequences = np.zeros((1, 0), np.int64)
        starts = self._by_length(self._starts[:-1])
        counts = self._by_length(np.diff(self._starts))
        for keys, start, count in zip(self._keys, starts, counts, strict=True):
            oldest, shorter = keys[:-1] & _PIECE, keys[:-1] >> PIECE_BITS
            sequences = np.column_stack([oldest, sequences[shorter]])
            own = slice(int(start[0]), int(start[0] + count.sum()))
            grams = np.column_stack([np.repeat(sequences, count, axis=0), self._followers[own]]).astype(np.int64)
            found.append(Explicit(grams, _VALUES[self._codes[own]].astype(np.float64)))
        return found

    def save(self, directory: Path) -> None:
        """Write FILES into an existing folder."""
        described = {"format": _FORMAT, "contexts": list(self._lengths)}
        (directory / DESCRIPTION).write_text(json.dumps(described))
        for name, array in (
            (_UNIGRAM, self.unigram),
            (_CONTEXTS, self._packed()),
            (_FOLLOWERS, self._followers),
            (_CODES, self._codes),
        ):
            np.save(directory / name, array, allow_pickle=False)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what `save` wrote; followers and probabilities stay on disk until they are needed.

        Raises:
            NgramTableError: a file is missing or damaged.
        """
        try:
            described = json.loads(files.read(directory / DESCRIPTION))
            if described["format"] != _FORMAT:
                raise NgramTableError(f"the n-gram in {directory} is of another version of fedkey")
            unigram, contexts = (arrays.array(directory / name) for name in (_UNIGRAM, _CONTEXTS))
            followers, codes = (arrays.array(directory / name, mapped=True) for name in (_FOLLOWERS, _CODES))
            lengths = [int(count) for count in described["contexts"]]
        except DAMAGE as error:
            raise NgramTableError(f"no usable n-gram in {directory}: make it anew ({fault(error)})") from error
        if not _fits(unigram, contexts, followers, codes, lengths):
            raise NgramTableError(f"the files of the n-gram in {directory} do not fit together: make it anew")
        return cls(unigram, contexts, followers, codes, lengths)

    def _packed(self) -> npt.NDArray[np.void]:
        """Return the contexts of all lengths as they are stored."""
        contexts = np.zeros(sum(self._lengths), _CONTEXT)
        contexts["backoff"], contexts["followers"] = self._backoff, np.diff(self._starts)
        below = np.zeros(1, _CONTEXT)
        for own, keys in zip(self._by_length(contexts), self._keys, strict=True):
            own["oldest"] = keys[:-1] & _PIECE
            below["children"] = np.bincount(keys[:-1] >> PIECE_BITS, minlength=len(below))
            below = own
        return contexts

    def _by_length(self, of_contexts: npt.NDArray[_Kind]) -> list[npt.NDArray[_Kind]]:
        """Return what is known of all contexts for those of each length."""
        return np.split(of_contexts, np.cumsum(self._lengths)[:-1]) if self._lengths else []


class _Probabilities(NamedTuple):
    """What `assemble` knows of one level: sorted keys of contexts and n-grams, probabilities, back-off weights."""

    contexts: Ids
    grams: Ids
    probabilities: Floats
    backoff: npt.NDArray[np.float16]


def context_keys(contexts: Ids) -> Ids:
    """Return one number for each context [N, length], such that those that share their latest pieces sort together."""
    keys = np.zeros(len(contexts), np.int64)
    for column in range(contexts.shape[1] - 1, -1, -1):
        keys = keys << PIECE_BITS | contexts[:, column]
    return keys


def find(keys: Ids, wanted: Ids) -> Ids:
    """Return where each of `wanted` stands in sorted `keys`; -1 where it does not."""
    if not len(keys):
        return np.full(len(wanted), -1)
    index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[index] == wanted, index, -1)


def _lower(
    below: Sequence[_Probabilities], unigram: npt.NDArray[np.float64], context: Ids, follower: Ids
) -> npt.NDArray[np.float64]:
    """Return the probability of each follower after a context of as many pieces as there are levels in `below`."""
    if not below:
        return unigram[follower]
    *shorter, level = below
    row = find(level.contexts, context)
    gram = find(level.grams, np.where(row >= 0, row << PIECE_BITS | follower, -1))
    backoff = np.where(row >= 0, level.backoff[row].astype(np.float64), 1.0)
    probabilities = backoff * _lower(shorter, unigram, context >> PIECE_BITS, follower)
    probabilities[gram >= 0] = level.probabilities[gram[gram >= 0]]
    return probabilities


def _fits(
    unigram: npt.NDArray[Any],
    contexts: npt.NDArray[Any],
    followers: npt.NDArray[Any],
    codes: npt.NDArray[Any],
    lengths: Sequence[int],
) -> bool:
    """Return whether what was read has the types and the lengths of one table, and names no piece that it lacks."""
    types = (np.dtype(np.float32), _CONTEXT, np.dtype(np.uint16), np.dtype(np.uint8))
    if (unigram.dtype, contexts.dtype, followers.dtype, codes.dtype) != types or not unigram.ndim == contexts.ndim == 1:
        return False
    if len(contexts) != sum(lengths) or not all(length > 0 for length in lengths):
        return False
    if not followers.shape == codes.shape == (int(contexts["followers"].sum(dtype=np.int64)),):
        return False
    ends = np.cumsum(lengths)
    for end, (length, longer) in zip(ends[:-1], pairwise(lengths), strict=True):
        if int(contexts["children"][end - length : end].sum(dtype=np.int64)) != longer:
            return False
    pieces = (contexts["oldest"], followers)
    return all(not len(own) or int(own.max()) < len(unigram) for own in pieces)


def _codes(probabilities: npt.NDArray[np.float64], row: Ids, rows: int) -> npt.NDArray[np.uint8]:
    """Return the nearest code of each probability; a smaller one's where a context's would add up to too much."""
    steps = -np.log(probabilities) / _STEP
    nearest = np.clip(np.rint(steps), 0, 255).astype(np.uint8)
    left = 1 - np.bincount(row, probabilities, rows)
    crowded = 1 - np.bincount(row, _VALUES[nearest], rows) < left / 2
    return np.where(crowded[row], np.clip(np.ceil(steps), 0, 255).astype(np.uint8), nearest)


def _rounded_down(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float16]:
    """Return float16 numbers that are not larger."""
    rounded = np.minimum(values, 60000.0).astype(np.float16)
    return np.where(rounded > values, np.nextafter(rounded, np.float16(0)), rounded)


def _starts(counts: npt.NDArray[np.generic]) -> npt.NDArray[np.int32]:
    starts = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=starts[1:])
    return starts
