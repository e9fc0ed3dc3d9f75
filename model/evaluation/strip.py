"""The strip of three: which words it shows after some letters, and what a typist saves by it."""

import itertools
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

STRIP = 3
_AFTER_ANY_LETTER = "\U0010ffff"


class Lexicon:
    """Sorted words, in which those that start alike stand together.

    Of words with equal scores the one that sorts first is the better.

    Args:
        words: sorted by code point, each once.

    Raises:
        ValueError: they are not.
    """

    def __init__(self, words: Sequence[str]) -> None:
        for word, following in itertools.pairwise(words):
            if word >= following:
                raise ValueError(f"a lexicon must be sorted and free of duplicates, but {following!r} follows {word!r}")
        self.words = words
        self.index = {word: i for i, word in enumerate(words)}
        self._ranges: dict[str, tuple[int, int]] = {"": (0, len(words))}

    def range(self, prefix: str) -> tuple[int, int]:
        """Return where the words that start with `prefix` stand: first, and one past the last."""
        found = self._ranges.get(prefix)
        if found is None:
            found = bisect_left(self.words, prefix), bisect_left(self.words, prefix + _AFTER_ANY_LETTER)
            if found[0] < found[1]:  # there is no end to what starts no word
                self._ranges[prefix] = found
        return found

    def rank(self, scores: npt.NDArray[np.float32], target: int, prefix: str = "") -> int:
        """Return how many words that start with `prefix` are better than word `target`.

        Args:
            scores: [words].
            target: index of a word that starts with `prefix`.
            prefix: the letters typed so far.
        """
        low, high = self.range(prefix)
        mine = scores[target]
        return int(np.count_nonzero(scores[low:target] >= mine) + np.count_nonzero(scores[target + 1 : high] > mine))

    def top(self, scores: npt.NDArray[np.float32], prefix: str = "", count: int = STRIP) -> list[str]:
        """Return the best words that start with `prefix`, best first; fewer than `count` if there are no more."""
        low, high = self.range(prefix)
        own = scores[low:high]
        least = np.partition(own, -count)[-count] if len(own) > count else -np.inf
        good = np.flatnonzero(own >= least)
        return [self.words[low + i] for i in good[np.argsort(-own[good], kind="stable")[:count]]]

    def letters_until_shown(self, scores: npt.NDArray[np.float32], target: int) -> int | None:
        """Return how many letters of word `target` must be typed until it is on the strip.

        Args:
            scores: [words].
            target: index of the word.

        Returns:
            0 to one less than the word's length; None if it is never shown before it is typed.
        """
        word = self.words[target]
        for letters in range(len(word)):
            if self.rank(scores, target, word[:letters]) < STRIP:
                return letters
        return None
