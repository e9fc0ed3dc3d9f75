"""Integer noise that phones add before masking, so that the server never sees a sum without it.

Skellam noise (Agarwal, Kairouz and Liu 2021, https://arxiv.org/abs/2110.04995) is closed under addition: the sum of n
phones' noise is Skellam with n times the variance. Discrete Gaussian noise (Kairouz, Liu and Steinke 2021,
https://arxiv.org/abs/2102.06387) is so only nearly. Reduction modulo the word of the encoding comes after the noise
and cannot weaken it.

Noise is sized for the fewest phones that a sum may have, less those that are not counted on: with more there is more
noise. What the noise has to hide is longer than the clip by what rounding adds (`UpdateCodec.sensitivity`).

Draws invert a cumulative distribution that is computed in integers and cut to 128 bits, so that a draw's distribution
is within 2^-100 of the exact one in total variation. Floating-point samplers leak through the gaps between floats
(Mironov 2012); there are none here. Draws do not take constant time.
"""

import hashlib
import math
from bisect import bisect_right
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from federation.privacy.errors import NoiseError
from federation.protocol.plan import Mechanism, Privacy, RoundPlan
from federation.updates.codec import FLOAT_SLACK
from federation.updates.encoding import WRAP_SIGMAS, Levels, ModularEncoding, rounded_norm
from federation.updates.random_stream import random_words
from federation.updates.rotation import padded

MAX_DEVIATION = 1e4
"""In levels; a word of 16 bits has no room for more."""

_TABLE_DEVIATION = 4096.0
_SMOOTH = 4
_BITS = 128
_WORKING_BITS = 192
_CHUNK = 1 << 18
_BUCKET_BITS = 18


@dataclass(frozen=True)
class NoiseScale:
    """Size of a plan's noise, in levels of its encoding.

    Attributes:
        mechanism: its distribution.
        coordinates: that get noise.
        sensitivity: L2 bound of one phone's rounded vector.
        phone_variance: of one phone's noise in a coordinate.
        contributors: phones whose noise is counted on.
    """

    mechanism: Mechanism
    coordinates: int
    sensitivity: float
    phone_variance: float
    contributors: int

    @property
    def sum_variance(self) -> float:
        """Variance of a coordinate of the smallest sum, from the phones that are counted on."""
        return self.phone_variance * self.contributors

    @classmethod
    def of(cls, plan: RoundPlan) -> Self:
        """Return the scale at which a sum over `plan.minimum` phones has the plan's noise multiplier.

        Raises:
            NoiseError: the plan has no noise, counts on no phone for it, or its encoding has no room for it.
        """
        privacy, encoding = plan.privacy, plan.encoding
        if privacy.mechanism == Mechanism.NONE or not isinstance(encoding, ModularEncoding):
            raise NoiseError(
                "the plan has no noise: choose Skellam or the discrete Gaussian and an encoding that wraps"
            )
        contributors = _contributors(plan.minimum, privacy)
        phone_variance = (privacy.noise_multiplier * plan.codec.sensitivity) ** 2 / contributors
        max_sum = math.sqrt(phone_variance * encoding.phones)
        if max_sum * WRAP_SIGMAS > encoding.largest:
            raise NoiseError(
                f"noise of {max_sum:.0f} levels on the sum would wrap around at {encoding.largest}: "
                "take 16 bits or a larger step"
            )
        return cls(privacy.mechanism, plan.codec.coordinates, plan.codec.sensitivity, phone_variance, contributors)


