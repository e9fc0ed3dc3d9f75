"""A finger that glides over keys, and misses them: synthetic traces, to measure what reads them.

The finger aims at each letter's key and passes it by some distance that is drawn anew for every letter. Its way between
turns is a smooth curve that cuts corners, at the speed of a hand, and touches are reported with a tremble.
"""

import numpy as np
import numpy.typing as npt

from model.suggestions.gliding import Path, middles
from model.suggestions.keys import Geometry

AIM, TREMBLE = 0.22, 0.03
"""Standard deviations, in keys, of where a letter is passed, and of each point that is reported."""

_STEPS = 12  # points between letters
_CORNER = 0.35  # of the way between letters that a corner is cut by, at most


def trace(word: str, keys: Geometry, random: np.random.Generator, aim: float = AIM) -> Path:
    """Return the path of a finger that glides over a word.

    Args:
        word: in lower case; each of its letters has a key.
        keys: where the letters are.
        random: source of the finger's errors.
        aim: standard deviation of where a letter is passed, in keys.

    Raises:
        KeyError: a letter has no key.
    """
    where = middles(keys)
    aimed = np.array([where[letter] for letter in word])
    passed = aimed + random.normal(0, aim, aimed.shape)
    points = [passed[0]]
    for i, corner in enumerate(passed[1:-1], 1):
        cut = random.uniform(0, _CORNER)
        points += [corner + cut * (passed[i - 1] - corner), corner, corner + cut * (passed[i + 1] - corner)]
    line = np.array([*points, passed[-1]])
    smooth = _smooth(line)
    trembling = smooth + random.normal(0, TREMBLE, smooth.shape)
    return tuple((float(x), float(y)) for x, y in trembling)


def _smooth(line: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return points along a line with rounded corners, closer together where a hand is slow: at its turns."""
    if len(line) == 1:
        return line
    eased = (1 - np.cos(np.linspace(0, np.pi, _STEPS, endpoint=False))) / 2
    at = np.concatenate([*(i + eased for i in range(len(line) - 1)), [len(line) - 1]])
    points = np.column_stack([np.interp(at, range(len(line)), line[:, axis]) for axis in (0, 1)])
    kernel = np.hanning(_STEPS // 2 + 1)
    kernel /= kernel.sum()
    half = len(kernel) // 2
    padded = np.pad(points, ((half, half), (0, 0)), mode="edge")
    return np.column_stack([np.convolve(padded[:, axis], kernel, "valid") for axis in (0, 1)])
