"""Which simulated clients come to which round."""

import numpy as np
import numpy.typing as npt

from federation.errors import ConfigError

Cohorts = npt.NDArray[np.int64]  # [rounds, cohort]


def choose_cohorts(
    clients: int, cohort: int, rounds: int, *, seed: list[int], separation: int = 1, most: int = 0
) -> Cohorts:
    """Return the clients of each round, drawn without regard to their data.

    Args:
        clients: to choose from.
        cohort: clients in a round.
        rounds: of the run.
        seed: of the draws; a round's number, from 1, is added.
        separation: difference of the numbers of two rounds with the same client, at least.
        most: rounds that a client is in, at most; 0 is no limit. With a limit, who came least often comes first.

    Raises:
        ConfigError: there are too few clients for these limits.
    """
    size = min(cohort, clients)
    cohorts = np.empty((rounds, size), np.int64)
    times = np.zeros(clients, np.int64)
    rests_until = np.zeros(clients, np.int64)
    for number in range(1, rounds + 1):
        random = np.random.default_rng([*seed, number])
        if separation == 1 and not most:
            chosen = random.choice(clients, size, replace=False)
        else:
            ready = np.flatnonzero((rests_until <= number) & ((times < most) if most else True))
            if len(ready) < size:
                raise ConfigError(
                    f"in round {number} only {len(ready)} of {clients} clients may come again, not {size}: "
                    "lower the cohort, the rounds or privacy.minimum_separation, or raise privacy.max_participations"
                )
            order = random.permutation(ready)
            chosen = order[np.argsort(times[order], kind="stable")[:size]] if most else order[:size]
        times[chosen] += 1
        rests_until[chosen] = number + separation
        cohorts[number - 1] = chosen
    return cohorts
