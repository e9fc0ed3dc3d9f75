"""Who came and who stayed in the latest rounds, as the database has it: what over-selection follows."""

from typing import Any

import sqlalchemy as sql
from sqlalchemy.orm import Session

from federation.protocol.drop_reasons import DropReason
from federation.protocol.steps import Step
from federation.rounds.selection import REMEMBERED_ROUNDS, Attendance, Staying
from federation.server.round_state import RoundState
from federation.server.session_events import Event
from federation.server.tables import EventRow, RoundRow


def attended(row: RoundRow, state: RoundState, now: float) -> dict[str, Any]:
    """Return a round's attendance with the step that is closing.

    Of each step: phones that it was open to, that took it, and that are not waited for although there was time.
    """
    joining = state.step is Step.ADVERTISE
    came = row.selected if joining else sum(group.progress(state.step).before for group in state.left)
    missing = max(came - state.present, 0) if now < state.deadline else 0
    return {**row.attendance, state.step: [came, state.present, missing]}


def staying(session: Session) -> Staying | None:
    """Return which shares of phones stayed in the latest rounds; nothing before the first."""
    query = sql.select(RoundRow.round_id, RoundRow.attendance).where(RoundRow.ended.is_not(None))
    rows = session.execute(query.order_by(RoundRow.round_id.desc()).limit(REMEMBERED_ROUNDS)).all()
    late = _late(session, [round_id for round_id, stored in rows if stored.get(Step.UPLOAD, (0, 0, 0))[2]])
    return Staying.seen(
        {
            Step(step): Attendance(came, took, min(missing, late.get(round_id, 0)) if step == Step.UPLOAD else 0)
            for step, (came, took, missing) in stored.items()
        }
        for round_id, stored in rows
    )


def _late(session: Session, rounds: list[int]) -> dict[int, int]:
    """Return how many phones without an upload said that a round went on without them, by round."""
    query = sql.select(EventRow.round_id, sql.func.count(sql.distinct(EventRow.device))).where(
        EventRow.round_id.in_(rounds),
        EventRow.kind == Event.FAILED,
        EventRow.detail == DropReason.LATE,
    )
    other = EventRow.__table__.alias()
    own_upload = sql.exists().where(
        other.c.round_id == EventRow.round_id, other.c.kind == Event.UPLOADED, other.c.device == EventRow.device
    )
    counted = session.execute(query.where(~own_upload).group_by(EventRow.round_id)).all()
    return {round_id or 0: count for round_id, count in counted}
