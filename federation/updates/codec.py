"""From a phone's update to the integers it masks, and from their modular sum back to a weighted sum of deltas."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from federation.secure_aggregation import Vector, VectorFormat
from federation.secure_aggregation.errors import ImpossibleSumError
from federation.updates.encoding import Encoding, Levels, rounded_norm
from federation.updates.rotation import Reals, Rotation, padded
from federation.updates.sparsification import Energies, Sampler, Subset
from federation.updates.transforms import Clip, Sparsify, Transform, Weigh, transformed
from federation.updates.update import Tally, Update
from federation.updates.weighted_sum import LevelSum, WeightedSum

COUNTERS = 4
"""Examples, tokens, loss and hits ride in front of the words, exact in 64 bits each."""

MAX_COUNT = 1 << 40
LOSS_UNITS = 1 << 16
"""Loss is summed in units of 1 / 65536 nat."""

FLOAT_SLACK = 1e-4
"""Clipping and rotating in float32 may lengthen a delta by this share of the clip."""

_ROUNDINGS = 64


@dataclass(frozen=True, kw_only=True)
class UpdateCodec:
    """How the phones of a round encode updates.

    Attributes:
        dimension: Length of a delta.
        encoding: Encoding of the rotated coordinates.
        clip: Largest L2 norm of what a phone encodes.
        weight_cap: Number of examples that count at most; 1 weighs all phones alike.
        seed: Public seed of rotation and subset, 32 bytes.
        subset: Coordinates that phones send; nothing is all.
        noised: Whether phones add noise.
    """

    dimension: int
    encoding: Encoding
    clip: float
    weight_cap: int
    seed: bytes
    subset: Subset | None
    noised: bool

    @property
    def kept(self) -> int:
        """Number of coordinates of an update that are sent."""
        return self.dimension if self.subset is None else self.subset.kept

    @property
    def coordinates(self) -> int:
        """Number of coordinates after rotation: what is rounded, and what gets noise."""
        return padded(self.kept)

    @property
    def vector(self) -> VectorFormat:
        """Format of what is masked."""
        return VectorFormat(COUNTERS, self.encoding.words(self.coordinates), self.encoding.word_bytes)

    @property
    def sensitivity(self) -> float:
        """L2 bound, in steps of a `ModularEncoding`, of a phone's rounded vector, which noise has to hide."""
        return rounded_norm(self.clip * (1 + FLOAT_SLACK) / self.encoding.step, self.coordinates)

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """What is done to a delta before it is rotated and rounded."""
        # Clipped after the subset was scaled up, so that the clip bounds what noise has to hide.
        return Sparsify(self._sampler), Clip(self.clip), Weigh(self.weight_cap)

    @cached_property
    def rotation(self) -> Rotation:
        """The rotation of what is kept."""
        return Rotation(self.seed, self.kept)

    @cached_property
    def _sampler(self) -> Sampler:
        return Sampler(self.seed, self.subset or Subset.whole(self.dimension))

    def encode(self, update: Update, seed: bytes, noise: Levels | None = None) -> Vector:
        """Return what a phone masks: its counters, and its delta transformed, rotated, rounded, packed.

        Where there is noise, the delta is rounded again until it is no longer than `sensitivity`.

        Args:
            update: of this phone.
            seed: 32 secret random bytes for rounding, used once.
            noise: int64[coordinates] in steps of the encoding, if the plan asks for noise.

        Raises:
            ValueError: the update has another dimension or is not finite, or there is noise where the plan has none
                or none where it asks for some.
        """
        if (noise is not None) != self.noised:
            raise ValueError("the plan asks for noise: add it" if self.noised else "noise in a plan without: add none")
        sent = transformed(update, self.transforms)
        rotated = self.rotation.apply(sent.delta)
        levels = self.encoding.quantise(rotated, seed) if noise is None else self._bounded(rotated, seed) + noise
        loss = round(min(sent.tally.loss * LOSS_UNITS, MAX_COUNT))
        counts = (sent.tally.examples, sent.tally.tokens, loss, sent.tally.hits)
        counters = np.array([min(count, MAX_COUNT) for count in counts], "<u8")
        return Vector(counters, self.encoding.pack(levels))

    def _bounded(self, rotated: Reals, seed: bytes) -> Levels:
        for attempt in range(_ROUNDINGS):
            fresh = hashlib.sha256(seed + bytes([attempt])).digest() if attempt else seed
            levels = self.encoding.quantise(rotated, fresh)
            if math.sqrt(float(np.square(levels, dtype=np.float64).sum())) <= self.sensitivity:
                return levels
        raise ValueError("the delta is longer than the clip: this phone's arithmetic is broken, do not take part")

    def decode(self, vector: Vector, phones: int) -> WeightedSum:
        """Return the sum of the updates of `phones` phones.

        Raises:
            ImpossibleSumError: no honest cohort has this sum.
        """
        return self.restore(self.unpack(vector, phones))

    def unpack(self, vector: Vector, phones: int) -> LevelSum:
        """Return the sum of what `phones` phones encoded, in levels.

        Raises:
            ImpossibleSumError: no honest cohort has this sum.
        """
        examples, tokens, loss, hits = (int(count) for count in vector.counters)
        if examples > phones * self.weight_cap or max(tokens, loss, hits) > phones * MAX_COUNT:
            raise ImpossibleSumError("a counter is too large: some phone masked garbage, discard the round")
        levels = self.encoding.unpack(vector.words, self.coordinates, phones)
        return LevelSum(levels, Tally(examples, tokens, loss / LOSS_UNITS, hits), phones)

    def restore(self, total: LevelSum, rotated: Reals | None = None) -> WeightedSum:
        """Return the sum of updates whose levels these are.

        Args:
            total: of one group or several.
            rotated: float32[coordinates], what the levels stand for, if noise was added to them.
        """
        if rotated is None:
            rotated = self.encoding.dequantise(total.levels, total.phones)
        kept = self.rotation.invert(rotated) * np.float32(self.weight_cap)
        return WeightedSum(self._sampler.restore(kept), total.tally, total.phones)

    def encoded_norm(self, total: WeightedSum) -> float:
        """Return the L2 norm of the mean of the weighted deltas that phones encoded, which `choose` takes next time."""
        return float(np.linalg.norm(total.delta)) / self.weight_cap / total.phones

    def energies(self, total: WeightedSum) -> Energies:
        """Return the energies of the mean delta, by which `Subset.allocate` chooses next time."""
        return self._sampler.energies(total.mean)
