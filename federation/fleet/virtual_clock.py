"""Rounds on a virtual clock: whom the server lets in, who is in time, and whether the round completes.

The server's rules are those of `federation.server`: it lets in more phones than it wants, closes a step once nobody
whom it needs is missing or the deadline has come, cuts off whoever is later, and abandons the round where fewer are
left than secure aggregation needs (Bonawitz et al., Towards Federated Learning at Scale, MLSys 2019,
https://arxiv.org/abs/1902.01046, section 4). It cannot tell a phone that vanished from one that is slow, and waits.

What happens does not depend on the model, so a run that goes on where it was stopped plays the earlier rounds again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from federation.fleet.scenario import Device, Scenario
from federation.protocol.message_sizes import STEPS, Step, Traffic
from federation.protocol.plan import Deadlines
from federation.secure_aggregation import min_threshold


class Played(NamedTuple):
    """What became of a round.

    Attributes:
        opened_seconds, closed_seconds: on the virtual clock.
        selected: indices of the phones that were let in.
        contributed: indices of those in the sum; nobody if the round was abandoned.
        wasted: phones that trained but are not in a sum: cut off, or the round was abandoned.
        abandoned_in: the step in which too few phones were left.
    """

    opened_seconds: float
    closed_seconds: float
    selected: tuple[int, ...]
    contributed: tuple[int, ...]
    wasted: int
    abandoned_in: Step | None

    @property
    def completed(self) -> bool:
        """Whether there is a sum."""
        return self.abandoned_in is None


@dataclass(frozen=True)
class RoundRules:
    """When steps of a round close.

    Attributes:
        goal: phones wanted in the sum.
        most: phones let in.
        minimum: with fewer the round is abandoned.
        meeting_seconds: for so long phones may join, once enough are there.
        grace_seconds: that stragglers have to upload once as many have as are wanted.
        deadlines: of the steps.
    """

    goal: int
    most: int
    minimum: int
    meeting_seconds: int
    grace_seconds: int
    deadlines: Deadlines

    def deadline_seconds(self, step: Step) -> int:
        """Return when a step closes at the latest, after the opening."""
        limits = self.deadlines
        seconds: dict[Step, int] = {
            "advertise": limits.advertise_seconds,
            "share": limits.share_seconds,
            "upload": limits.upload_seconds,
            "confirm": limits.confirm_seconds,
            "unmask": limits.unmask_seconds,
        }
        return seconds[step]

    def needed(self, step: Step, roster: int) -> int:
        """Return the phones without which a round is abandoned in a step; `roster` phones advertised keys."""
        threshold = min_threshold(roster)
        if step == "advertise":
            return self.minimum
        return threshold if step in {"confirm", "unmask"} else max(threshold, self.minimum)

    def close(self, step: Step, before: int, roster: int, arrivals: Sequence[float]) -> tuple[float, int]:
        """Return when a step closes, and how many of the phones that come are in time.

        Args:
            step: of the round.
            before: phones that took the step before.
            roster: phones that advertised keys.
            arrivals: seconds after the opening at which phones take the step, ascending.
        """
        closes = [float(self.deadline_seconds(step))]
        everybody = self.most if step == "advertise" else before
        if len(arrivals) >= everybody:
            closes.append(arrivals[everybody - 1])
        if step in {"advertise", "upload"} and len(arrivals) >= self.goal:
            reached = arrivals[self.goal - 1]
            if step == "advertise":
                closes.append(max(float(self.meeting_seconds), reached))
            elif len(arrivals) >= self.needed(step, roster):
                closes.append(max(reached + self.grace_seconds, arrivals[self.needed(step, roster) - 1]))
        closed = min(closes)
        return closed, sum(arrival <= closed for arrival in arrivals)


class VirtualClock:
    """Plays the rounds of a scenario one after the other.

    Args:
        scenario: of the fleet.
        seed: of the fleet, and of whom the server picks.
        tokens: that each client of the fleet trains on in a round, within its budget; a function of the round too.
        goal: phones wanted in a sum.
        traffic: bytes of each step.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        fleet: int,
        tokens: Callable[[int, Device], int],
        goal: int,
        traffic: Mapping[Step, Traffic],
    ) -> None:
        rounds = scenario.rounds
        self._rules = RoundRules(
            goal=goal,
            most=rounds.max_phones(goal),
            minimum=rounds.minimum,
            meeting_seconds=rounds.meeting_seconds,
            grace_seconds=rounds.grace_seconds,
            deadlines=rounds.deadlines,
        )
        self._devices = list(scenario.devices(seed, fleet))
        self._seed, self._tokens, self._traffic = seed, tokens, traffic
        self._played: list[Played] = []

    def device(self, index: int) -> Device:
        """Return a phone of the fleet."""
        return self._devices[index]

    def round(self, number: int) -> Played:
        """Return what becomes of a round, from 1; the next opens when it closes."""
        while len(self._played) < number:
            self._played.append(self._play(len(self._played) + 1))
        return self._played[number - 1]

    def _play(self, number: int) -> Played:
        opened = self._played[-1].closed_seconds if self._played else 0.0
        there = [device for device in self._devices if device.available(opened)]
        chosen = np.random.default_rng([self._seed, number]).permutation(len(there))[: self._rules.most]
        present = [there[index] for index in chosen]
        selected = tuple(device.index for device in present)
        now, roster, trained = 0.0, len(present), 0
        contributed: tuple[int, ...] = ()
        for step in STEPS:
            arrivals = sorted(
                (now + self._seconds(number, step, device), device.index, device)
                for device in present
                if not device.drops_out(number, step)
            )
            now, count = self._rules.close(step, len(present), roster, [arrival for arrival, *_ in arrivals])
            if step == "upload":
                trained = len(arrivals)
            if count < self._rules.needed(step, roster):
                return Played(opened, opened + now, selected, (), trained, step)
            present = [device for *_, device in arrivals[:count]]
            if step == "advertise":
                roster = count
            elif step == "upload":
                contributed = tuple(sorted(device.index for device in present))
        return Played(opened, opened + now, selected, contributed, trained - len(contributed), None)

    def _seconds(self, number: int, step: Step, device: Device) -> float:
        training = device.train_seconds(self._tokens(number, device)) if step == "upload" else 0.0
        return device.transfer_seconds(self._traffic[step]) + training
