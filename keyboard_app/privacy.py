"""Limits and units of a phone's privacy: loss is counted in rho (zero-concentrated) and shown as epsilon at `DELTA`."""

from federation.privacy.conversion import DEFAULT_DELTA, rho_limit, spent_epsilon

DELTA = DEFAULT_DELTA
"""Probability that the bound epsilon does not hold."""

MAX_PARTICIPATIONS = 10_000
"""Maximum number of rounds that one phone contributes to."""

MAX_CLIP, MAX_BITS = 100.0, 64.0
"""Limits of the phone's policy: clip norm, and bits of a masked coordinate."""

epsilon, rho = spent_epsilon, rho_limit
