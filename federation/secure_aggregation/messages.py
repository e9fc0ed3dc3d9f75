"""Messages: fixed little-endian layouts of version 1, every one from a phone signed.

All begin with version u8, kind u8, party u16 (index of the sender or recipient, 65535 when there is none) and a
context of 32 bytes (the plan's hash until the roster is known, the session id from then on). What a phone sends goes on
with an Ed25519 signature over a label, those 36 bytes and the SHA-256 of the payload, and then the payload. Sets of
phones are bitmaps of ceil(n / 8) bytes, lowest bit first, so that no set can name a phone twice.

`docs/secure-aggregation.md` has the layouts as tables.
"""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.secure_aggregation.errors import BadSignatureError, MalformedMessageError, MismatchError
from federation.secure_aggregation.identity import SIGNATURE_BYTES, Device, verifies
from federation.secure_aggregation.keys import TAG_BYTES
from federation.secure_aggregation.shamir import SHARE_BYTES, is_field_element

VERSION = 1
NOBODY = 0xFFFF
DIGEST_BYTES = 32
DEALT_BYTES = 2 * SHARE_BYTES + TAG_BYTES
"""What a phone deals to another: the shares of its self-mask seed and of its mask key, encrypted."""

_HEADER = struct.Struct("<BBH32s")
HEADER_BYTES = _HEADER.size
_LABEL = b"fedkey secure aggregation v1\0"


class Kind(IntEnum):
    """What a message is."""

    ADVERTISEMENT = 1
    ROSTER = 2
    SHARES = 3
    INBOX = 4
    MASKED_INPUT = 5
    SURVIVORS = 6
    CONSISTENCY = 7
    SIGNATURES = 8
    UNMASKING = 9
    COMPLAINT = 10


def header(kind: Kind, number: int, context: bytes) -> bytes:
    """Return the 36 bytes that a message begins with."""
    return _HEADER.pack(VERSION, kind, number, context)


def party(message: bytes, kind: Kind, context: bytes) -> int:
    """Return the party of a message of this kind and context; its body begins at `HEADER_BYTES`.

    Raises:
        MalformedMessageError: it is too short, or of another version or kind.
        MismatchError: its context is another plan's or session's.
    """
    if len(message) < HEADER_BYTES:
        raise MalformedMessageError(f"a message has at least {HEADER_BYTES} bytes, not {len(message)}")
    version, found, found_party, found_context = _HEADER.unpack_from(message)
    if version != VERSION:
        raise MalformedMessageError(f"messages have version {VERSION}, not {version}: update the app")
    if found != kind:
        raise MalformedMessageError(f"expected a message of kind {kind.name}, not {found}")
    if found_context != context:
        raise MismatchError("the message was made for another plan, model or roster: fetch the current plan")
    return int(found_party)


def _signed(start: bytes, payload_digest: bytes) -> bytes:
    return _LABEL + start + payload_digest


