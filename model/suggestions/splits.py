"""A missed space bar: two or three words that were typed as one, or with a key beside the space bar between them."""

import math
from collections.abc import Callable
from typing import NamedTuple

_BESIDE = frozenset("bnvcm")
_MISSED = 5.0  # nats that nothing instead of the space costs
_BESIDE_IT = _MISSED + math.log(len(_BESIDE))  # or one of these letters
_MIN_LETTERS, _MAX_LETTERS = 3, 24
_SHORT = {1: math.log(10**-3.0), 2: math.log(10**-3.4), 3: math.log(10**-4.9)}
"""How frequent a word of few letters must be at least; others as in `_LONG`."""
_LONG = math.log(10**-5.4)
_FUNCTION_WORD, _NO_FUNCTION_WORD = math.log(10**-3.0), 3.0  # two rare words that are no expression may be a name
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


Reading = Callable[[str], tuple[str, float] | None]


def splits(letters: str, read: Reading, is_expression: Callable[[str, str], bool], count: int = 3) -> list[Split]:
    """Return the likeliest ways to read some letters as two or three words, best first.

    Args:
        letters: lower case.
        read: returns the word that some letters stand for, and the logarithm of its frequency; None if they are none.
        is_expression: whether the first of two words makes the second likely: ice cream.
        count: how many ways at most.
    """
    if not _MIN_LETTERS <= len(letters) <= _MAX_LETTERS:
        return []
    found = _splits(letters, read, is_expression, _MAX_WORDS)
    found.sort(key=lambda split: -split.score)
    return found[:count]


def _splits(letters: str, read: Reading, is_expression: Callable[[str, str], bool], words: int) -> list[Split]:
    found = []
    for end in range(1, len(letters)):
        first = _frequent(letters[:end], read)
        if first is None:
            continue
        beside = end + 1 < len(letters) and letters[end] in _BESIDE
        for rest, cost in ((letters[end:], _MISSED), *([(letters[end + 1 :], _BESIDE_IT)] if beside else [])):
            second = _frequent(rest, read)
            if second is not None:
                usual = max(first[1], second[1]) >= _FUNCTION_WORD or is_expression(first[0], second[0])
                both = cost + (0.0 if usual else _NO_FUNCTION_WORD)
                found.append(Split((first[0], second[0]), first[1] + second[1] - both, both))
            elif words > 2:
                found += [
                    Split((first[0], *more.words), first[1] + more.score - cost, more.cost + cost)
                    for more in _splits(rest, read, is_expression, words - 1)
                ]
    return found


def _frequent(letters: str, read: Reading) -> tuple[str, float] | None:
    found = read(letters)
    return found if found is not None and found[1] >= _SHORT.get(len(letters), _LONG) else None
