"""Encodings: real vectors as vectors of small integers whose modular sum decodes to the sum of the reals.

A vector that was rotated (`federation.updates.rotation`) is clipped and rounded stochastically to a grid, and the
integers are packed:

- `PackedEncoding`: several coordinates to a 64-bit word as the digits of a number. Levels are so few that the digits
  of a sum never carry, so the sum is exact.
- `ModularEncoding`: one coordinate to an 8- or 16-bit integer that wraps around. Only the *sum* has to fit, which needs
  an estimate of its size; coordinates that do not fit come out wrong by the whole range.

Modular wrapping with secure aggregation is that of the Distributed Discrete Gaussian (Kairouz et al., ICML 2021),
https://arxiv.org/abs/2102.06387.
"""

import math
import struct
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from federation.secure_aggregation.errors import ImpossibleSumError
from federation.secure_aggregation.vector import Words
from federation.updates.random_stream import random_words
from federation.updates.rotation import Reals, padded

Levels = npt.NDArray[np.int64]

LANES_SIGMAS = 6.0
WRAP_SIGMAS = 5.0
"""Ranges, in standard deviations of a rotated coordinate. One vector's blocks differ more than the sum's."""

_CHUNK = 1 << 15


def round_stochastically(values: npt.NDArray[np.float64], uniform: npt.NDArray[np.uint32]) -> Levels:
    """Return integers next to `values` whose expectation is `values`, given uniform 32-bit integers."""
    return np.floor(values + uniform * 2.0**-32).astype(np.int64)


def rounded_norm(norm: float, coordinates: int) -> float:
    """Return an L2 bound, in steps, that stochastic rounding keeps but for a probability of e^-8 (3e-4).

    Rounding moves each coordinate by less than one step, so norm + sqrt(coordinates) is never exceeded; but what it
    adds to the squared norm is on average 1/4 a coordinate at most (Kairouz, Liu and Steinke 2021, theorem 1,
    https://arxiv.org/abs/2102.06387). Anyone who relies on the bound rounds again until it holds.

    Args:
        norm: L2 norm before rounding, in steps.
        coordinates: that are rounded.
    """
    root = math.sqrt(coordinates)
    likely = norm**2 + coordinates / 4 + 4 * (norm + root / 2)
    return min(norm + root, math.sqrt(likely))


