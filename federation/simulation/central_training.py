"""How a network is trained centrally, as settings: read without TensorFlow."""

from dataclasses import dataclass, field

from federation.base.ranges import Count, Decay, Natural, Ranged, Rate


@dataclass(frozen=True)
class CentralTraining(Ranged):
    """How a network is trained on text that lies in one place.

    Attributes:
        epochs: Number of passes over the rows; 0 leaves the weights random.
        learning_rate: Peak learning rate of Adam (Kingma and Ba 2015); it warms up, then falls along a cosine.
        batch_rows: Number of rows in a batch.
        dropout: Share of the embedded inputs and of the outputs set to zero.
    """

    epochs: Natural = 6
    learning_rate: Rate = 2e-3
    batch_rows: Count = 16
    dropout: Decay = 0.2


@dataclass(frozen=True)
class Pretraining:
    """How a public start is made.

    Attributes:
        sizes: of the networks, smallest first. Only the first is trained from random weights: a larger one is widened
            from it and trained on.
        vocabulary_size: pieces at most.
        min_occurrences: of a word of the public text that may be suggested, unless it is a common one.
        user_weight: how often public users' messages count, which are most like what phones type.
        max_grams: n-grams of two pieces or more that are kept.
        training: of the first network.
        growth: rows, as a share of all, that a widened network is trained on.
        seed: everything random follows from it.
    """

    sizes: tuple[str, ...] = ("small", "gboard")
    vocabulary_size: int = 8000
    min_occurrences: int = 3
    user_weight: int = 4
    max_grams: int = 700_000
    training: CentralTraining = field(
        default_factory=lambda: CentralTraining(epochs=1, learning_rate=3e-3, batch_rows=64, dropout=0.0)
    )
    growth: float = 0.1
    seed: int = 1
