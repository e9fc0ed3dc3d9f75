"""The poisoning defence of a round server: sums of groups in, the next global state out, and what is remembered.

The decisions are `federation.robustness.defend`'s; see `docs/robustness.md`. What it remembers is stored in the
transaction that stores the round's outcome, so that a round that is finished again decides the same again.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sql
from sqlalchemy.orm import Session

from federation.errors import ConfigError
from federation.robustness import Action, DefenceSettings, Group, Memory, Outcome, PieceRows, Reading, defend
from federation.rounds.server_optimizers import ServerState
from federation.server.session_events import Event, record
from federation.server.tables import DefenceRow, DeviceRow
from federation.updates.update import Tally
from federation.updates.weighted_sum import WeightedSum
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


@dataclass(frozen=True, eq=False)
class SummedRound:
    """A round whose sums are known.

    Attributes:
        round_id: Number of the round.
        sums: Sums of its groups.
        current: State that the round trained.
        current_round: Number of the round that made that state; 0 for the first.
        clip: Largest L2 norm of an honest group's mean; infinite where noise is in it.
    """

    round_id: int
    sums: Sequence[GroupSum]
    current: ServerState
    current_round: int
    clip: float = math.inf


class Defence:
    """The defence of all rounds; without one, plain averaging.

    Args:
        settings: how strict.
        probe: measures models, if the settings ask for it.
        pseudonym: of a device id.
        pieces: where the rows of pieces lie in what rounds train; nothing if that is no network.

    Raises:
        ConfigError: the defence measures models, but there is nothing that could.
    """

    def __init__(
        self,
        settings: DefenceSettings,
        probe: Probe | None,
        pseudonym: Callable[[bytes], str],
        pieces: PieceRows | None = None,
    ) -> None:
        if settings.enabled and settings.reads_models and probe is None:
            raise ConfigError("the defence measures models on public text: give it some, or set its thresholds to 0")
        self._settings = settings
        self._probe = probe
        self._pseudonym = pseudonym
        self._pieces = pieces

    @property
    def enabled(self) -> bool:
        """Whether groups are judged at all."""
        return self._settings.enabled

    def outcome(
        self, trained: SummedRound, memory: Memory, step: Callable[[ServerState, WeightedSum], ServerState]
    ) -> Outcome[ServerState]:
        """Decide what a round's groups make of the current state.

        Args:
            trained: the round.
            memory: of earlier rounds.
            step: the server optimizer's, with what is summed beside the phones.
        """
        if not self.enabled:
            total = trained.sums[0].total
            for each in trained.sums[1:]:
                total += each.total
            return Outcome(step(trained.current, total), total, Memory(), ())
        return defend(
            [Group(each.total, tuple(map(self._pseudonym, each.members))) for each in trained.sums],
            memory,
            self._settings,
            round_number=trained.round_id,
            current=trained.current,
            current_round=trained.current_round,
            step=step,
            probe=self._measured,
            clip=trained.clip,
            pieces=self._pieces,
        )

    def remember(
        self, session: Session, round_id: int, outcome: Outcome[ServerState], members: Sequence[bytes], now: float
    ) -> None:
        """Store a round's memory, keep quarantined devices away, and put each decision into the trails.

        Args:
            session: a writing one.
            round_id: of the round.
            outcome: of the round.
            members: device ids of its phones.
            now: seconds since 1970.
        """
        if not self.enabled:
            return
        session.merge(DefenceRow(id=1, memory=outcome.memory.to_json()))
        devices = {self._pseudonym(device_id): device_id for device_id in members}
        for decision in outcome.decisions:
            phone = decision.subject if decision.action is Action.QUARANTINED else ""
            group = f" of group {decision.subject}" if decision.subject and not phone else ""
            detail = f"{decision.action}{group}: {decision.reason}"
            record(session, now, Event.DEFENDED, round_id=round_id, device=phone, detail=detail)
            if phone:
                until = outcome.memory.quarantined[phone]
                session.execute(
                    sql.update(DeviceRow).where(DeviceRow.device_id == devices[phone]).values(quarantined_until=until)
                )

    def _measured(self, state: ServerState) -> Reading | None:
        return self._probe(state.weights) if self._probe and np.isfinite(state.weights).all() else None


def remembered(session: Session) -> Memory:
    """Return what was stored; nothing before the first defended round."""
    row = session.get(DefenceRow, 1)
    return Memory() if row is None else Memory.from_json(row.memory)
