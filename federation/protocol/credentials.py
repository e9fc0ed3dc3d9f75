"""Credentials: which pseudonyms the enrolment authority certifies in which epoch, and which it has revoked.

A device has one identity, which only the authority knows, and in every epoch a pseudonym with keys of its own. Nothing
that the round server or other phones see leads from the pseudonym of one epoch to that of another. The authority
certifies one pseudonym of a device an epoch; its clock says which epoch it is, so a phone knows by its own certificate
whether a round is of the present. The authority's key is needed for enrolling and revoking only.
"""

import hashlib
import struct
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.errors import FederationError
from federation.secure_aggregation import Authority, DeviceKey, EnrolmentAuthority
from federation.secure_aggregation.errors import BadSignatureError, SecureAggregationError
from federation.secure_aggregation.identity import DEVICE_ID_BYTES, SIGNATURE_BYTES, parse_enrolment, verifies

EPOCH_SECONDS = 7 * 86400
GRACE_SECONDS = 86400
"""After the end of an epoch its certificates are still good for what has begun: no round lasts longer."""

MAX_EPOCH = (1 << 32) - 1
MAX_REVOKED = 1 << 16
"""Entries of a list, which phones download."""

_REQUEST_LABEL = b"fedkey enrolment request v2\0"
_REQUEST = struct.Struct("<B16s32s113s64s")
_REVOKED_LABEL = b"fedkey revoked v2\0"
_REVOKED = struct.Struct("<Q")
_CREDENTIAL = struct.Struct("<B16s32sI64s")
_VERSION = 2
CREDENTIAL_BYTES = _CREDENTIAL.size
MAX_REVOCATIONS_BYTES = SIGNATURE_BYTES + _REVOKED.size + MAX_REVOKED * DEVICE_ID_BYTES


class CredentialError(FederationError):
    """A credential that does not let its device in."""


class ExpiredError(CredentialError):
    """A credential of another epoch; renew it."""


