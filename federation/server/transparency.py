"""The server's log of models, and which instance of its database this is."""

import json
import secrets
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.orm import Session

from federation.base.files import write_private
from federation.protocol.commitments import INSTANCE_BYTES, Commitments
from federation.protocol.log import Edge, LoggedModel, pack
from federation.protocol.plan import PLAN_BYTES, RoundPlan
from federation.server.tables import InstanceRow, LogRow, ModelRow, RoundRow

MAX_ENTRIES = 1000
"""In one answer."""


def append(session: Session, model: ModelRow) -> None:
    """Add a version to the log, in the transaction that adds the version."""
    row = None if model.round_id is None else session.get(RoundRow, model.round_id)
    plan = None if row is None else RoundPlan.from_bytes(row.plan[:PLAN_BYTES])
    entry = LoggedModel(
        version=model.version,
        parent=model.parent,
        sha256=model.sha256,
        accepted=model.status == "accepted",
        plan="" if plan is None else plan.hash.hex(),
        phones=int(model.metrics.get("phones", 0)),
        clip=0.0 if plan is None else plan.clip,
        noise_multiplier=0.0 if plan is None else plan.privacy.noise_multiplier,
        corrupt=0 if plan is None else plan.privacy.corrupt,
        minimum=0 if plan is None else plan.minimum,
    )
    session.add(LogRow(id=_size(session), entry=entry.to_bytes()))
    session.flush()


def packed(session: Session, first: int) -> bytes:
    """Return the entries from a number on, `MAX_ENTRIES` at most, for `federation.protocol.log.unpack`."""
    query = sql.select(LogRow.entry).where(LogRow.id >= first).order_by(LogRow.id).limit(MAX_ENTRIES)
    return pack(list(session.scalars(query)))


def commitments(session: Session, mark: Path) -> Commitments:
    """Return what the server commits itself to before a round, in a writing session.

    A database that was lost, or put back from a copy, is another instance: its rounds are counted anew.

    Args:
        session: a writing one.
        mark: see `set_mark`.
    """
    row = session.get(InstanceRow, 1)
    if row is None or _is_behind(session, row.value, mark):
        row = session.merge(InstanceRow(id=1, value=secrets.token_bytes(INSTANCE_BYTES)))
    if not _size(session):  # a database from before there was a log
        for model in session.scalars(sql.select(ModelRow).order_by(ModelRow.version)).all():
            append(session, model)
    edge = Edge.of(list(session.scalars(sql.select(LogRow.entry).order_by(LogRow.id))))
    return Commitments(instance=row.value, log_size=edge.size, log_root=edge.root)


def set_mark(mark: Path, instance: bytes, round_id: int) -> None:
    """Write beside the database how far its rounds have come, so that a copy of it that is put back is noticed."""
    write_private(mark, json.dumps({"instance": instance.hex(), "round": round_id}).encode())


def _is_behind(session: Session, instance: bytes, mark: Path) -> bool:
    if not mark.exists():
        return False  # on a machine that has not opened a round yet
    told = json.loads(mark.read_text())
    latest = session.scalar(sql.select(sql.func.max(RoundRow.round_id))) or 0
    return bool(told["instance"] == instance.hex() and latest < told["round"])


def _size(session: Session) -> int:
    return session.scalar(sql.select(sql.func.count()).select_from(LogRow)) or 0
