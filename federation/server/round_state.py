"""How far a round and its groups are: derived from what was accepted, and what decides whether a step is closed.

Once its roster is closed, a round is split into random groups, each a secure-aggregation session of its own. Who is in
which follows from all advertisements and from a nonce that the task commits to (`federation.protocol.cohorts`), so
neither phones nor the server choose. A group of which too few phones took a step is lost; the others go on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import sqlalchemy as sql
from sqlalchemy.orm import Session

from federation.protocol.cohorts import Cohort
from federation.protocol.plan import RoundPlan
from federation.protocol.steps import STEPS, Step
from federation.protocol.task import TrainingTask
from federation.rounds.rules import GroupProgress, RoundRules
from federation.secure_aggregation import Authority
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from federation.server.phases import Phase, phase_of
from federation.server.tables import MessageRow, RoundRow

_CLOCK_SECONDS = 60.0
"""That the clocks of several machines may differ by."""


@dataclass(frozen=True)
class GroupState:
    """How far a group is.

    Attributes:
        members: device ids of those that advertised keys, ascending.
        counts: phones that took each step.
    """

    members: tuple[bytes, ...]
    counts: Mapping[Step, int]

    def present(self, step: Step) -> int:
        """Return how many phones took a step."""
        return self.counts.get(step, 0)

    def needed(self, step: Step, rules: RoundRules) -> int:
        """Return how many have to."""
        return rules.needed(step, len(self.members))

    def has_enough(self, step: Step, rules: RoundRules) -> bool:
        """Whether enough phones took a step."""
        return self.present(step) >= self.needed(step, rules)

    def progress(self, step: Step) -> GroupProgress:
        """Return how far the group is in a step."""
        before = self.present(STEPS[STEPS.index(step) - 1]) if step is not Step.ADVERTISE else 0
        return GroupProgress(len(self.members), before, self.present(step))


@dataclass(frozen=True)
class RoundState:
    """How far a round is.

    Attributes:
        phase: Step that is open, or end of the round.
        groups: Groups of the round; while phones join, all that have joined are one.
        plan: Plan of the round.
        rules: When its steps close.
        opened: Time of the opening, seconds since 1970.
        goal_reached: When the step had as many phones as are wanted in the sum, if it has, seconds since 1970.
    """

    phase: Phase
    groups: Sequence[GroupState]
    plan: RoundPlan
    rules: RoundRules
    opened: float
    goal_reached: float | None

    @classmethod
    def of(cls, session: Session, row: RoundRow, *, meeting_seconds: float = 0.0, grace_seconds: float = 0.0) -> Self:
        """Return where a round stands; the times are those of `RoundRules` and decide only when a step closes."""
        query = sql.select(MessageRow.step, MessageRow.device_id, MessageRow.digest)
        takers: dict[Step, dict[bytes, bytes]] = {}
        for step, device_id, digest in session.execute(query.where(MessageRow.round_id == row.round_id)):
            takers.setdefault(Step(step), {})[device_id] = digest
        phase, joined = phase_of(row.phase), takers.get(Step.ADVERTISE, {})
        parts = [set(joined)] if phase is Step.ADVERTISE else _groups(row, joined)
        groups = [
            GroupState(
                tuple(sorted(members)), {step: len(devices.keys() & members) for step, devices in takers.items()}
            )
            for members in parts
        ]
        arrivals = sql.select(MessageRow.received).where(MessageRow.round_id == row.round_id, MessageRow.step == phase)
        reached = session.scalar(arrivals.order_by(MessageRow.received).offset(row.goal - 1).limit(1))
        plan = plan_of(row)
        rules = RoundRules(
            goal=row.goal,
            max_phones=row.max_phones,
            minimum=plan.minimum,
            meeting_seconds=meeting_seconds,
            grace_seconds=grace_seconds,
            deadlines=plan.deadlines,
            group_phones=row.group_phones,
            finish=row.finish,
        )
        return cls(phase, groups, plan, rules, row.opened, reached)

    @property
    def step(self) -> Step:
        """The step that is open; ask only of a round that has not ended."""
        return Step(self.phase)

    def left_at(self, step: Step) -> list[GroupState]:
        """Return the groups of which enough phones took each of the steps before one that has begun."""
        earlier = STEPS[: STEPS.index(step)]
        return [each for each in self.groups if all(each.has_enough(before, self.rules) for before in earlier)]

    @property
    def left(self) -> list[GroupState]:
        """Groups that have come as far as the round."""
        return self.left_at(self.step)

    @property
    def going_on(self) -> list[GroupState]:
        """Groups of which enough phones have taken the present step too."""
        return [group for group in self.left if group.has_enough(self.step, self.rules)]

    @property
    def present(self) -> int:
        """Phones that took the step."""
        return sum(group.present(self.step) for group in self.left)

    def clock_was_set_back(self, now: float) -> bool:
        """Whether a time in seconds since 1970 is long before the round was opened."""
        return now < self.opened - _CLOCK_SECONDS

    @property
    def deadline(self) -> float:
        """When the step closes at the latest, seconds since 1970."""
        return self.opened + self.rules.deadline_seconds(self.step)

    def is_over(self, now: float) -> bool:
        """Whether the step closes, at a time in seconds since 1970."""
        if self.clock_was_set_back(now):
            return True  # it would take as long as that until a deadline comes
        progress = [group.progress(self.step) for group in self.left]
        reached = None if self.goal_reached is None else self.goal_reached - self.opened
        return self.rules.is_over(self.step, progress, now - self.opened, reached)


def _groups(row: RoundRow, joined: Mapping[bytes, bytes]) -> list[set[bytes]]:
    """Return the groups of a round, as device ids, from the digests of their advertisements."""
    devices = {digest: device_id for device_id, digest in joined.items()}
    cohort = Cohort(row.group_seed, tuple(sorted(devices)))
    return [{devices[digest] for digest in group} for group in cohort.groups(row.group_phones)]


def authority_of(row: RoundRow, authority: Authority) -> Authority:
    """Return the authority in the epoch of a round."""
    return authority.at(TrainingTask.of_plan(row.task, plan_of(row)).commitments.epoch)


def plan_of(row: RoundRow) -> RoundPlan:
    """Return a round's plan."""
    return _plan(row.plan[:-SIGNATURE_BYTES])


@lru_cache(maxsize=8)
def _plan(content: bytes) -> RoundPlan:
    return RoundPlan.from_bytes(content)
