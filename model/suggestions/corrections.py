"""Which words a typist may have meant by some letters: a noisy channel over key slips.

Candidates come from SymSpell's deletions, within one edit for short words and two for longer ones, and from the words
that the context makes likely. The channel is that of Kernighan, Church and Gale 1990: edits have costs, which are
negative log probabilities, and a slip to a neighbouring key is the cheapest.
"""

import functools
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from symspellpy import SymSpell, Verbosity

from model.suggestions.keys import NEIGHBOURS, POSITIONS

Floats = npt.NDArray[np.float32]

HOPELESS = 30.0
"""Cost, in nats, from which on a word is not what was meant."""

_LONGEST = 24
_SHORT = 3  # letters up to which one edit is the limit
_BAND = 3  # letters by which what was typed may run ahead of or behind the word
_PREFIX = 5  # letters of a word that SymSpell indexes: less than half the memory of six, the same candidates as fast

_NEIGHBOUR, _FAR = 4.5, 9.0
_TRANSPOSED, _OMITTED, _DOUBLED_OMITTED, _APOSTROPHE_OMITTED = 5.0, 5.5, 4.5, 1.0
_EXTRA, _EXTRA_NEIGHBOUR = 7.0, 5.0
_FIRST_LETTER = 1.5  # people look at the first key
_UNFINISHED = 0.3  # a letter of the word not yet typed

_CHARACTERS = "".join(POSITIONS) + "0123456789'"
_CODE = {character: code for code, character in enumerate(_CHARACTERS)}
_OTHER = len(_CHARACTERS)
_END = _OTHER + 1


def _substitutions() -> Floats:
    costs = np.full((_END + 1, _END + 1), _FAR, np.float32)
    np.fill_diagonal(costs, 0)
    for letter, neighbours in NEIGHBOURS.items():
        for other in neighbours:
            costs[_CODE[letter], _CODE[other]] = _NEIGHBOUR
    costs[_OTHER, _OTHER] = _FAR
    costs[:, _END] = HOPELESS
    return costs


_SUBSTITUTION = _substitutions()


class Corrections:
    """Looks for the words of a lexicon that are near to what was typed.

    Args:
        words: the lexicon, lower case.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._symspell = SymSpell(max_dictionary_edit_distance=2, prefix_length=_PREFIX)
        self._codes: dict[str, npt.NDArray[np.int8]] = {}
        for word in words:
            self.add(word)

    def add(self, word: str) -> None:
        """Let `word` be found from now on."""
        if len(word) <= _LONGEST:
            self._symspell.create_dictionary_entry(word, 1)

    def remove(self, word: str) -> None:
        """Let `word` be found no more."""
        self._symspell.delete_dictionary_entry(word)

    def near(self, typed: str) -> list[str]:
        """Return words within one edit of up to three letters, or two of more; none for what is too long."""
        if not 1 < len(typed) <= _LONGEST:
            return []
        distance = 1 if len(typed) <= _SHORT else 2
        return [found.term for found in self._symspell.lookup(typed, Verbosity.ALL, max_edit_distance=distance)]


def costs(typed: str, words: list[str], *, whole: bool) -> Floats:
    """Return the cost, in nats, of typing `typed` when each of `words` was meant; float32 [words].

    Args:
        typed: lower case.
        words: lower case.
        whole: the word is finished. Otherwise letters that may follow are almost free.
    """
    if not words or not 0 < len(typed) <= _LONGEST:
        return np.full(len(words), HOPELESS, np.float32)
    encoded = np.stack([_encoded(word) for word in words]).T  # [_LONGEST + 1, words]
    letters = [_CODE.get(character, _OTHER) for character in typed]
    apostrophe = encoded == _CODE["'"]
    doubled = np.zeros(encoded.shape, np.bool_)
    doubled[1:] = encoded[1:] == encoded[:-1]
    omitted = np.where(apostrophe, _APOSTROPHE_OMITTED, np.where(doubled, _DOUBLED_OMITTED, _OMITTED))
    omitted[0] += _FIRST_LETTER
    omitted = np.where(encoded == _END, HOPELESS, omitted).astype(np.float32)
    hopeless = np.full(len(words), HOPELESS, np.float32)
    # rows[i][j]: the first i letters typed for the first j of the word
    start = [np.zeros(len(words), np.float32)]
    for j in range(1, _BAND + 1):
        start.append(start[-1] + omitted[j - 1])
    rows: list[dict[int, Floats]] = [dict(enumerate(start))]
    for i, letter in enumerate(letters, 1):
        before = rows[-1]
        row: dict[int, Floats] = {}
        extra = _EXTRA_NEIGHBOUR if i > 1 and _close(letter, letters[i - 2]) else _EXTRA
        for j in range(max(0, i - _BAND), min(i + _BAND, _LONGEST) + 1):
            best = before.get(j, hopeless) + extra
            if j:
                step = _SUBSTITUTION[letter][encoded[j - 1]]
                if j == 1:
                    step = step + _FIRST_LETTER * (step > 0)
                best = np.minimum(best, before.get(j - 1, hopeless) + step)
                best = np.minimum(best, row.get(j - 1, hopeless) + omitted[j - 1])
            if i > 1 and j > 1:
                swapped = (encoded[j - 1] == letters[i - 2]) & (encoded[j - 2] == letter) & (letter != letters[i - 2])
                best = np.minimum(best, np.where(swapped, rows[-2].get(j - 2, hopeless) + _TRANSPOSED, HOPELESS))
            row[j] = np.minimum(best, HOPELESS)
        rows.append(row)
    lengths = np.array([len(word) for word in words])
    result = hopeless
    for j, cost in rows[-1].items():
        rest = lengths - j
        result = np.minimum(result, np.where(rest == 0, cost, HOPELESS))
        if not whole:
            result = np.minimum(result, np.where(rest > 0, cost + _UNFINISHED, HOPELESS))
    return result.astype(np.float32)


def letters_of(word: str) -> int:
    """Return a set of letters as bits."""
    bits = 0
    for character in word:
        bits |= 1 << _CODE.get(character, _OTHER)
    return bits


def _close(one: int, other: int) -> bool:
    return bool(_SUBSTITUTION[one, other] <= _NEIGHBOUR)


@functools.lru_cache(maxsize=50_000)
def _encoded(word: str) -> npt.NDArray[np.int8]:
    codes = np.full(_LONGEST + 1, _END, np.int8)
    codes[: min(len(word), _LONGEST)] = [_CODE.get(character, _OTHER) for character in word[:_LONGEST]]
    return codes
