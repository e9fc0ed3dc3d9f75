"""Which group of its round a phone is in: nobody chooses it, and every phone recomputes its own.

The task commits to a nonce before anyone joins. Once the cohort is closed the server opens it, and the groups follow
from the nonce and from all advertisements, with the fresh keys in them. So once it is known who joined, a server cannot
put chosen phones together. It can still choose whom it invites; what is left then is the minimum of phones in a sum,
and noise.
"""

import hashlib
import secrets
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

from federation.protocol.commitments import Commitments
from federation.secure_aggregation import Authority, Roster
from federation.secure_aggregation.errors import MalformedMessageError, RosterRefusedError
from federation.secure_aggregation.groups import assign_min_size
from federation.secure_aggregation.messages import ENTRY_BYTES, HEADER_BYTES, Advertisement, split

NONCE_BYTES = 32
MAX_PHONES = 8192
"""In a cohort: phones fetch and check all advertisements."""

_NONCE_LABEL = b"fedkey groups nonce v1\0"
_SEED_LABEL = b"fedkey groups v1\0"


def new_nonce() -> bytes:
    """Return a nonce that nobody can guess before it is opened."""
    return secrets.token_bytes(NONCE_BYTES)


def commitment(nonce: bytes) -> bytes:
    """Return what a task says of a nonce, 32 bytes."""
    return hashlib.sha256(_NONCE_LABEL + nonce).digest()


@dataclass(frozen=True)
class Cohort:
    """All phones of a round.

    Attributes:
        nonce: 32 bytes.
        digests: SHA-256 of their advertisements (the messages), ascending.
    """

    nonce: bytes
    digests: tuple[bytes, ...]

    @cached_property
    def _seed(self) -> bytes:
        return hashlib.sha256(_SEED_LABEL + self.nonce + b"".join(self.digests)).digest()

    def groups(self, group_phones: int) -> list[tuple[bytes, ...]]:
        """Return the groups, as digests: the most of at least this many phones, of sizes that differ by one at most."""
        return assign_min_size(self.digests, self._seed, group_phones)


def to_bytes(nonce: bytes, advertisements: list[bytes]) -> bytes:
    """Return what phones get: the nonce, then the entry of each advertisement, by ascending SHA-256 of the message."""
    ordered = sorted(advertisements, key=lambda message: hashlib.sha256(message).digest())
    return nonce + b"".join(message[HEADER_BYTES:] for message in ordered)


@dataclass(frozen=True)
class OpenedCohort:
    """A cohort as a phone gets it.

    Attributes:
        cohort: who joined.
        phones: their advertisements, in the order of the digests.
    """

    cohort: Cohort
    phones: tuple[Advertisement, ...]

    @classmethod
    def from_bytes(cls, data: bytes, plan_hash: bytes) -> Self:
        """Read what `to_bytes` returned.

        Raises:
            MalformedMessageError: the size is impossible.
        """
        count, rest = divmod(len(data) - NONCE_BYTES, ENTRY_BYTES)
        if rest or not 1 <= count <= MAX_PHONES:
            raise MalformedMessageError(f"a cohort cannot have {len(data)} bytes")
        phones = tuple(Advertisement.from_entry(entry) for entry in split(data[NONCE_BYTES:], ENTRY_BYTES))
        return cls(Cohort(data[:NONCE_BYTES], tuple(digest(phone, plan_hash) for phone in phones)), phones)

    def check(self, told: Commitments, authority: Authority, roster: Roster, own: bytes) -> None:
        """Check that a phone is where the cohort puts it.

        Args:
            told: of the round.
            authority: in the epoch of the round; it certified every phone.
            roster: of the phone's group, which `Roster.check` looks at too.
            own: the phone's advertisement, the message.

        Raises:
            RosterRefusedError: the nonce is another, a phone is listed twice or out of order, or the roster is not
                the group that follows.
            BadSignatureError, RevokedDeviceError: see `Authority.check`.
        """
        cohort = self.cohort
        if commitment(cohort.nonce) != told.groups:
            raise RosterRefusedError("the nonce of the groups is not the one that the plan commits to: leave the round")
        if any(first >= second for first, second in pairwise(cohort.digests)):
            raise RosterRefusedError("phones of the cohort are listed twice or out of order: leave the round")
        ids = {phone.device_id for phone in self.phones}
        if len(ids) < len(self.phones):
            raise RosterRefusedError("a device is in the cohort twice: leave the round")
        mine = hashlib.sha256(own).digest()
        group = next((group for group in cohort.groups(told.group_phones) if mine in group), None)
        if group is None:
            raise RosterRefusedError("this phone is not in the cohort: leave the round")
        if {digest(phone, roster.plan_hash) for phone in roster.phones} != set(group):
            raise RosterRefusedError("the roster is not this phone's group: leave the round")
        for found, phone in zip(cohort.digests, self.phones, strict=True):
            if found not in group:  # those of the group are checked with the roster
                authority.check(phone.device_id, phone.identity_key, phone.certificate)
                phone.check_signature(roster.plan_hash)


def digest(phone: Advertisement, plan_hash: bytes) -> bytes:
    """Return SHA-256 of a phone's advertisement, the message."""
    return hashlib.sha256(phone.to_bytes(plan_hash)).digest()
