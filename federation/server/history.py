"""What happened in rounds, read from their session trails."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sql

from federation.protocol.drop_reasons import DropReason
from federation.protocol.steps import STEPS, Step
from federation.server.errors import UnknownError
from federation.server.phases import Ended
from federation.server.session_events import Event
from federation.server.store import Database
from federation.server.tables import EventRow, MessageRow, ModelRow, RoundRow

_FAILURES = frozenset({Event.REFUSED, Event.FAILED, Event.REJECTED})


@dataclass(frozen=True)
class RoundSummary:
    """A round in a line.

    Attributes:
        round_id: of the round.
        model_version: that it started from.
        opened: seconds since 1970.
        seconds: that it took, if it has ended.
        phones: whose masked update was accepted.
        simulated: clients that were simulated beside them.
        bytes_up: of all accepted messages.
        outcome: its phase, or why it was abandoned.
    """

    round_id: int
    model_version: int
    opened: float
    seconds: float | None
    phones: int
    simulated: int
    bytes_up: int
    outcome: str


def rounds_of(database: Database, *, last: int | None = None) -> list[RoundSummary]:
    """Return rounds, oldest first; only the `last` ones if it is given."""
    with database.read() as session:
        rows = list(session.scalars(sql.select(RoundRow).order_by(RoundRow.round_id.desc()).limit(last)))
        query = sql.select(EventRow.round_id, EventRow.kind, sql.func.count(), sql.func.sum(EventRow.size_bytes))
        counted = session.execute(
            query.where(EventRow.round_id.in_([row.round_id for row in rows])).group_by(
                EventRow.round_id, EventRow.kind
            )
        ).all()
        numbers = [row.round_id for row in rows]
        # Who uploaded is kept when trails are not.
        stored = sql.select(MessageRow.round_id, sql.func.count()).where(MessageRow.step == Step.UPLOAD)
        by_round = stored.where(MessageRow.round_id.in_(numbers)).group_by(MessageRow.round_id)
        uploads: dict[int, int] = dict(session.execute(by_round).all())
        made = sql.select(ModelRow.round_id, ModelRow.metrics).where(ModelRow.round_id.in_(numbers))
        simulated = {round_id: int(found.get("simulated_clients", 0)) for round_id, found in session.execute(made)}
    sizes: dict[int | None, int] = {}
    for round_id, _, _, size in counted:
        sizes[round_id] = sizes.get(round_id, 0) + size
    return [
        RoundSummary(
            row.round_id,
            row.model_version,
            row.opened,
            None if row.ended is None else row.ended - row.opened,
            uploads.get(row.round_id, 0),
            simulated.get(row.round_id, 0),
            sizes.get(row.round_id, 0),
            f"abandoned: {row.reason}" if row.phase == Ended.ABANDONED else row.phase,
        )
        for row in reversed(rows)
    ]


@dataclass(frozen=True)
class Trail:
    """What happened in a round, as data.

    Attributes:
        round_id, phase, reason, goal, model_version: of the round.
        opened, ended: seconds since 1970.
        events: in order; `at` is in seconds since the round was opened, `device` a pseudonym, empty for the server.
    """

    round_id: int
    phase: str
    reason: str | None
    goal: int
    model_version: int
    opened: float
    ended: float | None
    events: Sequence[Mapping[str, str | int | float]]


def trails_of(database: Database, round_id: int) -> Trail:
    """Return a round and its trails.

    Raises:
        UnknownError: there is no such round.
    """
    row, events = _read(database, round_id)
    told: list[Mapping[str, str | int | float]] = [
        {
            "at": event.at - row.opened,
            "device": event.device,
            "kind": event.kind,
            "detail": event.detail,
            "size_bytes": event.size_bytes,
        }
        for event in events
    ]
    return Trail(row.round_id, row.phase, row.reason, row.goal, row.model_version, row.opened, row.ended, told)


def _read(database: Database, round_id: int) -> tuple[RoundRow, list[EventRow]]:
    with database.read() as session:
        row = session.get(RoundRow, round_id)
        if row is None:
            raise UnknownError(f"there is no round {round_id}: see `fedkey rounds list`")
        query = sql.select(EventRow).where(EventRow.round_id == round_id).order_by(EventRow.at, EventRow.id)
        return row, list(session.scalars(query))


def timeline(database: Database, round_id: int) -> list[str]:
    """Return a round in lines: its steps, then each device's trail with seconds since the round was opened.

    Raises:
        UnknownError: there is no such round.
    """
    row, events = _read(database, round_id)
    opened = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row.opened))
    lines = [f"round {round_id}: model {row.model_version}, goal {row.goal}, opened {opened} UTC", ""]
    lines += [f"{_since(row, event):>9}  {event.kind}: {event.detail}" for event in events if not event.device]
    if row.phase in STEPS:
        lines.append(f"           now at {row.phase!r}")
    trails: dict[str, list[EventRow]] = {}
    for event in events:
        if event.device:
            trails.setdefault(event.device, []).append(event)
    lines += ["", f"{len(trails)} devices, by pseudonym"]
    lines += [_trail(row, device, trail) for device, trail in trails.items()]
    lines += ["", *_shapes(trails.values(), running=row.phase in STEPS)]
    if not events:
        lines.append("its trails are no longer kept: see [retention] in server.toml")
    return lines


def _trail(row: RoundRow, device: str, trail: Sequence[EventRow]) -> str:
    steps = []
    for event in trail:
        step = f"{event.kind} {_since(row, event)}"
        if event.size_bytes:
            step += f" ({event.size_bytes:,} B)"
        if event.kind in _FAILURES:
            step = f"{event.kind.upper()} {_since(row, event)}: {in_words(event.detail)}"
        steps.append(step)
    return f"  {device}  {', '.join(steps)}"


def in_words(detail: str) -> str:
    """Return why a phone failed: by the code that it told, or as the server, or an earlier version of it, wrote."""
    try:
        return DropReason.read(detail).sentence
    except ValueError:
        return detail


def _shapes(trails: Iterable[Sequence[EventRow]], *, running: bool) -> list[str]:
    """Count how far devices came, as in table 1 of Bonawitz et al. 2019."""
    counts: dict[str, int] = {}
    for trail in trails:
        kinds = {event.kind for event in trail}
        if Event.UNMASKED in kinds:
            shape = "came to the end"
        else:
            reached = [event.kind for event in trail if event.kind not in _FAILURES]
            so_far = "is at" if running else "went no further than"
            shape = f"{so_far} {reached[-1]!r}" if reached else "failed at once"
        counts[shape] = counts.get(shape, 0) + 1
    return [f"{count:>4}  {shape}" for shape, count in sorted(counts.items(), key=lambda item: -item[1])]


def _since(row: RoundRow, event: EventRow) -> str:
    return f"{event.at - row.opened:+.1f} s"
