"""Signed requests: how a phone shows a round server which device it is, without a session that a server must remember.

A signature covers the server, method, target, time, nonce and body of one request, so it is worth nothing elsewhere,
and for minutes only. Replaying one within them changes nothing: messages of the protocol count once, and where a
request counts each time that it is made, the server remembers nonces for as long as a signature is good.
"""

import base64
import binascii
import hashlib
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass

from federation.protocol.credentials import Credential, CredentialError
from federation.secure_aggregation import DeviceKey
from federation.secure_aggregation.identity import verifies

CREDENTIAL_HEADER = "Fedkey-Credential"
TIME_HEADER = "Fedkey-Time"
NONCE_HEADER = "Fedkey-Nonce"
DIGEST_HEADER = "Fedkey-Content-SHA256"
SIGNATURE_HEADER = "Fedkey-Signature"

MAX_SKEW_SECONDS = 300
NONCE_BYTES = 16

_LABEL = b"fedkey request v2\0"
_SIGNED = struct.Struct(f"<32sQ{NONCE_BYTES}s32s")


class SkewError(CredentialError):
    """A request signed at another time than the server's; sign it again with the server's time."""


@dataclass(frozen=True)
class Signed:
    """What a request's headers prove.

    Attributes:
        credential: of the device that signed; whether it may come in is not checked yet.
        body_sha256: that the body must have, 32 bytes.
        nonce: 16 bytes that no other request of the device has.
    """

    credential: Credential
    body_sha256: bytes
    nonce: bytes


def sign(
    key: DeviceKey,
    credential: Credential,
    server_key: bytes,
    *,
    method: str,
    target: str,
    body: bytes,
    now: float,
    nonce: bytes = b"",
) -> dict[str, str]:
    """Return the headers that sign a request.

    Args:
        key: of the device.
        credential: of the device.
        server_key: raw Ed25519 public key of the server that the request is for.
        method: such as GET.
        target: path and query.
        body: may be empty.
        now: seconds since 1970, as the server counts them.
        nonce: random, drawn here unless it is given.
    """
    digest = hashlib.sha256(body).digest()
    nonce = nonce or secrets.token_bytes(NONCE_BYTES)
    signed = _signed(server_key, method, target, int(now), nonce, digest)
    return {
        CREDENTIAL_HEADER: base64.b64encode(credential.to_bytes()).decode(),
        TIME_HEADER: str(int(now)),
        NONCE_HEADER: nonce.hex(),
        DIGEST_HEADER: digest.hex(),
        SIGNATURE_HEADER: base64.b64encode(key.private_key.sign(signed)).decode(),
    }


def check(header: Callable[[str], str | None], server_key: bytes, *, method: str, target: str, now: float) -> Signed:
    """Check the signature of a request, before its body is read.

    Args:
        header: returns a header's value, however its name is capitalised.
        server_key: raw Ed25519 public key of this server.
        method: of the request.
        target: path and query.
        now: seconds since 1970.

    Raises:
        SkewError: it was signed at another time.
        CredentialError: a header is missing or damaged, or the signature is not the device's.
    """
    names = (CREDENTIAL_HEADER, TIME_HEADER, NONCE_HEADER, DIGEST_HEADER, SIGNATURE_HEADER)
    told = {name: value for name in names if (value := header(name)) is not None}
    try:
        credential = Credential.from_bytes(base64.b64decode(told[CREDENTIAL_HEADER], validate=True))
        digest = bytes.fromhex(told[DIGEST_HEADER])
        time = int(told[TIME_HEADER])
        nonce = bytes.fromhex(told[NONCE_HEADER])
        signature = base64.b64decode(told[SIGNATURE_HEADER], validate=True)
        signed = _signed(server_key, method, target, time, nonce, digest)
    except (KeyError, ValueError, struct.error, binascii.Error) as error:
        raise CredentialError("the request is not signed: send the five Fedkey headers") from error
    if not verifies(credential.identity_key, signature, signed):
        raise CredentialError("the request's signature does not verify: sign what is sent, for this server")
    if abs(time - now) > MAX_SKEW_SECONDS:
        raise SkewError("the request was signed at another time: set the clock by the Date of this answer")
    return Signed(credential, digest, nonce)


def _signed(server_key: bytes, method: str, target: str, time: int, nonce: bytes, digest: bytes) -> bytes:
    if (len(server_key), len(nonce), len(digest)) != (32, NONCE_BYTES, 32):
        raise ValueError("a key and a digest have 32 bytes, and a nonce 16")
    return _LABEL + _SIGNED.pack(server_key, time, nonce, digest) + f"{method} {target}\n".encode()
