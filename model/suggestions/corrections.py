"""Which words a typist may have meant by some letters: a noisy channel over key slips.

Candidates are the words within one edit, of longer ones within two, and those that the context makes likely. The
channel is that of Kernighan, Church and Gale 1990: edits have costs, which are negative log probabilities, and a slip
to a neighbouring key is the cheapest.
"""

import functools
import itertools
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
import numpy.typing as npt

from model.suggestions.keys import QWERTY, Geometry
from model.text import folded

Floats = npt.NDArray[np.float32]

HOPELESS = 30.0
"""Cost, in nats, from which on a word is not what was meant."""

_LONGEST = 24
_SHORT = 3  # letters up to which one edit is the limit
_BAND = 3  # letters by which what was typed may run ahead of or behind the word
_MAX_EDITS = 2
_PREFIX = 6  # letters of a word that are indexed
_CODE_BITS = 6
_MIXING = np.uint64(0x9E3779B97F4A7C15)  # spreads numbers of up to 64 bits over the upper 32

_NEIGHBOUR, _VOWEL, _FAR = 4.5, 6.5, 9.0  # a wrong vowel is how people misspell
_VOWELS = "aeiouy"
_TRANSPOSED, _OMITTED, _DOUBLED_OMITTED, _APOSTROPHE_OMITTED = 5.0, 5.5, 4.5, 1.0
_EXTRA, _EXTRA_NEIGHBOUR = 7.0, 5.0
_FIRST_LETTER = 1.5  # people look at the first key
_UNFINISHED = 0.3  # a letter of the word not yet typed
_ACCENT_OMITTED, _ACCENT_WRONG = 0.5, 4.0  # one that was typed was meant

_APOSTROPHE = ord("'")
_END = -1
_POINTS = 0x1000  # of the code points that keys have
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789'"
_CODE = {character: code for code, character in enumerate(_CHARACTERS, 1)}  # 0 is behind the end
_SCRIPTS = len(_CHARACTERS) + 1  # from here on other scripts' letters, several to a code
_CODE_OF_POINT = np.array(
    [_CODE.get(chr(p), _SCRIPTS + p % (2**_CODE_BITS - _SCRIPTS)) for p in range(_POINTS)], np.uint64
)
_CODE_OF_POINT[0] = 0


class Corrections:
    """Looks for the words of a lexicon that are near to what was typed.

    Two words within two edits have in common what is left of each when up to two letters are taken away (Garbe 2012,
    SymSpell). What is left of the words' beginnings is kept as numbers in one sorted array, beside the words' places:
    a fourth of the memory of a dictionary of strings.

    Args:
        words: the lexicon, lower case. Accented letters count as those that they are made of.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        plain = [_plain(word) for word in words]
        self._lengths = np.array([len(word) for word in plain], np.int16)
        self._letters = np.array([letters_of(word) for word in plain], np.uint64)
        pairs = _left(_codes(plain), _MAX_EDITS)  # in place: there are half a million
        pairs <<= np.uint64(32)
        pairs |= np.arange(len(words), dtype=np.uint64)
        pairs = np.unique(pairs)  # of short words the same is left in several ways
        self._places = pairs.astype(np.min_scalar_type(len(words)))
        pairs >>= np.uint64(32)
        self._left = pairs.astype(np.uint32)

    def near(self, typed: str, among: npt.NDArray[np.bool_] | None = None) -> list[str]:
        """Return words near `typed`: all within one edit of up to three letters, or two of more, and few others.

        There are none near what is too short or too long.

        Args:
            typed: lower case.
            among: bool [words], which words are looked for; by default all.
        """
        typed = _plain(typed)
        if not 1 < len(typed) <= _LONGEST:
            return []
        edits = 1 if len(typed) <= _SHORT else _MAX_EDITS
        left = np.unique(_left(_codes([typed]), edits)).astype(np.uint32)
        starts, ends = (np.searchsorted(self._left, left, side) for side in ("left", "right"))
        found = np.unique(np.concatenate([self._places[i:j] for i, j in zip(starts, ends, strict=True)]))
        found = found[np.abs(self._lengths[found] - len(typed)) <= edits]
        found = found if among is None else found[among[found]]
        own, theirs = np.uint64(letters_of(typed)), self._letters[found]
        differing = np.maximum(_bits(theirs & ~own), _bits(own & ~theirs))
        return [self._words[place] for place in found[differing <= edits]]

    def which(self, wanted: AbstractSet[str]) -> npt.NDArray[np.bool_]:
        """Return which words of the lexicon are in a set, for `near`; bool [words]."""
        return np.fromiter((word in wanted for word in self._words), np.bool_, len(self._words))

    def alike(self, typed: str, places: npt.NDArray[np.int64]) -> list[str]:
        """Return the words at some places of the lexicon that have all letters of `typed` but for two kinds."""
        lacking = _bits(np.uint64(letters_of(_plain(typed))) & ~self._letters[places])
        return [self._words[place] for place in places[lacking <= _MAX_EDITS]]


def _codes(words: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Return the first letters of words as numbers from 1, 0 behind the end; uint64 [_PREFIX, words]."""
    beginnings = "".join(word[:_PREFIX].ljust(_PREFIX, "\0") for word in words)
    points = np.frombuffer(beginnings.encode("utf-32-le"), np.uint32)
    codes: npt.NDArray[np.uint64] = _CODE_OF_POINT[np.minimum(points, len(_CODE_OF_POINT) - 1)]
    return codes.reshape(-1, _PREFIX).T


