"""How a device comes by weights or counts with a hash: what is here, a difference to it, or the whole."""

import contextlib

from federation.device.connection import Connection
from federation.device.errors import ServerRefusedError, UnreachableError
from federation.device.store import PhoneStore
from federation.protocol import model_codec as codec
from federation.protocol.model_codec import SharedKind

_DIFFERENCE_SLACK = 1 << 16
"""Bytes by which a difference that does not compress may be longer than the whole."""


class Downloads:
    """Downloads of one kind.

    Args:
        store: of the device.
        connection: to the server.
        kind: of what is downloaded.
        size: of it, in bytes.
    """

    def __init__(self, store: PhoneStore, connection: Connection, kind: SharedKind, size: int) -> None:
        self._store, self._connection, self._kind, self._size = store, connection, kind, size

    def has(self, sha256: str) -> bool:
        """Return whether what is kept has a hash."""
        kept = self._store.model(self._kind)
        return kept is not None and codec.sha256(kept) == sha256

    def fetched(self, sha256: str, round_id: int | None) -> bytes:
        """Return what has a hash; the caller that admits it keeps it.

        Raises:
            ServerRefusedError, UnreachableError: see `Connection.download`, or what came is something else.
        """
        kept = self._store.model(self._kind)
        if kept is not None and codec.sha256(kept) == sha256:
            return kept
        content = None if kept is None else self._from_difference(kept, sha256, round_id)
        if content is None:
            content = self._connection.download(
                f"/v1/models/{sha256}", sha256[:16], largest=self._size, what=self._kind, round_id=round_id
            )
        if codec.sha256(content) != sha256:
            raise UnreachableError(f"the {self._kind} came damaged: they are fetched again")
        return content

    def _from_difference(self, kept: bytes, sha256: str, round_id: int | None) -> bytes | None:
        old = codec.sha256(kept)
        with contextlib.suppress(codec.DeltaError, ServerRefusedError):  # the whole will do
            difference = self._connection.download(
                f"/v1/models/{sha256}/from/{old}",
                f"{old[:16]}-{sha256[:16]}",
                largest=self._size + _DIFFERENCE_SLACK,
                what=f"{self._kind} difference",
                round_id=round_id,
            )
            content = codec.apply_delta(kept, difference)
            if codec.sha256(content) == sha256:
                return content
        return None
