"""What a whole training run costs a phone: epsilon, delta, zCDP rho, and all that this rests on.

Neighbouring runs differ in all data of one phone, which is put in place of nothing (zero-out adjacency). Nothing is
gained from sampling: phones choose when to come, so who is in a cohort is neither random nor secret, and the theorems
on amplification by sampling or shuffling do not hold.

Independent noise every round costs rho once for each round that a phone is in. Tree aggregation (DP-FTRL, Kairouz et
al. 2021, https://arxiv.org/abs/2103.00039) adds noise to the sums of binary nodes of rounds; a phone is in several.
"""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from itertools import pairwise
from typing import Self

from dp_accounting.pld import privacy_loss_distribution
from dp_accounting.rdp import rdp_privacy_accountant

from federation.privacy.errors import AssumptionError

# Whole orders only: the bound of Skellam noise is proven for no others.
_ORDERS = [*range(2, 257), *(round(256 * 1.1**power) for power in range(1, 60))]
_FINE_ORDERS = [*(1 + step / 50 for step in range(1, 5000)), *_ORDERS[99:]]


MAX_IN_TREES = 12
"""Participations of a phone for which a tree's cost can be searched."""

SERVER_TRUSTED = "the server adds the noise, and shows nobody a sum without it"


class Sampling(Enum):
    """How phones come into a cohort."""

    ARRIVAL = "arrival"
    POISSON = "poisson"
    SHUFFLED = "shuffled"


@dataclass(frozen=True)
class Participation:
    """How often any one phone takes part, at most.

    Attributes:
        rounds: of the run.
        most: rounds that a phone is in.
        minimum_separation: difference of the numbers of two such rounds, at least.
    """

    rounds: int
    most: int
    minimum_separation: int = 1

    def __post_init__(self) -> None:
        if min(self.rounds, self.most, self.minimum_separation) < 1:
            raise AssumptionError(f"rounds, participations and separation are at least 1: {self}")
        fits = (self.rounds - 1) // self.minimum_separation + 1
        if self.most > fits:
            raise AssumptionError(
                f"{self.rounds} rounds hold {fits} participations that are {self.minimum_separation} apart, "
                f"not {self.most}: lower the participations or the separation"
            )


class ParticipationLog:
    """Who really took part: what an assumed `Participation` is held against."""

    def __init__(self) -> None:
        self._rounds: defaultdict[str, list[int]] = defaultdict(list)
        self._last = 0

    def record(self, round_number: int, devices: Iterable[str]) -> None:
        """Add a round, whether it succeeded or not.

        Raises:
            ValueError: it is not after the last one.
        """
        if round_number <= self._last:
            raise ValueError(f"round {round_number} is not after round {self._last}")
        self._last = round_number
        for device in set(devices):
            self._rounds[device].append(round_number)

    @property
    def participation(self) -> Participation:
        """The tightest assumption that holds.

        Raises:
            AssumptionError: nobody has taken part.
        """
        if not self._rounds:
            raise AssumptionError("nobody has taken part yet: there is nothing to account for")
        gaps = (later - earlier for rounds in self._rounds.values() for earlier, later in pairwise(rounds))
        most = max(len(rounds) for rounds in self._rounds.values())
        return Participation(self._last, most, min(gaps, default=self._last))

    def check(self, assumed: Participation) -> None:
        """Raise AssumptionError, naming the phone, if any came more often or sooner than assumed."""
        if self._last > assumed.rounds:
            raise AssumptionError(f"{self._last} rounds were run, more than the {assumed.rounds} accounted for")
        for device, rounds in self._rounds.items():
            gap = min((later - earlier for earlier, later in pairwise(rounds)), default=self._last)
            if len(rounds) > assumed.most:
                raise AssumptionError(f"phone {device} took part {len(rounds)} times, not at most {assumed.most}")
            if len(rounds) > 1 and gap < assumed.minimum_separation:
                raise AssumptionError(
                    f"phone {device} came back after {gap} rounds, sooner than the {assumed.minimum_separation} assumed"
                )


def tree_squared_sensitivity(participation: Participation, restart_rounds: int = 0) -> int:
    """Return the largest sum of squared participations over the complete nodes of binary trees over the rounds.

    It is exact. Nodes of at most `minimum_separation` rounds hold a phone once, so a participation may be moved to an
    earlier round within the same larger nodes without loss: each stands as early as its predecessor allows, or at the
    start of the smallest node that can hold a phone twice.

    Args:
        participation: of any one phone.
        restart_rounds: rounds of a tree, after which a new one begins; 0 is one tree over all.

    Raises:
        AssumptionError: more than `MAX_IN_TREES` participations, for which the search takes too long.
    """
    rounds, separation = participation.rounds, participation.minimum_separation
    if participation.most > MAX_IN_TREES:
        raise AssumptionError(
            f"exact trees are for up to {MAX_IN_TREES} participations, not {participation.most}: lower them"
        )
    period = min(restart_rounds or rounds, rounds)
    levels = period.bit_length()
    shared = min(separation.bit_length(), levels)  # the lowest level at which a node may hold a phone twice
    starts = [tree + node for tree in range(0, rounds, period) for node in range(0, period, 1 << shared)]
    starts = [start for start in starts if start < rounds]

    @cache
    def best(left: int, earliest: int, last: int, counts: tuple[int, ...]) -> int:
        if left == 0:
            return 0
        largest = 0
        for now in {earliest, *starts[bisect_left(starts, earliest) :]}:
            if now >= rounds:
                continue
            tree, position = divmod(now, period)
            length = min(period, rounds - tree * period)
            together = last >= 0 and last // period == tree
            gain = sum(1 for level in range(shared) if _complete(position, level, length))
            held = []
            for index, level in enumerate(range(shared, levels)):
                before = counts[index] if together and (last % period) >> level == position >> level else 0
                held.append(before + 1)
                gain += (2 * before + 1) * _complete(position, level, length)
            largest = max(largest, gain + best(left - 1, now + separation, now, tuple(held)))
        return largest

    return best(participation.most, 0, -1, (0,) * (levels - shared))


