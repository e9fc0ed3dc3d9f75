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

from federation.privacy.conversion import check_delta, epsilon_of_rho
from federation.privacy.errors import AssumptionError
from federation.privacy.participation import Participation
from federation.privacy.toeplitz import Buffers

SERVER_TRUSTED = "the server adds the noise, and shows nobody a sum without it"
ARRIVAL_INDEPENDENT = "when a phone came did not depend on what was typed on it"


class Sampling(Enum):
    """How phones come into a cohort."""

    ARRIVAL = "arrival"
    POISSON = "poisson"
    SHUFFLED = "shuffled"


def epsilon_of_gaussian(rho: float, delta: float) -> float:
    """Return epsilon of Gaussian noise, all of whose releases together have this rho: less than `epsilon_of_rho`."""
    check_delta(delta)
    loss = privacy_loss_distribution.from_gaussian_mechanism(1 / math.sqrt(2 * rho))
    return float(loss.get_epsilon_for_delta(delta))


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
        rho: zero-concentrated differential privacy, against anyone who sees all that was released.
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
