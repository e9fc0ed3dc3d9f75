"""What `server.toml` says: how a server runs its rounds, and what it runs on."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Self

import tomli_w

from federation.base.config import build, parse
from federation.base.ranges import Count, Decay, Natural, NonNegative, Positive, Range, Ranged, Share
from federation.base.rate_limits import RateLimits
from federation.errors import ConfigError
from federation.privacy.adaptive_clip import delta_noise_multiplier
from federation.protocol.central_noise import CentralNoise
from federation.protocol.cohorts import MAX_PHONES
from federation.protocol.conditions import Conditions
from federation.protocol.plan import Deadlines, Mechanism, Privacy
from federation.protocol.task import DEVICE_CLASSES, ComputeBudget, DeviceClass
from federation.protocol.training_settings import TrainingSettings
from federation.robustness import DefenceSettings
from federation.rounds.counting import CountingSettings
from federation.rounds.pace import JITTER
from federation.rounds.selection import UNSPLIT_PHONES, Selection, Staying, select
from federation.rounds.server_optimizers import OptimizerSettings
from federation.rounds.voting import VotingSettings
from federation.secure_aggregation import MAX_COHORT, MIN_COHORT


def _budgets() -> dict[DeviceClass, ComputeBudget]:
    return {
        "low": ComputeBudget(steps=100, seconds=120),
        "middle": ComputeBudget(steps=400, seconds=120),
        "high": ComputeBudget(steps=1600, seconds=120),
    }


@dataclass(frozen=True, kw_only=True)
class RoundSettings(Ranged):
    """Of every round that is opened.

    Attributes:
        goal: phones wanted in the sum.
        minimum: phones in the sum of a group, at least; with fewer the group is lost, and with the last one the round.
        over_selection: phones let in, as a multiple of the goal, since some drop out; more, if as many do that rounds
            would be abandoned.
        max_over_selection: the same at most.
        clip: L2 bound of a phone's delta; where it is adapted, that of the first round.
        adaptive_quantile: Fraction of phones whose delta the clip shall leave whole, which it then follows from round
            to round; 0 keeps it. See `federation.privacy.adaptive_clip`.
        clip_learning_rate: Step with which it follows.
        weight_cap: examples that count at most.
        privacy: noise that phones add.
        deadlines: of the steps.
        training: Settings of local training.
        budgets: Most that phones spend on training, by class of device.
        needed: conditions of phones.
        grace_seconds: that stragglers have to upload once as many have as are wanted.
        separation_seconds: between two participations of a phone, at least.
        slot_seconds: after which the place of a phone that was selected and did nothing goes to another.
        min_frequency: rows of pieces rarer than this share of public text are not learned; see
            `federation.updates.frozen_rows`.
        meeting_seconds: small populations are told to come back at multiples of this.
        upload_share: of a delta's coordinates that phones send; 0.39 makes uploads a tenth of float32's.
        defence: against poisoned updates.
        central: noise that the server adds, for phones that trust it with sums.
        counting: rounds that count n-grams instead of training.
        words: rounds that vote for new words instead.
    """

    goal: Count = 10
    minimum: Count = 5
    over_selection: Annotated[float, Range(1, MAX_COHORT)] = 1.3
    max_over_selection: Annotated[float, Range(1, MAX_COHORT)] = 3.0
    clip: Positive = 8.0
    adaptive_quantile: Decay = 0.0
    clip_learning_rate: NonNegative = 0.2
    weight_cap: Count = 512
    privacy: Privacy = field(default_factory=Privacy)
    deadlines: Deadlines = field(default_factory=lambda: Deadlines(120, 150, 330, 360, 390))
    training: TrainingSettings = field(default_factory=TrainingSettings)
    budgets: dict[DeviceClass, ComputeBudget] = field(default_factory=_budgets)
    needed: Conditions = field(default_factory=lambda: Conditions(idle=True, charging=True, unmetered=True))
    grace_seconds: Natural = 10
    separation_seconds: Natural = 3600
    slot_seconds: Count = 90
    min_frequency: Decay = 0.0
    meeting_seconds: Count = 60
    upload_share: Share = 1.0
    defence: DefenceSettings = field(default_factory=DefenceSettings)
    central: CentralNoise = field(default_factory=CentralNoise)
    counting: CountingSettings = field(default_factory=CountingSettings)
    words: VotingSettings = field(default_factory=VotingSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.words.every and self.counting.every == 1:
            raise ConfigError("where every round counts n-grams none votes for words: set rounds.counting.every to 2")
        if not MIN_COHORT <= self.minimum <= self.goal:
            raise ConfigError(f"a round's minimum is {MIN_COHORT} to its goal of {self.goal}, not {self.minimum}")
        if self.max_phones > MAX_PHONES:
            raise ConfigError(f"phones check who else joined, so {MAX_PHONES} join at most, not {self.max_phones}")
        if set(self.budgets) != set(DEVICE_CLASSES):
            raise ConfigError(f"there is a budget for each of {', '.join(DEVICE_CLASSES)}")
        if not self.minimum <= self.group_phones <= UNSPLIT_PHONES:
            raise ConfigError(
                f"a group has at least the minimum of {self.minimum} and at most {UNSPLIT_PHONES} phones to begin "
                f"with, not {self.group_phones}"
            )
        if self.central.mechanism != "none":
            self._check_central()
        longest_wait = (1 + JITTER) * self.meeting_seconds
        if not 1 <= self.meeting_seconds <= longest_wait <= self.deadlines.advertise_seconds:
            raise ConfigError(
                f"phones meet every {self.meeting_seconds} s, so keys must be advertised for {longest_wait:.0f} s or "
                f"longer, not {self.deadlines.advertise_seconds} s"
            )

    def _check_central(self) -> None:
        if self.counting.every or self.words.every:
            raise ConfigError("noise by the server does not cover counts: let the phones add it (rounds.privacy)")
        if self.weight_cap != 1:
            raise ConfigError("noise by the server needs phones that count alike: set rounds.weight_cap to 1")
        if self.privacy.mechanism is not Mechanism.NONE:
            raise ConfigError("noise is made by the phones or by the server: set rounds.privacy or rounds.central")
        if self.defence.enabled or self.upload_share < 1:
            raise ConfigError("noise by the server goes with neither the defence nor uploads of a share of the weights")
        if self.adaptive_quantile:
            delta_noise_multiplier(self.central.noise_multiplier, self.goal)

    def noise_over_clip(self, dimension: int) -> float:
        """Return the length of the noise on the mean of a round's goal over that of the longest delta.

        Where it is well above one, a round learns little, and a server that steps on such means diverges.
        """
        deviation = self.central.noise_multiplier
        if self.privacy.mechanism is not Mechanism.NONE:
            honest = max(self.minimum - self.privacy.corrupt, 1)
            deviation = self.privacy.noise_multiplier * math.sqrt(self.goal / honest)
        return deviation * math.sqrt(dimension) / self.goal

    @property
    def max_phones(self) -> int:
        """Phones that are let in, before drop-out was seen."""
        return math.ceil(self.goal * self.over_selection)

    @property
    def group_phones(self) -> int:
        """Phones in a group, at least, if there are that many."""
        return self.defence.group_phones if self.defence.enabled else UNSPLIT_PHONES

    def selection(self, staying: Staying | None) -> Selection:
        """Return how many phones a round lets in, and in what groups, by the drop-out that was seen."""
        return select(
            self.goal,
            self.minimum,
            staying,
            over_selection=self.over_selection,
            max_over_selection=self.max_over_selection,
            group_phones=self.defence.group_phones if self.defence.enabled else None,
        )


@dataclass(frozen=True, kw_only=True)
class RetentionSettings(Ranged):
    """How long what is kept; 0 days is for ever.

    Attributes:
        events_days: Days of session trails, under pseudonyms, and of evidence; counters go on.
        messages_days: Days of the protocol's messages after their round has ended, but for who uploaded.
        devices_days: Days since a device's last check-in.
        models: Number of latest versions whose weights, mean and optimizer state are kept; the first and current too.
    """

    events_days: NonNegative = 30.0
    messages_days: NonNegative = 7.0
    devices_days: NonNegative = 180.0
    models: Count = 100


@dataclass(frozen=True, kw_only=True)
class ServerSettings(Ranged):
    """What `server.toml` says.

    Attributes:
        database: URL of the database; nothing for SQLite in the folder.
        blobs: Folder or URL of the blob store; nothing for the folder's own.
        enrolment_url: Where phones enrol, if the enrolment service is on the network.
        revoked: File of the authority's signed list of revoked devices, if there is one.
        max_relative_gate_loss: Largest relative rise of the loss on public text in a new model.
        rounds: Settings of every round.
        rates: Limits of requests.
        retention: How long what is kept.
        optimizer: Server optimizer.
    """

    database: str = ""
    blobs: str = ""
    enrolment_url: str = ""
    revoked: str = ""
    max_relative_gate_loss: NonNegative = 0.01
    rounds: RoundSettings = field(default_factory=RoundSettings)
    rates: RateLimits = field(default_factory=RateLimits)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    optimizer: OptimizerSettings = field(default_factory=lambda: OptimizerSettings(momentum=0.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.enrolment_url and not self.enrolment_url.startswith(("http://", "https://")):
            raise ConfigError(f"enrolment_url begins with http:// or https://, not {self.enrolment_url!r}")

    def to_toml(self) -> str:
        """Return the text of `server.toml`."""
        return tomli_w.dumps(_plain(dataclasses.asdict(self)))

    @classmethod
    def from_toml(cls, text: str, where: str = "server.toml") -> Self:
        """Read the text of a settings file.

        Args:
            text: TOML.
            where: it comes from, for errors.

        Raises:
            ConfigError: a setting is unknown or impossible; the message names it.
        """
        return build(cls, parse(text, where), where)


def _plain(value: Any) -> Any:
    """Return what TOML can say of a setting."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return value.name.lower() if isinstance(value, Enum) else value
