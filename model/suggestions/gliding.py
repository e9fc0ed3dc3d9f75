"""Words that were glided: a finger's path over the keys against the paths that words would take.

Two channels, as in SHARK2 (Kristensson and Zhai 2004): where the path runs, and its shape wherever it runs. Both
compare points that lie equally far apart along each path.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from model.suggestions.candidates import Candidates, Origin, Ranked
from model.suggestions.keys import Geometry
from model.text import folded

Floats = npt.NDArray[np.float32]
Path = tuple[tuple[float, float], ...]
"""Where a finger was, in keys from the keyboard's top left corner."""

MIN_LENGTH = 1.3
"""Keys that a path is long at least; a finger that moved less has pressed one key."""

_POINTS = 32
_ENDS = 1.9  # keys between a path's end and the key of the word's first or last letter, at most
_MAX_WORD = 24
_MAX_POINTS = 4096  # of a path; more are left out evenly
_FAR = 100.0  # keys from the keyboard, where no finger is
_ALONG = np.linspace(0.0, 1.0, _POINTS)
_WHERE = (0.30, 0.13)  # keys by which a finger usually is beside the path, and a path's shape beside a word's
_INDEPENDENT = 4.0  # points of a path that deviate each by itself: the others follow them
_HOPELESS = 20.0  # nats by which a path may fit a word worse than the one that it fits best
_UNEXPECTED = 3.0  # nats for a word that the model does not have
_LENGTH = 0.14  # logarithm of the ratio of lengths


class Glides:
    """What may have been glided: all words of a model, of its language, and the user's own.

    Args:
        words: of the model.
        listed: of the language, with the natural logarithms of their frequencies.
        keys: where the letters are.

    Attributes:
        keys: likewise.
    """

    def __init__(self, words: Sequence[str], listed: Mapping[str, float], keys: Geometry) -> None:
        self.keys = keys
        self._listed = listed
        self._all = Gliding({*words, *listed}, keys)
        self._learned: Sequence[str] = ()
        self._own = Gliding((), keys)

    def ranked(self, path: Path, candidates: Candidates, learned: Sequence[str]) -> Ranked:
        """Return the words that a path may be of with their probabilities, best first.

        Args:
            path: where the finger was.
            candidates: what is likely here.
            learned: words that the user has taught.
        """
        if learned != self._learned:
            self._learned, self._own = learned, Gliding(learned, self.keys)
        words, costs = self._all.costs(path)
        own, own_costs = self._own.costs(path)
        every, cost = [*words, *own], np.concatenate([costs, own_costs])
        near = np.flatnonzero(cost <= cost.min(initial=np.inf) + _HOPELESS)
        every = [every[i] for i in near]
        if not every:
            return []
        listed = np.array([self._listed.get(word, -np.inf) for word in every]) - _UNEXPECTED
        scores = np.maximum(candidates.log_probabilities(every), listed) - cost[near]
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()
        known = frozenset(learned)
        return [
            (every[i], float(shares[i]), Origin.PERSONAL if every[i] in known else Origin.SHARED)
            for i in np.argsort(-scores, kind="stable")
        ]


