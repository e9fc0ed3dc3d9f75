"""The plan of a round: all that a phone must know before it takes part, as one signed value with one hash.

Every key of the round's secure aggregation is derived under the plan's hash. A phone that was shown another plan or
another model cannot take part in the same sum, so a server cannot single a phone out by showing it another one.
"""

import hashlib
import math
import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Self

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.secure_aggregation import SessionParameters, Vector, VectorFormat
from federation.secure_aggregation.errors import ImpossibleSumError, PlanRefusedError
from federation.secure_aggregation.identity import SIGNATURE_BYTES, verifies
from federation.updates.encoding import (
    ENCODING_BYTES,
    Encoding,
    Levels,
    PackedEncoding,
    Reals,
    Rotation,
    encoding_from_bytes,
    encoding_to_bytes,
    padded,
    rounded_norm,
)
from federation.updates.sparsification import SUBSET_BYTES, Energies, Sampler, Subset
from federation.updates.update import Tally, Update, clip
from model.layout import FlatVector

_LABEL = b"fedkey plan v2\0"
_VERSION = 2
_LAYOUT = struct.Struct(f"<BQ32sI{ENCODING_BYTES}sdI32sBdHH5I{SUBSET_BYTES}s")
PLAN_BYTES = _LAYOUT.size

COUNTERS = 4
"""Examples, tokens, loss and hits ride in front of the words, exact in 64 bits each."""

MAX_COUNT = 1 << 40
LOSS_UNITS = 1 << 16
"""Loss is summed in units of 1 / 65536 nat."""

FLOAT_SLACK = 1e-4
"""Clipping and rotating in float32 may lengthen a delta by this share of the clip."""

_ROUNDINGS = 64


class Mechanism(IntEnum):
    """How phones make noise."""

    NONE = 0
    SKELLAM = 1
    DISCRETE_GAUSSIAN = 2


@dataclass(frozen=True)
class Privacy:
    """Noise that phones add before masking.

    Attributes:
        mechanism: its distribution.
        noise_multiplier: z; standard deviation of the noise on the sum over the clip.
        corrupt: phones whose noise is not counted on.
    """

    mechanism: Mechanism = Mechanism.NONE
    noise_multiplier: float = 0.0
    corrupt: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.noise_multiplier) and self.noise_multiplier >= 0):
            raise ValueError(f"a noise multiplier is finite and not negative, not {self.noise_multiplier}")
        if (self.mechanism == Mechanism.NONE) != (self.noise_multiplier == 0):
            raise ValueError(f"{self.mechanism.name} does not go with noise multiplier {self.noise_multiplier}")


@dataclass(frozen=True)
class Deadlines:
    """When each step closes, in seconds after the round was opened, ascending."""

    advertise_seconds: int
    share_seconds: int
    upload_seconds: int
    confirm_seconds: int
    unmask_seconds: int

    def __post_init__(self) -> None:
        if not 0 < self.advertise_seconds < self.share_seconds < self.upload_seconds < self.confirm_seconds:
            raise ValueError(f"steps close one after the other: {self}")
        if not self.confirm_seconds < self.unmask_seconds:
            raise ValueError(f"steps close one after the other: {self}")


