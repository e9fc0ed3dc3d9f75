"""From pieces to words: the probability of every word of the lexicon from those of pieces.

A word's probability is that of its first piece times that of the rest. The first factor is exact for every word. The
rest is computed by the network for the likeliest unfinished first pieces; for the others, how often the public text
goes on that way stands in. Nothing is searched letter by letter: a prefix is a range of the sorted lexicon.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from model.vocabulary import PAD, Vocabulary

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

EXPANDED = 8
"""Unfinished first pieces that the network follows at each position."""

_LEAST = 0.005  # less likely first pieces are not worth following
_UNSEEN_COUNT = 0.1  # of words that only the word list has
_FOLLOWED_AT_ONCE = 256  # positions, so that what is computed of them stays in the cache


class Spellings:
    """How the words of a lexicon are put together from pieces.

    Attributes:
        first: int [words]: first piece of each word.
        rest: float32 [words]: share, in the public text, of this continuation and end among all of its first piece.
        unfinished: int [unfinished]: first pieces that also go on to longer words, sorted.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        pieces = vocabulary.encode_lexicon()
        counts = np.array([vocabulary.lexicon[word] or _UNSEEN_COUNT for word in vocabulary.words])
        pairs: dict[tuple[int, ...], float] = {}
        for ids, count in zip(pieces, counts, strict=True):
            pairs[ids[:2]] = pairs.get(ids[:2], 0.0) + count
        self.first = np.array([ids[0] for ids in pieces])
        self.rest = (counts / np.bincount(self.first, counts)[self.first]).astype(np.float32)
        self._second = np.array([ids[1] if len(ids) > 1 else PAD for ids in pieces])
        after_pair = [count / pairs[ids[:2]] for ids, count in zip(pieces, counts, strict=True)]
        self._after_second = np.array(after_pair, np.float32)
        self.unfinished = np.unique(self.first[self._second != PAD])
        members = [np.flatnonzero(self.first == piece) for piece in self.unfinished]
        self._members = np.concatenate([*members, np.zeros(0, np.int64)])
        self._ends = np.cumsum([len(words) for words in members])
        self._starts_token = vocabulary.starts_token.astype(np.float32)

    @staticmethod
    def of(vocabulary: Vocabulary) -> "Spellings":
        """Return those of a vocabulary; they take a second to make, and those of the latest are kept."""
        if vocabulary.key not in _LATEST:
            _LATEST.clear()
            _LATEST[vocabulary.key] = Spellings(vocabulary)
        return _LATEST[vocabulary.key]

    def word_probabilities(self, following: Floats, follow: Callable[[Ints, Ints], Floats]) -> Floats:
        """Return probabilities [N, words] of whole words.

        Args:
            following: [N, size] probabilities of the next piece at N positions.
            follow: from M positions (indices below N) and a piece [M] read at each, probabilities [M, size] of the
                piece after it.
        """
        probabilities = np.take(following, self.first, axis=1)
        probabilities *= self.rest
        candidates = following[:, self.unfinished]
        likeliest = _largest(candidates, EXPANDED)
        position = np.repeat(np.arange(len(following)), likeliest.shape[1])
        unfinished = likeliest.ravel()
        worth = candidates[position, unfinished] > _LEAST
        position, unfinished = position[worth], unfinished[worth]
        for start in range(0, len(position), _FOLLOWED_AT_ONCE):
            at, index = position[start : start + _FOLLOWED_AT_ONCE], unfinished[start : start + _FOLLOWED_AT_ONCE]
            after = follow(at, self.unfinished[index])
            which, words, rest = self.continuations(index, after, after @ self._starts_token)
            probabilities[at[which], words] = candidates[at, index][which] * rest
        return probabilities

    def continuations(self, unfinished: Ints, after: Floats, ends: Floats) -> tuple[Ints, Ints, Floats]:
        """Judge the words that begin with each of N unfinished pieces.

        Args:
            unfinished: [N] indices into `self.unfinished`.
            after: [N, size] probabilities of the next piece after each.
            ends: [N] probability that the word ends there.

        Returns:
            for every such word: which of the N it belongs to, the word, and the probability of its rest.
        """
        sizes = np.diff(self._ends, prepend=0)[unfinished]
        which = np.repeat(np.arange(len(unfinished)), sizes)
        within = np.arange(len(which)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        words = self._members[np.repeat(self._ends[unfinished] - sizes, sizes) + within]
        second = self._second[words]
        rest = np.where(second == PAD, ends[which], after[which, second] * self._after_second[words])
        return which, words, rest


_LATEST: dict[str, Spellings] = {}


def _largest(values: Floats, count: int) -> Ints:
    """Return the indices [N, at most `count`] of the largest values of each row [N, ...], in no order."""
    if values.shape[1] <= count:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, -count, axis=1)[:, -count:]
