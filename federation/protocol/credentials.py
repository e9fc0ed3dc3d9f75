"""Credentials: which devices the enrolment authority vouches for, until when, and which it no longer does.

The certificate inside (`federation.secure_aggregation.identity`) is what other phones check; it does not expire. What a
round server lets in, it decides by the credential's expiry and by the authority's list of revoked devices. The
authority's key is needed for enrolling and revoking only, and may be kept off-line.
"""

import struct
from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.errors import FederationError
from federation.secure_aggregation import Authority, EnrolmentAuthority
from federation.secure_aggregation.errors import BadSignatureError
from federation.secure_aggregation.identity import DEVICE_ID_BYTES, SIGNATURE_BYTES, parse_enrolment, verifies

_CREDENTIAL_LABEL = b"fedkey credential v1\0"
_REVOKED_LABEL = b"fedkey revoked v1\0"
_CREDENTIAL = struct.Struct("<B16s32s64sQ64s")
_VERSION = 1
CREDENTIAL_BYTES = _CREDENTIAL.size


class CredentialError(FederationError):
    """A credential that does not let its device in."""


@dataclass(frozen=True)
class Credential:
    """What the authority says of a device.

    Attributes:
        device_id: 16 bytes.
        identity_key: raw Ed25519 public key of the device.
        certificate: shown to the other phones of a round.
        expires: seconds since 1970.
        signature: of the authority, over all of these.
    """

    device_id: bytes
    identity_key: bytes
    certificate: bytes
    expires: int
    signature: bytes = b""

    def to_bytes(self) -> bytes:
        """Return `CREDENTIAL_BYTES` bytes."""
        return _CREDENTIAL.pack(
            _VERSION, self.device_id, self.identity_key, self.certificate, self.expires, self.signature
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a credential without checking it.

        Raises:
            CredentialError: another size or version.
        """
        if len(data) != CREDENTIAL_BYTES or data[0] != _VERSION:
            raise CredentialError(f"a credential has {CREDENTIAL_BYTES} bytes of version {_VERSION}: enrol again")
        return cls(*_CREDENTIAL.unpack(data)[1:])

    @property
    def _signed(self) -> bytes:
        return _CREDENTIAL_LABEL + self.to_bytes()[:-SIGNATURE_BYTES]

    def check(self, authority: Authority, now: float) -> None:
        """Check who issued it and until when.

        Raises:
            CredentialError: it is not the authority's, or has expired.
        """
        try:
            authority.check(self.device_id, self.identity_key, self.certificate)
        except BadSignatureError as error:
            raise CredentialError(
                "the certificate is not of this server's authority: enrol the device again"
            ) from error
        if not verifies(authority.public_key, self.signature, self._signed):
            raise CredentialError("the credential is not of this server's authority: enrol the device again")
        if now >= self.expires:
            raise CredentialError("the credential has expired: enrol the device again")


@dataclass(frozen=True)
class Revocations:
    """Devices that are no longer let in.

    Attributes:
        devices: their ids.
    """

    devices: frozenset[bytes] = frozenset()

    def signed(self, key: Ed25519PrivateKey) -> bytes:
        """Return the list for a round server, signed by the authority."""
        body = b"".join(sorted(self.devices))
        return key.sign(_REVOKED_LABEL + body) + body

    @classmethod
    def from_signed(cls, data: bytes, authority: Authority) -> Self:
        """Read a list.

        Raises:
            CredentialError: it is damaged, or not the authority's.
        """
        signature, body = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
        if len(body) % DEVICE_ID_BYTES or not verifies(authority.public_key, signature, _REVOKED_LABEL + body):
            raise CredentialError("the list of revoked devices is damaged or not the authority's: fetch it again")
        return cls(frozenset(body[i : i + DEVICE_ID_BYTES] for i in range(0, len(body), DEVICE_ID_BYTES)))


class Issuer:
    """The authority's desk.

    Args:
        key: private key of the authority.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._authority = EnrolmentAuthority(key)

    @property
    def authority(self) -> Authority:
        """What phones and servers pin."""
        return self._authority.authority

    def issue(self, request: bytes, expires: int) -> Credential:
        """Return the credential for an enrolment request.

        The caller must see to it that a device id stays with its first key.

        Args:
            request: `DeviceKey.enrolment_request`.
            expires: seconds since 1970.

        Raises:
            MalformedMessageError, BadSignatureError: the request is not what a device signs.
        """
        device_id, identity_key = parse_enrolment(request)
        bare = Credential(device_id, identity_key, self._authority.certify(request), expires)
        return Credential(device_id, identity_key, bare.certificate, expires, self._key.sign(bare._signed))  # noqa: SLF001
