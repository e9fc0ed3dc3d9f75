"""Rounds on a virtual clock: whom the server lets in, who is in time, and whether the round completes.

The rules are those of the round server, `federation.rounds.rules`.

What happens does not depend on the model, so a run that goes on where it was stopped plays the earlier rounds again.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from federation.fleet.scenario import Device, Scenario
from federation.protocol.message_sizes import Traffic
from federation.protocol.steps import STEPS, Step
from federation.rounds.rules import Arriving, RoundRules
from federation.rounds.selection import REMEMBERED_ROUNDS, Attendance, Staying, select
from federation.secure_aggregation.groups import assign_min_size


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
        self._goal, self._settings = goal, scenario.rounds
        self._devices = list(scenario.devices(seed, fleet))
        self._seed, self._tokens, self._traffic = seed, tokens, traffic
        self._played: list[Played] = []
        self._attended: deque[dict[Step, Attendance]] = deque(maxlen=REMEMBERED_ROUNDS)

    def device(self, index: int) -> Device:
        """Return a phone of the fleet."""
        return self._devices[index]

    def round(self, number: int) -> Played:
        """Return what becomes of a round, from 1; the next opens when it closes."""
        while len(self._played) < number:
            self._played.append(self._play(len(self._played) + 1))
        return self._played[number - 1]

    def _rules(self) -> RoundRules:
        """Return the rules of the round that is opened next."""
        settings, staying = self._settings, Staying.seen(self._attended)
        selection = select(
            self._goal,
            settings.minimum,
            staying,
            over_selection=settings.over_selection,
            max_over_selection=settings.max_over_selection,
        )
        return RoundRules(
            goal=self._goal,
            max_phones=selection.max_phones,
            minimum=settings.minimum,
            meeting_seconds=settings.meeting_seconds,
            grace_seconds=settings.grace_seconds,
            deadlines=settings.deadlines,
            group_phones=selection.group_phones,
            finish=1.0 if staying is None else staying.finish,
        )

    def _play(self, number: int) -> Played:
        rules = self._rules()
        opened = self._played[-1].closed_seconds if self._played else 0.0
        there = [device for device in self._devices if device.available(opened)]
        chosen = np.random.default_rng([self._seed, number]).permutation(len(there))[: rules.max_phones]
        groups = [_Group([there[index] for index in chosen])]
        selected = tuple(there[index].index for index in chosen)
        attended: dict[Step, Attendance] = {}
        self._attended.append(attended)
        now, trained = 0.0, 0
        contributed: tuple[int, ...] = ()
        for step in STEPS:
            coming = [group.coming(self._arrivals(number, step, now, group.present)) for group in groups]
            now = rules.close(step, [each.arriving for each in coming])
            came = sum(len(group.present) for group in groups)
            took, able = (
                sum(each.arriving.present(moment) for each in coming) for moment in (now, rules.deadline_seconds(step))
            )
            attended[step] = Attendance(came, took, able - took)
            if step is Step.UPLOAD:
                trained = sum(len(each.devices) for each in coming)
            taken = [each.at(now, joining=step is Step.ADVERTISE) for each in coming]
            groups = [group for group in taken if len(group.present) >= rules.needed(step, group.roster)]
            if not groups:
                return Played(opened, opened + now, selected, (), trained, step)
            if step is Step.ADVERTISE:
                groups = self._split(groups[0], number, rules.group_phones)
            elif step is Step.UPLOAD:
                contributed = tuple(sorted(device.index for group in groups for device in group.present))
        # Of a group that is lost after the upload nothing is in the sum.
        left = {device.index for group in groups for device in group.members}
        contributed = tuple(index for index in contributed if index in left)
        return Played(opened, opened + now, selected, contributed, trained - len(contributed), None)

    def _split(self, joined: "_Group", number: int, group_phones: int) -> "list[_Group]":
        """Return the groups of a roster, as the server makes them."""
        by_id = {device.index.to_bytes(16, "big"): device for device in joined.present}
        seed = hashlib.sha256(repr((self._seed, number)).encode()).digest()
        parts = assign_min_size(by_id, seed, group_phones)
        return [_Group([by_id[device] for device in part]) for part in parts]

    def _arrivals(self, number: int, step: Step, now: float, devices: Sequence[Device]) -> list[tuple[float, Device]]:
        """Return when phones take a step, those that do."""
        times = [
            (now + self._seconds(number, step, device), device)
            for device in devices
            if not device.drops_out(number, step)
        ]
        return sorted(times, key=lambda each: (each[0], each[1].index))

    def _seconds(self, number: int, step: Step, device: Device) -> float:
        training = device.train_seconds(self._tokens(number, device)) if step is Step.UPLOAD else 0.0
        return device.transfer_seconds(self._traffic[step]) + training


class _Group:
    """Phones of a group that are left, of all that advertised keys; while phones join, of all that were let in."""

    def __init__(self, present: Sequence[Device], members: Sequence[Device] | None = None) -> None:
        self.present = present
        self.members = present if members is None else members

    @property
    def roster(self) -> int:
        """How many advertised keys."""
        return len(self.members)

    def coming(self, arrivals: Sequence[tuple[float, Device]]) -> "_Coming":
        """Return the group in a step."""
        times = [time for time, _ in arrivals]
        return _Coming(Arriving(self.roster, len(self.present), times), [device for _, device in arrivals], self)


class _Coming(NamedTuple):
    """A group in a step, and who takes it, soonest first."""

    arriving: Arriving
    devices: Sequence[Device]
    group: _Group

    def at(self, moment: float, *, joining: bool) -> _Group:
        """Return the group with those who have taken the step by then."""
        taken = self.devices[: self.arriving.present(moment)]
        return _Group(taken, taken if joining else self.group.members)