def noised_encoding(phones: int, minimum: int, privacy: Privacy, clip: float, dimension: int) -> ModularEncoding:
    """Return 16-bit integers with room for the sum of a plan's updates and noise, as finely spaced as they can be.

    Args:
        phones: most phones in a group.
        minimum: phones in a sum, at least; noise is sized for these.
        privacy: of the plan.
        clip: L2 bound of a phone's vector.
        dimension: of the vectors.

    Raises:
        NoiseError: no spacing leaves room, or the noise counts on nobody.
    """
    contributors = _contributors(minimum, privacy)
    coordinates = padded(dimension)
    room = ModularEncoding(16, phones, 1.0).largest / WRAP_SIGMAS

    def deviation(step: float) -> float:
        mean = phones * clip / (step * math.sqrt(coordinates))
        noise = privacy.noise_multiplier * rounded_norm(clip * (1 + FLOAT_SLACK) / step, coordinates)
        return math.sqrt(mean**2 + (noise**2 / contributors + 1 / 4) * phones)

    # A step so coarse that a whole clip is one level leaves next to nothing of an update.
    fine, coarse = 0.0, clip
    if deviation(coarse) > room:
        raise NoiseError(
            f"16 bits have no room for noise multiplier {privacy.noise_multiplier:g} on {dimension:,} weights: "
            "lower it, or train fewer weights"
        )
    while coarse - fine > 1e-6 * coarse:
        middle = (fine + coarse) / 2
        fine, coarse = (middle, coarse) if deviation(middle) > room else (fine, middle)
    return ModularEncoding(16, phones, coarse)


def _contributors(minimum: int, privacy: Privacy) -> int:
    if minimum <= privacy.corrupt:
        raise NoiseError(f"of {minimum} phones, {privacy.corrupt} are not counted on: raise the minimum above that")
    return minimum - privacy.corrupt


def phone_noise(plan: RoundPlan, seed: bytes) -> Levels:
    """Return a phone's noise for `RoundPlan.encode`, on a real phone and on a simulated one alike.

    Args:
        plan: of the round.
        seed: 32 secret random bytes, used for nothing else.

    Returns:
        int64[plan.codec.coordinates], in levels.

    Raises:
        NoiseError: see `NoiseScale.of`.
    """
    scale = NoiseScale.of(plan)
    return draw(scale.mechanism, scale.phone_variance, scale.coordinates, seed)


def draw(mechanism: Mechanism, variance: float, count: int, seed: bytes) -> Levels:
    """Return int64[count] independent draws with mean zero.

    Args:
        mechanism: the distribution.
        variance: of Skellam noise; the parameter sigma^2 of the discrete Gaussian, which is its variance to within
            any practical precision once it is 1 or more.
        count: of draws.
        seed: 32 secret random bytes, used for nothing else.

    Raises:
        NoiseError: there is no such noise.
    """
    if not 0 < variance <= MAX_DEVIATION**2:
        raise NoiseError(f"no integer noise has a variance of {variance:g} levels: change the encoding's step")
    match mechanism:
        case Mechanism.SKELLAM:
            tables = [_poisson(variance / 2)] * 2
        case Mechanism.DISCRETE_GAUSSIAN:
            tables = [_discrete_gaussian(variance)]
        case Mechanism.NONE:
            raise NoiseError("there is no noise to draw: choose Skellam or the discrete Gaussian")
    # One stream of 128-bit integers: all of the first table's draws, then all of the second's.
    words = random_words(seed, 2 * count * len(tables), "<u8").reshape(len(tables), count, 2)
    noise = tables[0].invert(words[0])
    if len(tables) > 1:
        noise -= tables[1].invert(words[1])
    return noise


def wide_gaussian(deviation: float, count: int, seed: bytes) -> Levels:
    """Return int64[count] draws of the discrete Gaussian of a deviation that may be far beyond a table's.

    They are a X + Y, with X and Y discrete Gaussians and a a power of two: by Poisson's summation that is the discrete
    Gaussian of deviation sqrt(a^2 x^2 + y^2) to a relative 1e-136 at every integer if y is 4 a or more (Micciancio and
    Walter 2017, https://eprint.iacr.org/2017/259), of which nothing is left beside the tables' 2^-100.

    Args:
        deviation: at least 1/2, at most 2^50.
        count: of draws.
        seed: 32 secret random bytes, used for nothing else.

    Raises:
        NoiseError: there is no such noise.
    """
    if not 0.5 <= deviation <= 2.0**50:
        raise NoiseError(f"no integer noise has a deviation of {deviation:g}: change the clip or the noise multiplier")
    if deviation <= _TABLE_DEVIATION:
        return draw(Mechanism.DISCRETE_GAUSSIAN, deviation**2, count, seed)
    factor = 1 << int(math.log2(2 * deviation / _TABLE_DEVIATION))
    inner = math.sqrt((deviation / factor) ** 2 - _SMOOTH**2)
    fine = wide_gaussian(float(_SMOOTH * factor), count, hashlib.sha256(b"fine" + seed).digest())
    fine += factor * draw(Mechanism.DISCRETE_GAUSSIAN, inner**2, count, seed)
    return fine


