"""Epsilon from rho is `dp_accounting`'s to the last digits, for anyone who does not have that library."""

import math

import pytest
from dp_accounting.rdp import rdp_privacy_accountant
from hypothesis import given
from hypothesis import strategies as st

from federation.privacy.conversion import _FINE_ORDERS, _WHOLE_ORDERS, epsilon_of_rho, rho_of_epsilon
from federation.privacy.errors import AssumptionError

RHOS = st.floats(1e-12, 1e5)
DELTAS = st.sampled_from([1e-12, 1e-10, 1e-6, 1e-3, 0.1])


@given(RHOS, DELTAS, st.booleans())
def test_it_is_what_dp_accounting_computes(rho: float, delta: float, whole: bool) -> None:
    orders = (_WHOLE_ORDERS if whole else _FINE_ORDERS).tolist()
    theirs, _ = rdp_privacy_accountant.compute_epsilon(orders, [rho * order for order in orders], delta)
    assert epsilon_of_rho(rho, delta, whole_orders=whole) == pytest.approx(theirs, rel=1e-12, abs=1e-12)


@given(st.floats(1e-5, 30.0), DELTAS)
def test_it_is_no_more_than_the_published_bound_for_any_order(rho: float, delta: float) -> None:
    # Bun and Steinke 2016, proposition 1.3, whose best order need not be a whole one.
    published = rho + 2 * math.sqrt(rho * -math.log(delta))
    assert epsilon_of_rho(rho, delta) <= published * 1.01


@given(st.floats(1e-3, 1e4), DELTAS, st.booleans())
def test_the_way_back_spends_no_more_than_was_allowed(epsilon: float, delta: float, whole: bool) -> None:
    rho = rho_of_epsilon(epsilon, delta, whole_orders=whole)
    assert epsilon_of_rho(rho, delta, whole_orders=whole) <= epsilon
    assert epsilon_of_rho(rho * 1.001 + 1e-11, delta, whole_orders=whole) >= epsilon * 0.99


def test_nothing_spent_is_nothing_and_no_noise_is_no_bound() -> None:
    assert epsilon_of_rho(0.0, 1e-10) == 0
    assert epsilon_of_rho(math.inf, 1e-10) == math.inf
    for delta in (0.0, 1.0, math.nan):
        with pytest.raises(AssumptionError, match="delta"):
            epsilon_of_rho(1.0, delta)
    with pytest.raises(AssumptionError, match="negative"):
        epsilon_of_rho(-1.0, 0.1)