class Gliding:
    """The paths of words on one keyboard, computed as they are needed.

    Args:
        words: in lower case; those with letters that have no key are left out.
        keys: where the letters are.
    """

    def __init__(self, words: Iterable[str], keys: Geometry) -> None:
        self._middles = middles(keys)
        self._keys = sorted(set(self._middles.values()))
        self._words: dict[tuple[int, int], list[str]] = {}
        self._paths: dict[tuple[int, int], tuple[Floats, Floats]] = {}
        number = {middle: i for i, middle in enumerate(self._keys)}
        keyed = {letter: number[middle] for letter, middle in self._middles.items()}
        for word in words:
            letters = word if word in keyed or word.isascii() else folded(word)
            first, last = keyed.get(letters[:1]), keyed.get(letters[-1:])
            if first is not None and last is not None and len(word) <= _MAX_WORD:
                self._words.setdefault((first, last), []).append(word)

    def costs(self, path: Path) -> tuple[list[str], Floats]:
        """Return the words whose ends are near to a path's, and what it costs, in nats, that they were meant by it."""
        if len(path) > _MAX_POINTS:
            path = tuple(path[i] for i in np.linspace(0, len(path) - 1, _MAX_POINTS).astype(int))
        points = np.array(path, np.float64).reshape(-1, 2)
        if len(points) == 0 or not np.isfinite(points).all():
            return [], np.zeros(0, np.float32)
        points = np.clip(points, -_FAR, _FAR)
        words: list[str] = []
        found: list[Floats] = []
        lengths: list[Floats] = []
        for first in self._near(points[0]):
            for last in self._near(points[-1]):
                if (first, last) in self._words:
                    paths, long = self._of(first, last)
                    words += self._words[first, last]
                    found.append(paths)
                    lengths.append(long)
        if not words:
            return [], np.zeros(0, np.float32)
        return words, _deviation(points, np.concatenate(found), np.concatenate(lengths))

    def _near(self, end: npt.NDArray[np.float64]) -> list[int]:
        away = np.hypot(*(np.array(self._keys) - end).T)
        return [int(i) for i in np.flatnonzero(away <= max(_ENDS, float(away.min())))]

    def _of(self, first: int, last: int) -> tuple[Floats, Floats]:
        """Return the paths [words, _POINTS, 2] of all words between two keys, and their lengths [words]."""
        if (first, last) not in self._paths:
            words = [word for word in self._words[first, last] if self._corners(word)]
            self._words[first, last] = words
            corners = [np.array(self._corners(word)) for word in words]
            self._paths[first, last] = (
                np.array([_resampled(each) for each in corners], np.float32).reshape(-1, _POINTS, 2),
                np.array([_length(each) for each in corners], np.float32),
            )
        return self._paths[first, last]

    def _corners(self, word: str) -> Sequence[tuple[float, float]]:
        """Return the middles of a word's keys; nothing if a letter has none."""
        found = []
        for letter in word.replace("'", ""):
            for base in letter if letter in self._middles else folded(letter):
                if base not in self._middles:
                    return ()
                found.append(self._middles[base])
        return found


def _resampled(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return points equally far apart along a line of points [N, 2]; [_POINTS, 2]."""
    steps = np.hypot(*np.diff(points, axis=0).T) if len(points) > 1 else np.zeros(0)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    if along[-1] == 0:
        return np.repeat(points[:1], _POINTS, axis=0)
    at = _ALONG * along[-1]
    return np.column_stack([np.interp(at, along, points[:, 0]), np.interp(at, along, points[:, 1])])


def _deviation(points: npt.NDArray[np.float64], paths: Floats, lengths: Floats) -> Floats:
    """Return what it costs that a finger's points were meant for each of some paths, in nats."""
    drawn = _resampled(points).astype(np.float32)
    beside = drawn - paths  # [words, _POINTS, 2]
    where = np.square(beside).sum(axis=2).mean(axis=1)
    shape = np.square(beside - beside.mean(axis=1, keepdims=True)).sum(axis=2).mean(axis=1)
    ratio = np.log((_length(points) + 0.5) / (lengths + 0.5))
    place, form = _WHERE
    costs: Floats = (
        _INDEPENDENT / 4 * (where / place**2 + shape / form**2 / 4) / 2 + np.square(ratio / _LENGTH) / 8
    ).astype(np.float32)
    return costs


def _length(points: npt.NDArray[np.float64]) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum()) if len(points) > 1 else 0.0


def middles(keys: Geometry) -> dict[str, tuple[float, float]]:
    """Return the middle of each letter's key, in keys from the keyboard's top left corner."""
    found = {}
    for letter, place in keys.places.items():
        middle = place.left + place.width / 2, place.top + 0.5
        found[letter] = middle
        if place.shifted:
            found.setdefault(place.shifted, middle)
    return found
