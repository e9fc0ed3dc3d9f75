"""Files of a device's keys: its identity, and the pseudonym that it goes under with the credential for it."""

import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.base.files import write_private
from federation.device.errors import StoreError
from federation.protocol.credentials import CREDENTIAL_BYTES, Credential, CredentialError
from federation.secure_aggregation import DeviceKey
from federation.secure_aggregation.identity import DEVICE_ID_BYTES
from model import files


def read_or_draw(path: Path) -> DeviceKey:
    """Read a key, or draw one and keep it.

    Raises:
        OSError: the file cannot be read or written.
        StoreError: it is damaged.
    """
    if not path.exists():
        write_private(path, _packed(DeviceKey(secrets.token_bytes(DEVICE_ID_BYTES), Ed25519PrivateKey.generate())))
    return _unpacked(files.read(path), path)


def read_pseudonym(path: Path) -> tuple[DeviceKey, Credential] | None:
    """Read a pseudonym and its credential, if there are any.

    Raises:
        OSError: the file cannot be read.
        StoreError: it is damaged.
    """
    if not path.exists():
        return None
    content = files.read(path)
    try:
        return _unpacked(content[:-CREDENTIAL_BYTES], path), Credential.from_bytes(content[-CREDENTIAL_BYTES:])
    except CredentialError as error:
        raise StoreError(f"{path} is damaged: remove it and enrol the device anew") from error


def pseudonym_file(key: DeviceKey, credential: Credential) -> bytes:
    """Return what `read_pseudonym` reads."""
    return _packed(key) + credential.to_bytes()


def _packed(key: DeviceKey) -> bytes:
    return key.device_id + key.private_key.private_bytes_raw()


def _unpacked(content: bytes, path: Path) -> DeviceKey:
    if len(content) != DEVICE_ID_BYTES + 32:
        raise StoreError(f"{path} is damaged: remove it and enrol the device anew")
    return DeviceKey(content[:DEVICE_ID_BYTES], Ed25519PrivateKey.from_private_bytes(content[DEVICE_ID_BYTES:]))
