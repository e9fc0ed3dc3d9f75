"""The random numbers that a round's participants agree on.

All are an AES-256-CTR stream of a seed, defined here and the same everywhere; NumPy's generators may change.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from federation.secure_aggregation.masks import key_stream


def random_words(seed: bytes, count: int, dtype: str) -> npt.NDArray[Any]:
    """Return `count` uniform little-endian integers of the key stream of a 32-byte `seed`."""
    return np.frombuffer(key_stream(seed).update(bytes(count * np.dtype(dtype).itemsize)), dtype)


def random_order(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
    """Return the permutation that uniform random words give."""
    # Sorting random numbers that carry their positions in the low bits gives a permutation without ties.
    position_bits = np.uint64((1 << (words.size - 1).bit_length()) - 1)
    tagged = (words & ~position_bits) | np.arange(words.size, dtype=np.uint64)
    order: npt.NDArray[np.uint32] = (np.sort(tagged) & position_bits).astype(np.uint32)
    return order
