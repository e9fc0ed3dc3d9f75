"""A phone's view of the log of models: every head goes on from the one before, and has the model of the round."""

from federation.device.connection import Connection
from federation.device.store import PhoneStore
from federation.protocol.commitments import Commitments
from federation.protocol.log import HASH_BYTES, Edge, LogEntry, LogError, gone_on, unpack

_MODELS_KEPT = 512
_MAX_NEW_ENTRIES = 100_000


class LogWatch:
    """Of one phone.

    Args:
        store: of the device.
        connection: to the server.
        required: whether a server without a log is refused.
    """

    def __init__(self, store: PhoneStore, connection: Connection, *, required: bool) -> None:
        self._store = store
        self._connection = connection
        self._required = required

    def go_on(self, told: Commitments, model_sha256: bytes, round_id: int) -> None:
        """Go on to the head that a plan commits to, with the entries that were added since the one before.

        Raises:
            LogError: they do not lead there, or the model is not among those that the log has accepted.
            UnreachableError, ServerRefusedError: see `Connection.get`.
        """
        name = f"log {told.instance.hex()}"
        edge, models = self._seen(name)
        if not told.log_size and not edge.size:
            if self._required:
                raise LogError("the server keeps no log of its models")
            return
        missing = told.log_size - edge.size
        if missing > _MAX_NEW_ENTRIES:
            raise LogError(f"the log grew by {missing} entries at once")
        added: list[bytes] = []
        while len(added) < missing:
            path = f"/v1/log/{edge.size + len(added)}"
            more = unpack(self._connection.get(path, what="log of models", round_id=round_id))
            if not more:
                break
            added.extend(more)
        added = added[: max(missing, 0)]  # it may have grown meanwhile
        after = gone_on(edge, told.log_size, told.log_root, added)
        entries = (LogEntry.from_bytes(entry) for entry in added)
        models += [bytes.fromhex(entry.sha256) for entry in entries if entry.accepted]
        if model_sha256 not in models:
            raise LogError("the model is not in the server's log of models")
        self._store.keep_log(name, after.to_bytes(), b"".join(models[-_MODELS_KEPT:]))

    def _seen(self, name: str) -> tuple[Edge, list[bytes]]:
        edge, models = self._store.log(name)
        hashes = [models[at : at + HASH_BYTES] for at in range(0, len(models), HASH_BYTES)]
        return Edge.from_bytes(edge) if edge else Edge(), hashes
