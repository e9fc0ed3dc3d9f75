"""How a client trains: one type for the round server's settings, for tasks and for simulations."""

from dataclasses import dataclass

from federation.base.ranges import Count, Decay, NonNegative, Ranged, Rate


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Ranged):
    """Local training of a round: SGD on a client's own rows.

    Attributes:
        learning_rate: Step of gradient descent on the mean loss of a batch.
        epochs: Number of passes over a client's rows.
        gradient_norm: L2 norm to which a longer gradient is scaled down; 0 leaves it.
        dropout: Share of the embedded inputs and of the outputs set to zero.
    """

    learning_rate: Rate = 0.5
    epochs: Count = 1
    gradient_norm: NonNegative = 1.0
    dropout: Decay = 0.25
