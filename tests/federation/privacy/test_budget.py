"""The phone's meter."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from federation.device.store import PhoneStore
from federation.privacy.budget import PrivacyBudget
from federation.privacy.errors import BudgetError
from federation.privacy.mechanisms import NoiseScale
from federation.privacy.zcdp import round_rho
from federation.protocol.plan import Privacy, RoundPlan


def test_rounds_add_up_until_the_next_would_be_too_much(plan: RoundPlan) -> None:
    cost = round_rho(NoiseScale.of(plan))
    budget = PrivacyBudget(limit_rho=2.5 * cost, max_participations=100)
    for round_id in (1, 2):
        budget = budget.join(replace(plan, round_id=round_id))
    assert budget.spent_rho == pytest.approx(2 * cost)
    with pytest.raises(BudgetError, match="is left"):
        budget.join(replace(plan, round_id=3))


def test_a_round_without_noise_is_beyond_every_limit(plan: RoundPlan) -> None:
    with pytest.raises(BudgetError, match="inf"):
        PrivacyBudget(limit_rho=1e9, max_participations=1).join(replace(plan, privacy=Privacy()))


def test_a_phone_without_limit_takes_part_without_noise(plan: RoundPlan) -> None:
    budget = PrivacyBudget(math.inf, max_participations=1).join(replace(plan, privacy=Privacy()))
    assert budget.participations == 1
    with pytest.raises(BudgetError, match="no more"):
        budget.join(replace(plan, round_id=8))


def test_a_phone_rests_between_its_rounds(plan: RoundPlan) -> None:
    budget = PrivacyBudget(math.inf, 10, minimum_separation=5).join(plan)
    with pytest.raises(BudgetError, match="until round 12"):
        budget.join(replace(plan, round_id=11))
    assert budget.join(replace(plan, round_id=12)).last_round_id == 12


@pytest.mark.parametrize("limit", [3.5, math.inf])
def test_a_budget_outlives_the_app(plan: RoundPlan, limit: float) -> None:
    budget = PrivacyBudget(limit, 5, minimum_separation=2).join(plan)
    assert PrivacyBudget.from_json(budget.to_json()) == budget
    assert "Infinity" not in budget.to_json()  # which is not JSON


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-3],
        lambda text: text.replace("spent_rho", "spend_rho"),
        lambda text: text.replace('"participations": 1', '"participations": 0.5'),
        lambda text: text.replace('"participations": 1', '"participations": -1'),
        lambda text: text.replace('"participations": 1', '"participations": null'),
        lambda text: text.replace('"limit_rho": 3.5', '"limit_rho": "much"'),
        lambda _: "[]",
        lambda _: "",
    ],
)
def test_a_damaged_budget_takes_part_no_more(plan: RoundPlan, damage: Callable[[str], str]) -> None:
    with pytest.raises(BudgetError, match="takes part no more until its owner"):
        PrivacyBudget.from_json(damage(PrivacyBudget(3.5, 5).join(plan).to_json()))


def test_a_phone_keeps_its_budget_with_its_state(plan: RoundPlan, tmp_path: Path) -> None:
    budget = PrivacyBudget(math.inf, 5).join(plan)
    PhoneStore(tmp_path).budget = budget
    assert PhoneStore(tmp_path).budget == budget
