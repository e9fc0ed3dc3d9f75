"""Closing a step of a round, or abandoning the round if too few phones took it."""

from collections.abc import Callable

from sqlalchemy.orm import Session

from federation.protocol.steps import Step
from federation.secure_aggregation import groups
from federation.secure_aggregation.errors import TooFewPhonesError
from federation.server import phases, transparency
from federation.server.attendance import attended
from federation.server.phases import Ended
from federation.server.round_state import GroupState, RoundState
from federation.server.session_events import Event, record
from federation.server.settings import RoundSettings
from federation.server.store import Database
from federation.server.tables import RoundRow


class Closing:
    """Closes steps.

    Args:
        database: of the server.
        settings: of rounds.
        clock: seconds since 1970.
    """

    def __init__(self, database: Database, settings: RoundSettings, clock: Callable[[], float]) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

    def state(self, session: Session, row: RoundRow) -> RoundState:
        """Return where a round stands."""
        settings = self._settings
        times = {"meeting_seconds": settings.meeting_seconds, "grace_seconds": settings.grace_seconds}
        return RoundState.of(session, row, **times)

    def close(self, round_id: int, step: Step) -> None:
        """Close a step if it is still open and over."""
        now = self._clock()
        with self._database.write() as session:
            row = session.get(RoundRow, round_id)
            if row is None or row.phase != step:
                return
            state = self.state(session, row)
            if state.is_over(now):
                _close(session, row, state, now)


def _close(session: Session, row: RoundRow, state: RoundState, now: float) -> None:
    if state.clock_was_set_back(now):
        abandon(session, row, now, "the server's clock was set back")
        return
    row.attendance = attended(row, state, now)
    lost = [group for group in state.left if group not in state.going_on]
    reasons = [_too_few(group, state) for group in lost]
    if not state.going_on:
        abandon(session, row, now, reasons[0])
        return
    for reason in reasons:
        record(session, now, Event.LOST, round_id=row.round_id, detail=reason)
    row.phase = phases.after(state.step)
    detail = f"{state.step}: {state.present} phones"
    parts = groups.count(state.present, row.group_phones)
    if state.step is Step.ADVERTISE and parts > 1:
        detail += f" in {parts} groups"
    record(session, now, Event.CLOSED, round_id=row.round_id, detail=detail)


def abandon(session: Session, row: RoundRow, now: float, reason: str) -> None:
    """End a round without a model, in a writing session."""
    row.phase, row.ended, row.reason = Ended.ABANDONED, now, reason
    transparency.append_abandoned(session, row)
    record(session, now, Event.ABANDONED, round_id=row.round_id, detail=reason)


def _too_few(group: GroupState, state: RoundState) -> str:
    step = state.step
    return str(TooFewPhonesError(step.value, group.present(step), group.needed(step, state.rules)))
