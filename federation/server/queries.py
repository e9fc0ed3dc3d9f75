"""What is read from the database about rounds and their devices, in somebody else's session."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sql
from sqlalchemy.orm import InstrumentedAttribute, Session

from federation.protocol.steps import STEPS, Step
from federation.secure_aggregation.errors import ConflictingMessageError, WindowClosedError
from federation.server.errors import UnknownError
from federation.server.hot_rows import HotRows
from federation.server.tables import DeviceRow, JoinedKeyRow, MessageRow, RoundRow

T = TypeVar("T")


ACTIVE = sql.select(RoundRow.__table__).where(RoundRow.phase.in_(STEPS))
"""The round that is running, if one is."""


def active(session: Session) -> RoundRow | None:
    """Return the round that is running, if one is."""
    return session.scalar(sql.select(RoundRow).where(RoundRow.phase.in_(STEPS)))


def known(rows: HotRows, round_id: int) -> RoundRow:
    """Return a round.

    Raises:
        UnknownError: there is none of this number.
    """
    row = rows.get(RoundRow, round_id)
    if row is None:
        raise UnknownError(f"there is no round {round_id}: check in")
    return row


def latest_cohort(session: Session) -> int | None:
    """Return how many phones the latest round lets in, if there was one."""
    return session.scalar(sql.select(RoundRow.max_phones).order_by(RoundRow.round_id.desc()).limit(1))


@dataclass(frozen=True)
class Waiting:
    """Devices that could take part in a round at once.

    Attributes:
        devices: Number of devices.
        since: When the first of them came, seconds since 1970.
    """

    devices: int
    since: float


def waiting(session: Session, now: float) -> Waiting:
    """Return who waits for a round and has not missed the time to come back."""
    query = sql.select(sql.func.count(), sql.func.min(DeviceRow.waiting_since))
    count, since = session.execute(query.where(DeviceRow.due >= now, DeviceRow.waiting_since.is_not(None))).one()
    return Waiting(count, now if since is None else since)


def coming(session: Session, begin: float, end: float) -> int:
    """Return how many devices that are likely able to take part come back within a time, seconds since 1970."""
    query = sql.select(sql.func.count()).where(DeviceRow.due >= begin, DeviceRow.due <= end)
    return session.scalar(query) or 0


def join(session: Session, row: RoundRow, device_id: bytes, keys: Collection[bytes]) -> None:
    """Take a phone into a round, in a writing session; the time does not depend on how many are in it.

    Args:
        session: a writing one.
        row: of the round.
        device_id: of the phone.
        keys: that it advertises, which nobody else in the round may have.

    Raises:
        WindowClosedError: the round is full.
        ConflictingMessageError: a key is in use.
    """
    if row.joined >= row.max_phones:
        raise WindowClosedError("the roster is complete: wait for the next round")
    known = sql.select(sql.func.count()).where(JoinedKeyRow.round_id == row.round_id, JoinedKeyRow.key.in_(keys))
    if len(set(keys)) < len(keys) or session.scalar(known):
        raise ConflictingMessageError("advertised keys that are in use", device_id)
    session.execute(sql.insert(JoinedKeyRow), [{"round_id": row.round_id, "key": key} for key in keys])
    row.joined += 1


def bodies(session: Session, round_id: int, step: Step, members: Collection[bytes] | None = None) -> list[bytes]:
    """Return the messages of a step other than the upload, by device id; of all phones, or of some."""
    return [body for body in _column(session, MessageRow.body, round_id, step, members) if body is not None]


def uploads(session: Session, round_id: int, members: Collection[bytes]) -> list[str]:
    """Return the names of masked vectors, by device id."""
    return [name for name in _column(session, MessageRow.blob, round_id, Step.UPLOAD, members) if name is not None]


def senders(session: Session, round_id: int, step: Step, members: Collection[bytes] | None = None) -> list[bytes]:
    """Return who took a step, by device id; of all phones, or of some."""
    return _column(session, MessageRow.device_id, round_id, step, members)


def _column(
    session: Session,
    column: InstrumentedAttribute[T],
    round_id: int,
    step: Step,
    members: Collection[bytes] | None,
) -> list[T]:
    query = sql.select(column).where(MessageRow.round_id == round_id, MessageRow.step == step)
    if members is not None:
        query = query.where(MessageRow.device_id.in_(members))
    return list(session.scalars(query.order_by(MessageRow.device_id)))
