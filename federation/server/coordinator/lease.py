"""The lease: which of several coordinators acts."""

import secrets
from collections.abc import Callable

from sqlalchemy.orm import Session

from federation.server.store import Database
from federation.server.tables import LeaseRow

LEASE_SECONDS = 10.0
_NAME = "coordinator"


class Lease:
    """One coordinator's claim.

    The clocks of machines may differ, so a lease counts how often it was renewed and does not say until when.

    Args:
        database: of the server.
        clock: this machine's, seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._owner = secrets.token_hex(16)
        self._seen: tuple[str, int] | None = None
        self._seen_at = 0.0

    def held(self) -> bool:
        """Take or renew the lease if its owner has not renewed it for a while; return whether it is this one's."""
        now = self._clock()
        with self._database.read() as session:
            seen = _stored(session)
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        age = abs(now - self._seen_at)
        mine = seen is not None and seen[0] == self._owner
        if mine and age < LEASE_SECONDS / 3:
            return True
        if not mine and seen is not None and age < LEASE_SECONDS:
            return False
        with self._database.write() as session:
            if _stored(session) != seen:
                return False  # another was faster
            renewals = 0 if seen is None else seen[1] + 1
            session.merge(LeaseRow(name=_NAME, owner=self._owner, renewals=renewals))
        self._seen, self._seen_at = (self._owner, renewals), now
        return True


def _stored(session: Session) -> tuple[str, int] | None:
    row = session.get(LeaseRow, _NAME)
    return None if row is None else (row.owner, row.renewals)
