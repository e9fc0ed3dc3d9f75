"""Noise that a server adds to the sum of a round's phones, for phones that trust it with the sum.

Fresh Gaussian noise every round is DP-FedAvg (McMahan et al. 2018, https://arxiv.org/abs/1710.06963); noise correlated
over rounds by a BLT (`toeplitz.Buffers`) is what large fleets train with. The simulation and the round server call the
same code.

Sums are integers, levels of an encoding, and so is their noise: z of a round is a discrete Gaussian in steps of
2^-16 of a level, and what is subtracted from it, a linear function of earlier noise, is rounded to such steps. All
arithmetic after that works on the noised integers, so that no gap between floats tells more than the account says
(Mironov 2012).

Noise follows the rounds as they were noised, whichever model each of them trained: a refused round, a rollback and a
promotion change nothing in what was released, and so nothing in what it costs.
"""

import hashlib
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from federation.privacy.errors import NoiseError
from federation.privacy.mechanisms import wide_gaussian
from federation.privacy.toeplitz import Buffers
from federation.updates.codec import FLOAT_SLACK
from federation.updates.encoding import Levels, PackedEncoding
from federation.updates.rotation import Reals, Rotation, padded

MAX_ROUNDS = 1 << 20
"""That one stream of noise is for; rounding of what is subtracted adds up over them."""

_LABEL = b"fedkey central noise v2\0"
_SECRET_BYTES = 32
_MIN_LEVELS = 120
_STEPS = 1 << 16
_ROUNDING_STEPS = 2.0  # a coordinate's, of rounding to a step and of 64-bit floats


def exact_encoding(phones: int, clip: float, dimension: int) -> PackedEncoding:
    """Return the encoding whose sums never wrap around, so that a phone moves them by its own length at most.

    Its levels are so fine that rounding adds less than a tenth to what a phone can move.
    """
    fits = (lanes for lanes in (4, 3) if PackedEncoding.for_clip(lanes, phones, clip, dimension).levels > _MIN_LEVELS)
    return PackedEncoding.for_clip(next(fits, 2), phones, clip, dimension)


def sensitivity(encoding: PackedEncoding, clip: float, dimension: int) -> float:
    """Return the most by which one phone that counts once can move a sum, in L2 and in levels.

    It is the clip, all of the phone's rounding, and what rounding of correlated noise adds over `MAX_ROUNDS`.
    """
    rounding = 1 + _ROUNDING_STEPS * math.sqrt(MAX_ROUNDS) / _STEPS
    return clip * (1 + FLOAT_SLACK) / encoding.step + math.sqrt(padded(dimension)) * rounding


@dataclass(frozen=True, eq=False)
class NoiseStream:
    """Noise of one mechanism from round to round; keep the next one together with what the noise was added to.

    Attributes:
        buffers: how it is correlated.
        secret: 32 bytes that only the server knows and that no other stream has.
        rounds: noised so far.
        held: float64[buffers, dimension], in standard deviations, so that clip and encoding may change between rounds.
            Anyone who reads it can tell the noise of later rounds from that of earlier ones.
    """

    buffers: Buffers
    secret: bytes = field(repr=False)
    rounds: int
    held: npt.NDArray[np.float64] = field(repr=False)

    @classmethod
    def begin(cls, buffers: Buffers, dimension: int, entropy: Callable[[int], bytes] = secrets.token_bytes) -> Self:
        """Return a stream before its first round."""
        return cls(buffers, entropy(_SECRET_BYTES), 0, np.zeros((buffers.count, dimension)))

    def noised(self, levels: Levels, rotation: Rotation, deviation: float, nonce: bytes) -> tuple["NoisedLevels", Self]:
        """Return a sum with its noise, and the stream after it.

        The same stream gives the same noise for the same nonce, so that a round that is finished twice has one.

        Args:
            levels: int64[coordinates], the sum of rotated, rounded vectors.
            rotation: of the round.
            deviation: of the independent noise, in levels: z times `sensitivity`.
            nonce: of this round and no other, also not of a restored server's.

        Raises:
            NoiseError: the deviation is beyond what integers are drawn for, or the stream has had `MAX_ROUNDS`.
        """
        if self.rounds >= MAX_ROUNDS:
            raise NoiseError(f"noise has been added to {MAX_ROUNDS} rounds: set up a new server")
        seed = hashlib.sha256(_LABEL + self.secret + self.rounds.to_bytes(8, "little") + nonce).digest()
        noise, scale = wide_gaussian(deviation * _STEPS, levels.size, seed), deviation * _STEPS
        if not self.buffers.count:
            return NoisedLevels(levels * _STEPS + noise), replace(self, rounds=self.rounds + 1)
        earlier = np.array(self.buffers.scales) @ self.held
        noise -= np.rint(rotation.apply(earlier) * scale).astype(np.int64)
        held = np.array(self.buffers.decays)[:, None] * self.held + rotation.invert(noise / scale)
        return NoisedLevels(levels * _STEPS + noise), replace(self, rounds=self.rounds + 1, held=held)

    def count_noise(self, deviation: float, nonce: bytes) -> float:
        """Return noise for a count of this round, in multiples of a half; see `noised` for the nonce."""
        seed = hashlib.sha256(_LABEL + b"count" + self.secret + self.rounds.to_bytes(8, "little") + nonce).digest()
        return int(wide_gaussian(2 * deviation, 1, seed)[0]) / 2


@dataclass(frozen=True, eq=False)
class NoisedLevels:
    """A noised sum: int64[coordinates] in steps of 2^-16 of a level."""

    steps: Levels

    def dequantise(self, encoding: PackedEncoding, phones: int) -> Reals:
        """Return the summed coordinates of `phones` phones, float32; see `PackedEncoding.dequantise`."""
        exact = self.steps / _STEPS  # of integers far below 2^53
        return (exact * encoding.step - phones * encoding.bound).astype(np.float32)
