"""Keys: Diffie-Hellman agreement, derivation bound to the session, encryption of shares, and secrets that are wiped.

X25519 (RFC 7748), HKDF-SHA256 (RFC 5869), AES-256-GCM (SP 800-38D).
"""

import hashlib
import struct
from enum import Enum
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from federation.secure_aggregation.errors import MalformedMessageError, OutOfOrderError
from federation.secure_aggregation.masks import KEY_BYTES

TAG_BYTES = 16

_DOMAIN = b"fedkey secure aggregation v1: "
_PAIR = struct.Struct("<HH")
# A key encrypts one message, so the nonce may be constant.
_NONCE = bytes(12)


class Role(Enum):
    """What a key is for."""

    SHARES = b"shares"
    PAIRWISE_MASK = b"pairwise mask"
    SELF_MASK = b"self mask"


class Secret:
    """Bytes that show nowhere: not in a repr, not in a pickle, and overwritten by `wipe`.

    Python and its libraries make copies while computing that cannot be reached; this keeps the lasting one.
    """

    __slots__ = ("_buffer",)

    def __init__(self, value: bytes) -> None:
        self._buffer = bytearray(value)

    def __repr__(self) -> str:
        return "<Secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets stay in memory: they are not pickled or copied")

    def __bytes__(self) -> bytes:
        if not self._buffer:
            raise OutOfOrderError("a phase whose secrets are wiped")
        return bytes(self._buffer)

    def wipe(self) -> None:
        """Overwrite and forget the bytes."""
        self._buffer[:] = bytes(len(self._buffer))
        self._buffer.clear()


def hashed(label: str, *parts: bytes) -> bytes:
    """Return SHA-256 of parts of fixed sizes, under a label of this protocol."""
    return hashlib.sha256(_DOMAIN + label.encode() + b"\0" + b"".join(parts)).digest()


def commitment(self_mask_seed: bytes) -> bytes:
    """Return what a phone publishes of the seed of its self mask before it shares it."""
    return hashed("commitment", self_mask_seed)


def private_key(private: bytes) -> X25519PrivateKey:
    """Return the X25519 key of 32 private bytes; that takes about as long as an agreement, so keep it for several."""
    return X25519PrivateKey.from_private_bytes(private)


def public_key(private: bytes) -> bytes:
    """Return the X25519 public key of 32 private bytes."""
    return private_key(private).public_key().public_bytes_raw()


def agree(private: X25519PrivateKey, public: bytes) -> bytes:
    """Return the X25519 shared secret.

    Raises:
        MalformedMessageError: the public key is one of the few points that give everyone the same secret.
    """
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise MalformedMessageError("a public key of low order: leave its device out of the round") from error


def derive(secret: bytes, sid: bytes, role: Role, i: int, j: int) -> bytes:
    """Return the 32-byte key of phones `i` and `j` for `role` in session `sid`."""
    info = _DOMAIN + role.value + b"\0" + _PAIR.pack(i, j)
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=sid, info=info).derive(secret)


def pairwise_mask_key(shared: bytes, sid: bytes, i: int, j: int) -> bytes:
    """Return the key of the mask that the one of phones `i` and `j` with the lower index adds and the other takes."""
    return derive(shared, sid, Role.PAIRWISE_MASK, min(i, j), max(i, j))


def self_mask_key(seed: bytes, sid: bytes, i: int) -> bytes:
    """Return the key of the mask that phone `i` adds on its own."""
    return derive(seed, sid, Role.SELF_MASK, i, i)


def encrypt_shares(key: bytes, sid: bytes, dealer: int, holder: int, shares: bytes) -> bytes:
    """Encrypt what `dealer` deals to `holder`; the key must not encrypt anything else."""
    return AESGCM(key).encrypt(_NONCE, shares, sid + _PAIR.pack(dealer, holder))


def decrypt_shares(key: bytes, sid: bytes, dealer: int, holder: int, ciphertext: bytes) -> bytes | None:
    """Return what `dealer` dealt to `holder`, or None if it is not authentic."""
    try:
        return AESGCM(key).decrypt(_NONCE, ciphertext, sid + _PAIR.pack(dealer, holder))
    except InvalidTag:
        return None
