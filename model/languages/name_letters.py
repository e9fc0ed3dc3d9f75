"""How much some letters look like a name, by which letters follow which in the names that are known."""

from collections.abc import Iterable

import numpy as np

from model.text import folded

_LETTERS = 27  # of the alphabet, and what is before and behind a name
_SMOOTHING = (20.0, 10.0)  # times that a letter after one and after two others is taken to have been seen beforehand


class NameLetters:
    """Probabilities of letters after two others, smoothed with those after fewer (Jelinek and Mercer 1980).

    Args:
        names: in any case; accents do not count, and neither do other characters.
    """

    def __init__(self, names: Iterable[str]) -> None:
        codes = _codes("\n\n".join(["", *map(folded, names), ""]).lower())
        trigrams = np.zeros((_LETTERS,) * 3)
        np.add.at(trigrams, (codes[:-2], codes[1:-1], codes[2:]), 1.0)
        trigrams[:, 0, 0] = 0.0  # only what stands between names
        counts = trigrams.sum(0)
        alone = (counts.sum(0) + 1) / (counts.sum() + _LETTERS)
        pairs = (counts + _SMOOTHING[0] * alone) / (counts.sum(1, keepdims=True) + _SMOOTHING[0])
        smoothed = (trigrams + _SMOOTHING[1] * pairs) / (trigrams.sum(2, keepdims=True) + _SMOOTHING[1])
        self._logarithms = np.log(smoothed)

    def log_probability(self, letters: str) -> float:
        """Return the natural logarithm of the probability that a name has these letters."""
        codes = _codes(f"\n\n{folded(letters)}\n".lower())
        return float(self._logarithms[codes[:-2], codes[1:-1], codes[2:]].sum())


def _codes(text: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return small letters as 1 to 26 and line ends as 0, and nothing for others; int64."""
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64)
    letters = points[(points == ord("\n")) | ((points >= ord("a")) & (points <= ord("z")))]
    return np.where(letters == ord("\n"), 0, letters - ord("a") + 1)
