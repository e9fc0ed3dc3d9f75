"""How many phones rounds let in, by the drop-out that was seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.protocol.steps import STEPS, Step
from federation.rounds.rules import RoundRules
from federation.rounds.selection import UNSPLIT_PHONES, Attendance, Selection, Staying, enough_uploads, select
from federation.secure_aggregation import min_threshold
from federation.secure_aggregation.groups import count


def chosen(staying: Staying | None, goal: int = 10, minimum: int = 7, **options: int) -> Selection:
    return select(goal, minimum, staying, over_selection=1.3, max_over_selection=3.0, **options)


def losing(share: float) -> Staying:
    """As `benchmarks/heterogeneity.py` spreads a drop-out over the steps."""
    return Staying(1 - 0.2 * share, (1 - 0.1 * share) * (1 - 0.6 * share), (1 - 0.05 * share) ** 2)


def completed(selection: Selection, minimum: int, staying: Staying, rounds: int = 1000) -> float:
    """Play rounds, one phone after the other."""
    random, done = np.random.default_rng(1), 0
    for _ in range(rounds):
        joined = int(np.sum(random.random(selection.max_phones) < staying.join))
        groups = count(joined, selection.group_phones)
        any_left = False
        for group in range(groups):
            roster = joined // groups + (group < joined % groups)
            uploads = int(np.sum(random.random(roster) < staying.upload))
            left = int(np.sum(random.random(uploads) < staying.finish))
            threshold = min_threshold(roster)
            any_left |= uploads >= max(threshold, minimum) and left >= threshold
        done += any_left
    return done / rounds


def test_before_anything_was_seen_over_selection_is_what_the_settings_say() -> None:
    assert chosen(None) == Selection(13)
    assert chosen(Staying.seen([])) == Selection(13)


def test_where_nobody_drops_out_no_more_than_the_least_are_let_in() -> None:
    assert chosen(Staying()) == Selection(13)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.3])
@pytest.mark.parametrize(("goal", "minimum"), [(10, 7), (20, 10), (100, 50)])
def test_rounds_complete_under_the_drop_out_that_was_seen(share: float, goal: int, minimum: int) -> None:
    selection = chosen(losing(share), goal, minimum)
    assert completed(selection, minimum, losing(share)) > 0.94
    assert goal <= selection.max_phones <= 3 * goal


def test_what_cannot_complete_is_tried_as_well_as_may_be_and_never_beyond_the_most() -> None:
    selection = chosen(losing(0.5))
    assert selection.max_phones <= 30
    assert completed(selection, 7, losing(0.5)) > completed(Selection(13), 7, losing(0.5)) + 0.2


def test_a_fixed_over_selection_stays_whatever_is_seen() -> None:
    fixed = select(10, 7, losing(0.3), over_selection=1.5, max_over_selection=1.0)
    assert fixed == Selection(15)


def test_groups_that_the_defence_wants_keep_their_size() -> None:
    assert chosen(losing(0.3), group_phones=8).group_phones == 8


def test_a_large_round_lets_in_what_its_goal_needs() -> None:
    selection = chosen(losing(0.3), 6500, 50)
    assert selection.group_phones == UNSPLIT_PHONES
    stay = losing(0.3)
    assert selection.max_phones * stay.join * stay.upload >= 6500
    assert selection.max_phones < 1.45 * 6500


def test_what_was_seen_is_pooled_over_rounds_and_phones_that_came_too_late_have_not_dropped_out() -> None:
    step = {Step.ADVERTISE: Attendance(20, 18), Step.SHARE: Attendance(18, 18), Step.UPLOAD: Attendance(18, 9, late=9)}
    assert Staying.seen([step]) == Staying(0.9, 1.0, 1.0)
    again = {Step.ADVERTISE: Attendance(20, 20), Step.SHARE: Attendance(20, 10)}
    assert Staying.seen([step, again]) == Staying(0.95, round(28 / 38, 2), 1.0)
    assert Staying.seen([{Step.ADVERTISE: Attendance(10, 10, late=5)}]) == Staying()


@given(st.integers(4, 255), st.floats(0.5, 1.0))
@settings(max_examples=60, deadline=None)
def test_enough_uploads_are_at_least_what_the_steps_after_need_and_at_most_the_roster(roster: int, stay: float) -> None:
    uploads = enough_uploads(roster, 4, round(stay, 2))
    assert min_threshold(roster) <= uploads <= roster


def test_the_rule_knows_every_step() -> None:
    everyone = {step: Attendance(4, 2) for step in STEPS}
    assert Staying.seen([everyone]) == Staying(0.5, 0.25, 0.25)
    assert RoundRules.__dataclass_fields__["group_phones"].default == UNSPLIT_PHONES