class _Table(NamedTuple):
    """A cumulative distribution on consecutive integers, in units of 2^-128.

    Attributes:
        first: the smallest value.
        below: Python integers; `below[k]` is the probability of at most `first + k`, the last value left out.
        high: uint64, their upper halves.
        before: how many values lie below each bucket of upper halves, and in all.
    """

    first: int
    below: list[int]
    high: npt.NDArray[np.uint64]
    before: npt.NDArray[np.intp]

    @classmethod
    def of(cls, first: int, below: list[int]) -> Self:
        """Return the table of a cumulative distribution."""
        high = np.array([min(value, (1 << _BITS) - 1) >> 64 for value in below], np.uint64)
        edges = np.arange(1 << _BUCKET_BITS, dtype=np.uint64) << np.uint64(64 - _BUCKET_BITS)
        return cls(first, below, high, np.append(np.searchsorted(high, edges), len(high)))

    def invert(self, words: npt.NDArray[np.uint64]) -> Levels:
        """Return the value at each uniform 128-bit integer of uint64[count, 2], whose upper half is first."""
        values = np.empty(len(words), np.int64)
        before = self.before  # a bucket in which no value ends is decided by its number
        for start in range(0, len(words), _CHUNK):
            upper = words[start : start + _CHUNK, 0]
            bucket = (upper >> np.uint64(64 - _BUCKET_BITS)).astype(np.intp)
            index = before[bucket]
            open_ones = np.flatnonzero(before[bucket + 1] != index)
            index[open_ones] = np.searchsorted(self.high, upper[open_ones], side="left")
            # Nearly always the upper halves decide; where they are equal, all bits do.
            after = np.searchsorted(self.high, upper[open_ones], side="right")
            for tie in open_ones[after != index[open_ones]]:
                both = words[start + int(tie)]
                index[tie] = bisect_right(self.below, int(both[0]) << 64 | int(both[1]))
            values[start : start + _CHUNK] = index + self.first
        return values


def _cumulative(first: int, weights: list[int]) -> _Table:
    total, running, below = sum(weights), 0, []
    for weight in weights[:-1]:
        running += weight
        below.append((running << _BITS) // total)
    return _Table.of(first, below)


@lru_cache(maxsize=4)
def _poisson(mean: float) -> _Table:
    # Weights relative to the mode, whose neighbours follow from each other; beyond both ends they round to zero.
    numerator, denominator = Fraction(mean).as_integer_ratio()
    mode = numerator // denominator
    up, weight, value = [], 1 << _WORKING_BITS, mode
    while weight:
        up.append(weight)
        value += 1
        weight = weight * numerator // (denominator * value)
    down, weight, value = [], 1 << _WORKING_BITS, mode
    while weight and value:
        weight = weight * denominator * value // numerator
        value -= 1
        down.append(weight)
    return _cumulative(mode - len(down), down[::-1] + up)


@lru_cache(maxsize=8)
def _discrete_gaussian(variance: float) -> _Table:
    # exp(-k^2 / 2 sigma^2): the ratio of neighbours shrinks by the same factor with every step.
    context = Context(prec=120)
    exponent = context.divide(Decimal(-1), context.multiply(Decimal(2), Decimal(variance)))
    scale_bits = 2 * _WORKING_BITS
    ratio = int(context.multiply(context.exp(exponent), Decimal(1 << scale_bits)))
    shrink = ratio * ratio >> scale_bits
    half, weight = [], 1 << _WORKING_BITS
    while weight:
        half.append(weight)
        weight = weight * ratio >> scale_bits
        ratio = ratio * shrink >> scale_bits
    return _cumulative(1 - len(half), half[:0:-1] + half)
