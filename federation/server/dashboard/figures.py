"""What the dashboard shows of a server, read from its database: counts and durations, no devices."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql
from sqlalchemy.orm import Session

from federation.errors import FederationError
from federation.protocol.steps import STEPS
from federation.server.history import RoundSummary, in_words, rounds_of
from federation.server.installation import Installation
from federation.server.models import ModelVersion
from federation.server.phases import Ended
from federation.server.privacy_report import spent
from federation.server.queries import active, waiting
from federation.server.round_state import RoundState
from federation.server.session_events import Event
from federation.server.tables import CounterRow, DeviceRow, EventRow, MessageRow, RoundRow

_ROUNDS = 50
_NEWS = 30
_HOUR, _DAY = 3600.0, 86400.0
_DROPPED = (Event.REFUSED, Event.FAILED, Event.REJECTED)
_TRAIL = (Event.SELECTED, Event.ADVERTISED, Event.SHARED, Event.UPLOADED, Event.CONFIRMED, Event.UNMASKED)
"""How far a phone came: that it was selected, and the steps that it took."""

_DELTAS = (1e-10, 1e-6)


@dataclass(frozen=True)
class StepProgress:
    """How far a step of the running round is: phones that took it, and seconds since the first of them did."""

    name: str
    phones: int
    seconds: float | None
    now: bool


@dataclass(frozen=True)
class Running:
    """The round that is running."""

    round_id: int
    goal: int
    max_phones: int
    selected: int
    age: float
    left: float
    steps: Sequence[StepProgress]


@dataclass(frozen=True)
class Overview:
    """All that the page of a server shows.

    Attributes:
        running: the running round, if there is one.
        rounds: the latest, newest first.
        completed: share of those that ended with a model; None if none has ended.
        dropped: drop-outs of the last day by reason, or by how far phones came that gave none, the most frequent first.
        models: versions, newest first.
        privacy: epsilon at each delta, or why there is none.
        fleet: devices, by what they do.
        hours: hours of the day, in UTC, with the phones that joined in each, oldest first; the last is the present one.
        sizes: accepted bytes by kind of message.
        news: what the server did last: seconds since 1970, round, kind, detail.
    """

    running: Running | None
    rounds: Sequence[RoundSummary]
    completed: float | None
    dropped: Sequence[tuple[str, int]]
    models: Sequence[ModelVersion]
    privacy: Sequence[tuple[str, str]]
    fleet: Mapping[str, int]
    hours: Sequence[tuple[int, int]]
    sizes: Mapping[str, int]
    news: Sequence[tuple[float, int | None, str, str]]


def overview(installation: Installation) -> Overview:
    """Read it."""
    now = installation.clock()
    rounds = list(reversed(rounds_of(installation.database, last=_ROUNDS)))
    ended = [each for each in rounds if each.seconds is not None]
    finished = sum(each.outcome == Ended.FINISHED for each in ended)
    with installation.database.read() as session:
        return Overview(
            running=_running(session, now),
            rounds=rounds,
            completed=finished / len(ended) if ended else None,
            dropped=_dropped(session, now),
            models=list(reversed(installation.models.versions()))[:_ROUNDS],
            privacy=_privacy(installation),
            fleet=_fleet(session, now),
            hours=_hours(session, now),
            sizes=_sizes(session),
            news=_news(session),
        )


def mark(installation: Installation) -> tuple[Any, ...]:
    """Return what differs whenever something has happened; cheap enough to ask every second."""
    with installation.database.read() as session:
        row = active(session)
        events = session.scalar(sql.select(sql.func.sum(CounterRow.events)))
    return (
        events,
        None if row is None else (row.round_id, row.phase, row.joined, row.selected),
        installation.models.current_version(),
    )


def charts(installation: Installation) -> dict[str, Any]:
    """Return the series of the charts, oldest first."""
    rounds = [each for each in rounds_of(installation.database, last=400) if each.seconds is not None]
    versions = [version for version in installation.models.versions() if "gate_loss" in version.metrics]
    numbers = [each.round_id for each in rounds]
    return {
        "quality": _chart(
            "loss on public text, nats",
            [version.version for version in versions],
            {"gate": [version.metrics["gate_loss"] for version in versions]},
        ),
        "phones": _chart(
            "clients in the sum",
            numbers,
            {"phones": [each.phones for each in rounds], "simulated": [each.simulated for each in rounds]},
        ),
        "seconds": _chart("seconds a round", numbers, {"seconds": [each.seconds for each in rounds]}),
        "bytes": _chart("megabytes up", numbers, {"MB": [each.bytes_up / 1e6 for each in rounds]}),
    }


def _chart(title: str, x: Sequence[float], series: Mapping[str, Sequence[float | None]]) -> dict[str, Any]:
    return {"title": title, "x": list(x), "series": [{"name": name, "y": list(y)} for name, y in series.items()]}


def _running(session: Session, now: float) -> Running | None:
    row = active(session)
    if row is None:
        return None
    state = RoundState.of(session, row)
    taken = {
        step: (count, first)
        for step, count, first in session.execute(
            sql.select(MessageRow.step, sql.func.count(), sql.func.min(MessageRow.received))
            .where(MessageRow.round_id == row.round_id)
            .group_by(MessageRow.step)
        )
    }
    steps = []
    for step in STEPS:
        count, first = taken.get(step, (0, None))
        steps.append(StepProgress(step, count, None if first is None else now - first, step == row.phase))
    left = max(0.0, state.deadline - now)
    return Running(row.round_id, row.goal, row.max_phones, row.selected, now - row.opened, left, steps)


def _dropped(session: Session, now: float) -> list[tuple[str, int]]:
    query = sql.select(EventRow.kind, EventRow.detail, sql.func.count()).where(
        EventRow.at >= now - _DAY, EventRow.kind.in_(_DROPPED)
    )
    counted = _silent(session, now)
    for kind, detail, count in session.execute(query.group_by(EventRow.kind, EventRow.detail)):
        counted[f"{kind}: {in_words(detail)}" if detail else kind] += count
    return counted.most_common(12)


def _silent(session: Session, now: float) -> Counter[str]:
    """Count the phones of rounds that ended in the last day that took no part in a step that closed, without a word."""
    ended = sql.select(RoundRow.round_id, RoundRow.attendance).where(RoundRow.ended >= now - _DAY)
    latest = ended.order_by(RoundRow.round_id.desc()).limit(_ROUNDS)
    # The steps that were closed, by round: nobody can have dropped out of a later one.
    closed = {round_id: len(attendance) for round_id, attendance in session.execute(latest)}
    came = sql.case({kind: number for number, kind in enumerate(_TRAIL)}, value=EventRow.kind, else_=0)
    told = sql.case((EventRow.kind.in_(_DROPPED), 1), else_=0)
    devices = (
        sql.select(EventRow.round_id, sql.func.max(came).label("came"), sql.func.max(told).label("told"))
        .where(EventRow.round_id.in_(closed), EventRow.device != "")
        .group_by(EventRow.round_id, EventRow.device)
        .subquery()
    )
    query = sql.select(devices.c.round_id, devices.c.came, sql.func.count()).where(devices.c.told == 0)
    silent = Counter[str]()
    for round_id, came_to, count in session.execute(query.group_by(devices.c.round_id, devices.c.came)):
        if came_to < closed[round_id]:
            silent[f"silent after: {_TRAIL[came_to]}"] += count
    return silent


def _privacy(installation: Installation) -> list[tuple[str, str]]:
    said = []
    for delta in _DELTAS:
        try:
            account = spent(installation.database, delta)
        except FederationError as error:
            return [("no guarantee", str(error))]
        said.append((f"epsilon at delta {delta:g}", f"{account.account.epsilon:.3g}"))
        if account.account.others is not None:
            said[-1] = (f"epsilon at delta {delta:g}, against the server", said[-1][1])
            said.append((f"epsilon at delta {delta:g}, against everybody else", f"{account.account.others[1]:.3g}"))
    return said


def _fleet(session: Session, now: float) -> dict[str, int]:
    def count(*which: Any) -> int:
        return session.scalar(sql.select(sql.func.count()).select_from(DeviceRow).where(*which)) or 0

    return {
        "waiting for a round": waiting(session, now).devices,
        "seen this hour": count(DeviceRow.last_seen >= now - _HOUR),
        "seen today": count(DeviceRow.last_seen >= now - _DAY),
        "known": count(),
        "in quarantine": count(DeviceRow.quarantined_until.is_not(None)),
    }


def _hours(session: Session, now: float) -> list[tuple[int, int]]:
    first = int(now // _HOUR) - 23
    joined = session.scalars(
        sql.select(EventRow.at).where(EventRow.kind == Event.ADVERTISED, EventRow.at >= first * _HOUR).limit(200_000)
    )
    hours = Counter(int(at // _HOUR) for at in joined)
    return [(hour % 24, hours[hour]) for hour in range(first, first + 24)]


def _sizes(session: Session) -> dict[str, int]:
    rows = session.execute(sql.select(CounterRow.kind, CounterRow.size_bytes).where(CounterRow.size_bytes > 0))
    return dict(sorted(rows, key=lambda row: -row[1]))


def _news(session: Session) -> list[tuple[float, int | None, str, str]]:
    query = sql.select(EventRow.at, EventRow.round_id, EventRow.kind, EventRow.detail).where(EventRow.device == "")
    return list(session.execute(query.order_by(EventRow.id.desc()).limit(_NEWS)).all())


def byte_size(size: float) -> str:
    """Return a number of bytes for people: with three digits, so that none but 0 looks like nothing."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.2f} GB"


def clock_time(seconds: float) -> str:
    """Return a moment for people, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
