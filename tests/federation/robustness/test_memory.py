import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import ConfigError
from federation.robustness import Action, DefenceSettings, Memory, Reading, RejectionCount
from federation.robustness.memory import Best, binomial_tail

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


def test_the_running_norm_is_the_median_of_the_latest_rounds() -> None:
    memory = Memory()
    assert memory.running_norm(DefenceSettings(initial_norm=2.5)) == 2.5
    for norm in (100.0, 1.0, 2.0, 3.0, 9.0):
        memory = memory.with_norm(norm, SETTINGS)
    assert memory.norms == (1.0, 2.0, 3.0, 9.0)
    assert memory.running_norm(SETTINGS) == 2.5


def test_canaries_are_averaged_and_the_best_version_is_kept() -> None:
    memory = Memory().with_reading(0, Reading(3.0, (0.2, 0.4)), SETTINGS)
    assert memory.canaries == (0.2, 0.4)
    memory = memory.with_reading(1, Reading(2.0, (0.6, 0.4)), SETTINGS)
    assert memory.canaries == pytest.approx((0.3, 0.4))
    assert memory.with_reading(2, Reading(2.5, (0.6, 0.4)), SETTINGS).best == Best(1, 2.0)


def test_what_is_stored_is_json_and_comes_back() -> None:
    memory = Memory((1.0, 2.0), {"a": RejectionCount(3, 1)}, {"b": 9}, (0.25,), Best(4, 3.5))
    assert Memory.from_json(json.loads(json.dumps(memory.to_json()))) == memory
    assert Memory.from_json(json.loads(json.dumps(Memory().to_json()))) == Memory()


@pytest.mark.parametrize(
    "change",
    [
        {"group_phones": 0},
        {"norm_factor": -1.0},
        {"clip_factor": math.inf},
        {"min_agreement": 2.0},
        {"canary_jump": 1.5},
        {"quarantine_chance": -0.1},
        {"memory_rounds": 0},
        {"rollback_loss": math.nan},
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        DefenceSettings(**change)  # type: ignore[arg-type]
