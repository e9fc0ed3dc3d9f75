"""What one round costs a phone that takes part in it, in zero-concentrated differential privacy (rho).

Neighbouring data sets differ in all data of one phone, which is put in place of nothing. The phone's rounded vector
has an L2 norm of at most `NoiseScale.sensitivity` levels.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from federation.privacy.errors import NoiseError
from federation.privacy.mechanisms import NoiseScale
from federation.protocol.plan import Mechanism, RoundPlan


def round_rho(scale: NoiseScale) -> float:
    """Return rho of a sum with the noise of `scale.contributors` phones.

    Skellam noise: its Renyi divergence of order alpha (Agarwal, Kairouz and Liu 2021, section 3) is at most rho * alpha
    for whole alpha > 1 with the rho returned here, in which the excess over the Gaussian's divergence is multiplied by
    alpha too. Sums of discrete Gaussians: Kairouz, Liu and Steinke 2021, proposition 14, of whose summand tau * d, once
    for every order, the same holds.

    Raises:
        NoiseError: there is no noise.
    """
    squared, variance = scale.sensitivity**2, scale.sum_variance
    # An integer vector's L1 norm is at most its squared L2 norm, and sqrt(d) times its L2 norm.
    l1 = min(squared, math.sqrt(scale.coordinates) * scale.sensitivity)
    match scale.mechanism:
        case Mechanism.SKELLAM:
            # ((2 alpha - 1) squared + 6 l1) / 4 variance^2, of which alpha times the bracket below is an upper bound.
            excess = min((2 * squared + 6 * l1) / (4 * variance**2), 3 * l1 / (2 * variance))
            return squared / (2 * variance) + excess
        case Mechanism.DISCRETE_GAUSSIAN:
            gap = 10 * sum(
                math.exp(-2 * math.pi**2 * scale.phone_variance * k / (k + 1)) for k in range(1, scale.contributors)
            )
            epsilon = min(
                math.sqrt(squared / variance + 2 * gap * scale.coordinates),
                scale.sensitivity / math.sqrt(variance) + gap * math.sqrt(scale.coordinates),
            )
            return epsilon**2 / 2
        case Mechanism.NONE:
            raise NoiseError("a round without noise has no privacy to count: choose a mechanism")


class RoundsCost(NamedTuple):
    """What rounds cost a phone that was in each of them, against the server's operator.

    Attributes:
        rounds: Number of rounds.
        unnoised: Number of those without noise by the phones, for which no bound holds.
        rho: zCDP of all the others together.
    """

    rounds: int
    unnoised: int
    rho: float

    @classmethod
    def of(cls, plans: Iterable[RoundPlan]) -> "RoundsCost":
        """Return the cost of the rounds of these plans; a server's own noise is not counted on."""
        costs = [None if plan.privacy.mechanism is Mechanism.NONE else round_rho(NoiseScale.of(plan)) for plan in plans]
        noised = [cost for cost in costs if cost is not None]
        return cls(len(costs), len(costs) - len(noised), math.fsum(noised))
