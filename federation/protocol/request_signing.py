"""Signed requests: how a phone shows a round server which device it is, without a session that a server must remember.

A signature covers the server, method, target, time and body of one request, so it is worth nothing elsewhere, and for
minutes only. Whoever replays one within them changes nothing: a request that comes twice counts once.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from federation.protocol.credentials import Credential, CredentialError
from federation.secure_aggregation import DeviceKey
from federation.secure_aggregation.identity import verifies

CREDENTIAL_HEADER = "Fedkey-Credential"
TIME_HEADER = "Fedkey-Time"
DIGEST_HEADER = "Fedkey-Content-SHA256"
SIGNATURE_HEADER = "Fedkey-Signature"

MAX_SKEW_SECONDS = 300

_LABEL = b"fedkey request v1\0"


class SkewError(CredentialError):
    """A request signed at another time than the server's; sign it again with the server's time."""


@dataclass(frozen=True)
class Signed:
    """What a request's headers prove.

    Attributes:
        credential: of the device that signed; whether it may come in is not checked yet.
        body_sha256: that the body must have, 32 bytes.
    """

    credential: Credential
    body_sha256: bytes


def sign(
    key: DeviceKey, credential: Credential, server_key: bytes, *, method: str, target: str, body: bytes, now: float
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
    """
    digest = hashlib.sha256(body).digest()
    signed = _signed(server_key, method, target, int(now), digest)
    return {
        CREDENTIAL_HEADER: base64.b64encode(credential.to_bytes()).decode(),
        TIME_HEADER: str(int(now)),
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
    names = (CREDENTIAL_HEADER, TIME_HEADER, DIGEST_HEADER, SIGNATURE_HEADER)
    told = {name: value for name in names if (value := header(name)) is not None}
    try:
        credential = Credential.from_bytes(base64.b64decode(told[CREDENTIAL_HEADER], validate=True))
        digest = bytes.fromhex(told[DIGEST_HEADER])
        time = int(told[TIME_HEADER])
        signature = base64.b64decode(told[SIGNATURE_HEADER], validate=True)
        signed = _signed(server_key, method, target, time, digest)
    except (KeyError, ValueError, OverflowError, binascii.Error) as error:
        raise CredentialError("the request is not signed: send the four Fedkey headers") from error
    if not verifies(credential.identity_key, signature, signed):
        raise CredentialError("the request's signature does not verify: sign what is sent, for this server")
    if abs(time - now) > MAX_SKEW_SECONDS:
        raise SkewError("the request was signed at another time: set the clock by the Date of this answer")
    return Signed(credential, digest)


def _signed(server_key: bytes, method: str, target: str, time: int, digest: bytes) -> bytes:
    if len(digest) != 32:
        raise ValueError("a digest has 32 bytes")
    line = f"{method} {target}\n".encode()
    return _LABEL + server_key + time.to_bytes(8, "big") + digest + line
