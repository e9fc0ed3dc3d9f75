"""The accountant against published figures and brute force."""

import math
from itertools import combinations, pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from federation.privacy.accountant import (
    Account,
    Participation,
    ParticipationLog,
    Sampling,
    epsilon_of_gaussian,
    epsilon_of_rho,
    rho_of_epsilon,
    tree_squared_sensitivity,
)
from federation.privacy.errors import AssumptionError


def test_gboard_spanish_from_its_parameters() -> None:
    # Published: z 7, 2,000 rounds, separation 313, 6 participations: rho 0.81, epsilon 8.90 at delta 1e-10.
    account = Account.tree(7.0, Participation(2000, 6, 313), 1e-10, sampling=Sampling.ARRIVAL)
    assert round(account.rho, 2) == 0.81
    assert round(account.epsilon, 2) == 8.90


def test_the_published_pair_of_a_small_rho_lies_within_its_rounding() -> None:
    # Published: rho 0.0144, epsilon 0.994 at delta 1e-10. It is the Gaussian's own conversion.
    assert epsilon_of_gaussian(0.01435, 1e-10) < 0.9945
    assert epsilon_of_gaussian(0.01445, 1e-10) > 0.9935


@pytest.mark.parametrize(("rho", "delta"), [(0.5, 1e-5), (0.02, 1e-8), (3.0, 1e-10)])
def test_epsilon_of_gaussian_noise_is_the_analytic_one(rho: float, delta: float) -> None:
    # Balle and Wang 2018, theorem 5: the exact delta of an epsilon, for a sensitivity of s standard deviations.
    s = math.sqrt(2 * rho)

    def delta_of(epsilon: float) -> float:
        tail = math.exp(epsilon) * stats.norm.cdf(-s / 2 - epsilon / s)
        return float(stats.norm.cdf(s / 2 - epsilon / s) - tail)

    found = epsilon_of_gaussian(rho, delta)
    assert delta_of(found) == pytest.approx(delta, rel=0.01)
    # What holds for any mechanism of this rho is a little more.
    assert found < epsilon_of_rho(rho, delta) < 1.3 * found
    assert epsilon_of_rho(rho, delta) <= epsilon_of_rho(rho, delta, whole_orders=True)


def _brute_force(participation: Participation, restart_rounds: int = 0) -> int:
    rounds, largest = participation.rounds, 0
    period = restart_rounds or rounds
    trees = [range(start, min(start + period, rounds)) for start in range(0, rounds, period)]
    for count in range(1, participation.most + 1):
        for pattern in combinations(range(rounds), count):
            gaps = [later - earlier for earlier, later in pairwise(pattern)]
            if gaps and min(gaps) < participation.minimum_separation:
                continue
            total = 0
            for tree in trees:
                inside = [position - tree.start for position in pattern if position in tree]
                for level in range(len(tree).bit_length()):
                    for node in range(len(tree) >> level):
                        total += sum(position >> level == node for position in inside) ** 2
            largest = max(largest, total)
    return largest


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 13), st.integers(1, 4), st.integers(1, 9), st.integers(0, 14))
def test_the_sensitivity_of_a_tree_is_the_largest_of_all_patterns(
    rounds: int, most: int, separation: int, restart: int
) -> None:
    assume(most <= (rounds - 1) // separation + 1)
    participation = Participation(rounds, most, separation)
    assert tree_squared_sensitivity(participation, restart) == _brute_force(participation, restart)


def test_trees_of_one_round_are_independent_noise() -> None:
    participation = Participation(100, 5, 7)
    assert tree_squared_sensitivity(participation, 1) == 5
    tree = Account.tree(2.0, participation, 1e-8, sampling=Sampling.ARRIVAL, restart_rounds=1)
    assert tree.rho == pytest.approx(5 / (2 * 2.0**2))


def test_trees_of_more_participations_than_can_be_searched_are_refused() -> None:
    with pytest.raises(AssumptionError, match="up to 12 participations, not 13"):
        Account.tree(7.0, Participation(2000, 13, 10), 1e-10, sampling=Sampling.ARRIVAL)


@pytest.mark.parametrize("sampling", [Sampling.POISSON, Sampling.SHUFFLED])
def test_sampling_that_the_protocol_does_not_do_is_refused(sampling: Sampling) -> None:
    with pytest.raises(AssumptionError, match="choose when to come"):
        Account.tree(7.0, Participation(10, 1), 1e-6, sampling=sampling)
    with pytest.raises(AssumptionError, match="choose when to come"):
        Account.independent(0.1, Participation(10, 1), 1e-6, sampling=sampling, whole_orders=False)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1.0])
def test_an_impossible_delta_is_refused(delta: float) -> None:
    with pytest.raises(AssumptionError, match="delta"):
        epsilon_of_rho(0.1, delta)


def test_more_participations_than_fit_are_refused() -> None:
    with pytest.raises(AssumptionError, match="hold 2"):
        Participation(10, 3, 9)


def test_independent_rounds_add_up() -> None:
    once = Account.independent(0.1, Participation(50, 5), 1e-8, sampling=Sampling.ARRIVAL, whole_orders=True)
    assert once.rho == pytest.approx(0.5)
    assert once.epsilon >= epsilon_of_rho(0.5, 1e-8)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.9, 40.0])
def test_rho_of_epsilon_inverts(epsilon: float) -> None:
    assert epsilon_of_rho(rho_of_epsilon(epsilon, 1e-8), 1e-8) == pytest.approx(epsilon, rel=1e-4)


def test_the_ledger_names_the_phone_that_breaks_an_assumption() -> None:
    ledger = ParticipationLog()
    ledger.record(1, ["a", "b"])
    ledger.record(4, ["b"])
    ledger.check(Participation(10, 2, 3))
    assert ledger.participation == Participation(4, 2, 3)
    with pytest.raises(AssumptionError, match="phone b took part 2 times"):
        ledger.check(Participation(10, 1))
    with pytest.raises(AssumptionError, match="phone b came back after 3"):
        ledger.check(Participation(10, 2, 4))
    with pytest.raises(AssumptionError, match="4 rounds were run"):
        ledger.check(Participation(3, 1))
    with pytest.raises(ValueError, match="not after"):
        ledger.record(4, [])


def test_a_ledger_in_which_nobody_took_part_accounts_for_nothing() -> None:
    ledger = ParticipationLog()
    ledger.record(1, [])
    with pytest.raises(AssumptionError, match="nobody"):
        _ = ledger.participation
