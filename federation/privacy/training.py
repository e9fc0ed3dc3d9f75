"""How training with simulated clients is made private, and what a run of it has cost.

A run keeps a `RunRecord` beside its states: who took part in which round. What it cost is accounted from that record,
not from what was planned.
"""

import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from federation.errors import ConfigError
from federation.privacy.accountant import Account, NoisedRounds, Sampling
from federation.privacy.adaptive_clip import delta_noise_multiplier
from federation.privacy.buffers import optimised
from federation.privacy.conversion import DEFAULT_DELTA
from federation.privacy.errors import AssumptionError, NoiseError
from federation.privacy.mechanisms import NoiseScale, noised_encoding
from federation.privacy.participation import Participation, ParticipationLog
from federation.privacy.toeplitz import Buffers
from federation.privacy.zcdp import round_rho
from federation.protocol.plan import Deadlines, Mechanism, Privacy, RoundPlan
from federation.updates.counts import COUNTS
from federation.updates.sparsification import Subset
from model import files

MechanismName = Literal["none", "gaussian", "blt", "skellam", "discrete_gaussian"]

BY_SERVER = ("gaussian", "blt")
BY_CLIENTS = ("skellam", "discrete_gaussian")

PRIVACY_RECORD = "privacy.json"
"""In the folder of a run."""

_NOT_OF_CLIENTS = frozenset({"bytes_up", "bytes_down"})


