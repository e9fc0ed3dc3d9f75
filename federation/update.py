"""What a phone contributes to a round: a flat delta of the model's weights, and counts.

A delta is *weights after training minus before*; averaging deltas and adding the average to the weights is federated
averaging (McMahan et al. 2017, https://arxiv.org/abs/1602.05629).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

FlatVector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the weights in a flat vector, in their order.

    Attributes:
        shapes: (name, shape) of each weight.
    """

    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]]) -> Self:
        """Return the layout of weights in the order of a mapping."""
        return cls(tuple(shapes.items()))

    @property
    def dimension(self) -> int:
        """Length of the flat vector."""
        return sum(self._sizes)

    @property
    def _sizes(self) -> list[int]:
        return [int(np.prod(shape, dtype=np.int64)) for _, shape in self.shapes]

    def flatten(self, weights: Sequence[npt.NDArray[np.float32]]) -> FlatVector:
        """Return float32[dimension] of arrays in this order.

        Raises:
            ValueError: an array is missing or has another shape; the message names it.
        """
        if len(weights) != len(self.shapes):
            raise ValueError(f"this layout has {len(self.shapes)} weights, not {len(weights)}")
        for (name, shape), weight in zip(self.shapes, weights, strict=True):
            if weight.shape != shape:
                raise ValueError(f"{name} has shape {shape}, not {weight.shape}")
        return np.concatenate([np.ravel(weight).astype(np.float32, copy=False) for weight in weights])

    def unflatten(self, vector: FlatVector) -> dict[str, npt.NDArray[np.float32]]:
        """Return each weight by name, as views of `vector`.

        Raises:
            ValueError: the vector has another length.
        """
        if vector.shape != (self.dimension,):
            raise ValueError(f"a vector of this layout has shape ({self.dimension},), not {vector.shape}")
        parts = np.split(vector, np.cumsum(self._sizes)[:-1])
        return {name: part.reshape(shape) for (name, shape), part in zip(self.shapes, parts, strict=True)}


@dataclass(frozen=True)
class Tally:
    """Counts of one phone or summed over a cohort.

    Attributes:
        examples: of training, which weigh an update.
        tokens: targets that the model was evaluated on before training.
        loss: summed over those tokens, in nats.
        hits: tokens that the model had first.
    """

    examples: int
    tokens: int = 0
    loss: float = 0.0
    hits: int = 0

    def __post_init__(self) -> None:
        if min(self.examples, self.tokens, self.hits) < 0 or not (np.isfinite(self.loss) and self.loss >= 0):
            raise ValueError(f"counts and loss are finite and not negative: {self}")

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.examples + other.examples,
            self.tokens + other.tokens,
            self.loss + other.loss,
            self.hits + other.hits,
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