def _ways(edits: int) -> npt.NDArray[np.uint64]:
    """Return, for each way to take letters away, what to multiply a word's first codes by; uint64 [ways, _PREFIX]."""
    ways = []
    for taken in itertools.chain.from_iterable(itertools.combinations(range(_PREFIX), n) for n in range(edits + 1)):
        shifts = itertools.count(0, _CODE_BITS)
        ways.append([0 if i in taken else 1 << next(shifts) for i in range(_PREFIX)])
    return np.array(ways, np.uint64)


_WAYS = {edits: _ways(edits) for edits in (1, _MAX_EDITS)}


def _left(codes: npt.NDArray[np.uint64], edits: int) -> npt.NDArray[np.uint64]:
    """Return a number below 2**32 for what is left without up to `edits` letters; [ways to take them away, words]."""
    left: npt.NDArray[np.uint64] = _WAYS[edits] @ codes
    left *= _MIXING
    left >>= np.uint64(32)
    return left


def _bits(sets: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return how many bits are set in each."""
    bits: npt.NDArray[np.int64] = np.unpackbits(sets.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1, dtype=np.int64)
    return bits


def costs(typed: str, words: list[str], *, whole: bool, keys: Geometry = QWERTY) -> Floats:
    """Return the cost, in nats, of typing `typed` when each of `words` was meant; float32 [words].

    Args:
        typed: lower case.
        words: lower case.
        whole: the word is finished. Otherwise letters that may follow are almost free.
        keys: where the letters are.
    """
    as_typed, typed = typed, _plain(typed)
    if not words or not 0 < len(typed) <= _LONGEST:
        return np.full(len(words), HOPELESS, np.float32)
    joined = "".join(words)
    plain = words if joined.isascii() else [_plain(word) for word in words]
    apostrophes = np.zeros(len(words), np.float32)
    if whole and "'" in joined and "'" not in typed:  # wherever it was left out, slips may go over its place: dotn
        apostrophes = np.array([word.count("'") * _APOSTROPHE_OMITTED for word in plain], np.float32)
        plain = [word.replace("'", "") for word in plain]
    letters = [ord(character) for character in typed]
    width = min(len(letters) + _BAND, _LONGEST)
    encoded = _encoded(plain, width)
    omitted = np.where(encoded == _APOSTROPHE, np.float32(_APOSTROPHE_OMITTED), np.float32(_OMITTED))
    omitted[1:][encoded[1:] == encoded[:-1]] = _DOUBLED_OMITTED
    omitted[0] += _FIRST_LETTER
    omitted[encoded == _END] = HOPELESS
    # Letters left out one after the other cost the difference of two places of this; [width + 1, words].
    all_omitted = np.zeros((width + 1, len(words)), np.float32)
    np.cumsum(omitted, axis=0, out=all_omitted[1:])
    # rows[i][j]: the first i letters typed for the first j of the word; hopeless outside the band
    rows = [np.minimum(all_omitted, HOPELESS)]
    rows[0][_BAND + 1 :] = HOPELESS
    for i, letter in enumerate(letters, 1):
        before = rows[-1]
        low, high = max(0, i - _BAND), min(i + _BAND, width) + 1
        extra = _EXTRA_NEIGHBOUR if i > 1 and _close(letter, letters[i - 2], keys) else _EXTRA
        best = before[low:high] + np.float32(extra)
        first = max(low, 1)
        step = _substitution(letter, keys)[encoded[first - 1 : high - 1]]
        if first == 1:
            step[0] += np.float32(_FIRST_LETTER) * (step[0] > 0)
        step += before[first - 1 : high - 1]
        np.minimum(best[first - low :], step, out=best[first - low :])
        if i > 1 and letter != letters[i - 2]:
            second = max(low, 2)
            swapped = encoded[second - 1 : high - 1] == letters[i - 2]
            swapped &= encoded[second - 2 : high - 2] == letter
            if swapped.any():
                costs_swapped = np.where(swapped, rows[-2][second - 2 : high - 2] + np.float32(_TRANSPOSED), HOPELESS)
                np.minimum(best[second - low :], costs_swapped, out=best[second - low :])
        best -= all_omitted[low:high]
        np.minimum.accumulate(best, axis=0, out=best)
        best += all_omitted[low:high]
        row = np.full_like(before, HOPELESS)
        np.minimum(best, HOPELESS, out=row[low:high])
        rows.append(row)
    rest = np.array([len(word) for word in plain]) - np.arange(low, high)[:, None]
    ends = np.where(rest == 0, rows[-1][low:high], HOPELESS)
    if not whole:
        ends = np.where(rest > 0, rows[-1][low:high] + np.float32(_UNFINISHED), ends)
    result: Floats = ends.min(axis=0).astype(np.float32) + apostrophes
    if not (as_typed.isascii() and joined.isascii()):
        result += np.array([_accent_cost(as_typed, word, keys) for word in words], np.float32)
    return np.minimum(result, HOPELESS)


def letters_of(word: str) -> int:
    """Return a set of letters as bits."""
    bits = 0
    for character in word:
        bits |= 1 << int(_CODE_OF_POINT[min(ord(character), _POINTS - 1)])
    return bits


def _plain(word: str) -> str:
    """Return a word with base letters for accented ones."""
    return word if word.isascii() else "'".join(map(folded, word.split("'")))


def _accent_cost(typed: str, word: str, keys: Geometry) -> float:
    """Return what it costs that `word` has other accents than were typed; none without a key slips in by itself."""
    if typed.isascii() and word.isascii():
        return 0.0
    own, theirs = _accented(typed), _accented(word)
    if sum(character not in keys.places for character in own) > len(theirs):
        return HOPELESS
    if set(own) - set(theirs):
        return _ACCENT_WRONG
    return _ACCENT_OMITTED if set(theirs) - set(own) else 0.0


def _accented(word: str) -> list[str]:
    return [character for character in word if not character.isascii() and folded(character) != character]


@functools.lru_cache(maxsize=256)
def _substitution(letter: int, keys: Geometry) -> Floats:
    """Return the cost of typing a letter, by the code point that was meant; the last is behind a word's end."""
    found = np.full(_POINTS, _FAR, np.float32)
    if chr(letter) in _VOWELS:
        found[[ord(vowel) for vowel in _VOWELS]] = _VOWEL
    for other in keys.neighbours.get(chr(letter), ""):
        if ord(other) < _POINTS:
            found[ord(other)] = _NEIGHBOUR
    if letter < _POINTS - 2:
        found[letter] = 0
    found[_END] = HOPELESS
    return found


def _close(one: int, other: int, keys: Geometry) -> bool:
    return one == other or chr(one) in keys.neighbours.get(chr(other), "")


def _encoded(words: Sequence[str], width: int) -> npt.NDArray[np.int16]:
    """Return words' first code points, and `_END` behind them, int16 [width, words]; those without a key are alike."""
    letters = "".join(word[:width].ljust(width, "\0") for word in words)
    points = np.frombuffer(letters.encode("utf-32-le"), np.uint32).reshape(len(words), width)
    encoded: npt.NDArray[np.int16] = np.minimum(points, _POINTS - 2).astype(np.int16).T.copy()
    encoded[encoded == 0] = _END
    return encoded
