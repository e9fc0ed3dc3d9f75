"""The vault's keys in a file, sealed with a key that the operating system keeps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from federation.base.files import write_private
from keyboard_app.typing.vault import KEY_BYTES, VaultError
from model import files


class Sealer(Protocol):
    """Seals with a key that this process never sees."""

    def seal(self, content: bytes) -> bytes:
        """Return content that only `unseal` reads."""

    def unseal(self, sealed: bytes) -> bytes:
        """Return what was sealed; raises some exception if this is something else."""


class SealedKeyStore:
    """See `keyboard_app.typing.vault.KeyStore`.

    Args:
        path: of the file.
        sealer: of the operating system.
    """

    def __init__(self, path: Path, sealer: Sealer) -> None:
        self._path, self._sealer = path, sealer

    def load(self) -> Sequence[bytes]:
        """See `KeyStore.load`."""
        try:
            sealed = files.read(self._path)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise VaultError(f"the key in {self._path} cannot be read: {error.strerror}") from error
        try:
            content = self._sealer.unseal(sealed)
        except Exception as error:
            raise VaultError(f"the key in {self._path} cannot be opened by this device") from error
        if not content or len(content) % KEY_BYTES:
            raise VaultError(f"the key in {self._path} is damaged")
        return [content[i : i + KEY_BYTES] for i in range(0, len(content), KEY_BYTES)]

    def save(self, keys: Sequence[bytes]) -> None:
        """See `KeyStore.save`; what was there before stays sealed wherever the storage still has it."""
        try:
            write_private(self._path, self._sealer.seal(b"".join(keys)))
        except Exception as error:
            raise VaultError(f"the key in {self._path} cannot be written: {error}") from error
