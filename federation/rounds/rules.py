"""When steps of a round close, who is needed, and when a round is abandoned: for the round server and for simulations.

A server lets in more phones than it wants, closes a step once nobody whom it needs is missing or the deadline has come,
cuts off late phones, and gives up a group of which fewer are left than secure aggregation needs (Bonawitz et al.,
Towards Federated Learning at Scale, MLSys 2019, https://arxiv.org/abs/1902.01046, section 4). It cannot tell a phone
that vanished from one that is slow, and waits.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from federation.protocol.plan import Deadlines
from federation.protocol.steps import Step
from federation.rounds.selection import UNSPLIT_PHONES, enough_uploads
from federation.secure_aggregation import min_threshold


def deadline_seconds(deadlines: Deadlines, step: Step) -> int:
    """Return when a step closes at the latest, in seconds after the opening."""
    seconds: dict[Step, int] = {
        Step.ADVERTISE: deadlines.advertise_seconds,
        Step.SHARE: deadlines.share_seconds,
        Step.UPLOAD: deadlines.upload_seconds,
        Step.CONFIRM: deadlines.confirm_seconds,
        Step.UNMASK: deadlines.unmask_seconds,
    }
    return seconds[step]


@dataclass(frozen=True)
class GroupProgress:
    """How far a group is in a step.

    Attributes:
        roster: Number of phones that advertised keys; in that step itself, as many as have so far.
        before: Number of phones that took the step before.
        present: Number of phones that took this step.
    """

    roster: int
    before: int
    present: int


@dataclass(frozen=True)
class Arriving:
    """A group whose phones' times in a step are known.

    Attributes:
        roster, before: see `GroupProgress`.
        arrivals: seconds after the opening at which phones take the step, ascending.
    """

    roster: int
    before: int
    arrivals: Sequence[float]

    def present(self, moment: float) -> int:
        """Return how many have taken the step by then."""
        return bisect_right(self.arrivals, moment)

    def progress(self, moment: float) -> GroupProgress:
        """Return how far the group is then."""
        return GroupProgress(self.roster, self.before, self.present(moment))


@dataclass(frozen=True, kw_only=True)
class RoundRules:
    """Rules of a round.

    Attributes:
        goal: Number of phones wanted in the sum.
        max_phones: Number of phones let in.
        minimum: Smallest number of phones in the sum of a group.
        group_phones: Smallest number of phones in a group, if that many join.
        finish: Share of phones that are expected to stay once they have uploaded.
        meeting_seconds: Time in which phones may join although enough are there.
        grace_seconds: Time that stragglers have to upload once as many have as are wanted.
        deadlines: Latest times of the steps.
    """

    goal: int
    max_phones: int
    minimum: int
    meeting_seconds: float
    grace_seconds: float
    deadlines: Deadlines
    group_phones: int = UNSPLIT_PHONES
    finish: float = 1.0

    def deadline_seconds(self, step: Step) -> int:
        """Return when a step closes at the latest, in seconds after the opening."""
        return deadline_seconds(self.deadlines, step)

    def needed(self, step: Step, roster: int) -> int:
        """Return how many phones of a group have to take a step, without which it is given up."""
        threshold = min_threshold(roster)
        if step is Step.ADVERTISE:
            return self.minimum
        return threshold if step in {Step.CONFIRM, Step.UNMASK} else max(threshold, self.minimum)

    def is_over(self, step: Step, groups: Sequence[GroupProgress], elapsed: float, goal_reached: float | None) -> bool:
        """Whether a step closes.

        Args:
            step: the one that is open.
            groups: those that have come so far.
            elapsed: seconds since the opening.
            goal_reached: when as many phones as are wanted had taken the step, likewise; None if they have not.
        """
        if elapsed >= self.deadline_seconds(step):
            return True
        present = sum(group.present for group in groups)
        if step is Step.ADVERTISE:
            return present >= self.max_phones or (present >= self.goal and elapsed >= self.meeting_seconds)
        if all(group.present >= group.before for group in groups):
            return True
        waited = goal_reached is not None and elapsed >= goal_reached + self.grace_seconds
        enough = all(group.present >= self._enough(group.roster) for group in groups)
        return step is Step.UPLOAD and waited and enough

    def _enough(self, roster: int) -> int:
        """Return how many of a group have to upload before stragglers are cut off: some will leave afterwards."""
        return max(self.needed(Step.UPLOAD, roster), enough_uploads(roster, self.minimum, self.finish))

    def close(self, step: Step, groups: Sequence[Arriving]) -> float:
        """Return when a step of a round closes, in seconds after the opening.

        Args:
            step: of the round.
            groups: of the round that are left; while phones join, all of them are one.
        """
        all_arrivals = sorted(arrival for group in groups for arrival in group.arrivals)
        reached = all_arrivals[self.goal - 1] if len(all_arrivals) >= self.goal else None
        waits = [] if reached is None else [max(reached, self.meeting_seconds), reached + self.grace_seconds]
        moments = sorted({*all_arrivals, *waits, float(self.deadline_seconds(step))})
        for moment in moments:  # between two of these nothing changes
            known = reached if reached is not None and reached <= moment else None
            if self.is_over(step, [group.progress(moment) for group in groups], moment, known):
                return moment
        raise AssertionError("a step is over at its deadline")