@dataclass(frozen=True)
class PrivateTraining:
    """How updates are bounded and noised.

    Attributes:
        mechanism: `none`; `gaussian`, fresh every round, or `blt`, correlated over rounds, added to the sum by the
            server; `skellam` or `discrete_gaussian`, added by each client to its own rounded update, as phones do.
        noise_multiplier: z; standard deviation of the independent noise on a sum over the clip.
        clip: L2 bound of a client's update; infinite for none.
        weight_cap: trained rows that count at most, where clients make the noise and are weighted by examples.
        adaptive_quantile: share of updates that the clip shall leave whole, which it then follows from round to round
            (Andrew et al. 2021, https://arxiv.org/abs/1905.03871); 0 keeps it.
        clip_learning_rate: how fast it follows.
        minimum: clients that must be left in a sum, for which clients size their noise; 0 is the whole cohort.
        corrupt: clients whose noise is not counted on.
        noise_cohort: size of a larger cohort whose noise on the mean is simulated, for noise by the server; 0 is the
            cohort that trains. A run with it shows what such a cohort would learn, and protects nobody.
        max_participations: rounds that a client is in, at most; 0 is no limit.
        minimum_separation: difference of the numbers of two of them, at least.
        min_frequency: rows of pieces rarer than this share of public text are frozen; 0 freezes none.
        delta: probability that the bound on the privacy loss may fail.
    """

    mechanism: MechanismName = "none"
    noise_multiplier: float = 0.0
    clip: float = math.inf
    weight_cap: int = 512
    adaptive_quantile: float = 0.0
    clip_learning_rate: float = 0.2
    minimum: int = 0
    corrupt: int = 0
    noise_cohort: int = 0
    max_participations: int = 0
    minimum_separation: int = 1
    min_frequency: float = 0.0
    delta: float = DEFAULT_DELTA

    def __post_init__(self) -> None:
        noisy = self.mechanism != "none"
        by_clients, by_server = self.mechanism in BY_CLIENTS, self.mechanism in BY_SERVER
        refusals = [
            (not self.clip > 0, f"privacy.clip must be positive, not {self.clip}"),
            (
                noisy and math.isinf(self.clip),
                f"mechanism {self.mechanism} needs a finite privacy.clip, such as 1",
            ),
            (
                not 0 <= self.noise_multiplier < math.inf,
                f"privacy.noise_multiplier must be finite and not negative, not {self.noise_multiplier}",
            ),
            (self.noise_multiplier > 0 and not noisy, "a noise multiplier needs a privacy.mechanism: choose one"),
            (by_clients and self.noise_multiplier == 0, f"mechanism {self.mechanism} needs a noise multiplier above 0"),
            (not 0 <= self.adaptive_quantile < 1, "privacy.adaptive_quantile must be at least 0 and below 1"),
            (self.adaptive_quantile > 0 and math.isinf(self.clip), "an adaptive clip begins at a finite privacy.clip"),
            ((self.minimum > 0 or self.corrupt > 0) and not by_clients, "only noise by clients has minimum or corrupt"),
            (self.noise_cohort > 0 and not by_server, "only noise by the server can be that of a larger noise_cohort"),
            (self.minimum_separation < 1, "privacy.minimum_separation must be at least 1"),
            (not 1 <= self.weight_cap < 1 << 31, "privacy.weight_cap must be at least 1 and below 2^31"),
            (
                not 0 <= self.clip_learning_rate < math.inf,
                f"privacy.clip_learning_rate must be finite and not negative, not {self.clip_learning_rate}",
            ),
            (not 0 <= self.min_frequency < 1, "privacy.min_frequency must be at least 0 and below 1"),
            (not 0 < self.delta < 1, "privacy.delta must be above 0 and below 1"),
            (
                min(self.minimum, self.corrupt, self.noise_cohort, self.max_participations) < 0,
                "counts of privacy cannot be negative",
            ),
        ]
        for refused, reason in refusals:
            if refused:
                raise ConfigError(reason)

    @property
    def changes_updates(self) -> bool:
        """Whether clients' updates are bounded, noised or frozen in part before they are averaged."""
        return self.mechanism != "none" or math.isfinite(self.clip) or self.min_frequency > 0

    def check_cohort(self, cohort: int, *, uniform: bool) -> None:
        """Raise ConfigError if cohorts of this size, of clients weighted alike or by examples, cannot be private so."""
        if self.mechanism in BY_SERVER and not uniform:
            raise ConfigError("noise by the server needs clients that count alike: set client.weighting to uniform")
        if 0 < self.noise_cohort < cohort:
            raise ConfigError(f"privacy.noise_cohort must be at least the cohort of {cohort}, not {self.noise_cohort}")
        if self.minimum > cohort:
            raise ConfigError(f"privacy.minimum must be at most the cohort of {cohort}, not {self.minimum}")
        self.sum_noise_multiplier(cohort)

    def buffers(self, rounds: int, clients: int, cohort: int) -> Buffers:
        """Return how noise by the server is to be correlated over a run, in which clients come about equally often."""
        if self.mechanism != "blt":
            return Buffers()
        if self.minimum_separation == 1 and not self.max_participations:
            return optimised(Participation.in_passes(rounds, clients, cohort))
        fits = (rounds - 1) // self.minimum_separation + 1
        participations = min(self.max_participations or fits, fits)
        return optimised(Participation(rounds, participations, min(self.minimum_separation, rounds)))

    def check_groups(self, minimum: int) -> None:
        """Raise ConfigError if sums of groups, with at least `minimum` clients in each, cannot be private so."""
        if self.mechanism in BY_SERVER:
            raise ConfigError(
                "the server's noise is on the sum of a cohort and too little for a group: leave out defence.enabled, "
                "or let clients make the noise (privacy.mechanism)"
            )
        if self.mechanism in BY_CLIENTS and not 0 < self.minimum <= minimum:
            raise ConfigError(
                f"clients size their noise for privacy.minimum: set it to 1 to defence.group_phones of {minimum}, "
                f"not {self.minimum}"
            )

    def check_scenario(self, minimum: int) -> None:
        """Raise ConfigError if rounds of a scenario, with at least `minimum` phones in a sum, cannot be private so."""
        if self.minimum_separation > 1 or self.max_participations:
            raise ConfigError(
                "a scenario decides when phones come: leave privacy.minimum_separation and max_participations out"
            )
        if self.mechanism in BY_CLIENTS and not 0 < self.minimum <= minimum:
            raise ConfigError(
                f"clients size their noise for privacy.minimum: set it to 1 to the scenario's minimum of {minimum}, "
                f"not {self.minimum}"
            )

    def sum_noise_multiplier(self, cohort: int) -> float:
        """Return the noise that the server adds to the sum over a cohort, over the clip.

        With an adaptive clip it is more than z, since the number of clipped updates is released too.
        """
        size, multiplier = self.noise_cohort or cohort, self.noise_multiplier
        if self.adaptive_quantile and self.mechanism in BY_SERVER:
            multiplier = delta_noise_multiplier(multiplier, size)
        return multiplier * cohort / size

    def noise_over_clip(self, cohort: int, dimension: int, uniform: bool) -> float:  # noqa: FBT001 - as `plan`
        """Return the length of the noise on the mean of a round over that of the longest update.

        Where it is well above one, a round learns little, and a server that steps on such means diverges.
        """
        if self.mechanism in BY_SERVER:
            return self.sum_noise_multiplier(cohort) * math.sqrt(dimension) / cohort
        if self.mechanism == "none":
            return 0.0
        plan = self.plan(1, cohort, dimension, bytes(32), uniform=uniform)
        scale = NoiseScale.of(plan)
        length = math.sqrt(scale.phone_variance * cohort * scale.coordinates) * plan.encoding.step
        return length / (self.clip * cohort)

    def plan(
        self,
        number: int,
        cohort: int,
        dimension: int,
        rotation_seed: bytes,
        *,
        uniform: bool,
        clip: float | None = None,
        subset: Subset | None = None,
    ) -> RoundPlan:
        """Return the plan of a round whose clients make the noise: the one that phones get.

        Args:
            number: of the round.
            cohort: clients in it.
            dimension: of an update.
            rotation_seed: 32 public bytes.
            uniform: clients count alike.
            clip: of this round, where it is not that of the settings.
            subset: of coordinates that clients send; nothing is all.

        Raises:
            ConfigError: secure aggregation or the encoding has no such round.
        """
        privacy = Privacy(Mechanism[self.mechanism.upper()], self.noise_multiplier, self.corrupt)
        minimum, clip = self.minimum or cohort, clip or self.clip
        length = (dimension if subset is None else subset.kept) + COUNTS
        try:
            return RoundPlan(
                round_id=number,
                model_sha256=bytes(32),  # simulated clients are handed the model itself
                dimension=dimension,
                encoding=noised_encoding(cohort, minimum, privacy, clip, length),
                clip=clip,
                weight_cap=1 if uniform else self.weight_cap,
                rotation_seed=rotation_seed,
                minimum=minimum,
                deadlines=Deadlines(1, 2, 3, 4, 5),
                privacy=privacy,
                subset=subset,
            )
        except (ValueError, NoiseError) as error:
            raise ConfigError(f"no round has these privacy settings: {error}") from error