@dataclass(frozen=True)
class RoundPlan:
    """The plan of a round.

    Attributes:
        round_id: larger than that of every earlier round.
        model_sha256: of the model that is trained, 32 bytes.
        dimension: of its flat vector of weights.
        encoding: of updates; its `phones` is the most that a group may have.
        clip: L2 bound of what a phone encodes.
        weight_cap: examples that count at most; 1 weighs all phones alike.
        rotation_seed: 32 public random bytes.
        minimum: phones that must be in the sum, at least.
        deadlines: of the steps.
        privacy: noise.
        subset: of coordinates that phones send; nothing is all.
    """

    round_id: int
    model_sha256: bytes
    dimension: int
    encoding: Encoding
    clip: float
    weight_cap: int
    rotation_seed: bytes
    minimum: int
    deadlines: Deadlines
    privacy: Privacy = Privacy()
    subset: Subset | None = None

    def __post_init__(self) -> None:
        if len(self.model_sha256) != 32 or len(self.rotation_seed) != 32:
            raise ValueError("a model's hash and a rotation's seed have 32 bytes each")
        if not (math.isfinite(self.clip) and self.clip > 0):
            raise ValueError(f"a clip is finite and positive, not {self.clip}")
        if not 1 <= self.weight_cap <= MAX_COUNT or not 1 <= self.dimension < 1 << 32:
            raise ValueError(f"no plan has weight cap {self.weight_cap} and dimension {self.dimension}")
        if self.privacy.mechanism != Mechanism.NONE and isinstance(self.encoding, PackedEncoding):
            raise ValueError("noise needs an encoding that wraps: lanes have no room for its tails")
        if self.subset is not None and self.subset.dimension != self.dimension:
            raise ValueError(f"a subset of {self.subset.dimension} coordinates is none of {self.dimension}")
        _ = self.session  # checks the number of phones

    @property
    def kept(self) -> int:
        """Coordinates of an update that are sent."""
        return self.dimension if self.subset is None else self.subset.kept

    @property
    def coordinates(self) -> int:
        """Coordinates after rotation: what is rounded, and what gets noise."""
        return padded(self.kept)

    @property
    def session(self) -> SessionParameters:
        """Parameters of the round's secure aggregation."""
        words = self.encoding.words(self.coordinates)
        vector = VectorFormat(COUNTERS, words, self.encoding.word_bytes)
        return SessionParameters(self.hash, self.minimum, self.encoding.phones, vector)

    @property
    def hash(self) -> bytes:
        """SHA-256 over all of the plan."""
        return hashlib.sha256(_LABEL + self.to_bytes()).digest()

    @property
    def sensitivity(self) -> float:
        """L2 bound, in steps of a `ModularEncoding` encoding, of a phone's rounded vector, which noise has to hide."""
        return rounded_norm(self.clip * (1 + FLOAT_SLACK) / self.encoding.step, self.coordinates)

    @cached_property
    def _rotation(self) -> Rotation:
        return Rotation(self.rotation_seed, self.kept)

    @cached_property
    def _sampler(self) -> Sampler:
        return Sampler(self.rotation_seed, self.subset or Subset.whole(self.dimension))

    def to_bytes(self) -> bytes:
        """Return the plan in `PLAN_BYTES` bytes; `docs/secure-aggregation.md` has the layout."""
        deadlines, privacy = self.deadlines, self.privacy
        return _LAYOUT.pack(
            _VERSION,
            self.round_id,
            self.model_sha256,
            self.dimension,
            encoding_to_bytes(self.encoding),
            self.clip,
            self.weight_cap,
            self.rotation_seed,
            privacy.mechanism,
            privacy.noise_multiplier,
            privacy.corrupt,
            self.minimum,
            deadlines.advertise_seconds,
            deadlines.share_seconds,
            deadlines.upload_seconds,
            deadlines.confirm_seconds,
            deadlines.unmask_seconds,
            bytes(SUBSET_BYTES) if self.subset is None else self.subset.to_bytes(),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a plan.

        Raises:
            PlanRefusedError: the size, version or a value is impossible.
        """
        if len(data) != PLAN_BYTES:
            raise PlanRefusedError(f"a plan has {PLAN_BYTES} bytes, not {len(data)}: update the app")
        version, round_id, model, dimension, encoding, bound, cap, seed, *rest = _LAYOUT.unpack(data)
        mechanism, noise, corrupt, minimum, *deadlines, subset = rest
        if version != _VERSION:
            raise PlanRefusedError(f"plans have version {_VERSION}, not {version}: update the app")
        try:
            return cls(
                round_id=round_id,
                model_sha256=model,
                dimension=dimension,
                encoding=encoding_from_bytes(encoding),
                clip=bound,
                weight_cap=cap,
                rotation_seed=seed,
                minimum=minimum,
                deadlines=Deadlines(*deadlines),
                privacy=Privacy(Mechanism(mechanism), noise, corrupt),
                subset=Subset.from_bytes(subset) if any(subset) else None,
            )
        except ValueError as error:
            raise PlanRefusedError(f"impossible plan: {error}") from error

    def signed(self, key: Ed25519PrivateKey) -> bytes:
        """Return the plan followed by the round server's signature."""
        data = self.to_bytes()
        return data + key.sign(_LABEL + data)

    @classmethod
    def from_signed(cls, data: bytes, server_key: bytes) -> Self:
        """Read a plan that the round server with this raw Ed25519 public key signed.

        Raises:
            PlanRefusedError: it did not, or the plan is impossible.
        """
        plan, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
        if not verifies(server_key, signature, _LABEL + plan):
            raise PlanRefusedError("the plan is not signed by the round server: do not take part")
        return cls.from_bytes(plan)

    def check_model(self, model: bytes) -> None:
        """Raise PlanRefusedError unless these are the bytes of the plan's model."""
        if hashlib.sha256(model).digest() != self.model_sha256:
            raise PlanRefusedError("the model is not the plan's: fetch both again")

    def encode(self, update: Update, seed: bytes, noise: Levels | None = None) -> Vector:
        """Return what a phone masks: its counters, and its delta thinned, clipped, weighted, rotated, rounded, packed.

        Where there is noise, the delta is rounded again until it is no longer than `sensitivity`.

        Args:
            update: of this phone.
            seed: 32 secret random bytes for rounding, used once.
            noise: int64[coordinates] in steps of the encoding, if the plan asks for noise.

        Raises:
            ValueError: the update has another dimension or is not finite, or there is noise where the plan has none
                or none where it asks for some.
        """
        if (noise is None) != (self.privacy.mechanism == Mechanism.NONE):
            raise ValueError(f"the plan asks for noise of mechanism {self.privacy.mechanism.name}")
        examples = min(update.tally.examples, self.weight_cap)
        # Clipped after the subset was scaled up, so that the clip bounds what noise has to hide.
        weighted = clip(self._sampler.apply(update.delta), self.clip) * np.float32(examples / self.weight_cap)
        rotated = self._rotation.apply(weighted)
        levels = self.encoding.quantise(rotated, seed) if noise is None else self._bounded(rotated, seed) + noise
        loss = round(min(update.tally.loss * LOSS_UNITS, MAX_COUNT))
        counts = (examples, update.tally.tokens, loss, update.tally.hits)
        counters = np.array([min(count, MAX_COUNT) for count in counts], "<u8")
        return Vector(counters, self.encoding.pack(levels))

    def _bounded(self, rotated: Reals, seed: bytes) -> Levels:
        for attempt in range(_ROUNDINGS):
            fresh = hashlib.sha256(seed + bytes([attempt])).digest() if attempt else seed
            levels = self.encoding.quantise(rotated, fresh)
            if math.sqrt(float(np.square(levels, dtype=np.float64).sum())) <= self.sensitivity:
                return levels
        raise ValueError("the delta is longer than the clip: this phone's arithmetic is broken, do not take part")

    def decode(self, vector: Vector, phones: int) -> "WeightedSum":
        """Return the sum of the updates of `phones` phones.

        Raises:
            ImpossibleSumError: no honest cohort has this sum.
        """
        examples, tokens, loss, hits = (int(count) for count in vector.counters)
        if examples > phones * self.weight_cap or max(tokens, loss, hits) > phones * MAX_COUNT:
            raise ImpossibleSumError("a counter is too large: some phone masked garbage, discard the round")
        levels = self.encoding.unpack(vector.words, self.coordinates, phones)
        kept = self._rotation.invert(self.encoding.dequantise(levels, phones)) * np.float32(self.weight_cap)
        return WeightedSum(self._sampler.restore(kept), Tally(examples, tokens, loss / LOSS_UNITS, hits), phones)

    def encoded_norm(self, total: "WeightedSum") -> float:
        """Return the L2 norm of the mean of the weighted deltas that phones encoded, which `choose` takes next time."""
        return float(np.linalg.norm(total.delta)) / self.weight_cap / total.phones

    def energies(self, total: "WeightedSum") -> Energies:
        """Return the energies of the mean delta, by which `Subset.allocate` chooses next time."""
        return self._sampler.energies(total.mean)


@dataclass(frozen=True, eq=False)
class WeightedSum:
    """Updates of several phones.

    Attributes:
        delta: float32[dimension], the sum of each phone's delta times its examples.
        tally: summed counts; its examples are capped as the plan says.
        phones: in the sum.
    """

    delta: FlatVector
    tally: Tally
    phones: int

    def __add__(self, other: "WeightedSum") -> "WeightedSum":
        return WeightedSum(self.delta + other.delta, self.tally + other.tally, self.phones + other.phones)

    @property
    def mean(self) -> FlatVector:
        """The delta to add to the weights; zero if no phone had examples."""
        return self.delta / np.float32(max(self.tally.examples, 1))


@dataclass(frozen=True)
class PhonePolicy:
    """What a phone agrees to, set in the app and not by the server.

    Attributes:
        min_phones: in a sum.
        min_noise_multiplier: of the plan's privacy.
        max_clip: L2 bound of what the phone contributes.
        max_bits: sent for a coordinate.
    """

    min_phones: int
    min_noise_multiplier: float
    max_clip: float
    max_bits: float

    def check(self, plan: RoundPlan, last_round_id: int) -> None:
        """Check a plan.

        Args:
            plan: of the next round.
            last_round_id: of the latest round that this phone advertised keys for.

        Raises:
            PlanRefusedError: the round is not newer, or the plan is below this policy.
        """
        refusals = [
            (plan.round_id <= last_round_id, f"round {plan.round_id} is not after round {last_round_id}"),
            (plan.minimum < self.min_phones, f"a sum of {plan.minimum} phones is too small"),
            (plan.privacy.noise_multiplier < self.min_noise_multiplier, "the noise is too small"),
            (plan.clip > self.max_clip, f"a clip of {plan.clip} is too large"),
            (plan.encoding.bits > self.max_bits, f"{plan.encoding.bits:g} bits are too many"),
        ]
        for refused, reason in refusals:
            if refused:
                raise PlanRefusedError(f"{reason}: do not take part")
