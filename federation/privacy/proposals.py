"""Noise, cohorts and rounds that meet a target: what a population of some size can afford."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from federation.privacy.accountant import (
    MAX_IN_TREES,
    Participation,
    rho_of_epsilon,
    tree_squared_sensitivity,
)

COHORTS = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)


@dataclass(frozen=True)
class Proposal:
    """A way to train within a target.

    Attributes:
        cohort: phones in a round.
        participation: of a phone, if each comes once in every pass over the population.
        rho: zCDP of the whole run.
        fresh_noise: multiplier of independent noise every round.
        tree_noise: multiplier of a node of one tree over the rounds; none where that cannot be accounted for.
    """

    cohort: int
    participation: Participation
    rho: float
    fresh_noise: float
    tree_noise: float | None

    @property
    def fresh_on_all_rounds(self) -> float:
        """Standard deviation of fresh noise on the sum of all rounds' means, over the clip."""
        return self.fresh_noise * math.sqrt(self.participation.rounds) / self.cohort

    @property
    def tree_on_all_rounds(self) -> float | None:
        """The same of a tree's noise, each node of which is averaged with those below it (Honaker 2015)."""
        if self.tree_noise is None:
            return None
        rounds = self.participation.rounds
        nodes = [level for level in range(rounds.bit_length()) if rounds >> level & 1]
        return self.tree_noise * math.sqrt(sum(1 / (2 - 2.0**-level) for level in nodes)) / self.cohort


def proposals(
    target_epsilon: float, delta: float, population: int, rounds: Iterable[int], cohorts: Iterable[int] = COHORTS
) -> list[Proposal]:
    """Return one proposal for each number of rounds and each cohort that the population has.

    Raises:
        AssumptionError: of the target or of delta.
    """
    rho = rho_of_epsilon(target_epsilon, delta)
    found = []
    sizes = [size for size in cohorts if size <= population] or [population]
    for count in rounds:
        for cohort in sizes:
            separation = min(population // cohort, count)
            participation = Participation(count, (count - 1) // separation + 1, separation)
            tree = None
            if participation.most <= MAX_IN_TREES:
                tree = math.sqrt(tree_squared_sensitivity(participation) / (2 * rho))
            fresh = math.sqrt(participation.most / (2 * rho))
            found.append(Proposal(cohort, participation, rho, fresh, tree))
    return found
