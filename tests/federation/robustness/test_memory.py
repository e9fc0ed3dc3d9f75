import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import ConfigError
from federation.robustness import Action, DefenceSettings, Group, Memory, Reading, RejectionCount, defend
from federation.robustness.memory import Best, binomial_tail
from federation.updates.update import Tally
from federation.updates.weighted_sum import WeightedSum

SETTINGS = DefenceSettings(quarantine_rounds=5, memory_rounds=4)


@given(st.integers(0, 30), st.integers(0, 30), st.floats(0, 1))
def test_the_tail_of_the_binomial_is_that_of_enumeration(n: int, k: int, share: float) -> None:
    k = min(k, n)
    below = sum(math.comb(n, i) * share**i * (1 - share) ** (n - i) for i in range(k))
    assert binomial_tail(RejectionCount(n, k), share) == pytest.approx(1 - below, abs=1e-9)


def rounds_of(attackers: set[str], rounds: int, settings: DefenceSettings = SETTINGS) -> tuple[Memory, dict[str, int]]:
    """Draw 40 of 100 phones a round; a group of ten with an attacker in it is rejected."""
    random = np.random.default_rng(0)
    memory, when = Memory(), dict[str, int]()
    for number in range(rounds):
        able = [str(phone) for phone in range(100) if memory.may_take_part(str(phone), number)]
        drawn = random.permutation(able)[:40].tolist()
        groups = [drawn[start : start + 10] for start in range(0, 40, 10)]
        accepted = [group for group in groups if attackers.isdisjoint(group)]
        rejected = [group for group in groups if not attackers.isdisjoint(group)]
        memory, decisions = memory.judged(accepted, rejected, number, settings)
        when |= {decision.subject: number for decision in decisions}
        assert all(decision.action is Action.QUARANTINED for decision in decisions)
    return memory, when


def test_attackers_end_in_quarantine_and_honest_phones_do_not() -> None:
    forever = DefenceSettings(quarantine_rounds=1000)
    _, when = rounds_of({"3", "50"}, 60, forever)
    assert set(when) == {"3", "50"}


def test_nobody_is_quarantined_where_every_group_is_rejected() -> None:
    """Then rejections say nothing about a phone."""
    _, when = rounds_of({str(phone) for phone in range(100)}, 30)
    assert not when


def test_quarantine_ends_and_the_phone_starts_anew() -> None:
    memory = Memory(standings={"a": RejectionCount(9, 9), "b": RejectionCount(500, 5)})
    memory, decisions = memory.judged([["b"]], [["a"]], 7, SETTINGS)
    assert [decision.subject for decision in decisions] == ["a"]
    assert "in 10 rejected groups of 10" in decisions[0].reason
    assert "a" not in memory.standings
    assert [memory.may_take_part("a", number) for number in (8, 12, 13)] == [False, False, True]
    memory, _ = memory.judged([["a"]], [], 13, SETTINGS)
    assert memory.standings["a"] == (1, 0)
    assert not memory.quarantined


def test_a_chance_of_zero_switches_quarantine_off() -> None:
    _, when = rounds_of({"3"}, 60, DefenceSettings(quarantine_chance=0.0))
    assert not when


def test_the_running_norm_follows_a_low_quantile_and_rises_slowly_and_falls_fast() -> None:
    memory = Memory()
    assert memory.running_norm(DefenceSettings(initial_norm=2.5)) == 2.5
    memory = memory.with_norms([1.0, 1.0, 9.0, 9.0], SETTINGS)
    assert memory.norm == 1.0
    assert memory.with_norms([5.0, 6.0, 7.0], SETTINGS).norm == pytest.approx(1.02)
    assert memory.with_norms([1.01, 9.0, 9.0, 9.0, 9.0], SETTINGS).norm == pytest.approx(1.02)
    assert memory.with_norms([0.2, 0.2, 9.0], SETTINGS).norm == pytest.approx(0.6)
    assert memory.with_norms([], SETTINGS) == memory


@pytest.mark.parametrize(("share", "widest"), [(0.05, 1.1), (0.12, 1.4), (0.2, 2.5)])
def test_who_spoils_most_groups_does_not_widen_what_is_accepted(share: float, widest: float) -> None:
    """Attackers know the running norm and keep their groups just below what is rejected, for two hundred rounds.

    With the median of accepted groups, 12 % of phones made it fifty times as long.
    """
    settings = DefenceSettings(enabled=True, max_gate_loss_nats=0, canary_jump=0, rollback_loss=0, initial_norm=1.0)
    random, memory = np.random.default_rng(0), Memory()
    attackers = {str(number) for number in range(int(600 * share))}
    model, norms = np.zeros(300), []
    for number in range(1, 201):
        able = [str(phone) for phone in range(600) if memory.may_take_part(str(phone), number)]
        drawn = random.permutation(able)[:60].tolist()
        groups = []
        for start in range(0, 60, 10):
            members = drawn[start : start + 10]
            spoiled = sum(member in attackers for member in members)
            honest = random.normal(size=300)
            honest = 0.5 * honest / np.linalg.norm(honest) + 0.86 * np.eye(1, 300, 1)[0]
            if spoiled:
                aim = 0.97 * settings.norm_factor * memory.running_norm(settings)
                honest = honest * (10 - spoiled) / 10
                honest[0] += math.sqrt(max(aim**2 - 1, 0))
            groups.append(Group(WeightedSum((honest * 10).astype(np.float32), Tally(10), 10), tuple(members)))
        outcome = defend(
            groups,
            memory,
            settings,
            round_number=number,
            current=model,
            current_round=number - 1,
            step=lambda state, total: state + total.mean,
            probe=lambda _: None,
        )
        memory, model = outcome.memory, outcome.state
        norms.append(memory.norm)
    assert max(norms) < widest
    assert min(norms) > 0.5


def test_a_memory_of_an_earlier_version_goes_on() -> None:
    told = Memory(2.0).to_json()
    del told["norm"]
    assert Memory.from_json(told | {"norms": [1.0, 4.0, 3.0]}).norm == 3.0
    assert Memory.from_json(told | {"norms": []}).norm == 0.0


def test_canaries_are_averaged_and_the_best_version_is_kept() -> None:
    memory = Memory().with_reading(0, Reading(3.0, (0.2, 0.4)), SETTINGS)
    assert memory.canaries == (0.2, 0.4)
    memory = memory.with_reading(1, Reading(2.0, (0.6, 0.4)), SETTINGS)
    assert memory.canaries == pytest.approx((0.3, 0.4))
    assert memory.with_reading(2, Reading(2.5, (0.6, 0.4)), SETTINGS).best == Best(1, 2.0)


def test_what_is_stored_is_json_and_comes_back() -> None:
    memory = Memory(1.5, {"a": RejectionCount(3, 1)}, {"b": 9}, (0.25,), Best(4, 3.5), 0.5)
    assert Memory.from_json(json.loads(json.dumps(memory.to_json()))) == memory
    assert Memory.from_json(json.loads(json.dumps(Memory().to_json()))) == Memory()


@pytest.mark.parametrize(
    "change",
    [
        {"group_phones": 0},
        {"norm_factor": -1.0},
        {"piece_factor": -1.0},
        {"piece_quantile": 1.5},
        {"clip_factor": math.inf},
        {"min_agreement": 2.0},
        {"canary_jump": 1.5},
        {"quarantine_chance": -0.1},
        {"memory_rounds": 0},
        {"norm_quantile": 1.5},
        {"norm_rise": -0.1},
        {"rollback_loss": math.nan},
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        DefenceSettings(**change)  # type: ignore[arg-type]
