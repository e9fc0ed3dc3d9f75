"""What is summed: exact counters and encoded words, added modulo the size of their integers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.secure_aggregation.errors import MalformedMessageError

Words = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.uint64]
Counters = npt.NDArray[np.uint64]

_COUNTER = np.dtype("<u8")
_WORD: dict[int, np.dtype[Any]] = {1: np.dtype("<u1"), 2: np.dtype("<u2"), 8: np.dtype("<u8")}


@dataclass(frozen=True)
class VectorFormat:
    """Sizes of a vector; its bytes are the counters and then the words, little-endian.

    Attributes:
        counters: 64-bit integers in front, for weights and metrics.
        words: integers of the encoded update.
        word_bytes: 1, 2 or 8.
    """

    counters: int
    words: int
    word_bytes: int

    def __post_init__(self) -> None:
        if self.counters < 0 or self.words < 0 or self.counters + self.words == 0:
            raise ValueError(f"a vector needs words or counters, not {self.counters} and {self.words}")
        if self.word_bytes not in _WORD:
            raise ValueError(f"words have 1, 2 or 8 bytes, not {self.word_bytes}")

    @property
    def nbytes(self) -> int:
        """Size of a vector in bytes."""
        return self.counters * _COUNTER.itemsize + self.words * self.word_bytes

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the words."""
        return _WORD[self.word_bytes]

    def zeros(self) -> "Vector":
        """Return the empty sum."""
        return Vector(np.zeros(self.counters, _COUNTER), np.zeros(self.words, self.dtype))

    def parse(self, data: bytes) -> "Vector":
        """Return the vector in `data`, as a read-only view.

        Raises:
            MalformedMessageError: the size is wrong.
        """
        if len(data) != self.nbytes:
            raise MalformedMessageError(f"a vector of this round has {self.nbytes} bytes, not {len(data)}")
        return Vector(
            np.frombuffer(data, _COUNTER, self.counters),
            np.frombuffer(data, self.dtype, self.words, self.counters * _COUNTER.itemsize),
        )

    def check(self, vector: "Vector") -> None:
        """Raise ValueError unless `vector` has this format."""
        counters, words = vector.counters, vector.words
        if (counters.shape, counters.dtype) != ((self.counters,), _COUNTER):
            raise ValueError(f"counters must be {self.counters} uint64, not {counters.shape} {counters.dtype}")
        if (words.shape, words.dtype) != ((self.words,), self.dtype):
            raise ValueError(f"words must be {self.words} {self.dtype}, not {words.shape} {words.dtype}")


@dataclass(frozen=True, eq=False)
class Vector:
    """Counters and words, of one phone or summed.

    Attributes:
        counters: uint64[counters].
        words: uint8, uint16 or uint64 [words].
    """

    counters: Counters
    words: Words

    def __repr__(self) -> str:
        return f"<Vector of {self.counters.size} counters and {self.words.size} {self.words.dtype} words>"

    def copy(self) -> "Vector":
        """Return a copy that may be changed in place."""
        return Vector(self.counters.copy(), self.words.copy())

    def add(self, other: "Vector") -> None:
        """Add `other` in place, modulo 2^64 and modulo the size of a word."""
        np.add(self.counters, other.counters, out=self.counters)
        np.add(self.words, other.words, out=self.words)

    def to_bytes(self) -> bytes:
        """Return the counters and then the words."""
        return self.counters.tobytes() + self.words.tobytes()
