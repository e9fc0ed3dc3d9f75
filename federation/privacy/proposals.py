"""Noise, cohorts and rounds that meet a target: what a population of some size can afford."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from federation.privacy.buffers import noise_on_models, optimised
from federation.privacy.conversion import rho_of_epsilon
from federation.privacy.participation import Participation
from federation.privacy.toeplitz import Buffers

COHORTS = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)


@dataclass(frozen=True)
class Proposal:
    """A way to train within a target.

    Attributes:
        cohort: phones in a round.
        participation: of a phone, if each comes once in every pass over the population.
        rho: zCDP of the whole run.
        buffers: of correlated noise, made for this participation.
    """

    cohort: int
    participation: Participation
    rho: float
    buffers: Buffers

    def multiplier(self, buffers: Buffers) -> float:
        """Return the noise multiplier z with which noise correlated so meets the target."""
        moved = buffers.squared_sensitivity(self.participation.worst, self.participation.rounds)
        return math.sqrt(moved / (2 * self.rho))

    def on_models(self, buffers: Buffers) -> float:
        """Return the standard deviation of that noise in a model, over the clip: root mean square over rounds.

        A model is the sum of the means of the rounds so far; the server's step is one.
        """
        return noise_on_models(buffers, self.participation) / math.sqrt(2 * self.rho) / self.cohort


def proposals(
    target_epsilon: float, delta: float, population: int, rounds: Iterable[int], cohorts: Iterable[int] = COHORTS
) -> list[Proposal]:
    """Return one proposal for each number of rounds and each cohort that the population has.

    Raises:
        AssumptionError: of the target or of delta.
    """
    rho = rho_of_epsilon(target_epsilon, delta)
    sizes = [size for size in cohorts if size <= population] or [population]
    found = []
    for count in rounds:
        for cohort in sizes:
            participation = Participation.in_passes(count, population, cohort)
            found.append(Proposal(cohort, participation, rho, optimised(participation)))
    return found
