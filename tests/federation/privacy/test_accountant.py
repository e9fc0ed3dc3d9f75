"""The accountant against published figures and brute force."""

import math

import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks import tree_noise
from federation.privacy.accountant import (
    Account,
    NoisedRounds,
    Sampling,
    epsilon_of_gaussian,
)
from federation.privacy.buffers import optimised
from federation.privacy.conversion import epsilon_of_rho, rho_of_epsilon
from federation.privacy.errors import AssumptionError
from federation.privacy.participation import Participation, ParticipationLog
from federation.privacy.toeplitz import Buffers

LONG = Participation(2000, 6, 313)


def test_gboard_spanish_from_its_parameters() -> None:
    # Published: z 7, 2,000 rounds, separation 313, 6 participations, on a tree: rho 0.81, epsilon 8.90 at delta 1e-10.
    squared = tree_noise.squared_sensitivity(LONG)
    assert squared == 79
    assert round(epsilon_of_rho(squared / (2 * 7.0**2), 1e-10), 2) == 8.90


def test_correlated_noise_of_that_multiplier_costs_less_than_a_third() -> None:
    account = Account.planned(optimised(LONG), 7.0, LONG, 1e-10, sampling=Sampling.ARRIVAL)
    assert account.rho == pytest.approx(22.415 / (2 * 7.0**2), rel=1e-4)
    assert account.epsilon < 0.55 * 8.90


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


@pytest.mark.parametrize("sampling", [Sampling.POISSON, Sampling.SHUFFLED])
def test_sampling_that_the_protocol_does_not_do_is_refused(sampling: Sampling) -> None:
    with pytest.raises(AssumptionError, match="choose when to come"):
        Account.planned(Buffers(), 7.0, Participation(10, 1), 1e-6, sampling=sampling)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1.0])
def test_an_impossible_delta_is_refused(delta: float) -> None:
    with pytest.raises(AssumptionError, match="delta"):
        epsilon_of_rho(0.1, delta)


def test_more_participations_than_fit_are_refused() -> None:
    with pytest.raises(AssumptionError, match="hold 2"):
        Participation(10, 3, 9)


def test_independent_rounds_add_up() -> None:
    once = Account.planned(Buffers(), 2.0, Participation(50, 5), 1e-8, sampling=Sampling.ARRIVAL)
    assert once.rho == pytest.approx(5 / (2 * 2.0**2))
    assert once.epsilon == epsilon_of_rho(once.rho, 1e-8)


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


PAIR = Buffers((0.7786, 0.99327), (0.32365, 0.1471))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sets(st.sampled_from("abc"), max_size=3), min_size=1, max_size=10), st.sampled_from([Buffers(), PAIR])
)
def test_the_cost_of_any_history_is_that_of_all_releases_together(history: list[set[str]], buffers: Buffers) -> None:
    """By brute force: M = A^T (B B^T)^-1 A over what is released, whichever models were refused or rolled back.

    The releases are rounds' sums with the noise B z; a phone moves the sum of its rounds by A. What is trained on which
    model is chosen by those who see earlier releases and changes neither.
    """
    streams = [NoisedRounds(buffers, 2.0, history)]
    rounds = len(history)
    column = buffers.coefficients(rounds)
    noise = np.linalg.inv(sum(value * np.eye(rounds, k=-index) for index, value in enumerate(column)))
    exact = np.linalg.inv(2.0**2 * noise @ noise.T)
    worst = 0.0
    for phone in "abc":
        moved = np.array([float(phone in phones) for phones in history])
        worst = max(worst, moved @ exact @ moved / 2)
    if not worst:
        with pytest.raises(AssumptionError, match="nobody"):
            Account.of_server(streams, Participation(rounds, 1), 1e-6, sampling=Sampling.ARRIVAL)
        return
    account = Account.of_server(streams, Participation(rounds, 1), 1e-6, sampling=Sampling.ARRIVAL)
    assert account.rho == pytest.approx(worst)


def test_streams_that_begin_anew_add_up_and_cost_no_more_than_one() -> None:
    rounds = [("a", "b") if number % 4 == 0 else ("b",) for number in range(12)]
    whole = Account.of_server([NoisedRounds(PAIR, 1.0, rounds)], Participation(12, 12), 1e-6, sampling=Sampling.ARRIVAL)
    parts = [NoisedRounds(PAIR, 1.0, rounds[:5]), NoisedRounds(PAIR, 1.0, rounds[5:])]
    split = Account.of_server(parts, Participation(12, 12), 1e-6, sampling=Sampling.ARRIVAL)
    assert split.rho == pytest.approx(sum(part.rhos()["b"] for part in parts))
    assert split.rho < whole.rho


@pytest.mark.parametrize("multiplier", [1.0, 7.0])
def test_another_accountant_agrees_on_the_mechanism(multiplier: float) -> None:
    account = Account.planned(optimised(LONG), multiplier, LONG, 1e-8, sampling=Sampling.ARRIVAL)
    assert RdpAccountant().compose(account.event).get_epsilon(1e-8) == pytest.approx(account.epsilon, rel=0.02)
    exact = PLDAccountant().compose(account.event).get_epsilon(1e-8)
    assert exact == pytest.approx(epsilon_of_gaussian(account.rho, 1e-8), rel=1e-3)
    assert exact < account.epsilon


def test_others_see_less_than_the_server_and_names_of_what_is_bare_are_kept() -> None:
    account = Account.of_phone(0.5, Participation(5, 1), 1e-6, sampling=Sampling.ARRIVAL, whole_orders=True)
    assert account.others is None
    account = account.seen_by_others(0.1).leaving("loss", "phones")
    assert account.others == (0.1, epsilon_of_rho(0.1, 1e-6, whole_orders=True))
    assert account.unprotected == ("loss", "phones")


def test_rounds_without_noise_are_no_mechanism() -> None:
    with pytest.raises(AssumptionError, match="positive"):
        NoisedRounds(Buffers(), 0.0, [("a",)])
