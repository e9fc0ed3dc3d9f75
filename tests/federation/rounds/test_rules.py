"""When steps of a round close; the round server and the virtual clock have these rules and no others."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.protocol.plan import Deadlines
from federation.protocol.steps import STEPS, Step
from federation.rounds.rules import Arriving, GroupProgress, RoundRules
from federation.secure_aggregation import min_threshold

RULES = RoundRules(
    goal=6,
    max_phones=9,
    minimum=4,
    meeting_seconds=10,
    grace_seconds=20,
    deadlines=Deadlines(100, 200, 300, 400, 500),
)


def test_stragglers_have_a_grace_once_the_goal_is_reached() -> None:
    arrivals = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 25.0, 27.0]
    assert RULES.close(Step.UPLOAD, [Arriving(9, 9, arrivals)]) == 26
    assert RULES.close(Step.UPLOAD, [Arriving(9, 8, arrivals)]) == 26
    assert RULES.close(Step.UPLOAD, [Arriving(9, 7, arrivals[:7])]) == 25
    assert RULES.close(Step.UPLOAD, [Arriving(9, 9, arrivals[:5])]) == 300


def test_the_goal_is_one_of_all_groups() -> None:
    early, later = Arriving(4, 4, [1.0, 2.0, 3.0, 50.0]), Arriving(4, 4, [4.0, 5.0, 30.0, 40.0])
    assert RULES.close(Step.UPLOAD, [early, later]) == 50  # six at 30 s, all but one at 40 s
    assert RULES.close(Step.SHARE, [early, Arriving(4, 3, [4.0])]) == 200


def test_a_large_roster_needs_more_than_its_goal() -> None:
    """Two thirds of 15 and one more must be left, although ten are wanted."""
    rules = replace(RULES, goal=10, max_phones=15, grace_seconds=0)
    arrivals = [float(number) for number in range(1, 14)]
    assert rules.close(Step.UPLOAD, [Arriving(15, 15, arrivals)]) == 11
    assert rules.close(Step.UPLOAD, [Arriving(15, 15, arrivals[:10])]) == 300


def test_stragglers_are_waited_for_while_those_who_leave_after_the_upload_would_be_missed() -> None:
    rules = replace(RULES, goal=10, max_phones=15, grace_seconds=0, finish=0.97)
    arrivals = [float(number) for number in range(1, 14)]
    assert rules.close(Step.UPLOAD, [Arriving(15, 15, arrivals)]) == 13
    assert rules.close(Step.UPLOAD, [Arriving(15, 15, arrivals[:12])]) == 300
    assert rules.needed(Step.UPLOAD, 15) == 11  # with which the round goes on then


@pytest.mark.parametrize(
    ("present", "elapsed", "over"),
    [(5, 99, False), (5, 100, True), (6, 9, False), (6, 10, True), (8, 9.9, False), (9, 1, True)],
)
def test_phones_join_until_the_meeting_is_over_and_the_goal_reached(present: int, elapsed: float, over: bool) -> None:
    groups = [GroupProgress(roster=present, before=0, present=present)]
    assert RULES.is_over(Step.ADVERTISE, groups, elapsed, None) == over


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_step_is_over_once_all_of_the_step_before_took_it_in_every_group(step: Step) -> None:
    whole, short = GroupProgress(5, 5, 5), GroupProgress(5, 5, 4)
    assert RULES.is_over(step, [whole, whole], 0, None)
    assert not RULES.is_over(step, [whole, short], 0, None)


def test_the_grace_waits_for_every_group_that_lacks_phones() -> None:
    enough, short = GroupProgress(6, 6, 5), GroupProgress(6, 6, 3)
    assert RULES.is_over(Step.UPLOAD, [enough, enough], 30, 10)
    assert not RULES.is_over(Step.UPLOAD, [enough, enough], 29, 10)
    assert not RULES.is_over(Step.UPLOAD, [enough, short], 30, 10)
    assert not RULES.is_over(Step.CONFIRM, [enough, enough], 30, 10)


@pytest.mark.parametrize("step", STEPS)
def test_the_sum_never_has_fewer_than_the_minimum_nor_than_the_threshold(step: Step) -> None:
    for roster in range(4, 40):
        needed = RULES.needed(step, roster)
        assert needed >= (min_threshold(roster) if step is not Step.ADVERTISE else RULES.minimum)
        assert step in {Step.CONFIRM, Step.UNMASK} or needed >= RULES.minimum


@given(st.sampled_from(STEPS), st.integers(4, 9), st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_a_step_closes_at_the_first_moment_at_which_it_is_over(step: Step, roster: int, seed: int) -> None:
    coming = seed % roster + 1
    arrivals = np.sort(np.random.default_rng(seed).integers(0, 600, coming)).astype(float).tolist()
    closes = RULES.close(step, [Arriving(roster, roster, arrivals)])
    for now in range(602):
        present = sum(arrival <= now for arrival in arrivals)
        reached = arrivals[RULES.goal - 1] if present >= RULES.goal else None
        assert RULES.is_over(step, [GroupProgress(roster, roster, present)], now, reached) == (now >= closes)
