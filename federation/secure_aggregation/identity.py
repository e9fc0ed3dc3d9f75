"""Who may take part: devices with Ed25519 keys, certified by an enrolment authority.

The authority can run apart from the round server, and for the protocol's promise it must: a server that can certify
devices can fill a cohort with its own. Phones pin the authority's public key. A certificate is good for one epoch.
"""

import struct
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from federation.secure_aggregation.errors import BadSignatureError, MalformedMessageError, RevokedDeviceError

DEVICE_ID_BYTES = 16
SIGNATURE_BYTES = 64

_ENROLMENT = b"fedkey enrolment v1\0"
_CERTIFICATE = b"fedkey certificate v2\0"
_EPOCH = struct.Struct("<I")
_REQUEST = struct.Struct("<B16s32s64s")
_REQUEST_VERSION = 1


def verifies(public_key: bytes, signature: bytes, signed: bytes) -> bool:
    """Whether `signature` is one of `signed` under a raw Ed25519 public key."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass(frozen=True)
class Authority:
    """An enrolment authority as others know it, in one epoch.

    Attributes:
        public_key: 32 raw bytes, pinned in the app.
        epoch: whose certificates are good.
        revoked: ids of devices that it has revoked.
    """

    public_key: bytes
    epoch: int = 0
    revoked: frozenset[bytes] = field(default=frozenset(), repr=False)

    def at(self, epoch: int, revoked: frozenset[bytes] = frozenset()) -> "Authority":
        """Return it in another epoch, with these devices revoked."""
        return Authority(self.public_key, epoch, revoked)

    def check(self, device_id: bytes, identity_key: bytes, certificate: bytes) -> None:
        """Check that the authority certified this key of this device for this epoch.

        Raises:
            BadSignatureError: it did not certify it, or for another epoch.
            RevokedDeviceError: it does so no longer.
        """
        if not verifies(self.public_key, certificate, _certified(device_id, identity_key, self.epoch)):
            raise BadSignatureError("certificate", device_id)
        if device_id in self.revoked:
            raise RevokedDeviceError(device_id)


def _certified(device_id: bytes, identity_key: bytes, epoch: int) -> bytes:
    return _CERTIFICATE + _EPOCH.pack(epoch) + device_id + identity_key


class EnrolmentAuthority:
    """The authority itself; whether a device is one person's phone is for its operator to find out.

    Args:
        private_key: of the authority.
    """

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key

    @property
    def authority(self) -> Authority:
        """What phones and servers pin."""
        return Authority(self._private_key.public_key().public_bytes_raw())

    def certify(self, request: bytes, epoch: int = 0) -> bytes:
        """Return the 64-byte certificate for an enrolment request.

        Certifying is repeatable; the caller must see to it that a device id stays with its first key.

        Args:
            request: `DeviceKey.enrolment_request`.
            epoch: that the certificate is good for.

        Raises:
            MalformedMessageError: the request has another size or version.
            BadSignatureError: the device does not hold the key.
        """
        device_id, identity_key = parse_enrolment(request)
        return self._private_key.sign(_certified(device_id, identity_key, epoch))


def parse_enrolment(request: bytes) -> tuple[bytes, bytes]:
    """Return device id and identity key of a request that is signed with that key.

    Raises:
        MalformedMessageError: the request has another size or version.
        BadSignatureError: the device does not hold the key.
    """
    if len(request) != _REQUEST.size:
        raise MalformedMessageError(f"an enrolment request has {_REQUEST.size} bytes, not {len(request)}")
    version, device_id, identity_key, signature = _REQUEST.unpack(request)
    if version != _REQUEST_VERSION:
        raise MalformedMessageError(f"enrolment requests have version {_REQUEST_VERSION}, not {version}")
    if not verifies(identity_key, signature, _ENROLMENT + request[:-SIGNATURE_BYTES]):
        raise BadSignatureError("enrolment", device_id)
    return device_id, identity_key


@dataclass(frozen=True)
class DeviceKey:
    """An identity of a device.

    Attributes:
        device_id: 16 bytes.
        private_key: signs all messages of the device.
    """

    device_id: bytes
    private_key: Ed25519PrivateKey = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.device_id) != DEVICE_ID_BYTES:
            raise ValueError(f"a device id has {DEVICE_ID_BYTES} bytes, not {len(self.device_id)}")

    @property
    def public_key(self) -> bytes:
        """32 raw bytes."""
        return self.private_key.public_key().public_bytes_raw()

    def enrolment_request(self) -> bytes:
        """Return the request that the authority answers with a certificate."""
        signed = _REQUEST.pack(_REQUEST_VERSION, self.device_id, self.public_key, b"")[:-SIGNATURE_BYTES]
        return signed + self.private_key.sign(_ENROLMENT + signed)


@dataclass(frozen=True)
class Device:
    """A certified device.

    Attributes:
        key: its identity.
        certificate: 64 bytes of the enrolment authority.
    """

    key: DeviceKey
    certificate: bytes = field(repr=False)
