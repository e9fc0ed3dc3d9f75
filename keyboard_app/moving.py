"""One encrypted file with what a phone keeps of its owner, for a new phone.

The key comes from a passphrase by scrypt (RFC 7914), the content is sealed with AES-256-GCM. What is only a phone's own
stays there: its keys, its identity in rounds, and what it spent of its privacy budget.
"""

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

MIN_PASSPHRASE = 8
"""Characters."""

MAX_BYTES = 256 << 20

_MAGIC = b"fedkey copy 1\n"
_SALT, _NONCE = 16, 12
_SCRYPT = {"length": 32, "n": 1 << 15, "r": 8, "p": 1}  # 32 MiB and about a tenth of a second


def seal(content: Mapping[str, Any], documents: Mapping[str, bytes], passphrase: str) -> bytes:
    """Return the file.

    Args:
        content: as JSON can have it.
        documents: more, by name.
        passphrase: of at least `MIN_PASSPHRASE` characters.

    Raises:
        ValueError: the passphrase is too short; the message says how long it must be.
    """
    if len(passphrase) < MIN_PASSPHRASE:
        raise ValueError(f"a passphrase needs at least {MIN_PASSPHRASE} characters")
    coded = {name: base64.b64encode(document).decode() for name, document in documents.items()}
    plain = json.dumps({"content": content, "documents": coded}).encode()
    salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
    return _MAGIC + salt + nonce + AESGCM(_key(passphrase, salt)).encrypt(nonce, plain, _MAGIC)


def unseal(data: bytes, passphrase: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return content and documents of a file that `seal` made.

    Raises:
        ValueError: it is no such file, it was changed, or the passphrase is another; the message is one sentence.
    """
    if not data.startswith(_MAGIC) or len(data) > MAX_BYTES:
        raise ValueError("this is no copy of a phone: choose a file that Move to a new phone wrote")
    body = data.removeprefix(_MAGIC)
    salt, nonce, sealed = body[:_SALT], body[_SALT : _SALT + _NONCE], body[_SALT + _NONCE :]
    try:
        plain = json.loads(AESGCM(_key(passphrase, salt)).decrypt(nonce, sealed, _MAGIC))
        documents = {name: base64.b64decode(coded) for name, coded in plain["documents"].items()}
        return dict(plain["content"]), documents
    except (InvalidTag, KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise ValueError("the passphrase is another, or the file was damaged: nothing was read") from error


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, **_SCRYPT).derive(passphrase.encode())
