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

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.secure_aggregation import SessionParameters, Vector
from federation.secure_aggregation.errors import PlanRefusedError
from federation.secure_aggregation.identity import SIGNATURE_BYTES, verifies
from federation.updates.codec import UpdateCodec
from federation.updates.encoding import (
    ENCODING_BYTES,
    Encoding,
    Levels,
    PackedEncoding,
    encoding_from_bytes,
    encoding_to_bytes,
)
from federation.updates.sparsification import SUBSET_BYTES, Subset
from federation.updates.update import Update
from federation.updates.weighted_sum import WeightedSum
from model.wording import in_words

_LABEL = b"fedkey plan v2\0"
_VERSION = 2
_LAYOUT = struct.Struct(f"<BQ32sI{ENCODING_BYTES}sdI32sBdHH5I{SUBSET_BYTES}s")
PLAN_BYTES = _LAYOUT.size


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
        if not 0 <= self.corrupt < 1 << 16:
            raise ValueError(f"corrupt is a number of phones from 0, not {self.corrupt}")
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
            raise ValueError(f"steps close one after the other: {in_words(self)}")
        if not self.confirm_seconds < self.unmask_seconds < 1 << 31:
            raise ValueError(f"steps close one after the other: {in_words(self)}")


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
        if not 1 <= self.weight_cap < 1 << 32 or not 1 <= self.dimension < 1 << 32:
            raise ValueError(f"no plan has weight cap {self.weight_cap} and dimension {self.dimension}")
        if self.privacy.mechanism != Mechanism.NONE and isinstance(self.encoding, PackedEncoding):
            raise ValueError("noise needs an encoding that wraps: lanes have no room for its tails")
        if self.subset is not None and self.subset.dimension != self.dimension:
            raise ValueError(f"a subset of {self.subset.dimension} coordinates is none of {self.dimension}")
        _ = self.session  # checks the number of phones

    @cached_property
    def codec(self) -> UpdateCodec:
        """How phones encode updates, and how their sum is read."""
        return UpdateCodec(
            dimension=self.dimension,
            encoding=self.encoding,
            clip=self.clip,
            weight_cap=self.weight_cap,
            seed=self.rotation_seed,
            subset=self.subset,
            noise_multiplier=self.privacy.noise_multiplier,
            noise_makers=max(self.minimum - self.privacy.corrupt, 1),
        )

    @property
    def session(self) -> SessionParameters:
        """Parameters of the round's secure aggregation."""
        return SessionParameters(self.hash, self.minimum, self.encoding.phones, self.codec.vector)

    @property
    def hash(self) -> bytes:
        """SHA-256 over all of the plan."""
        return hashlib.sha256(_LABEL + self.to_bytes()).digest()

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
        return sealed(self.to_bytes(), key)

    @classmethod
    def from_signed(cls, data: bytes, server_key: bytes) -> Self:
        """Read a plan that the round server with this raw Ed25519 public key signed.

        Raises:
            PlanRefusedError: it did not, or the plan is impossible.
        """
        plan, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
        if not verifies(server_key, signature, _LABEL + plan):
            raise PlanRefusedError("the plan is not signed by the round server")
        return cls.from_bytes(plan)

    def encode(self, update: Update, seed: bytes, noise: Levels | None = None) -> Vector:
        """Return what a phone masks; see `UpdateCodec.encode`."""
        return self.codec.encode(update, seed, noise)

    def decode(self, vector: Vector, phones: int) -> WeightedSum:
        """Return the sum of the updates of `phones` phones; see `UpdateCodec.decode`."""
        return self.codec.decode(vector, phones)


def sealed(data: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return a plan's bytes, whatever they are, followed by a round server's signature."""
    return data + key.sign(_LABEL + data)
