"""What a phone is asked to do between receiving the model and masking its update.

A round's plan has room for 32 public bytes, the seed of the encoding's rotation. They are the hash of the task, so that
every key of the round is bound to the task as well: phones that were told to train differently cannot be in one sum.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Literal, Self, get_args

from federation.base.ranges import Count, Ranged
from federation.errors import ConfigError
from federation.protocol.central_noise import CentralNoise
from federation.protocol.commitments import Commitments
from federation.protocol.conditions import Conditions
from federation.protocol.plan import RoundPlan
from federation.protocol.strict import strictly
from federation.protocol.training_settings import TrainingSettings
from federation.secure_aggregation.errors import PlanRefusedError
from model.wording import fault, in_words

_LABEL = b"fedkey task v1\0"

DeviceClass = Literal["low", "middle", "high"]
DEVICE_CLASSES: tuple[DeviceClass, ...] = get_args(DeviceClass)


@dataclass(frozen=True, kw_only=True)
class ComputeBudget(Ranged):
    """The most that a phone spends on training.

    Attributes:
        steps: batches.
        seconds: after which it stops between two batches.
    """

    steps: Count
    seconds: Count


@dataclass(frozen=True, kw_only=True)
class CountingTask:
    """What a counting round counts.

    Attributes:
        list_sha256: SHA-256 (hex) of the public list of n-grams; a phone counts only the list of its own app.
        max_count: Maximum contribution of a phone to one n-gram.
    """

    list_sha256: str
    max_count: int

    def __post_init__(self) -> None:
        if len(bytes.fromhex(self.list_sha256)) != 32 or not 1 <= self.max_count <= 1 << 15:
            raise ValueError(f"no counting round has these numbers: {in_words(self)}")


@dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """Local training of a round, or local counting.

    Attributes:
        nonce: 32 random bytes, so that no two rounds have the same rotation.
        model_version: that is trained.
        training: Settings of local training.
        budgets: by class of device.
        needed: conditions of phones.
        separation_seconds: between two participations of a phone, at least.
        min_frequency: rows of pieces rarer than this share of public text are zero in a delta: see
            `federation.updates.frozen_rows`.
        central: noise that the server says it adds to the sum; phones cannot see whether it does.
        counting: what is counted, in a counting round; the settings of training mean nothing then.
        commitments: of the server.
    """

    nonce: bytes
    model_version: int
    training: TrainingSettings
    budgets: dict[DeviceClass, ComputeBudget]
    needed: Conditions
    separation_seconds: int
    min_frequency: float = 0.0
    central: CentralNoise = field(default_factory=CentralNoise)
    counting: CountingTask | None = None
    commitments: Commitments = field(default_factory=Commitments)

    def __post_init__(self) -> None:
        if len(self.nonce) != 32 or set(self.budgets) != set(DEVICE_CLASSES):
            raise ValueError(f"a task has a nonce of 32 bytes and a budget for each of {', '.join(DEVICE_CLASSES)}")
        if not 0 <= self.min_frequency < 1:
            raise ValueError(f"a share of public text is at least 0 and below 1, not {self.min_frequency}")
        if not 0 <= self.separation_seconds < 1 << 32 or not 0 <= self.model_version < 1 << 32:
            raise ValueError(f"no task has these numbers: {in_words(self)}")

    def to_bytes(self) -> bytes:
        """Return the task as JSON; its bytes are what is hashed."""
        described = asdict(self) | {"nonce": self.nonce.hex(), "commitments": self.commitments.to_json()}
        return json.dumps(described, sort_keys=True, separators=(",", ":")).encode()

    @property
    def rotation_seed(self) -> bytes:
        """SHA-256 of the task, 32 bytes."""
        return seed_of(self.to_bytes())

    @classmethod
    def of_plan(cls, data: bytes, plan: RoundPlan) -> Self:
        """Read the task of a plan.

        Raises:
            PlanRefusedError: it is another plan's, or impossible.
        """
        if seed_of(data) != plan.rotation_seed:
            raise PlanRefusedError("the task is not the plan's")
        try:
            values = json.loads(data)
            inner = {
                "nonce": bytes.fromhex(values["nonce"]),
                "needed": strictly(Conditions, values["needed"]),
                "training": strictly(TrainingSettings, values["training"]),
                "budgets": {name: strictly(ComputeBudget, told) for name, told in values["budgets"].items()},
                "central": CentralNoise(**values["central"]),
                "counting": None if values["counting"] is None else strictly(CountingTask, values["counting"]),
                "commitments": Commitments.from_json(values["commitments"]),
            }
            return strictly(cls, values, **inner)
        except (ArithmeticError, AttributeError, ConfigError, LookupError, RecursionError, TypeError, ValueError) as e:
            raise PlanRefusedError(f"impossible task: {fault(e)}") from e


def seed_of(data: bytes) -> bytes:
    """Return the seed of the plan of a task, which binds them."""
    return hashlib.sha256(_LABEL + data).digest()
