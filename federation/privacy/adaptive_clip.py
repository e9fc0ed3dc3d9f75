"""A clip norm that follows a quantile of the norms of clients' deltas (Andrew et al. 2021).

Each client says whether its delta was within the clip norm; the sum of these answers is noised like the deltas, and
moves the clip norm of the next round by a geometric step (https://arxiv.org/abs/1905.03871). Simulation and round
server call the same functions.
"""

import math

from federation.errors import ConfigError

_COUNT_NOISE_SHARE = 0.05
"""Standard deviation of a server's noise on the number of clients within the clip norm, over the cohort."""

_MIN_COUNT_DEVIATION = 0.25
"""Clients; below that, a discrete Gaussian of halves is no noise."""


def next_clip(clip: float, share: float, *, quantile: float, learning_rate: float) -> float:
    """Return the clip norm of the next round.

    Args:
        clip: of this round.
        share: Fraction of clients whose delta was within it; an estimate, so that it may lie outside of 0 to 1.
        quantile: Fraction of clients whose delta shall be within it; 0 keeps the clip norm.
        learning_rate: Step of its logarithm for each unit of the difference.
    """
    if not quantile:
        return clip
    return clip * math.exp(learning_rate * (quantile - min(max(share, 0.0), 1.0)))


def count_deviation(cohort: int) -> float:
    """Return the standard deviation of a server's noise on the number of clients within the clip norm."""
    return max(_COUNT_NOISE_SHARE * cohort, _MIN_COUNT_DEVIATION)


def delta_noise_multiplier(multiplier: float, cohort: int) -> float:
    """Return the multiplier of a server's noise on the deltas, so that it and the count's cost what `multiplier` costs.

    A phone moves correlated noise by as many rounds as it was in at least, and the counts by as many (theorem 1 of the
    paper); it moves the centred count by a half.

    Raises:
        ConfigError: the count alone costs more.
    """
    if not multiplier:
        return multiplier
    count = 2 * _COUNT_NOISE_SHARE * cohort
    if multiplier >= count:
        raise ConfigError(
            f"an adaptive clip with a cohort of {cohort} needs a noise multiplier below {count:g}: "
            "take a larger cohort or a fixed clip"
        )
    return float((multiplier**-2 - count**-2) ** -0.5)
