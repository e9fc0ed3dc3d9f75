"""Vectors as pictures. Nothing here needs Kivy."""

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

SIDE = 48
"""Rows and columns of a picture."""

_NEGATIVE, _NOTHING, _POSITIVE = np.array([178, 34, 52]), np.array([247, 247, 247]), np.array([24, 90, 178])


def update_picture(update: npt.NDArray[np.float32]) -> Pixels:
    """Return an update [n] as uint8 [48, 48, 3]: blue where a weight rises, red where it falls, white where it stays.

    The deepest colour is that of the 99th percentile of sizes.
    """
    values = _square(update.astype(np.float64))
    most = float(np.quantile(np.abs(values), 0.99)) or 1.0
    share = np.clip(values / most, -1, 1)[..., None]
    target = np.where(share < 0, _NEGATIVE, _POSITIVE)
    pixels: Pixels = (_NOTHING + np.abs(share) ** 0.6 * (target - _NOTHING)).astype(np.uint8)
    return pixels


def masked_picture(words: npt.NDArray[np.uint64]) -> Pixels:
    """Return masked words [n] as uint8 [48, 48, 3] in grey, black for zero."""
    values = _square(words.astype(np.float64))
    grey = (255 * values / max(1.0, float(values.max()))).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _square(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return `SIDE` x `SIDE` of the values, evenly from all; what is missing is zero."""
    if values.size > SIDE * SIDE:
        values = values[np.linspace(0, values.size - 1, SIDE * SIDE).astype(int)]
    return np.pad(values, (0, SIDE * SIDE - values.size)).reshape(SIDE, SIDE)
