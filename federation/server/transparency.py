"""The server's log of models, and which instance of its database this is."""

import json
import secrets
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.orm import Session

from federation.base.files import write_private
from federation.privacy.zcdp import RoundsCost
from federation.protocol.commitments import Commitments
from federation.protocol.log import INSTANCE_BYTES, Edge, LogEntry, LogHead, pack
from federation.protocol.steps import STEPS, Step
from federation.rounds.server_optimizers import OptimizerSettings
from federation.server.round_state import plan_of
from federation.server.tables import InstanceRow, LogRow, MessageRow, ModelRow, RoundRow
from model import files

MAX_ENTRIES = 1000
"""In one answer."""

_WEIGHTS = "weights"  # `federation.server.models.Kind`, which this module is below


def append(session: Session, model: ModelRow, optimizer: OptimizerSettings | None) -> None:
    """Add a version to the log, in the transaction that adds the version.

    Args:
        session: a writing one.
        model: the version.
        optimizer: that made it, if one did.
    """
    row = None if model.round_id is None else session.get(RoundRow, model.round_id)
    of_weights = model.kind == _WEIGHTS
    entry = LogEntry(
        kind=model.kind,
        version=model.version,
        parent=model.parent,
        sha256=model.sha256,
        accepted=model.status == "accepted",
        mean=_hash_in(model.mean),
        state=_hash_in(model.optimizer) if of_weights else "",
        optimizer={} if optimizer is None else vars(optimizer),
        phones=int(model.metrics.get("phones", 0)),
        simulated=int(model.metrics.get("simulated_clients", 0)),
        **_of_round(session, row),
    )
    _add(session, entry)


def append_abandoned(session: Session, row: RoundRow) -> None:
    """Add a round that ended without a model, in the transaction that ends it: phones may have sent something."""
    model = session.get_one(ModelRow, row.model_version)
    entry = LogEntry(
        kind=model.kind,
        version=None,
        parent=model.version,
        sha256=model.sha256,
        accepted=False,
        **_of_round(session, row),
    )
    _add(session, entry)


def refill(session: Session) -> None:
    """Begin the log of a database from before there was one with what it has; means were not kept."""
    if _size(session):
        return
    models = session.scalars(sql.select(ModelRow).order_by(ModelRow.version)).all()
    made = {model.round_id for model in models}
    ended = session.scalars(sql.select(RoundRow).where(RoundRow.phase.not_in(STEPS)))
    abandoned = [row for row in ended if row.round_id not in made]
    rows: list[ModelRow | RoundRow] = [*models, *abandoned]
    for row in sorted(rows, key=lambda each: each.round_id or 0):
        if isinstance(row, ModelRow):
            append(session, row, None)
        else:
            append_abandoned(session, row)


def head(session: Session) -> LogHead:
    """Return what the server says of its log, and of what all rounds cost, from its own records of them."""
    query = sql.select(RoundRow).where(RoundRow.phase.not_in(STEPS)).order_by(RoundRow.round_id)
    uploaded = sql.select(MessageRow.round_id).where(MessageRow.step == Step.UPLOAD)
    cost = RoundsCost.of(plan_of(row) for row in session.scalars(query.where(RoundRow.round_id.in_(uploaded))))
    row, edge = session.get(InstanceRow, 1), _edge(session)
    instance = bytes(INSTANCE_BYTES) if row is None else row.value
    return LogHead(instance=instance, size=edge.size, root=edge.root, **cost._asdict())


def position(session: Session) -> tuple[bytes, int]:
    """Return what tells whether `head` would say something else: the instance, and the log's size."""
    row = session.get(InstanceRow, 1)
    return b"" if row is None else row.value, _size(session)


def packed(session: Session, first: int) -> bytes:
    """Return the entries from a number on, `MAX_ENTRIES` at most, for `federation.protocol.log.unpack`."""
    query = sql.select(LogRow.entry).where(LogRow.id >= first).order_by(LogRow.id).limit(MAX_ENTRIES)
    return pack(list(session.scalars(query)))


def commitments(session: Session, mark: Path) -> Commitments:
    """Return what the server commits itself to of its log before a round, in a writing session.

    A database that was lost, or put back from a copy, is another instance: its rounds are counted anew.

    Args:
        session: a writing one.
        mark: see `set_mark`.
    """
    row = session.get(InstanceRow, 1)
    if row is None or _is_behind(session, row.value, mark):
        row = session.merge(InstanceRow(id=1, value=secrets.token_bytes(INSTANCE_BYTES)))
    edge = _edge(session)
    return Commitments(instance=row.value, log_size=edge.size, log_root=edge.root)


def set_mark(mark: Path, instance: bytes, round_id: int) -> None:
    """Write beside the database how far its rounds have come, so that a copy of it that is put back is noticed."""
    write_private(mark, json.dumps({"instance": instance.hex(), "round": round_id}).encode())


def _is_behind(session: Session, instance: bytes, mark: Path) -> bool:
    if not mark.exists():
        return False  # on a machine that has not opened a round yet
    told = json.loads(files.read(mark))
    latest = session.scalar(sql.select(sql.func.max(RoundRow.round_id))) or 0
    return bool(told["instance"] == instance.hex() and latest < told["round"])


def _of_round(session: Session, row: RoundRow | None) -> dict[str, Any]:
    """Return what an entry says of the round that led to it, if one did."""
    if row is None:
        return {}
    plan = plan_of(row)
    uploads = sql.select(sql.func.count()).where(MessageRow.round_id == row.round_id, MessageRow.step == Step.UPLOAD)
    return {
        "round_id": row.round_id,
        "plan": plan.hash.hex(),
        "uploads": session.scalar(uploads.select_from(MessageRow)) or 0,
        "clip": plan.clip,
        "noise_multiplier": plan.privacy.noise_multiplier,
        "corrupt": plan.privacy.corrupt,
        "minimum": plan.minimum,
    }


def _add(session: Session, entry: LogEntry) -> None:
    session.add(LogRow(id=_size(session), entry=entry.to_bytes()))
    session.flush()


def _edge(session: Session) -> Edge:
    return Edge.of(list(session.scalars(sql.select(LogRow.entry).order_by(LogRow.id))))


def _hash_in(name: str) -> str:
    """Return the hash that a blob's name ends with; nothing of a blob that there is not."""
    return name.rsplit("/", 1)[-1]


def _size(session: Session) -> int:
    return session.scalar(sql.select(sql.func.count()).select_from(LogRow)) or 0
