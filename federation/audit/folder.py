"""A round server's folder, or a copy of it, as what is audited: off line, with its own key."""

from collections.abc import Callable
from pathlib import Path

from federation.audit.report import AuditError
from federation.protocol.log import unpack
from federation.server.errors import UnknownError
from federation.server.installation import Installation


class FolderSource:
    """See `Source`; nothing in the folder is changed.

    Args:
        folder: of the server.

    Raises:
        ConfigError: it is none.
        AuditError: there is no database in it.
    """

    def __init__(self, folder: Path) -> None:
        self.where = str(folder)
        self._installation = Installation.load(folder)
        if not self._installation.settings.database and not (folder / "server.sqlite").exists():
            raise AuditError(f"the server in {folder} has run no round yet: there is nothing to audit")

    @property
    def server_key(self) -> bytes:
        """Raw Ed25519 public key of the server."""
        return self._installation.public_key

    def close(self) -> None:
        """Let go of the database."""
        self._installation.database.close()

    def head(self) -> bytes:
        """See `Source.head`."""
        return self._installation.models.log_head()

    def entries(self, first: int) -> list[bytes]:
        """See `Source.entries`."""
        return unpack(self._installation.models.log(first))

    def round(self, round_id: int) -> bytes | None:
        """See `Source.round`."""
        return _if_known(lambda: self._installation.rounds.plan(round_id))

    def weights(self, sha256: str) -> bytes | None:
        """See `Source.weights`."""
        return _if_known(lambda: self._installation.models.weights(sha256))

    def mean(self, sha256: str) -> bytes | None:
        """See `Source.mean`."""
        return _if_known(lambda: self._installation.models.mean(sha256))

    def state(self, sha256: str) -> bytes | None:
        """See `Source.state`."""
        return _if_known(lambda: self._installation.models.optimizer_state(sha256))


def _if_known(read: Callable[[], bytes]) -> bytes | None:
    try:
        return read()
    except UnknownError:
        return None
