"""The poisoning defence of a round server: sums of groups in, the next global state out, and what is remembered.

The decisions are `federation.robustness.defend`'s; see `docs/robustness.md`. What it remembers is stored in the
transaction that stores the round's outcome, so that a round that is finished again decides the same again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sql
from sqlalchemy.orm import Session

from federation.protocol.plan import WeightedSum
from federation.robustness import Action, DefenceSettings, Group, Memory, Outcome, Reading, defend
from federation.rounds.server_optimizers import ServerState
from federation.server.session_events import Event, record
from federation.server.tables import DefenceRow, DeviceRow, RoundRow
from federation.updates.update import Tally
from model.layout import FlatVector

Probe = Callable[[FlatVector], Reading]
"""Measures a model on public text and canary phrases; its weights are finite."""


@dataclass(frozen=True, eq=False)
class GroupSum:
    """What secure aggregation gave of a group.

    Attributes:
        total: sum of its phones.
        members: device ids of the phones in the sum.
    """

    total: WeightedSum
    members: tuple[bytes, ...]


def garbage(dimension: int, members: tuple[bytes, ...]) -> GroupSum:
    """Return what stands for the sum of a group that cannot be one of updates, for the defence to reject."""
    nothing = WeightedSum(np.full(dimension, np.nan, np.float32), Tally(0), len(members))
    return GroupSum(nothing, members)


def defended(
    sums: Sequence[GroupSum],
    memory: Memory,
    settings: DefenceSettings,
    *,
    round_id: int,
    current: ServerState,
    current_round: int,
    step: Callable[[ServerState, WeightedSum], ServerState],
    probe: Probe | None,
    pseudonym: Callable[[bytes], str],
) -> Outcome[ServerState]:
    """Decide what a round's groups make of the current state.

    Args:
        sums: of the groups.
        memory: of earlier rounds.
        settings: how strict.
        round_id: of this round.
        current: the state that the round trained.
        current_round: that made it; 0 for the first.
        step: the server optimizer's, with what is summed beside the phones.
        probe: measures models, if the settings ask for it.
        pseudonym: of a device id.
    """
    return defend(
        [Group(each.total, tuple(map(pseudonym, each.members))) for each in sums],
        memory,
        settings,
        round_number=round_id,
        current=current,
        current_round=current_round,
        step=step,
        probe=lambda state: probe(state.weights) if probe and np.isfinite(state.weights).all() else None,
    )


def undefended(
    sums: Sequence[GroupSum], current: ServerState, step: Callable[[ServerState, WeightedSum], ServerState]
) -> Outcome[ServerState]:
    """Return the outcome of plain averaging over all groups."""
    total = sums[0].total
    for each in sums[1:]:
        total += each.total
    return Outcome(step(current, total), total, Memory(), ())


def remembered(session: Session) -> Memory:
    """Return what was stored; nothing before the first defended round."""
    row = session.get(DefenceRow, 1)
    return Memory() if row is None else Memory.from_json(row.memory)


def remember(
    session: Session,
    row: RoundRow,
    outcome: Outcome[ServerState],
    members: Sequence[bytes],
    *,
    pseudonym: Callable[[bytes], str],
    now: float,
) -> None:
    """Store a round's memory, keep quarantined devices away, and put each decision into the trails.

    Args:
        session: a writing one.
        row: of the round.
        outcome: of the round.
        members: device ids of its phones.
        pseudonym: of a device id.
        now: seconds since 1970.
    """
    session.merge(DefenceRow(id=1, memory=outcome.memory.to_json()))
    devices = {pseudonym(device_id): device_id for device_id in members}
    for decision in outcome.decisions:
        phone = decision.subject if decision.action is Action.QUARANTINED else ""
        group = f" of group {decision.subject}" if decision.subject and not phone else ""
        detail = f"{decision.action}{group}: {decision.reason}"
        record(session, now, Event.DEFENDED, round_id=row.round_id, device=phone, detail=detail)
        if phone:
            until = outcome.memory.quarantined[phone]
            session.execute(
                sql.update(DeviceRow).where(DeviceRow.device_id == devices[phone]).values(quarantined_until=until)
            )
