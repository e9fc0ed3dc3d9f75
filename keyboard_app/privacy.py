"""Limits and units of a phone's privacy: loss is counted in rho (zero-concentrated) and shown as epsilon at `DELTA`."""

import math

from federation.privacy.conversion import DEFAULT_DELTA, epsilon_of_rho, rho_of_epsilon

DELTA = DEFAULT_DELTA
"""Probability that the bound epsilon does not hold."""

MAX_PARTICIPATIONS = 10_000
"""Maximum number of rounds that one phone contributes to."""

MAX_CLIP, MAX_BITS = 100.0, 64.0
"""Limits of the phone's policy: clip norm, and bits of a masked coordinate."""


def epsilon(spent_rho: float) -> float:
    """Return the epsilon at `DELTA` of what was spent, with noise of either kind."""
    return epsilon_of_rho(spent_rho, DELTA, whole_orders=True)


def rho(limit_epsilon: float) -> float:
    """Return the loss of which `epsilon` is this; none of a limit of 0."""
    if math.isinf(limit_epsilon) or limit_epsilon == 0:
        return limit_epsilon
    return rho_of_epsilon(limit_epsilon, DELTA, whole_orders=True)
