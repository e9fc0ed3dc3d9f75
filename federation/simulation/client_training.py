"""How a simulated client trains: as phones do, and in ways that only simulations try."""

from dataclasses import asdict, dataclass
from typing import Self

from federation.base.ranges import Count, NonNegative, Rate
from federation.fleet.scenario import Weighting
from federation.protocol.training_settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class ClientTraining(TrainingSettings):
    """What a client does with its rows.

    Attributes:
        batch_rows: Number of rows in a batch.
        weighting: Whether clients count by their trained rows, or all alike.
        proximal_strength: FedProx's mu (Li et al. 2020); 0 is FedAvg.
    """

    learning_rate: Rate = 2.0
    batch_rows: Count = 8
    weighting: Weighting = "examples"
    proximal_strength: NonNegative = 0.0

    @classmethod
    def like_phones(cls, training: TrainingSettings) -> Self:
        """Return what simulated clients do that train as phones are told to."""
        return cls(**asdict(training))