def _complete(position: int, level: int, rounds: int) -> bool:
    return ((position >> level) + 1) << level <= rounds


def epsilon_of_rho(rho: float, delta: float, *, whole_orders: bool = False) -> float:
    """Return epsilon of any mechanism whose Renyi divergence of order alpha is at most `rho` alpha.

    Args:
        rho: zero-concentrated differential privacy.
        delta: probability that the bound may fail.
        whole_orders: hold it for whole orders only, as Skellam noise does.
    """
    _check_delta(delta)
    orders = _ORDERS if whole_orders else _FINE_ORDERS
    epsilon, _ = rdp_privacy_accountant.compute_epsilon(orders, [rho * order for order in orders], delta)
    return float(epsilon)


def epsilon_of_gaussian(rho: float, delta: float) -> float:
    """Return epsilon of Gaussian noise, all of whose releases together have this rho: smaller than `epsilon_of_rho`."""
    _check_delta(delta)
    loss = privacy_loss_distribution.from_gaussian_mechanism(1 / math.sqrt(2 * rho))
    return float(loss.get_epsilon_for_delta(delta))


def rho_of_epsilon(epsilon: float, delta: float) -> float:
    """Return the largest rho whose `epsilon_of_rho` is no more than `epsilon`, to a relative 1e-6."""
    _check_delta(delta)
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise AssumptionError(f"a target epsilon is positive and finite, not {epsilon}")
    low, high = 0.0, max(epsilon, 1.0)
    while epsilon_of_rho(high, delta) < epsilon:
        high *= 2
    while high - low > 1e-6 * high and high > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of_rho(middle, delta) <= epsilon else (low, middle)
    return low


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise AssumptionError(f"delta is between 0 and 1, not {delta}: take less than one in the number of phones")


@dataclass(frozen=True)
class Account:
    """What a run costs.

    Attributes:
        rho: zero-concentrated differential privacy.
        epsilon: at `delta`.
        delta: probability that the bound may fail.
        assumptions: sentences that the guarantee rests on.
    """

    rho: float
    epsilon: float
    delta: float
    assumptions: tuple[str, ...]

    unit = "all data of one phone, put in place of nothing"

    def assuming(self, *sentences: str) -> Self:
        """Return the same cost, which also rests on these."""
        return replace(self, assumptions=(*self.assumptions, *sentences))

    @classmethod
    def independent(
        cls, round_rho: float, participation: Participation, delta: float, *, sampling: Sampling, whole_orders: bool
    ) -> Self:
        """Return the cost of noise that is fresh every round, at `round_rho` a participation.

        Raises:
            AssumptionError: of the sampling, or of delta.
        """
        rho = round_rho * participation.most
        return cls.of_phone(rho, participation, delta, sampling=sampling, whole_orders=whole_orders)

    @classmethod
    def of_phone(
        cls, rho: float, participation: Participation, delta: float, *, sampling: Sampling, whole_orders: bool
    ) -> Self:
        """Return the account of the phone that paid most, whose rounds with fresh noise cost `rho` together.

        Raises:
            AssumptionError: of the sampling, or of delta.
        """
        _check_sampling(sampling)
        return cls(rho, epsilon_of_rho(rho, delta, whole_orders=whole_orders), delta, _assumptions(participation))

    @classmethod
    def tree(
        cls,
        noise_multiplier: float,
        participation: Participation,
        delta: float,
        *,
        sampling: Sampling,
        restart_rounds: int = 0,
    ) -> Self:
        """Return the cost of DP-FTRL, whose nodes have noise of this multiplier and whose trees so many rounds.

        Raises:
            AssumptionError: of the sampling, of delta, or there is no noise.
        """
        _check_sampling(sampling)
        if not noise_multiplier > 0:
            raise AssumptionError(f"a noise multiplier is positive, not {noise_multiplier}")
        rho = tree_squared_sensitivity(participation, restart_rounds) / (2 * noise_multiplier**2)
        return cls(rho, epsilon_of_rho(rho, delta), delta, (*_assumptions(participation), SERVER_TRUSTED))


def _check_sampling(sampling: Sampling) -> None:
    if sampling is not Sampling.ARRIVAL:
        raise AssumptionError(
            f"rounds are not {sampling.value}: phones choose when to come, so account with sampling `arrival`"
        )


def _assumptions(participation: Participation) -> tuple[str, ...]:
    return (
        (
            f"a phone is in at most {participation.most} of {participation.rounds} rounds, "
            f"at least {participation.minimum_separation} apart"
        ),
        "phones choose when to come: nothing is gained from sampling",
        "every phone's weighted update is clipped to the plan's norm, and one person has one phone",
        "counters of examples, tokens, loss and hits are exact sums and are not covered",
    )
