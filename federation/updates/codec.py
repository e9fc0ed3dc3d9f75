"""From a phone's update to the integers it masks, and from their modular sum back to a weighted sum of deltas."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from federation.secure_aggregation import Vector, VectorFormat
from federation.secure_aggregation.errors import ImpossibleSumError
from federation.updates.counts import COUNTS, MAX_TOKEN_LOSS, NoisedCounts
from federation.updates.encoding import Encoding, Levels, rounded_norm
from federation.updates.rotation import Reals, Rotation, padded
from federation.updates.sparsification import Energies, Sampler, Subset
from federation.updates.transforms import Clip, Sparsify, Transform, Weigh, transformed
from federation.updates.update import Tally, Update
from federation.updates.weighted_sum import LevelSum, WeightedSum

COUNTERS = 5
"""Without noise, the counts of a `Tally` ride in front of the words, exact in 64 bits each."""

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
        noise_multiplier: Standard deviation of the sum's noise over the clip; 0 if phones add none.
        noise_makers: Number of phones whose noise together has that deviation.
    """

    dimension: int
    encoding: Encoding
    clip: float
    weight_cap: int
    seed: bytes
    subset: Subset | None
    noise_multiplier: float = 0.0
    noise_makers: int = 1

    @property
    def noised(self) -> bool:
        """Whether phones add noise."""
        return self.noise_multiplier > 0

    @property
    def kept(self) -> int:
        """Number of coordinates of an update that are sent."""
        return self.dimension if self.subset is None else self.subset.kept

    @property
    def coordinates(self) -> int:
        """Number of coordinates after rotation: what is rounded, and what gets noise."""
        return padded(self._rotated)

    @property
    def _rotated(self) -> int:
        return self.kept + (COUNTS if self.noised else 0)

    @property
    def _counts(self) -> NoisedCounts:
        return NoisedCounts(self.clip, self.weight_cap)

    @property
    def vector(self) -> VectorFormat:
        """Format of what is masked."""
        return VectorFormat(
            0 if self.noised else COUNTERS, self.encoding.words(self.coordinates), self.encoding.word_bytes
        )

    @property
    def sensitivity(self) -> float:
        """L2 bound, in steps of a `ModularEncoding`, of a phone's rounded vector, which noise has to hide."""
        return rounded_norm(self.clip * (1 + FLOAT_SLACK) / self.encoding.step, self.coordinates)

    @property
    def noise_variance(self) -> float:
        """Variance of one phone's noise in each coordinate, in squared steps."""
        return (self.noise_multiplier * self.sensitivity) ** 2 / self.noise_makers

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """What is done to a delta before it is rotated and rounded."""
        # Clipped after the subset was scaled up, so that the clip bounds what noise has to hide.
        norm = self._counts.delta_clip if self.noised else self.clip
        return Sparsify(self._sampler), Clip(norm), Weigh(self.weight_cap)

    @cached_property
    def rotation(self) -> Rotation:
        """The rotation of what is kept, and of the counts beside it if there is noise."""
        return Rotation(self.seed, self._rotated)

    @cached_property
    def _sampler(self) -> Sampler:
        return Sampler(self.seed, self.subset or Subset.whole(self.dimension))

    def encode(self, update: Update, seed: bytes, noise: Levels | None = None) -> Vector:
        """Return what a phone masks: its counters, and its delta transformed, rotated, rounded, packed.

        Where there is noise, the counters are coordinates beside the delta, and both are rounded again until they are
        no longer than `sensitivity`.

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
        if noise is not None:
            rotated = self.rotation.apply(self._counts.beside(sent.delta, sent.tally))
            return Vector(np.zeros(0, "<u8"), self.encoding.pack(self._bounded(rotated, seed) + noise))
        levels = self.encoding.quantise(self.rotation.apply(sent.delta), seed)
        tokens = min(sent.tally.tokens, MAX_COUNT)
        loss = round(min(sent.tally.loss, tokens * MAX_TOKEN_LOSS) * LOSS_UNITS)
        hits, unclipped = min(sent.tally.hits, tokens), sent.tally.unclipped
        counters = np.array([sent.tally.examples, tokens, min(loss, MAX_COUNT), hits, unclipped], "<u8")
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
        """Return the sum of what `phones` phones encoded, in levels; under noise its counts are not known yet.

        Raises:
            ImpossibleSumError: no honest cohort has this sum.
        """
        counts = Tally(0) if self.noised else self._checked_counts(vector, phones)
        levels = self.encoding.unpack(vector.words, self.coordinates, phones)
        clips = phones if self.noised else counts.examples / self.weight_cap
        rotated = self.encoding.dequantise(levels, phones)
        if not np.linalg.norm(rotated.astype(np.float64)) <= self._max_norm(clips, phones):
            raise ImpossibleSumError("the sum is longer than its phones' clipped deltas can be: discard the round")
        return LevelSum(levels, counts, phones)

    def restore(self, total: LevelSum, rotated: Reals | None = None) -> WeightedSum:
        """Return the sum of updates whose levels these are.

        Args:
            total: of one group or several.
            rotated: float32[coordinates], what the levels stand for, if noise was added to them.
        """
        if rotated is None:
            rotated = self.encoding.dequantise(total.levels, total.phones)
        kept, tally, weight = self.rotation.invert(rotated), total.tally, None
        if self.noised:
            kept, tally = self._counts.taken_off(kept)
            weight = total.phones * self.weight_cap
        return WeightedSum(self._sampler.restore(kept * np.float32(self.weight_cap)), tally, total.phones, weight)

    def _checked_counts(self, vector: Vector, phones: int) -> Tally:
        """Return the summed exact counts, if honest phones can have them."""
        examples, tokens, loss, hits, unclipped = (int(count) for count in vector.counters)
        if not phones <= examples <= phones * self.weight_cap or max(tokens, loss, hits) > phones * MAX_COUNT:
            raise ImpossibleSumError("a counter is out of range: some phone masked garbage, discard the round")
        if hits > tokens or loss > tokens * MAX_TOKEN_LOSS * LOSS_UNITS + phones or unclipped > phones:
            raise ImpossibleSumError("more hits, loss or short deltas than tokens and phones allow: discard it")
        return Tally(examples, tokens, loss / LOSS_UNITS, hits, unclipped)

    def _max_norm(self, clips: float, phones: int) -> float:
        """Return an L2 bound of the rotated sum of honest phones: of their vectors, of rounding, and of noise.

        Rounding adds a variance of up to a quarter of a squared step for each phone and coordinate, of which this
        allows four times as much; noise that of all phones, of which this allows 1.44 times.

        Args:
            clips: Largest length of all phones' vectors, one behind the other, in clips.
            phones: Number of phones in the sum.
        """
        rounding = self.encoding.step * math.sqrt(phones * self.coordinates)
        noise = self.encoding.step * math.sqrt(phones * self.noise_variance * self.coordinates)
        return self.clip * (1 + FLOAT_SLACK) * clips + rounding + 1.2 * noise

    def max_mean_norm(self, phones: int) -> float:
        """Return an L2 bound of the mean that a server takes of the sum of honest phones, noise included.

        Args:
            phones: Number of phones in the sum.
        """
        if self.noised:
            return self._max_norm(phones, phones) / phones
        # The fewest examples that phones can have make most of rounding.
        return self.clip * (1 + FLOAT_SLACK) + self._max_norm(0, phones) * self.weight_cap / phones

    def encoded_norm(self, total: WeightedSum) -> float:
        """Return the L2 norm of the mean of the weighted deltas that phones encoded, which `choose` takes next time."""
        return float(np.linalg.norm(total.delta)) / self.weight_cap / total.phones

    def energies(self, total: WeightedSum) -> Energies:
        """Return the energies of the mean delta, by which `Subset.allocate` chooses next time."""
        return self._sampler.energies(total.mean)
