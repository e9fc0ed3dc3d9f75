"""Session trails: what each device did in a round, under a pseudonym and without anything it typed.

As in Bonawitz et al. 2019, section 5: the shape of a trail tells what went wrong, and where.
"""

import hashlib
import hmac
import logging
from collections.abc import Callable
from enum import StrEnum
from typing import cast

import sqlalchemy as sql
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from federation.protocol.drop_reasons import DeviceEvent
from federation.server.tables import CounterRow, EventRow

# Built once and run without the ORM: every request of a fleet records something.
_ADD_COUNTER, _ADD_EVENT = (sql.insert(cast("sql.Table", table.__table__)) for table in (CounterRow, EventRow))
_COUNT = (
    sql.update(cast("sql.Table", CounterRow.__table__))
    .where(CounterRow.kind == sql.bindparam("of"))
    .values(events=CounterRow.events + 1, size_bytes=CounterRow.size_bytes + sql.bindparam("size"))
)

_LOG = logging.getLogger("fedkey.server")


class Event(StrEnum):
    """What may happen."""

    CHECKED_IN = "checked in"
    SELECTED = "selected"
    PLAN = "plan"
    MODEL = "model"
    ADVERTISED = "advertised"
    SHARED = "shared"
    TRAINED = "trained"
    UPLOADED = "uploaded"
    CONFIRMED = "confirmed"
    UNMASKED = "unmasked"
    REFUSED = "refused"
    FAILED = "failed"
    REJECTED = "rejected"
    OPENED = "opened"
    CLOSED = "closed"
    LOST = "group lost"
    DEFENDED = "defended"
    CONVICTED = "convicted"
    FINISHED = "finished"
    ABANDONED = "abandoned"


REPORTED_BY_PHONES = frozenset(Event(report) for report in DeviceEvent)


def pseudonyms(key: Ed25519PrivateKey) -> Callable[[bytes], str]:
    """Return what gives 16 hex digits for a device id, which say nothing to anyone who lacks the round server's key."""
    secret = hashlib.sha256(b"fedkey pseudonyms v1\0" + key.private_bytes_raw()).digest()
    return lambda device_id: hmac.new(secret, device_id, hashlib.sha256).hexdigest()[:16]


def record(
    session: Session, at: float, kind: Event, *, round_id: int | None, device: str = "", detail: str = "", size: int = 0
) -> None:
    """Store an event and log it.

    Args:
        session: a writing one.
        at: seconds since 1970.
        kind: what happened.
        round_id: of the round, if there is one.
        device: pseudonym; nothing for the server's own events.
        detail: of a fixed vocabulary or numbers, at most 200 characters.
        size: bytes that came with it.
    """
    connection = session.connection()
    if not connection.execute(_COUNT, {"of": kind, "size": size}).rowcount:
        connection.execute(_ADD_COUNTER, {"kind": kind, "events": 1, "size_bytes": size})
    event = {"round_id": round_id, "device": device, "kind": kind, "detail": detail[:200], "size_bytes": size, "at": at}
    connection.execute(_ADD_EVENT, event)
    _LOG.info({"at": at, "event": kind, "round": round_id, "device": device, "detail": detail, "bytes": size})