@dataclass(frozen=True)
class RunRecord:
    """What a run's account rests on.

    Attributes:
        settings: of its privacy.
        cohort: clients asked to each round.
        uniform: whether clients count alike.
        dimension: of an update.
        rounds: the clients that took part in each round done so far.
        buffers: how noise by the server is correlated.
        unprotected: names of the figures that the run shows without noise.
        votes_rho: zCDP of the votes that every client gave before the first round, if any.
    """

    settings: PrivateTraining
    cohort: int
    uniform: bool
    dimension: int
    rounds: tuple[tuple[int, ...], ...] = ()
    buffers: Buffers = field(default_factory=Buffers)
    unprotected: tuple[str, ...] = ()
    votes_rho: float = 0.0

    def save(self, directory: Path) -> None:
        """Write the record into a run's folder."""
        files.write(directory / PRIVACY_RECORD, json.dumps(dataclasses.asdict(self)))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what a run wrote.

        Raises:
            AssumptionError: it is not there or damaged.
        """
        try:
            values = json.loads(files.read(directory / PRIVACY_RECORD))
            values["settings"] = PrivateTraining(**values["settings"])
            values["rounds"] = tuple(tuple(clients) for clients in values["rounds"])
            values["buffers"] = Buffers(**values["buffers"])
            values["unprotected"] = tuple(values["unprotected"])
            return cls(**values)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise AssumptionError(
                f"{directory} holds no record of a run with noise, so nothing can be said of its privacy: "
                f"train with `fedkey simulate --mechanism ... --out {directory}`"
            ) from error

    def after(self, number: int, clients: Iterable[int]) -> Self:
        """Return the record with round `number`, which takes the place of one that was stopped before it was done."""
        return replace(self, rounds=(*self.rounds[: number - 1], tuple(map(int, clients))))

    def showing(self, *names: Iterable[str] | str) -> Self:
        """Return the record of a run that shows figures of these names, but for those that no client's text moves."""
        shown = {name for each in names for name in ([each] if isinstance(each, str) else each)}
        return replace(self, unprotected=tuple(sorted({*self.unprotected, *shown} - _NOT_OF_CLIENTS)))

    @property
    def mechanism(self) -> str:
        """The mechanism in words."""
        if self.settings.mechanism in BY_CLIENTS:
            return f"{self.settings.mechanism.replace('_', ' ')}, by the clients, before masking"
        return f"{self.buffers.name}, by the server"

    def with_delta(self, delta: float) -> Self:
        """Return the same run, accounted for at another delta."""
        return replace(self, settings=replace(self.settings, delta=delta))

    @property
    def ledger(self) -> ParticipationLog:
        """Who took part when."""
        ledger = ParticipationLog()
        for number, clients in enumerate(self.rounds, start=1):
            ledger.record(number, map(str, clients))
        return ledger

    def account(self, sampling: Sampling = Sampling.ARRIVAL) -> Account:
        """Return what the rounds done so far cost the client that paid most.

        Raises:
            AssumptionError: there was no noise, nobody took part, or the sampling is not that of the protocol.
        """
        settings, participation = self.settings, self.ledger.participation
        multiplier, delta = settings.noise_multiplier, settings.delta
        if settings.mechanism == "none" or multiplier == 0:
            raise AssumptionError("the run has no noise, so it has no differential privacy: set privacy.mechanism")
        if settings.mechanism in BY_SERVER:
            # A round that nobody came to released nothing.
            noised = NoisedRounds(self.buffers, multiplier, [[*map(str, each)] for each in self.rounds if each])
            account = Account.of_server([noised], participation, delta, sampling=sampling)
        else:
            plan = settings.plan(1, self.cohort, self.dimension, bytes(32), uniform=self.uniform)
            rho = round_rho(NoiseScale.of(plan)) * participation.max_participations + self.votes_rho
            whole = settings.mechanism == "skellam"
            account = Account.of_phone(rho, participation, delta, sampling=sampling, whole_orders=whole)
            account = account.assuming(*client_noise_assumptions(plan))
            if self.votes_rho:
                account = account.assuming("every client voted once for new words before the first round")
        account = account.leaving(*self.unprotected)
        if settings.noise_cohort:
            account = account.assuming(
                f"cohorts are of {settings.noise_cohort} clients: this run simulated their noise with {self.cohort}, "
                "and itself protects nobody"
            )
        return account


def client_noise_assumptions(plan: RoundPlan) -> tuple[str, ...]:
    """Return what the cost of a plan rests on, whose participants make the noise."""
    honest = plan.minimum - plan.privacy.corrupt
    return (
        f"every sum has at least {plan.minimum} phones, of which {honest} make their noise as the plan says",
        "the server sees sums only: secure aggregation holds",
    )
