"""What a phone contributes to a round: a flat delta of the model's weights, and counts.

A delta is *weights after training minus before*; averaging deltas and adding the average to the weights is federated
averaging (McMahan et al. 2017, https://arxiv.org/abs/1602.05629).
"""

from dataclasses import dataclass

import numpy as np

from model.layout import FlatVector
from model.wording import in_words


@dataclass(frozen=True)
class Tally:
    """Counts of one phone or summed over a cohort.

    Attributes:
        examples: of training, which weigh an update.
        tokens: targets that the model was evaluated on before training.
        loss: summed over those tokens, in nats.
        hits: tokens that the model had first.
        unclipped: phones whose delta was within the clip norm.
    """

    examples: int
    tokens: int = 0
    loss: float = 0.0
    hits: int = 0
    unclipped: int = 0

    def __post_init__(self) -> None:
        if min(self.examples, self.tokens, self.hits, self.unclipped) < 0 or not (
            np.isfinite(self.loss) and self.loss >= 0
        ):
            raise ValueError(f"counts and loss are finite and not negative: {in_words(self)}")

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.examples + other.examples,
            self.tokens + other.tokens,
            self.loss + other.loss,
            self.hits + other.hits,
            self.unclipped + other.unclipped,
        )


@dataclass(frozen=True, eq=False)
class Update:
    """A phone's contribution to a round.

    Attributes:
        delta: float32[dimension], weights after training minus before.
        tally: its counts.
    """

    delta: FlatVector
    tally: Tally

    def __post_init__(self) -> None:
        if self.delta.ndim != 1 or self.delta.dtype != np.float32:
            raise ValueError(f"a delta is a flat float32 vector, not {self.delta.dtype}{self.delta.shape}")


def clip(delta: FlatVector, bound: float) -> FlatVector:
    """Return `delta` scaled down to an L2 norm of `bound`, or as it is if it is no longer than that.

    Raises:
        ValueError: the bound is not positive, or the delta is not finite: training diverged, do not contribute it.
    """
    if not bound > 0:
        raise ValueError(f"a clipping bound is positive, not {bound}")
    norm = float(np.sqrt(np.vdot(delta, delta))) if delta.size else 0.0
    if not np.isfinite(norm):
        # float32 overflows at 1e38 already; what is finite in float64 can be clipped.
        norm = float(np.linalg.norm(delta.astype(np.float64)))
    if not np.isfinite(norm):
        raise ValueError("the delta is not finite: training diverged, leave this round out")
    return delta if norm <= bound else (delta * np.float64(bound / norm)).astype(np.float32)