def epoch_of(now: float) -> int:
    """Return the epoch of a time in seconds since 1970."""
    return min(max(int(now // EPOCH_SECONDS), 0), MAX_EPOCH)


@dataclass(frozen=True)
class Credential:
    """What the authority says of a device's pseudonym.

    Attributes:
        device_id: of the pseudonym, 16 bytes.
        identity_key: raw Ed25519 public key of the pseudonym.
        epoch: that the certificate is good for.
        certificate: of the authority, over all of these.
    """

    device_id: bytes
    identity_key: bytes
    epoch: int
    certificate: bytes

    def to_bytes(self) -> bytes:
        """Return `CREDENTIAL_BYTES` bytes."""
        return _CREDENTIAL.pack(_VERSION, self.device_id, self.identity_key, self.epoch, self.certificate)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a credential without checking it.

        Raises:
            CredentialError: another size or version.
        """
        if len(data) != CREDENTIAL_BYTES or data[0] != _VERSION:
            raise CredentialError(f"a credential has {CREDENTIAL_BYTES} bytes of version {_VERSION}: enrol again")
        return cls(*_CREDENTIAL.unpack(data)[1:])

    def check(self, authority: Authority, now: float) -> None:
        """Check who issued it and for when: this epoch, the one before for a while, or one that begins now elsewhere.

        Raises:
            CredentialError: it is not the authority's.
            ExpiredError: it is of another epoch.
        """
        try:
            authority.at(self.epoch).check(self.device_id, self.identity_key, self.certificate)
        except BadSignatureError as error:
            raise CredentialError(
                "the certificate is not of this server's authority: enrol the device again"
            ) from error
        if not epoch_of(now - GRACE_SECONDS) <= self.epoch <= epoch_of(now + GRACE_SECONDS):
            raise ExpiredError("the credential has expired: renew it with the enrolment authority")


@dataclass(frozen=True)
class Revocations:
    """Pseudonyms that are no longer let in.

    Attributes:
        devices: their ids.
        issued: when the list was made, seconds since 1970; later lists have larger ones.
        data: the signed list itself, empty if there is none.
    """

    devices: frozenset[bytes] = frozenset()
    issued: int = 0
    data: bytes = field(default=b"", repr=False, compare=False)

    @property
    def sha256(self) -> bytes:
        """Of the signed list; empty if there is none."""
        return hashlib.sha256(self.data).digest() if self.data else b""

    def signed(self, key: Ed25519PrivateKey) -> bytes:
        """Return the list, signed by the authority.

        Raises:
            CredentialError: it is longer than phones download.
        """
        if len(self.devices) > MAX_REVOKED:
            raise CredentialError(f"a list has {MAX_REVOKED} revoked devices at most: wait for the next epoch")
        body = _REVOKED.pack(self.issued) + b"".join(sorted(self.devices))
        return key.sign(_REVOKED_LABEL + body) + body

    @classmethod
    def from_signed(cls, data: bytes, authority: Authority) -> Self:
        """Read a list.

        Raises:
            CredentialError: it is damaged, too long, or not the authority's.
        """
        signature, body = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
        ids = body[_REVOKED.size :]
        whole = len(body) >= _REVOKED.size and len(ids) % DEVICE_ID_BYTES == 0 and len(data) <= MAX_REVOCATIONS_BYTES
        if not whole or not verifies(authority.public_key, signature, _REVOKED_LABEL + body):
            raise CredentialError("the list of revoked devices is damaged or not the authority's: fetch it again")
        devices = frozenset(ids[i : i + DEVICE_ID_BYTES] for i in range(0, len(ids), DEVICE_ID_BYTES))
        return cls(devices, _REVOKED.unpack_from(body)[0], data)


@dataclass(frozen=True)
class EnrolmentRequest:
    """What a device asks the authority for: a certificate of a pseudonym, for the present epoch.

    Attributes:
        enrolled_id: 16 bytes of the device's identity, which the authority alone knows.
        enrolled_key: raw Ed25519 public key of that identity.
        pseudonym: `DeviceKey.enrolment_request` of the pseudonym.
    """

    enrolled_id: bytes
    enrolled_key: bytes
    pseudonym: bytes

    @staticmethod
    def signed(identity: DeviceKey, pseudonym: DeviceKey) -> bytes:
        """Return the request of a device, signed with its identity and with its pseudonym."""
        fields = (_VERSION, identity.device_id, identity.public_key, pseudonym.enrolment_request())
        bare = _REQUEST.pack(*fields, b"")[:-SIGNATURE_BYTES]
        return bare + identity.private_key.sign(_REQUEST_LABEL + bare)

    @classmethod
    def from_signed(cls, data: bytes) -> Self:
        """Read a request.

        Raises:
            CredentialError: it is damaged, of another version, or a signature does not verify.
        """
        if len(data) != _REQUEST.size or data[0] != _VERSION:
            raise CredentialError(
                f"an enrolment request has {_REQUEST.size} bytes of version {_VERSION}: update the app"
            )
        _, enrolled_id, enrolled_key, pseudonym, signature = _REQUEST.unpack(data)
        if not verifies(enrolled_key, signature, _REQUEST_LABEL + data[:-SIGNATURE_BYTES]):
            raise CredentialError("the enrolment request is not signed with the key that it names")
        try:
            parse_enrolment(pseudonym)
        except SecureAggregationError as error:
            raise CredentialError(f"the enrolment request cannot be used: {error}") from error
        return cls(enrolled_id, enrolled_key, pseudonym)


class Issuer:
    """The enrolment authority, which signs credentials.

    Args:
        key: private key of the authority.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._authority = EnrolmentAuthority(key)

    @property
    def authority(self) -> Authority:
        """What phones and servers pin."""
        return self._authority.authority

    def issue(self, pseudonym: bytes, epoch: int) -> Credential:
        """Return the credential of a pseudonym for an epoch.

        The caller must see to it that a device has one pseudonym an epoch, and an id one key.

        Args:
            pseudonym: `DeviceKey.enrolment_request`.
            epoch: that it is good for.

        Raises:
            MalformedMessageError, BadSignatureError: the request is not what a device signs.
        """
        device_id, identity_key = parse_enrolment(pseudonym)
        return Credential(device_id, identity_key, epoch, self._authority.certify(pseudonym, epoch))