@dataclass(frozen=True)
class PackedEncoding:
    """Coordinates as digits of 64-bit words: levels 0 to `levels - 1` over the range -bound to bound.

    Attributes:
        per_word: coordinates in a word, 2 to 8.
        phones: most phones whose vectors may be summed.
        bound: coordinates beyond it are clipped.
    """

    per_word: int
    phones: int
    bound: float

    def __post_init__(self) -> None:
        if not 2 <= self.per_word <= 8:
            raise ValueError(f"a word has 2 to 8 lanes, not {self.per_word}")
        if self.phones < 1 or self.levels < 2:
            raise ValueError(f"{self.per_word} lanes cannot hold a sum of {self.phones} phones: use fewer lanes")
        _check_scale("bound", self.bound)

    @classmethod
    def for_clip(cls, per_word: int, phones: int, clip: float, dimension: int) -> Self:
        """Return lanes with room for vectors of an L2 norm of up to `clip`."""
        return cls(per_word, phones, LANES_SIGMAS * clip / math.sqrt(padded(dimension)))

    @property
    def radix(self) -> int:
        """Values that a digit of a sum may have: the largest number whose power still fits 64 bits."""
        return {2: 1 << 32, 3: 2642245, 4: 65536, 5: 7131, 6: 1625, 7: 565, 8: 256}[self.per_word]

    @property
    def levels(self) -> int:
        """Values that a digit of one phone may have."""
        return (self.radix - 1) // self.phones + 1

    @property
    def word_bytes(self) -> int:
        """Bytes of a word."""
        return 8

    @property
    def bits(self) -> float:
        """Bits that a phone sends for a coordinate."""
        return 64 / self.per_word

    @property
    def step(self) -> float:
        """Distance of two levels."""
        return 2 * self.bound / (self.levels - 1)

    def words(self, coordinates: int) -> int:
        """Return how many words this many coordinates take."""
        return -(-coordinates // self.per_word)

    def quantise(self, rotated: Reals, seed: bytes) -> Levels:
        """Return a level for each coordinate, rounded with the phone's own 32-byte secret `seed`."""
        levels = _quantise(rotated, seed, self.step, self.bound, self.bound / self.step)
        # Rounding noise may lift a coordinate at the bound by one.
        return np.clip(levels, 0, self.levels - 1, out=levels)

    def pack(self, levels: Levels) -> Words:
        """Return uint64[words] of levels.

        Raises:
            ValueError: a level is outside of 0 to `levels - 1`.
        """
        if levels.size and not (levels.min() >= 0 and levels.max() < self.levels):
            raise ValueError(f"levels are within 0 and {self.levels - 1}")
        digits = np.zeros(self.words(levels.size) * self.per_word, np.uint64)
        digits[: levels.size] = levels.astype(np.uint64)
        digits = digits.reshape(self.per_word, -1)  # lane by lane, so that each is contiguous
        packed: Words = digits[-1].copy()
        for lane in digits[-2::-1]:
            packed *= np.uint64(self.radix)
            packed += lane
        return packed

    def unpack(self, words: Words, coordinates: int, phones: int) -> Levels:
        """Return the summed levels of each coordinate.

        Raises:
            ImpossibleSumError: a digit is larger than `phones` honest phones can make it.
        """
        rest = words.astype(np.uint64)
        digits = np.empty((self.per_word, words.size), np.int64)
        for lane in digits:
            quotient = rest // np.uint64(self.radix)
            np.subtract(rest, quotient * np.uint64(self.radix), out=lane, casting="unsafe")
            rest = quotient
        flat = digits.reshape(-1)
        largest = phones * (self.levels - 1)
        if rest.any() or (flat[:coordinates] > largest).any() or flat[coordinates:].any():
            raise ImpossibleSumError(f"a lane is above {largest}: some phone masked garbage, discard the round")
        return flat[:coordinates]

    def dequantise(self, summed: Levels, phones: int) -> Reals:
        """Return the summed coordinates of `phones` phones."""
        return (summed * self.step - phones * self.bound).astype(np.float32)


@dataclass(frozen=True)
class ModularEncoding:
    """Coordinates as integers that wrap around.

    Attributes:
        wrap_bits: 8 or 16.
        phones: most phones whose vectors may be summed.
        step: distance of two levels.
    """

    wrap_bits: int
    phones: int
    step: float

    def __post_init__(self) -> None:
        if self.wrap_bits not in {8, 16}:
            raise ValueError(f"wrapped integers have 8 or 16 bits, not {self.wrap_bits}")
        if self.phones < 1:
            raise ValueError(f"a sum has at least one phone, not {self.phones}")
        _check_scale("step", self.step)

    @classmethod
    def for_norm(cls, wrap_bits: int, phones: int, norm: float, dimension: int) -> Self:
        """Return integers with room for a sum of `phones` vectors whose mean has an L2 norm of `norm`."""
        largest = (1 << (wrap_bits - 1)) - 1
        # Rounding adds a variance of up to step^2 / 4 for each phone; the sum of both must be WRAP_SIGMAS within range.
        steps = math.sqrt(largest**2 / WRAP_SIGMAS**2 - phones / 4)
        return cls(wrap_bits, phones, phones * norm / math.sqrt(padded(dimension)) / steps)

    @property
    def bits(self) -> float:
        """Bits that a phone sends for a coordinate."""
        return self.wrap_bits

    @property
    def word_bytes(self) -> int:
        """Bytes of a word."""
        return self.wrap_bits // 8

    @property
    def largest(self) -> int:
        """The largest level of a sum that does not wrap."""
        return (1 << (self.wrap_bits - 1)) - 1

    def words(self, coordinates: int) -> int:
        """Return how many words this many coordinates take."""
        return coordinates

    def quantise(self, rotated: Reals, seed: bytes) -> Levels:
        """Return a level for each coordinate, rounded with the phone's own 32-byte secret `seed`."""
        levels = _quantise(rotated, seed, self.step, self.largest * self.step, 0.0)
        return np.clip(levels, -self.largest, self.largest, out=levels)

    def pack(self, levels: Levels) -> Words:
        """Return uint8 or uint16 [coordinates]: the levels modulo their number."""
        # From signed to unsigned integers wraps; from negative floats it would be undefined.
        dtype = "<u1" if self.wrap_bits == 8 else "<u2"
        return levels.astype(dtype)

    def unpack(self, words: Words, coordinates: int, phones: int) -> Levels:  # noqa: ARG002 - as `PackedEncoding.unpack`
        """Return the summed levels of each coordinate, if none wrapped around."""
        return words[:coordinates].view("<i1" if self.wrap_bits == 8 else "<i2").astype(np.int64)

    def dequantise(self, summed: Levels, phones: int) -> Reals:  # noqa: ARG002 - as `PackedEncoding.dequantise`
        """Return the summed coordinates."""
        return (summed * self.step).astype(np.float32)


Encoding = PackedEncoding | ModularEncoding

NORM_GROWTH = 1.5
"""How much longer than an earlier mean the next may be: rounding is cheap beside what wraps around."""


def choose(
    phones: int, clip: float, dimension: int, previous_norm: float | None = None, *, coarse: bool = False
) -> Encoding:
    """Return the smallest encoding that is precise enough for a cohort.

    Args:
        phones: most phones in a group.
        clip: L2 bound of a phone's vector.
        dimension: of the vectors.
        previous_norm: L2 norm of the mean of the vectors of an earlier round, if there was one
            (`UpdateCodec.encoded_norm`).
        coarse: whether 8 bits are precise enough, as beside the error of a subset
            (`federation.updates.sparsification`).
    """
    if phones <= 50:
        per_word = 8 if coarse else 4 if phones <= 20 else 5
        return PackedEncoding.for_clip(per_word, phones, clip, dimension)
    if previous_norm is None:
        return ModularEncoding.for_norm(16, phones, clip, dimension)
    return ModularEncoding.for_norm(8, phones, min(NORM_GROWTH * previous_norm, clip), dimension)


_LAYOUT = struct.Struct("<BBHd")
ENCODING_BYTES = _LAYOUT.size


def encoding_to_bytes(encoding: Encoding) -> bytes:
    """Return kind u8 (1 lanes, 2 wrap), lanes or bits u8, phones u16, bound or step f64."""
    match encoding:
        case PackedEncoding(per_word, phones, bound):
            return _LAYOUT.pack(1, per_word, phones, bound)
        case ModularEncoding(wrap_bits, phones, step):
            return _LAYOUT.pack(2, wrap_bits, phones, step)


def encoding_from_bytes(data: bytes) -> Encoding:
    """Return the encoding in `ENCODING_BYTES` bytes.

    Raises:
        ValueError: there is no such encoding.
    """
    kind, size, phones, scale = _LAYOUT.unpack(data)
    if kind not in {1, 2}:
        raise ValueError(f"there is no encoding of kind {kind}: update the app")
    return PackedEncoding(size, phones, scale) if kind == 1 else ModularEncoding(size, phones, scale)


def _check_scale(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} is finite and positive, not {value}")


def _quantise(rotated: Reals, seed: bytes, step: float, bound: float, offset: float) -> Levels:
    uniform = random_words(seed, rotated.size, "<u4")
    levels = np.empty(rotated.size, np.int64)
    for start in range(0, rotated.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        values = np.clip(rotated[part].astype(np.float64), -bound, bound) / step + offset
        levels[part] = round_stochastically(values, uniform[part])
    return levels
