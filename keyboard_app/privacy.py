"""Limits and units of a phone's privacy: loss is counted in rho (zero-concentrated) and shown as epsilon at `DELTA`."""

import math

DELTA = 1e-6
"""Probability that the bound epsilon does not hold."""

MAX_PARTICIPATIONS = 10_000
"""Maximum number of rounds that one phone contributes to."""

MAX_CLIP, MAX_BITS = 100.0, 64.0
"""Limits of the phone's policy: clip norm, and bits of a masked coordinate."""


def epsilon(spent_rho: float) -> float:
    """Return the epsilon at `DELTA` of zero-concentrated privacy loss (Bun and Steinke 2016, proposition 1.3)."""
    return spent_rho + 2 * math.sqrt(spent_rho * -math.log(DELTA))


def rho(limit_epsilon: float) -> float:
    """Return the loss of which `epsilon` is this."""
    if math.isinf(limit_epsilon):
        return math.inf
    log = -math.log(DELTA)
    return (math.sqrt(log + limit_epsilon) - math.sqrt(log)) ** 2
