"""One enrolled phone that follows the protocol and lies in it: it may spoil a round, and never moves a model."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federation.protocol.steps import Step
from federation.secure_aggregation import Vector
from federation.server.settings import RoundSettings
from tests.federation.server.phones import (
    Clock,
    Phone,
    Server,
    gather,
    phase_of,
    take_all_steps,
    weighted_mean,
)

SETTINGS = RoundSettings(goal=5, minimum=5, over_selection=1.0, clip=8.0)
LARGE = replace(SETTINGS, goal=30, minimum=20)
HONEST = sum(10 + name for name in range(4))
WORD = 1 << 64


class Rogue(Phone):
    """Masks something else than an update."""

    def __init__(self, name: int, edit: Callable[[Vector], Vector]) -> None:
        super().__init__(name)
        self._edit = edit

    def make(self, server: Server, round_id: int, step: Step) -> bytes:
        if step is not Step.UPLOAD:
            return super().make(server, round_id, step)
        masking = self.phase.open(server.rounds.inbox(round_id, self.key.device_id))
        message, self.phase = masking.mask(self._edit(self.plan.encode(self.update, os.urandom(32))))
        return bytes(message)


def counting(*counters: int) -> Callable[[Vector], Vector]:
    return lambda vector: Vector(np.array([*(count % WORD for count in counters), 1], "<u8"), vector.words)


def garbage(vector: Vector) -> Vector:
    return Vector(vector.counters, np.frombuffer(os.urandom(vector.words.nbytes), vector.words.dtype))


def nothing(vector: Vector) -> Vector:
    return Vector(vector.counters, np.zeros_like(vector.words))


def after_a_round(folder: Path, clock: Clock, settings: RoundSettings, phones: list[Phone]) -> tuple[str, float]:
    """Return how a round ended, and how long its step is against the honest phones' mean."""
    server = Server(folder, clock, settings)
    round_id = gather(server, clock, phones)
    take_all_steps(server, round_id, phones)
    step = server.models.state(server.models.current_version()).weights
    honest = weighted_mean(phone for phone in phones if not isinstance(phone, Rogue))
    return phase_of(server, round_id)[0], float(np.linalg.norm(step) / np.linalg.norm(honest))


def test_an_honest_cohort_takes_its_step(tmp_path: Path, clock: Clock) -> None:
    outcome, ratio = after_a_round(tmp_path, clock, SETTINGS, [Phone(name) for name in range(5)])
    assert outcome == "finished"
    assert 0.5 < ratio < 1.5


@pytest.mark.parametrize(
    "edit",
    [
        counting(-(HONEST - 1), 100, 1, 1),  # the sum of examples is 1, and the step 46 times too long
        counting(-(HONEST - 5), 100, 1, 1),
        counting(-HONEST, 100, 1, 1),
        counting(1 << 63, 100, 1, 1),
        counting(10, -400, 1, 1),
        counting(10, 100, 1 << 40, 1),
        counting(10, 100, 1, 1 << 39),
        counting(10, 100, 1, 501),
        garbage,
    ],
)
def test_a_lie_in_a_counter_or_garbage_takes_no_step(
    tmp_path: Path, clock: Clock, edit: Callable[[Vector], Vector]
) -> None:
    phones: list[Phone] = [Phone(name) for name in range(4)]
    outcome, ratio = after_a_round(tmp_path, clock, SETTINGS, [*phones, Rogue(99, edit)])
    assert (outcome, ratio) == ("abandoned", 0.0)


@pytest.mark.parametrize("edit", [garbage, counting(-(sum(10 + name for name in range(29)) - 1), 100, 1, 1)])
def test_nor_does_either_in_a_full_cohort(tmp_path: Path, clock: Clock, edit: Callable[[Vector], Vector]) -> None:
    phones: list[Phone] = [Phone(name) for name in range(29)]
    outcome, ratio = after_a_round(tmp_path, clock, LARGE, [*phones, Rogue(99, edit)])
    assert (outcome, ratio) == ("abandoned", 0.0)


@pytest.mark.parametrize("taken", [0, 10, 20, 30, 40, 45])
def test_no_lie_about_examples_makes_a_step_longer_than_the_clip(tmp_path: Path, clock: Clock, taken: int) -> None:
    """A smaller lie than those above is not seen: a step may be as long as that of phones that all agree."""
    phones: list[Phone] = [Phone(name) for name in range(4)]
    outcome, ratio = after_a_round(tmp_path, clock, SETTINGS, [*phones, Rogue(99, counting(-taken, 100, 1, 1))])
    longest = SETTINGS.clip / float(np.linalg.norm(weighted_mean(phones)))
    assert ratio < 1.05 * longest
    assert (outcome == "abandoned") is (taken > 20)


def test_a_vector_that_stands_for_nothing_an_honest_phone_sends_takes_no_step(tmp_path: Path, clock: Clock) -> None:
    """All levels at their lowest: the longest vector that there is."""
    phones: list[Phone] = [Phone(name) for name in range(4)]
    outcome, ratio = after_a_round(tmp_path, clock, SETTINGS, [*phones, Rogue(99, nothing)])
    assert (outcome, ratio) == ("abandoned", 0.0)


def test_where_all_phones_weigh_alike_a_lie_about_examples_is_worth_nothing(tmp_path: Path, clock: Clock) -> None:
    phones: list[Phone] = [Phone(name) for name in range(29)]
    alike = replace(LARGE, weight_cap=1)
    outcome, _ = after_a_round(tmp_path, clock, alike, [*phones, Rogue(99, counting(0, 100, 1, 1))])
    assert outcome == "abandoned"
