"""Ranges of numbers, written beside the fields that keep to them and checked when a value is made."""

import math
import typing
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

from federation.errors import ConfigError


@dataclass(frozen=True)
class Range:
    """An interval of finite numbers.

    Attributes:
        low: Lower end.
        high: Upper end.
        above: Whether the lower end itself is left out.
        below: Whether the upper end itself is left out.
        infinite: Whether positive infinity belongs to it.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False
    infinite: bool = False

    def __contains__(self, number: float) -> bool:
        if not (math.isfinite(number) or (self.infinite and number == math.inf)):
            return False  # also not a number
        return (number > self.low if self.above else number >= self.low) and (
            number < self.high if self.below else number <= self.high
        )

    def __str__(self) -> str:
        parts = []
        if self.low > -math.inf:
            parts.append(f"{'above' if self.above else 'at least'} {self.low:g}")
        if self.high < math.inf:
            parts.append(f"{'below' if self.below else 'at most'} {self.high:.10g}")
        elif not self.infinite:
            parts.append("finite")
        return " and ".join(parts)


_MAX_INTEGER = (1 << 31) - 1
MAX_RATE = 1000.0
"""Largest learning rate of any optimizer: beyond it there is no training, only overflow."""

Count = Annotated[int, Range(1, _MAX_INTEGER)]
Natural = Annotated[int, Range(0, _MAX_INTEGER)]
Positive = Annotated[float, Range(0, above=True)]
NonNegative = Annotated[float, Range(0)]
Probability = Annotated[float, Range(0, 1)]
Share = Annotated[float, Range(0, 1, above=True)]
Decay = Annotated[float, Range(0, 1, below=True)]
"""Of a moment or of momentum, a drop-out: at least 0 and below 1."""
Rate = Annotated[float, Range(0, MAX_RATE, above=True)]


class Ranged:
    """A dataclass whose numbers keep to the ranges, and whose words to the choices, written beside their names."""

    def __post_init__(self) -> None:
        check(self)


def check(settings: object) -> None:
    """Check every number and word of a dataclass against its range or choices.

    Raises:
        ConfigError: one is outside; the message names it.
    """
    for name, limit in _limits(typing.cast("Hashable", type(settings))).items():
        value = getattr(settings, name)
        if value not in limit:
            allowed = limit if isinstance(limit, Range) else f"one of {', '.join(limit)}"
            raise ConfigError(f"{name} must be {allowed}, not {value}")


@cache
def _limits(kind: Hashable) -> dict[str, Range | tuple[str, ...]]:
    limits: dict[str, Range | tuple[str, ...]] = {}
    for name, hint in typing.get_type_hints(typing.cast("type", kind), include_extras=True).items():
        if typing.get_origin(hint) is Literal:
            limits[name] = typing.get_args(hint)
        for limit in getattr(hint, "__metadata__", ()):
            if isinstance(limit, Range):
                limits[name] = limit
    return limits
