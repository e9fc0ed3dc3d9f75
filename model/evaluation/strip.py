"""The strip of three: which words it shows after some letters, and what a typist saves by it."""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

STRIP = 3
_AFTER_ANY_LETTER = "\U0010ffff"


class Lexicon:
    """Sorted words, in which those that start alike stand together.

    Args:
        words: sorted, each once.

    Raises:
        ValueError: they are not.
    """

    def __init__(self, words: Sequence[str]) -> None:
        if any(a >= b for a, b in zip(words, words[1:], strict=False)):
            raise ValueError("a lexicon must be sorted and free of duplicates")
        self.words = words
        self.index = {word: i for i, word in enumerate(words)}
        self._ranges: dict[str, tuple[int, int]] = {"": (0, len(words))}

    def range(self, prefix: str) -> tuple[int, int]:
        """Return where the words that start with `prefix` stand: first, and one past the last."""
        found = self._ranges.get(prefix)
        if found is None:
            low, high = self.range(prefix[:-1])
            found = (
                bisect_left(self.words, prefix, low, high),
                bisect_left(self.words, prefix + _AFTER_ANY_LETTER, low, high),
            )
            self._ranges[prefix] = found
        return found

    def better(self, scores: npt.NDArray[np.float32], target: int, prefix: str = "") -> int:
        """Return how many words that start with `prefix` come before word `target`; of equals the earlier one does.

        Args:
            scores: [words].
            target: index of a word that starts with `prefix`.
            prefix: the letters typed so far.
        """
        low, high = self.range(prefix)
        mine = scores[target]
        return int(np.count_nonzero(scores[low:target] >= mine) + np.count_nonzero(scores[target + 1 : high] > mine))

    def top(self, scores: npt.NDArray[np.float32], prefix: str = "", count: int = STRIP) -> list[str]:
        """Return the best words that start with `prefix`, best first."""
        low, high = self.range(prefix)
        order = np.argsort(-scores[low:high], kind="stable")[:count]
        return [self.words[low + i] for i in order]

    def letters_until_shown(self, scores: npt.NDArray[np.float32], word: str, *, rank: int) -> int | None:
        """Return how many letters of `word` must be typed until it is on the strip; None if it never is.

        Args:
            scores: [words].
            word: what is being typed.
            rank: of the word before any letter, as `better` gives it.
        """
        if rank < STRIP:
            return 0
        target = self.index[word]
        for letters in range(1, len(word)):
            if self.better(scores, target, word[:letters]) < STRIP:
                return letters
        return None
