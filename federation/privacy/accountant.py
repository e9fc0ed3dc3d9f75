"""What a whole training run costs a phone: epsilon, delta, zCDP rho, and all that this rests on.

Neighbouring runs differ in all data of one phone, which is put in place of nothing (zero-out adjacency). Nothing is
gained from sampling: phones choose when to come, so who is in a cohort is neither random nor secret, and the theorems
on amplification by sampling or shuffling do not hold.

Noise that a server correlates over rounds (`toeplitz`) is one mechanism over all rounds that it noised, in the order in
which it noised them, whichever models they trained and whatever became of these: the cost follows the releases and not
the lineage of models. Noise that phones make is fresh every round, and its costs add up.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

from dp_accounting.dp_event import ComposedDpEvent, DpEvent, GaussianDpEvent
from dp_accounting.pld import privacy_loss_distribution
from dp_accounting.rdp import rdp_privacy_accountant

from federation.privacy.errors import AssumptionError
from federation.privacy.participation import Participation
from federation.privacy.toeplitz import Buffers

DEFAULT_DELTA = 1e-10
"""Of every report and plan that names no other: far less than one in the number of phones."""

SERVER_TRUSTED = "the server adds the noise, and shows nobody a sum without it"
ARRIVAL_INDEPENDENT = "when a phone came did not depend on what was typed on it"

# Whole orders only: the bound of Skellam noise is proven for no others.
_ORDERS = [*range(2, 257), *(round(256 * 1.1**power) for power in range(1, 60))]
_FINE_ORDERS = [*(1 + step / 50 for step in range(1, 5000)), *_ORDERS[99:]]


class Sampling(Enum):
    """How phones come into a cohort."""

    ARRIVAL = "arrival"
    POISSON = "poisson"
    SHUFFLED = "shuffled"


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
class NoisedRounds:
    """The rounds that one stream of a server's noise was added to.

    Attributes:
        buffers: how the noise is correlated.
        noise_multiplier: z, the smallest of any of these rounds.
        phones: of each round, in the order in which they were noised.
    """

    buffers: Buffers
    noise_multiplier: float
    phones: Sequence[Collection[str]]

    def __post_init__(self) -> None:
        if not self.noise_multiplier > 0:
            raise AssumptionError(f"a noise multiplier is positive, not {self.noise_multiplier}")

    def rhos(self) -> dict[str, float]:
        """Return what the rounds cost each phone that was in one."""
        times = defaultdict[str, list[int]](list)
        for time, phones in enumerate(self.phones):
            for phone in set(phones):
                times[phone].append(time)
        # Many phones have the same pattern.
        patterns = {tuple(own): self._rho(own) for own in times.values()}
        return {phone: patterns[tuple(own)] for phone, own in times.items()}

    def _rho(self, times: Sequence[int]) -> float:
        return self.buffers.squared_sensitivity(times, len(self.phones)) / (2 * self.noise_multiplier**2)


@dataclass(frozen=True)
class Account:
    """What a run costs the phone that paid most.

    Attributes:
        rho: zero-concentrated differential privacy, against whoever sees all that was released.
        epsilon: at `delta`.
        delta: probability that the bound may fail.
        assumptions: sentences that the guarantee rests on.
        others: rho and epsilon against everybody but the server, where these see less than it.
        unprotected: names of the numbers that left without noise.
        whole_orders: whether the bound holds for whole orders of Renyi divergence only.
    """

    rho: float
    epsilon: float
    delta: float
    assumptions: tuple[str, ...]
    others: tuple[float, float] | None = None
    unprotected: tuple[str, ...] = ()
    whole_orders: bool = False

    unit = "all data of one phone, put in place of nothing"

    def assuming(self, *sentences: str) -> Self:
        """Return the same cost, which also rests on these."""
        return replace(self, assumptions=(*self.assumptions, *sentences))

    def leaving(self, *names: str) -> Self:
        """Return the same cost, which does not cover these numbers."""
        return replace(self, unprotected=(*self.unprotected, *names))

    def seen_by_others(self, rho: float) -> Self:
        """Return the account where everybody but the server sees as little as this rho."""
        return replace(self, others=(rho, epsilon_of_rho(rho, self.delta, whole_orders=self.whole_orders)))

    @property
    def event(self) -> DpEvent:
        """All releases, for another accountant: a Gaussian whose Renyi divergences are this account's bound."""
        return ComposedDpEvent([GaussianDpEvent(1 / math.sqrt(2 * self.rho))])

    @classmethod
    def of_phone(
        cls, rho: float, participation: Participation, delta: float, *, sampling: Sampling, whole_orders: bool = False
    ) -> Self:
        """Return the account of the phone that paid most, whose rounds cost `rho` together.

        Raises:
            AssumptionError: of the sampling, or of delta.
        """
        if sampling is not Sampling.ARRIVAL:
            raise AssumptionError(
                f"rounds are not {sampling.value}: phones choose when to come, so account with sampling `arrival`"
            )
        epsilon = epsilon_of_rho(rho, delta, whole_orders=whole_orders)
        return cls(rho, epsilon, delta, _assumptions(participation), whole_orders=whole_orders)

    @classmethod
    def planned(
        cls,
        buffers: Buffers,
        noise_multiplier: float,
        participation: Participation,
        delta: float,
        *,
        sampling: Sampling,
    ) -> Self:
        """Return the cost of a server's noise to the phone that comes as badly as it may.

        Raises:
            AssumptionError: of the sampling, of delta, or there is no noise.
        """
        worst = [("it",) if time in participation.worst else () for time in range(participation.rounds)]
        rho = NoisedRounds(buffers, noise_multiplier, worst).rhos()["it"]
        return cls.of_phone(rho, participation, delta, sampling=sampling).assuming(SERVER_TRUSTED)

    @classmethod
    def of_server(
        cls, streams: Sequence[NoisedRounds], participation: Participation, delta: float, *, sampling: Sampling
    ) -> Self:
        """Return the cost of all streams of a server's noise.

        A server that began anew has one more: their noises are independent, and what they cost a phone adds up.

        Raises:
            AssumptionError: of the sampling or of delta, or nobody took part.
        """
        paid = defaultdict[str, float](float)
        for stream in streams:
            for phone, rho in stream.rhos().items():
                paid[phone] += rho
        if not paid:
            raise AssumptionError("nobody has taken part yet: there is nothing to account for")
        return cls.of_phone(max(paid.values()), participation, delta, sampling=sampling).assuming(SERVER_TRUSTED)


def _assumptions(participation: Participation) -> tuple[str, ...]:
    return (
        (
            f"a phone is in at most {participation.max_participations} of {participation.rounds} rounds, "
            f"at least {participation.min_separation} apart"
        ),
        "phones choose when to come: nothing is gained from sampling",
        "every phone's weighted update is clipped to the plan's norm, and one person has one phone",
        ARRIVAL_INDEPENDENT,
    )
