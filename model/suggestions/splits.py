"""A missed space bar: two or three words that were typed as one, or with a key beside the space bar between them."""

import math
from collections.abc import Callable
from typing import NamedTuple

_MISSED, _BESIDE_IT = 5.0, 5.5  # nats: nothing instead of the space, or a letter of the row above it
_BESIDE = frozenset("bnvcm")
_MIN_LETTERS, _MAX_LETTERS = 3, 24
_SHORT = {1: math.log(10**-3.0), 2: math.log(10**-3.4), 3: math.log(10**-4.9)}
"""How frequent a word of few letters must be at least; others as in `_LONG`."""
_LONG = math.log(10**-5.4)
_FUNCTION_WORD, _NO_FUNCTION_WORD = math.log(10**-3.0), 3.0  # two rare words in one may be a name
_MAX_WORDS = 3


class Split(NamedTuple):
    """Words that may have been meant.

    Attributes:
        words: two or three.
        score: logarithm of their frequencies, less the costs of the missed spaces.
        cost: of the missed spaces alone.
    """

    words: tuple[str, ...]
    score: float
    cost: float


def splits(letters: str, log_probability: Callable[[str], float | None], count: int = 3) -> list[Split]:
    """Return the likeliest ways to read some letters as two or three words, best first.

    Args:
        letters: lower case.
        log_probability: of a word by itself; None if it is none.
        count: how many ways at most.
    """
    if not _MIN_LETTERS <= len(letters) <= _MAX_LETTERS:
        return []
    found = _splits(letters, log_probability, _MAX_WORDS)
    found.sort(key=lambda split: -split.score)
    return found[:count]


def _splits(letters: str, log_probability: Callable[[str], float | None], words: int) -> list[Split]:
    found = []
    for end in range(1, len(letters)):
        first = _frequent(letters[:end], log_probability)
        if first is None:
            continue
        beside = end + 1 < len(letters) and letters[end] in _BESIDE
        for rest, cost in ((letters[end:], _MISSED), *([(letters[end + 1 :], _BESIDE_IT)] if beside else [])):
            second = _frequent(rest, log_probability)
            if second is not None:
                both = cost + (0.0 if max(first, second) >= _FUNCTION_WORD else _NO_FUNCTION_WORD)
                found.append(Split((letters[:end], rest), first + second - both, both))
            elif words > 2:
                found += [
                    Split((letters[:end], *more.words), first + more.score - cost, more.cost + cost)
                    for more in _splits(rest, log_probability, words - 1)
                ]
    return found


def _frequent(word: str, log_probability: Callable[[str], float | None]) -> float | None:
    found = log_probability(word)
    return found if found is not None and found >= _SHORT.get(len(word), _LONG) else None
