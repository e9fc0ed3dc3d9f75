"""What one phone cannot do to a server: hold a place and do nothing, ask twice with one request, spoil rounds for ever.

All of it is in the database, so that it holds across workers and after a restart. Each function works in somebody
else's writing session.
"""

import logging
from collections.abc import Callable, Collection
from typing import cast

import sqlalchemy as sql
from sqlalchemy.orm import Session

from federation.protocol.evidence import Evidence, deviants
from federation.protocol.request_signing import MAX_SKEW_SECONDS
from federation.secure_aggregation.server import CollectMaskedInputs
from federation.server.errors import ConflictError
from federation.server.hot_rows import HotRows
from federation.server.session_events import Event, record
from federation.server.tables import ComplaintRow, DeviceRow, EvidenceRow, MessageRow, NonceRow, RoundRow

_NONCES_KEPT_SECONDS = 2 * MAX_SKEW_SECONDS + 60
"""A request may be signed that long before it comes, and come as long before it is signed."""

_OLD_NONCES = sql.delete(cast("sql.Table", NonceRow.__table__)).where(NonceRow.at < sql.bindparam("before"))

_QUARANTINE_ROUNDS = 10_000
"""Until its pseudonym's epoch is over, that is; what is to last longer is for the authority to say."""

_LOG = logging.getLogger("fedkey.server")


def refuse_replay(session: Session, rows: HotRows, device_id: bytes, nonce: bytes, now: float) -> None:
    """Remember a request that counts each time that it is made.

    Raises:
        ConflictError: it was made before.
    """
    if rows.get(NonceRow, device_id, nonce) is not None:
        raise ConflictError("this request was made before: sign another one")
    session.execute(_OLD_NONCES, {"before": now - _NONCES_KEPT_SECONDS})
    rows.add(NonceRow, device_id=device_id, nonce=nonce, at=now)


def free_places(session: Session, row: RoundRow, now: float, slot_seconds: float) -> None:
    """Take their places in a round from phones that were selected a while ago and have not advertised keys."""
    joined = sql.select(MessageRow.device_id).where(MessageRow.round_id == row.round_id)
    idle = sql.update(DeviceRow).where(
        DeviceRow.last_round == row.round_id,
        DeviceRow.selected.is_not(None),
        DeviceRow.selected < now - slot_seconds,
        DeviceRow.device_id.not_in(joined),
    )
    freed = session.execute(idle.values(selected=None), execution_options={"synchronize_session": False})
    row.selected -= freed.rowcount  # type: ignore[attr-defined]


def complain(
    session: Session,
    round_id: int,
    group: CollectMaskedInputs,
    message: bytes,
    now: float,
    pseudonym: Callable[[bytes], str],
) -> None:
    """Take a checked complaint; whom more than a third of the group complain of stays away from now on."""
    accuser, dealers = group.accused(message)
    if session.get(ComplaintRow, (round_id, accuser, dealers[0])) is not None:
        return
    for dealer in dealers:
        session.add(ComplaintRow(round_id=round_id, device_id=accuser, dealer=dealer, message=message))
    session.flush()
    members = [phone.device_id for phone in group.roster.phones]
    told = sql.select(ComplaintRow.message).where(
        ComplaintRow.round_id == round_id, ComplaintRow.device_id.in_(members)
    )
    complaints = tuple(session.scalars(told.distinct()))
    found = deviants(group, complaints)
    known = sql.select(DeviceRow.device_id).where(DeviceRow.quarantined_until.is_not(None))
    fresh = found.difference(session.scalars(known.where(DeviceRow.device_id.in_(found))))
    evidence = Evidence("dealt", group.roster.plan_hash, group.roster.to_bytes(), b"", complaints)
    convict(session, round_id, fresh, evidence, now, pseudonym)


def convict(
    session: Session,
    round_id: int,
    devices: Collection[bytes],
    evidence: Evidence,
    now: float,
    pseudonym: Callable[[bytes], str],
) -> None:
    """Keep phones away that certainly sent false shares, and keep what shows it."""
    if not devices:
        return
    row = EvidenceRow(
        round_id=round_id,
        kind=evidence.kind,
        devices=sorted(device_id.hex() for device_id in devices),
        content=evidence.to_bytes(),
        at=now,
    )
    session.add(row)
    session.flush()
    for device_id in devices:
        session.execute(
            sql.update(DeviceRow)
            .where(DeviceRow.device_id == device_id)
            .values(quarantined_until=round_id + _QUARANTINE_ROUNDS)
        )
        detail = f"{evidence.kind} false shares: see evidence {row.id}"
        record(session, now, Event.CONVICTED, round_id=round_id, device=pseudonym(device_id), detail=detail)
