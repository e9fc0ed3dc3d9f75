"""Rounds on the virtual clock."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from federation.fleet.scenario import Availability, DropOut, PhoneClass, Rounds, Scenario
from federation.fleet.virtual_clock import Played, VirtualClock
from federation.protocol.message_sizes import Traffic
from federation.protocol.plan import Deadlines
from federation.protocol.steps import STEPS, Step
from federation.protocol.task import ComputeBudget

DEADLINES = Deadlines(100, 200, 300, 400, 500)
FREE: dict[Step, Traffic] = dict.fromkeys(STEPS, Traffic(0, 0))
QUICK = Scenario(rounds=Rounds(minimum=3, over_selection=1.3, meeting_seconds=10, grace_seconds=5, deadlines=DEADLINES))


def clock(scenario: Scenario, fleet: int = 60, goal: int = 10, tokens: int = 1000, seed: int = 1) -> VirtualClock:
    return VirtualClock(scenario, seed, fleet, lambda _, __: tokens, goal, FREE)


def rounds(scenario: Scenario, count: int = 100, goal: int = 10) -> list[Played]:
    virtual = clock(scenario, goal=goal)
    return [virtual.round(number) for number in range(1, count + 1)]


def test_without_failures_a_round_has_its_goal() -> None:
    played = clock(QUICK).round(1)
    assert len(played.selected) == 13
    assert len(set(played.selected)) == 13
    assert played.contributed == tuple(sorted(played.selected))  # all were equally quick
    assert played.wasted == 0
    assert played.completed
    assert played.opened_seconds == 0
    assert played.closed_seconds == 1000 / 5000


def test_rounds_follow_each_other_and_can_be_played_again() -> None:
    played = rounds(replace(QUICK, drop_out=DropOut(upload=0.2)))
    assert all(b.opened_seconds == a.closed_seconds for a, b in itertools.pairwise(played))
    again = clock(replace(QUICK, drop_out=DropOut(upload=0.2)))
    assert again.round(40) == played[39]
    assert again.round(3) == played[2]
    assert clock(QUICK, seed=2).round(1).selected != played[0].selected


def test_the_slowest_are_cut_off_where_more_were_let_in() -> None:
    classes = (
        PhoneClass(name="slow", share=0.1, tokens_per_second=20),
        PhoneClass(name="fast", share=0.9, tokens_per_second=2000),
    )
    more = replace(QUICK, classes=classes)
    exact = replace(more, rounds=replace(QUICK.rounds, over_selection=1.0, max_over_selection=1.0))
    slow = []
    for scenario in (more, exact):
        virtual = clock(scenario, fleet=300)
        kinds = Counter(virtual.device(i).kind.name for n in range(1, 41) for i in virtual.round(n).contributed)
        slow.append(kinds["slow"] / kinds.total())
    assert slow[0] < 0.5 * slow[1]
    assert slow[1] == pytest.approx(0.1, abs=0.04)


def test_whoever_is_later_than_the_deadline_is_cut_off() -> None:
    late = PhoneClass(name="late", share=0.2, tokens_per_second=1, budget=ComputeBudget(steps=9999, seconds=9999))
    scenario = replace(QUICK, classes=(late, PhoneClass(name="fast", share=0.8)))
    scenario = replace(scenario, rounds=replace(QUICK.rounds, over_selection=1.0, max_over_selection=1.0))
    virtual = clock(scenario)
    for number in range(1, 30):
        played = virtual.round(number)
        slow = [index for index in played.selected if virtual.device(index).kind is late]
        if played.completed:
            assert set(played.contributed) == set(played.selected) - set(slow)
            assert played.wasted == len(slow)
            duration = played.closed_seconds - played.opened_seconds
            assert duration == pytest.approx(300.0 if slow else 0.2)
        else:
            assert len(slow) > 3
            assert played.abandoned_in == "upload"


def test_slow_networks_count() -> None:
    scenario = replace(QUICK, classes=(PhoneClass(name="far", share=1.0, upload_bytes_per_second=10),))
    traffic: dict[Step, Traffic] = {**FREE, "upload": Traffic(500, 0)}
    virtual = VirtualClock(scenario, 1, 60, lambda _, __: 0, 10, traffic)
    assert virtual.round(1).closed_seconds == 50


def test_a_round_without_enough_phones_is_abandoned_and_waits_for_its_deadline() -> None:
    scenario = replace(QUICK, availability=Availability(by_hour=(0.0, *[1.0] * 23)))
    virtual = clock(scenario)
    played = virtual.round(1)
    assert played == Played(0.0, 100.0, (), (), 0, "advertise")
    assert virtual.round(36).abandoned_in == "advertise"
    assert virtual.round(37).completed  # an hour later


@pytest.mark.parametrize("step", STEPS)
def test_a_round_is_abandoned_in_the_step_in_which_too_many_vanish(step: Step) -> None:
    fixed = replace(QUICK.rounds, max_over_selection=1.0)
    played = rounds(replace(QUICK, rounds=fixed, drop_out=DropOut(**{step: 0.9})), 40)
    assert {each.abandoned_in for each in played} <= {step, None}
    assert sum(each.completed for each in played) < 10
    for each in played:
        assert bool(each.contributed) == each.completed
        if not each.completed:
            deadline = getattr(DEADLINES, f"{step}_seconds")
            assert each.closed_seconds - each.opened_seconds == pytest.approx(deadline)


def test_phones_that_vanish_after_the_upload_are_in_the_sum() -> None:
    fixed = replace(QUICK.rounds, max_over_selection=1.0)
    for each in rounds(replace(QUICK, rounds=fixed, drop_out=DropOut(confirm=0.1, unmask=0.1))):
        if each.completed:
            assert len(each.contributed) == 13


def test_over_selection_completes_more_rounds_under_drop_out() -> None:
    # A minimum above secure aggregation's own, which grows with the roster.
    strict = replace(QUICK.rounds, minimum=9, max_over_selection=1.0)
    drop_out = DropOut(advertise=0.1, upload=0.1)
    completed = [
        sum(
            each.completed
            for each in rounds(Scenario(rounds=replace(strict, over_selection=factor), drop_out=drop_out))
        )
        for factor in (1.0, 1.5)
    ]
    assert completed[0] < 60
    assert completed[1] > 95


def test_over_selection_follows_the_drop_out_that_was_seen() -> None:
    drop_out = DropOut(advertise=0.06, share=0.03, upload=0.18, confirm=0.015, unmask=0.015)
    limits = replace(QUICK.rounds, minimum=7)
    fixed = rounds(Scenario(rounds=replace(limits, max_over_selection=1.0), drop_out=drop_out), 200)
    following = rounds(Scenario(rounds=limits, drop_out=drop_out), 200)
    assert {len(each.selected) for each in fixed} == {13}
    assert len(following[0].selected) == 13
    assert np.mean([len(each.selected) for each in following[40:]]) > 20
    assert sum(each.completed for each in fixed) < 165
    assert sum(each.completed for each in following) > 185


def test_phones_that_are_only_slow_do_not_raise_over_selection() -> None:
    classes = (PhoneClass(name="slow", share=0.3, tokens_per_second=20), PhoneClass(name="fast", share=0.7))
    played = rounds(replace(QUICK, classes=classes), 60)
    assert {len(each.selected) for each in played} == {13}
    assert any(each.wasted for each in played)
