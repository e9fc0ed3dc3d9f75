"""How far a round and its groups are: derived from what was accepted, and what decides whether a step is closed.

Once its roster is closed, a round is split into random groups, each a secure-aggregation session of its own. Who is in
which follows from who joined and from a seed that the server drew when it opened the round and tells nobody, so phones
cannot choose their group. A group of which too few phones took a step is lost; the round goes on with the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import sqlalchemy as sql
from sqlalchemy.orm import Session

from federation.protocol.plan import RoundPlan
from federation.secure_aggregation import min_threshold
from federation.secure_aggregation.groups import assign_min_size
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from federation.server.phases import STEPS, Phase
from federation.server.tables import MessageRow, RoundRow


@dataclass(frozen=True)
class GroupState:
    """How far a group is.

    Attributes:
        members: device ids of those that advertised keys, ascending.
        counts: phones that took each step.
    """

    members: tuple[bytes, ...]
    counts: Mapping[Phase, int]

    def present(self, step: Phase) -> int:
        """Return how many phones took a step."""
        return self.counts.get(step, 0)

    def needed(self, step: Phase, minimum: int) -> int:
        """Return how many have to, in a plan with this minimum."""
        if step is Phase.ADVERTISE:
            return minimum
        threshold = min_threshold(len(self.members))
        return threshold if step in {Phase.CONFIRM, Phase.UNMASK} else max(threshold, minimum)

    def has_enough(self, step: Phase, minimum: int) -> bool:
        """Whether enough phones took a step."""
        return self.present(step) >= self.needed(step, minimum)


@dataclass(frozen=True)
class RoundState:
    """How far a round is.

    Attributes:
        phase: of the round.
        groups: of the round; while phones join, all that have joined are one.
        plan: of the round.
        goal: phones wanted in the sum.
        max_phones: that are let in.
        opened: seconds since 1970.
        goal_reached: when the step had as many phones as are wanted in the sum, if it has.
        grace_seconds: that the others have from then on.
    """

    phase: Phase
    groups: Sequence[GroupState]
    plan: RoundPlan
    goal: int
    max_phones: int
    opened: float
    goal_reached: float | None
    grace_seconds: float

    @classmethod
    def of(cls, session: Session, row: RoundRow, grace_seconds: float = 0.0) -> Self:
        """Return where a round stands."""
        query = sql.select(MessageRow.step, MessageRow.device_id).where(MessageRow.round_id == row.round_id)
        takers: dict[Phase, set[bytes]] = {}
        for step, device_id in session.execute(query):
            takers.setdefault(Phase(step), set()).add(device_id)
        phase, joined = Phase(row.phase), takers.get(Phase.ADVERTISE, set())
        parts = [joined] if phase is Phase.ADVERTISE else assign_min_size(joined, row.group_seed, row.group_phones)
        groups = [
            GroupState(
                tuple(sorted(members)), {step: len(devices.intersection(members)) for step, devices in takers.items()}
            )
            for members in parts
        ]
        arrivals = sql.select(MessageRow.received).where(MessageRow.round_id == row.round_id, MessageRow.step == phase)
        reached = session.scalar(arrivals.order_by(MessageRow.received).offset(row.goal - 1).limit(1))
        return cls(phase, groups, plan_of(row), row.goal, row.max_phones, row.opened, reached, grace_seconds)

    @property
    def deadline(self) -> float:
        """When the step is closed at the latest, seconds since 1970."""
        limits = self.plan.deadlines
        seconds = {
            Phase.ADVERTISE: limits.advertise_seconds,
            Phase.SHARE: limits.share_seconds,
            Phase.UPLOAD: limits.upload_seconds,
            Phase.CONFIRM: limits.confirm_seconds,
            Phase.UNMASK: limits.unmask_seconds,
        }
        return self.opened + seconds[self.phase]

    def left_at(self, step: Phase) -> list[GroupState]:
        """Return the groups of which enough phones took each of the steps before one that has begun."""
        earlier = STEPS[: STEPS.index(step)]
        return [each for each in self.groups if all(each.has_enough(before, self.plan.minimum) for before in earlier)]

    @property
    def left(self) -> list[GroupState]:
        """Groups that have come as far as the round."""
        return self.left_at(self.phase)

    @property
    def going_on(self) -> list[GroupState]:
        """Groups of which enough phones have taken the present step too."""
        return [group for group in self.left if group.has_enough(self.phase, self.plan.minimum)]

    @property
    def present(self) -> int:
        """Phones that took the step."""
        return sum(group.present(self.phase) for group in self.left)

    def is_complete(self, now: float, meeting_seconds: float) -> bool:
        """Whether there is nothing to wait for, before the deadline."""
        if self.phase is Phase.ADVERTISE:
            everyone_came = now >= self.opened + meeting_seconds
            return self.present == self.max_phones or (self.present >= self.goal and everyone_came)
        before = STEPS[STEPS.index(self.phase) - 1]
        if all(group.present(self.phase) == group.present(before) for group in self.left):
            return True
        over = self.goal_reached is not None and now >= self.goal_reached + self.grace_seconds
        return self.phase is Phase.UPLOAD and over and self.going_on == self.left


def plan_of(row: RoundRow) -> RoundPlan:
    """Return a round's plan."""
    return RoundPlan.from_bytes(row.plan[:-SIGNATURE_BYTES])
