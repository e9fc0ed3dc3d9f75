"""Rounds on a virtual clock: whom the server lets in, who is in time, and whether the round completes.

The rules are those of the round server, `federation.rounds.rules`.

What happens does not depend on the model, so a run that goes on where it was stopped plays the earlier rounds again.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from federation.fleet.scenario import Device, Scenario
from federation.protocol.message_sizes import Traffic
from federation.protocol.steps import STEPS, Step
from federation.rounds.rules import RoundRules


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
        rounds = scenario.rounds
        self._rules = RoundRules(
            goal=goal,
            max_phones=rounds.max_phones(goal),
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
        chosen = np.random.default_rng([self._seed, number]).permutation(len(there))[: self._rules.max_phones]
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
            if step is Step.UPLOAD:
                trained = len(arrivals)
            if count < self._rules.needed(step, roster):
                return Played(opened, opened + now, selected, (), trained, step)
            present = [device for *_, device in arrivals[:count]]
            if step is Step.ADVERTISE:
                roster = count
            elif step is Step.UPLOAD:
                contributed = tuple(sorted(device.index for device in present))
        return Played(opened, opened + now, selected, contributed, trained - len(contributed), None)

    def _seconds(self, number: int, step: Step, device: Device) -> float:
        training = device.train_seconds(self._tokens(number, device)) if step is Step.UPLOAD else 0.0
        return device.transfer_seconds(self._traffic[step]) + training
