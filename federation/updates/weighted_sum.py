"""The sum of several phones' updates: all that a server learns of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.updates.update import Tally
from model.layout import FlatVector


@dataclass(frozen=True, eq=False)
class LevelSum:
    """Encoded updates of several phones.

    Attributes:
        levels: int64[coordinates], summed, rotated.
        tally: Summed counts; its examples are capped as the plan says.
        phones: Number in the sum.
    """

    levels: npt.NDArray[np.int64]
    tally: Tally
    phones: int

    def __add__(self, other: "LevelSum") -> "LevelSum":
        return LevelSum(self.levels + other.levels, self.tally + other.tally, self.phones + other.phones)


@dataclass(frozen=True, eq=False)
class WeightedSum:
    """Updates of several phones.

    Attributes:
        delta: float32[dimension], the sum of each phone's delta times its examples.
        tally: summed counts; its examples are capped as the plan says.
        phones: in the sum.
        fixed_weight: what the sum weighs if that must not depend on what phones have, as under noise.
    """

    delta: FlatVector
    tally: Tally
    phones: int
    fixed_weight: int | None = None

    def __add__(self, other: "WeightedSum") -> "WeightedSum":
        fixed = None if self.fixed_weight is None and other.fixed_weight is None else self.weight + other.weight
        return WeightedSum(self.delta + other.delta, self.tally + other.tally, self.phones + other.phones, fixed)

    @property
    def weight(self) -> int:
        """What the delta is divided by for the mean."""
        return self.tally.examples if self.fixed_weight is None else self.fixed_weight

    @property
    def mean(self) -> FlatVector:
        """The delta to add to the weights; zero if no phone had examples."""
        return self.delta / np.float32(max(self.weight, 1))
