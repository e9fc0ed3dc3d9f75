"""What a counting round needs under noise: which n-grams, or new words, a population of some size would see."""

import math
from dataclasses import dataclass

from federation.privacy.conversion import rho_of_epsilon
from federation.privacy.errors import AssumptionError
from federation.rounds.counting import threshold
from federation.secure_aggregation import MAX_COHORT

LARGEST_SHARE = 0.1
"""Where only what more phones than this share use is seen, counting says nothing that public text does not."""


@dataclass(frozen=True)
class CountingPlan:
    """One counting round of a population, within a target.

    Every phone takes part once, in groups of `MAX_COHORT`, and everybody stays: phones that drop out make the noise of
    those that stay larger.

    Attributes:
        rho: zCDP of the round.
        population: phones.
        clip: L2 bound of one phone's counts.
        length: counters.
    """

    rho: float
    population: int
    clip: float
    length: int

    @classmethod
    def within(
        cls, target_epsilon: float, delta: float, population: int, *, clip: float, length: int
    ) -> "CountingPlan":
        """Return the plan that spends a target.

        Raises:
            AssumptionError: of the target or of delta, or no population is large enough.
        """
        found = cls(rho_of_epsilon(target_epsilon, delta), population, clip, length)
        if found.rho <= 0 or not math.isfinite((found.multiplier * clip / LARGEST_SHARE) ** 2):
            raise AssumptionError("no population is large enough for this: raise the target epsilon or lower the clip")
        return found

    @property
    def multiplier(self) -> float:
        """Noise multiplier that phones are told."""
        return math.sqrt(1 / (2 * self.rho))

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise on a counter of the sum of all groups."""
        return self.multiplier * self.clip * math.sqrt(math.ceil(self.population / MAX_COHORT))

    @property
    def threshold(self) -> float:
        """Count below which a sum is taken for noise."""
        return threshold(self.deviation, self.length)

    @property
    def share(self) -> float:
        """Share of phones that have to contribute one for a sum to be seen; above 1 nothing is."""
        return self.threshold / self.population

    @property
    def enough(self) -> bool:
        """Whether the population sees what is worth counting."""
        return self.share <= LARGEST_SHARE

    def refusal(self, what: str, epsilon: float) -> str:
        """Say that the population is too small to count something, and what would do."""
        return (
            f"{self.population:,} phones are too few to count {what} at epsilon {epsilon:.3g}: noise hides what fewer "
            f"than {100 * LARGEST_SHARE:g} % of phones use; wait for {self.population_for(LARGEST_SHARE):,} phones, or "
            "shorten the list, the clip or the target"
        )

    def population_for(self, share: float) -> int:
        """Return how many phones it takes to see what a share of them contributes one of."""
        noise = self.multiplier * self.clip * math.sqrt(2 * math.log(max(self.length, 2)) / MAX_COHORT)
        return math.ceil((noise / share) ** 2)
