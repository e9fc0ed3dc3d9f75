"""What the parties of one session agree on: its parameters, the roster, and the session id that binds every key."""

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from federation.secure_aggregation.errors import MalformedMessageError, RosterRefusedError
from federation.secure_aggregation.identity import SIGNATURE_BYTES, Authority
from federation.secure_aggregation.keys import hashed
from federation.secure_aggregation.messages import (
    DEALT_BYTES,
    DIGEST_BYTES,
    ENTRY_BYTES,
    HEADER_BYTES,
    NOBODY,
    Advertisement,
    Kind,
    bitmap_bytes,
    header,
    party,
    split,
)
from federation.secure_aggregation.shamir import SHARE_BYTES
from federation.secure_aggregation.vector import VectorFormat

MAX_COHORT = 256
"""Every phone agrees on keys with every other; larger cohorts are split into groups."""

MIN_COHORT = 3

_SIZES = struct.Struct("<HH")


@dataclass(frozen=True)
class SessionParameters:
    """What is fixed before anyone joins.

    Attributes:
        plan_hash: 32 bytes that cover model, encoding, clip, noise and deadlines.
        minimum: phones that must take part at every step, at least.
        maximum: phones at most; the encoding has room for as many.
        vector: sizes of what is summed.
    """

    plan_hash: bytes
    minimum: int
    maximum: int
    vector: VectorFormat

    def __post_init__(self) -> None:
        if len(self.plan_hash) != DIGEST_BYTES:
            raise ValueError(f"a plan's hash has {DIGEST_BYTES} bytes, not {len(self.plan_hash)}")
        if not MIN_COHORT <= self.minimum <= self.maximum <= MAX_COHORT:
            raise ValueError(f"a session has {MIN_COHORT} to {MAX_COHORT} phones, not {self.minimum} to {self.maximum}")

    def message_bytes(self, kind: Kind, n: int) -> int:
        """Return the size of a message in a session of `n` phones none of which dropped out."""
        sealed = HEADER_BYTES + SIGNATURE_BYTES
        sizes = {
            Kind.ADVERTISEMENT: HEADER_BYTES + ENTRY_BYTES,
            Kind.ROSTER: HEADER_BYTES + _SIZES.size + n * ENTRY_BYTES,
            Kind.SHARES: sealed + (n - 1) * DEALT_BYTES,
            Kind.INBOX: HEADER_BYTES + bitmap_bytes(n) + (n - 1) * DEALT_BYTES,
            Kind.MASKED_INPUT: sealed + self.vector.nbytes,
            Kind.SURVIVORS: HEADER_BYTES + 2 * bitmap_bytes(n),
            Kind.CONSISTENCY: sealed + 2 * bitmap_bytes(n),
            Kind.SIGNATURES: HEADER_BYTES + bitmap_bytes(n) + min_threshold(n) * SIGNATURE_BYTES,
            Kind.UNMASKING: sealed + n * SHARE_BYTES,
            Kind.COMPLAINT: sealed + bitmap_bytes(n),
        }
        return sizes[kind]


def min_threshold(n: int) -> int:
    """Return floor(2n / 3) + 1.

    With it 2t > n + n/3: a server cannot gather t signatures for each of two views of the cohort unless more than
    a third of the phones sign both.
    """
    return 2 * n // 3 + 1


@dataclass(frozen=True)
class Roster:
    """The phones of a session; a phone's position is its index.

    Attributes:
        plan_hash: of the plan that all signed.
        threshold: t, shares that give a secret and signatures that allow unmasking.
        phones: their advertisements, by ascending device id.
    """

    plan_hash: bytes
    threshold: int
    phones: tuple[Advertisement, ...]

    @classmethod
    def of(cls, plan_hash: bytes, phones: Sequence[Advertisement]) -> Self:
        """Return the roster of these phones with the least threshold."""
        ordered = tuple(sorted(phones, key=lambda phone: phone.device_id))
        return cls(plan_hash, min_threshold(len(ordered)), ordered)

    @property
    def n(self) -> int:
        """How many phones."""
        return len(self.phones)

    @cached_property
    def sid(self) -> bytes:
        """The session id: 32 bytes, different for every plan, roster and threshold."""
        roster = hashed("roster", self.to_bytes())
        return hashed("session", self.plan_hash, roster, _SIZES.pack(self.n, self.threshold))

    def to_bytes(self) -> bytes:
        """Return the message to all phones."""
        start = header(Kind.ROSTER, NOBODY, self.plan_hash)
        return start + _SIZES.pack(self.n, self.threshold) + b"".join(phone.entry for phone in self.phones)

    @classmethod
    def parse(cls, message: bytes, plan_hash: bytes) -> Self:
        """Read a message.

        Raises:
            MalformedMessageError: the size is impossible.
            MismatchError: it belongs to another plan.
        """
        party(message, Kind.ROSTER, plan_hash)
        body = message[HEADER_BYTES:]
        n, threshold = _SIZES.unpack_from(body) if len(body) >= _SIZES.size else (0, 0)
        if len(body) != _SIZES.size + n * ENTRY_BYTES:
            raise MalformedMessageError(f"a roster of {n} phones cannot have {len(message)} bytes")
        entries = split(body[_SIZES.size :], ENTRY_BYTES)
        return cls(plan_hash, threshold, tuple(Advertisement.from_entry(entry) for entry in entries))

    def quorum(self, parameters: SessionParameters) -> int:
        """Return how many phones must be left at every step: the threshold or the plan's minimum."""
        return max(self.threshold, parameters.minimum)

    def check(self, parameters: SessionParameters, authority: Authority, own: Advertisement) -> int:
        """Return the index of a phone that advertised `own`, if it may go on with this roster.

        Raises:
            RosterRefusedError: sizes are outside of the plan, the threshold is too low, a phone is listed twice,
                keys are shared, or the phone's own entry is altered or missing.
            BadSignatureError: a device is not certified, or did not advertise these keys under this plan.
            RevokedDeviceError: a device is certified no longer.
        """
        if not self.quorum(parameters) <= self.n <= parameters.maximum:
            limits = f"{self.quorum(parameters)} to {parameters.maximum}"
            raise RosterRefusedError(f"a roster of {self.n} phones, but the plan allows {limits}: leave the round")
        if self.threshold < min_threshold(self.n):
            raise RosterRefusedError(
                f"threshold {self.threshold} of {self.n} lets a server split the cohort: leave the round"
            )
        ids = [phone.device_id for phone in self.phones]
        if any(first >= second for first, second in itertools.pairwise(ids)):
            raise RosterRefusedError("devices are listed twice or out of order: leave the round")
        for keys in ("identity_key", "mask_key", "share_key"):
            if len({getattr(phone, keys) for phone in self.phones}) < self.n:
                raise RosterRefusedError(f"two devices have the same {keys}: leave the round")
        if own not in self.phones:
            raise RosterRefusedError("this phone's keys are missing or altered: leave the round")
        for phone in self.phones:
            authority.check(phone.device_id, phone.identity_key, phone.certificate)
            phone.check_signature(self.plan_hash)
        return self.phones.index(own)