def seal(start: bytes, payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return the message of header `start` and `payload`, signed with the phone's identity key."""
    return start + key.sign(_signed(start, hashlib.sha256(payload).digest())) + payload


@dataclass(frozen=True)
class Sealed:
    """A phone's message before its signature is checked.

    Attributes:
        start: the header.
        sender: index in the roster, or `NOBODY` before there is one.
        signature: 64 bytes.
        payload: the rest.
    """

    start: bytes
    sender: int
    signature: bytes
    payload: bytes

    @classmethod
    def parse(cls, message: bytes, kind: Kind, context: bytes, payload_bytes: int) -> Self:
        """Take a message apart.

        Raises:
            MalformedMessageError: it has another size, version or kind.
            MismatchError: its context is another plan's or session's.
        """
        sender = party(message, kind, context)
        end = HEADER_BYTES + SIGNATURE_BYTES
        if len(message) != end + payload_bytes:
            raise MalformedMessageError(f"{kind.name} has {end + payload_bytes} bytes here, not {len(message)}")
        return cls(message[:HEADER_BYTES], sender, message[HEADER_BYTES:end], message[end:])

    def check(self, identity_key: bytes, device_id: bytes) -> bytes:
        """Return the digest of what was signed, the same for the same message only.

        Raises:
            BadSignatureError: the holder of `identity_key` did not sign it.
        """
        signed = _signed(self.start, hashlib.sha256(self.payload).digest())
        if not verifies(identity_key, self.signature, signed):
            raise BadSignatureError("signature", device_id)
        return hashlib.sha256(signed + self.signature).digest()


_ADVERTISEMENT = struct.Struct("<16s32s32s32s32s64s")
ENTRY_BYTES = SIGNATURE_BYTES + _ADVERTISEMENT.size


@dataclass(frozen=True)
class Advertisement:
    """What a phone publishes for one round, and its entry in the roster.

    Attributes:
        signature: over the plan's hash and all of the rest, 64 bytes.
        device_id: 16 bytes.
        identity_key: Ed25519, 32 bytes.
        mask_key: X25519, 32 bytes.
        share_key: X25519, 32 bytes.
        commitment: to the seed of the self mask, 32 bytes.
        certificate: of device id and identity key, 64 bytes.
    """

    signature: bytes
    device_id: bytes
    identity_key: bytes
    mask_key: bytes
    share_key: bytes
    commitment: bytes
    certificate: bytes

    @classmethod
    def sign(cls, device: Device, plan_hash: bytes, mask_key: bytes, share_key: bytes, commitment: bytes) -> Self:
        """Return the signed advertisement of `device` under the plan with this hash."""
        key = device.key
        fields = (key.device_id, key.public_key, mask_key, share_key, commitment, device.certificate)
        start = header(Kind.ADVERTISEMENT, NOBODY, plan_hash)
        return cls.parse(seal(start, _ADVERTISEMENT.pack(*fields), key.private_key), plan_hash)

    @classmethod
    def parse(cls, message: bytes, plan_hash: bytes) -> Self:
        """Read a message.

        Raises:
            MalformedMessageError: it has another size, version or kind.
            MismatchError: it was made for another plan.
        """
        sealed = Sealed.parse(message, Kind.ADVERTISEMENT, plan_hash, _ADVERTISEMENT.size)
        return cls(sealed.signature, *_ADVERTISEMENT.unpack(sealed.payload))

    @classmethod
    def from_entry(cls, entry: bytes) -> Self:
        """Read an entry of a roster, `ENTRY_BYTES` long."""
        return cls(entry[:SIGNATURE_BYTES], *_ADVERTISEMENT.unpack(entry[SIGNATURE_BYTES:]))

    @property
    def entry(self) -> bytes:
        """The entry in the roster: signature and payload."""
        fields = (self.device_id, self.identity_key, self.mask_key, self.share_key, self.commitment, self.certificate)
        return self.signature + _ADVERTISEMENT.pack(*fields)

    def to_bytes(self, plan_hash: bytes) -> bytes:
        """Return the message."""
        return header(Kind.ADVERTISEMENT, NOBODY, plan_hash) + self.entry

    def check_signature(self, plan_hash: bytes) -> None:
        """Raise BadSignatureError unless the device signed this under the plan with this hash."""
        Sealed.parse(self.to_bytes(plan_hash), Kind.ADVERTISEMENT, plan_hash, _ADVERTISEMENT.size).check(
            self.identity_key, self.device_id
        )


def bitmap(members: Iterable[int], n: int) -> bytes:
    """Return a set of phones as ceil(n / 8) bytes."""
    return sum(1 << member for member in members).to_bytes(bitmap_bytes(n), "little")


def bitmap_bytes(n: int) -> int:
    """Return the size of a set of phones of a roster of `n`."""
    return (n + 7) // 8


def members(data: bytes, n: int) -> tuple[int, ...]:
    """Return the phones of a bitmap in ascending order.

    Raises:
        MalformedMessageError: a bit beyond the roster is set.
    """
    bits = int.from_bytes(data, "little")
    if bits >> n:
        raise MalformedMessageError(f"a set names phones beyond the {n} of the roster")
    return tuple(index for index in range(n) if bits >> index & 1)


def split(data: bytes, size: int) -> list[bytes]:
    """Return `data` in pieces of `size` bytes."""
    return [data[start : start + size] for start in range(0, len(data), size)]


@dataclass(frozen=True)
class Inbox:
    """What the others dealt to one phone.

    Attributes:
        recipient: index of the phone.
        sharers: who dealt shares, the recipient among them, ascending.
        dealt: one ciphertext of each sharer but the recipient, in the same order.
    """

    recipient: int
    sharers: tuple[int, ...]
    dealt: tuple[bytes, ...]

    def to_bytes(self, sid: bytes, n: int) -> bytes:
        """Return the message to a phone of a roster of `n`."""
        return header(Kind.INBOX, self.recipient, sid) + bitmap(self.sharers, n) + b"".join(self.dealt)

    @classmethod
    def parse(cls, message: bytes, sid: bytes, n: int) -> Self:
        """Read a message.

        Raises:
            MalformedMessageError: sizes or sets are impossible.
            MismatchError: it belongs to another session.
        """
        recipient, body = party(message, Kind.INBOX, sid), message[HEADER_BYTES:]
        size = bitmap_bytes(n)
        sharers = members(body[:size], n)
        dealers = [sharer for sharer in sharers if sharer != recipient]
        if len(body) != size + len(dealers) * DEALT_BYTES:
            raise MalformedMessageError(f"an inbox from {len(dealers)} phones cannot have {len(message)} bytes")
        return cls(recipient, sharers, tuple(split(body[size:], DEALT_BYTES)))


@dataclass(frozen=True)
class Survivors:
    """Who shared keys and who then uploaded; the payload that phones sign in the consistency check.

    Attributes:
        sharers: U2 of the paper, ascending.
        survivors: U3 of the paper, ascending.
    """

    sharers: tuple[int, ...]
    survivors: tuple[int, ...]

    def payload(self, n: int) -> bytes:
        """Return the two bitmaps."""
        return bitmap(self.sharers, n) + bitmap(self.survivors, n)

    def to_bytes(self, sid: bytes, n: int) -> bytes:
        """Return the message to all phones."""
        return header(Kind.SURVIVORS, NOBODY, sid) + self.payload(n)

    @classmethod
    def parse(cls, message: bytes, sid: bytes, n: int) -> Self:
        """Read a message.

        Raises:
            MalformedMessageError: sizes or sets are impossible.
            MismatchError: it belongs to another session.
        """
        party(message, Kind.SURVIVORS, sid)
        body = message[HEADER_BYTES:]
        size = bitmap_bytes(n)
        if len(body) != 2 * size:
            raise MalformedMessageError(f"two sets of {n} phones have {2 * size} bytes, not {len(body)}")
        return cls(members(body[:size], n), members(body[size:], n))

    def sealed_by(self, index: int, signature: bytes, sid: bytes, n: int) -> Sealed:
        """Return the consistency message that phone `index` must have sent to have this signature."""
        return Sealed(header(Kind.CONSISTENCY, index, sid), index, signature, self.payload(n))


@dataclass(frozen=True)
class Signatures:
    """Who signed the survivors.

    Attributes:
        signers: ascending.
        signatures: one for each signer.
    """

    signers: tuple[int, ...]
    signatures: tuple[bytes, ...]

    def to_bytes(self, sid: bytes, n: int) -> bytes:
        """Return the message to all phones."""
        return header(Kind.SIGNATURES, NOBODY, sid) + bitmap(self.signers, n) + b"".join(self.signatures)

    @classmethod
    def parse(cls, message: bytes, sid: bytes, n: int) -> Self:
        """Read a message.

        Raises:
            MalformedMessageError: sizes or sets are impossible.
            MismatchError: it belongs to another session.
        """
        party(message, Kind.SIGNATURES, sid)
        body = message[HEADER_BYTES:]
        size = bitmap_bytes(n)
        signers = members(body[:size], n)
        if len(body) != size + len(signers) * SIGNATURE_BYTES:
            raise MalformedMessageError(f"{len(signers)} signatures cannot have {len(message)} bytes")
        return cls(signers, tuple(split(body[size:], SIGNATURE_BYTES)))


def parse_shares(payload: bytes) -> list[bytes]:
    """Return the shares of an unmasking payload.

    Raises:
        MalformedMessageError: one is not an element of the field.
    """
    shares = split(payload, SHARE_BYTES)
    if not all(is_field_element(share) for share in shares):
        raise MalformedMessageError("a share is not below the prime of the field")
    return shares
