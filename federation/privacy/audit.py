"""What an attacker who sees every release can tell of canaries: a bound on privacy from below, by trying.

A canary is a client whose update is a random direction as long as the clip, in or out of the run by the toss of a coin.
Who took part is read off the releases: where canaries are in, their statistic is higher by mu standard deviations. Mu
of Gaussian noise is sqrt(2 rho), so that its estimate is held against the account (Andrew et al. 2023,
https://arxiv.org/abs/2302.03098). The other bound needs no shape of the noise: guesses that are right too often for an
epsilon refute it (Steinke, Nasr and Jagielski 2023, https://arxiv.org/abs/2305.08846); however weak the privacy, it
stays below the logarithm of the number of canaries.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from federation.privacy.accountant import epsilon_of_gaussian
from federation.privacy.errors import AssumptionError

CERTAINTY = 1 - 1e-6
"""Confidence with which a run's account is called wrong."""

_GUESSED_SHARES = (0.05, 0.1, 0.2, 0.4, 1.0)
_MIN_CANARIES = 20


@dataclass(frozen=True, eq=False)
class Audit:
    """Statistics of canaries.

    Attributes:
        inside: float64[canaries in the run]; higher tells more certainly that one was in.
        outside: float64[canaries out of it].
        confidence: with which each bound holds.
    """

    inside: npt.NDArray[np.float64]
    outside: npt.NDArray[np.float64]
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if min(len(self.inside), len(self.outside)) < _MIN_CANARIES:
            raise AssumptionError(f"an audit needs {_MIN_CANARIES} canaries in and out of the run: take more canaries")

    @property
    def mu(self) -> float:
        """How many standard deviations apart both kinds of canaries are."""
        deviation = math.sqrt((np.var(self.inside, ddof=1) + np.var(self.outside, ddof=1)) / 2)
        return float(np.mean(self.inside) - np.mean(self.outside)) / deviation

    @property
    def least_mu(self) -> float:
        """What mu is at least, if the statistics are normal."""
        ins, outs = len(self.inside), len(self.outside)
        error = math.sqrt(1 / ins + 1 / outs + self.mu**2 / (2 * (ins + outs - 2)))
        return max(self.mu - float(stats.norm.ppf(self.confidence)) * error, 0.0)

    def epsilon_of_mu(self, delta: float) -> float:
        """Return what epsilon is at least, if the statistics are normal."""
        return epsilon_of_gaussian(self.least_mu**2 / 2, delta) if self.least_mu else 0.0

    def refutes(self, mu: float, epsilon: float, confidence: float) -> bool:
        """Return whether a claim lies below what is certain with this confidence."""
        surer = replace(self, confidence=confidence)
        return surer.least_mu > mu or surer.epsilon_of_guesses > epsilon

    @property
    def epsilon_of_guesses(self) -> float:
        """What epsilon is at least, whatever the noise; delta is taken to be far below one in the canaries.

        The surest of both kinds of guesses are made, as many as the best of a few numbers; each try takes its part of
        what may go wrong.
        """
        middle = (np.median(self.inside) + np.median(self.outside)) / 2
        scores = np.concatenate([self.inside - middle, self.outside - middle])
        truth = np.concatenate([np.ones(len(self.inside), bool), np.zeros(len(self.outside), bool)])
        order = np.argsort(-np.abs(scores))
        right = (scores > 0)[order] == truth[order]
        chance = (1 - self.confidence) / len(_GUESSED_SHARES)
        counts = {max(1, int(share * len(order))) for share in _GUESSED_SHARES}
        return max(_refuted(int(right[:count].sum()), count, chance) for count in counts)


def _refuted(right: int, guesses: int, chance: float) -> float:
    """Return the largest epsilon under which this many right guesses have at most this chance; 0 if none is refuted."""

    def excess(epsilon: float) -> float:
        return float(stats.binom.sf(right - 1, guesses, 1 / (1 + math.exp(-epsilon)))) - chance

    if excess(0.0) >= 0:
        return 0.0
    return float(optimize.brentq(excess, 0.0, 50.0)) if excess(50.0) > 0 else 50.0
