"""Epsilon from zero-concentrated privacy loss, and back: for the phone's meter, the audit and the accountant alike.

A mechanism of rho has a Renyi divergence of at most rho alpha of every order alpha (Bun and Steinke 2016,
https://arxiv.org/abs/1605.02065). Of all orders the best bound is taken (Canonne, Kamath and Steinke 2020,
https://arxiv.org/abs/2004.00010, proposition 12), as `dp_accounting` does, which a phone's install does not have.
"""

import functools
import math

import numpy as np
import numpy.typing as npt

from federation.privacy.errors import AssumptionError

DEFAULT_DELTA = 1e-10
"""Of every report, plan and meter that names no other: far less than one in the number of phones."""

# Whole orders only: the bound of Skellam noise is proven for no others.
_WHOLE_ORDERS = np.array([*range(2, 257), *(round(256 * 1.1**power) for power in range(1, 60))], np.float64)
_FINE_ORDERS = np.concatenate([1 + np.arange(1, 5000) / 50, _WHOLE_ORDERS[99:]])


def epsilon_of_rho(rho: float, delta: float, *, whole_orders: bool = False) -> float:
    """Return epsilon of any mechanism whose Renyi divergence of order alpha is at most `rho` alpha.

    Args:
        rho: zero-concentrated differential privacy; infinite for none.
        delta: probability that the bound may fail.
        whole_orders: hold it for whole orders only, as Skellam noise does.

    Raises:
        AssumptionError: delta is none.
    """
    check_delta(delta)
    if rho < 0:
        raise AssumptionError(f"a privacy loss is not negative, not {rho}")
    if math.isinf(rho):
        return math.inf
    orders = _WHOLE_ORDERS if whole_orders else _FINE_ORDERS
    divergences = rho * orders
    if delta**2 + math.expm1(-float(divergences.min())) > 0:
        return 0.0  # the total variation alone is below delta
    return max(0.0, float((divergences + _of_orders(delta, whole_orders=whole_orders)).min()))


@functools.lru_cache(maxsize=64)
def rho_of_epsilon(epsilon: float, delta: float, *, whole_orders: bool = False) -> float:
    """Return the largest rho whose `epsilon_of_rho` is no more than `epsilon`, to a relative 1e-6.

    Raises:
        AssumptionError: epsilon is not positive and finite, or delta is none.
    """
    check_delta(delta)
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise AssumptionError(f"a target epsilon is positive and finite, not {epsilon}")
    low, high = 0.0, max(epsilon, 1.0)
    while epsilon_of_rho(high, delta, whole_orders=whole_orders) < epsilon:
        high *= 2
    while high - low > 1e-6 * high and high > 1e-12:
        middle = (low + high) / 2
        fits = epsilon_of_rho(middle, delta, whole_orders=whole_orders) <= epsilon
        low, high = (middle, high) if fits else (low, middle)
    return low


@functools.lru_cache(maxsize=64)
def _of_orders(delta: float, *, whole_orders: bool) -> npt.NDArray[np.float64]:
    """Return what each order adds to its divergence."""
    orders = _WHOLE_ORDERS if whole_orders else _FINE_ORDERS
    added: npt.NDArray[np.float64] = np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)
    return added


def check_delta(delta: float) -> None:
    """Raise AssumptionError unless delta is a probability."""
    if not 0 < delta < 1:
        raise AssumptionError(f"delta is between 0 and 1, not {delta}: take less than one in the number of phones")


def spent_epsilon(rho: float) -> float:
    """Return the epsilon at `DEFAULT_DELTA` of what a phone has spent, with noise of either kind."""
    return epsilon_of_rho(rho, DEFAULT_DELTA, whole_orders=True)


def rho_limit(epsilon: float) -> float:
    """Return the rho of which `spent_epsilon` is this; none of 0, and no limit of infinity."""
    if math.isinf(epsilon) or epsilon == 0:
        return epsilon
    return rho_of_epsilon(epsilon, DEFAULT_DELTA, whole_orders=True)
