"""Several runs that differ in some settings: every combination of a grid, or random draws, by a TOML file.

For example::

    config = "base.toml"                  # settings of all runs, if they are not the defaults

    [grid]                                # every combination
    "client.learning_rate" = [0.1, 0.3, 1.0]
    seed = [1, 2]

    [random]                              # with each of them this many draws
    draws = 4
    seed = 7
    [random.uniform]
    "client.dropout" = [0.0, 0.5]
    [random.log_uniform]
    "server.learning_rate" = [0.01, 1.0]
"""

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from federation.base.config import read
from federation.errors import ConfigError

_KNOWN = {"config", "grid", "random"}
_KNOWN_RANDOM = {"draws", "seed", "uniform", "log_uniform"}


@dataclass(frozen=True)
class Trial:
    """One run of a sweep.

    Attributes:
        name: of its folder.
        settings: by dotted name.
    """

    name: str
    settings: Mapping[str, Any]

    @property
    def assignments(self) -> list[str]:
        """The settings as `fedkey simulate --set` takes them."""
        return [f"{name}={json.dumps(value)}" for name, value in self.settings.items()]


@dataclass(frozen=True)
class Sweep:
    """What a file asks for.

    Attributes:
        config: settings of all runs, if there is such a file.
        trials: the runs, the same at every call.
    """

    config: Path | None
    trials: tuple[Trial, ...]

    @classmethod
    def load(cls, path: Path) -> "Sweep":
        """Read a file.

        Raises:
            ConfigError: it cannot be read, or asks for something else.
        """
        told = read(path)
        _only(told, _KNOWN, path)
        grid, random = _table(told, "grid", path), _table(told, "random", path)
        _only(random, _KNOWN_RANDOM, path)
        for name, values in grid.items():
            if not isinstance(values, list) or not values:
                raise ConfigError(f"{path}: grid.{name} must be a list of values")
        combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
        settings = [one | drawn for one in combinations for drawn in _draws(random, path)]
        digits = len(str(len(settings)))
        trials = tuple(Trial(f"trial-{number:0{digits}}", each) for number, each in enumerate(settings, 1))
        config = told.get("config")
        if config is not None and not isinstance(config, str):
            raise ConfigError(f"{path}: config must be the path of a settings file")
        return cls(None if config is None else path.parent / config, trials)


def _draws(random: Mapping[str, Any], path: Path) -> Iterator[dict[str, float]]:
    """Yield drawn settings; nothing drawn once, if there is nothing to draw."""
    draws, seed = random.get("draws", 1), random.get("seed", 1)
    if type(draws) is not int or type(seed) is not int or draws < 1 or seed < 0:
        raise ConfigError(f"{path}: random.draws is a number of 1 or more, random.seed one of 0 or more")
    generator = np.random.default_rng(seed)
    ranges = [
        (name, kind == "log_uniform", *_range(bounds, f"{path}: random.{kind}.{name}", positive=kind == "log_uniform"))
        for kind in ("uniform", "log_uniform")
        for name, bounds in _table(random, kind, path).items()
    ]
    for _ in range(draws):
        drawn = {}
        for name, is_log, low, high in ranges:
            share = generator.random()
            drawn[name] = low * (high / low) ** share if is_log else low + (high - low) * share
        yield drawn


def _range(bounds: object, place: str, *, positive: bool) -> tuple[float, float]:
    if isinstance(bounds, list) and len(bounds) == 2 and all(type(each) in {int, float} for each in bounds):
        low, high = float(bounds[0]), float(bounds[1])
        if math.isfinite(low) and math.isfinite(high) and low <= high and (low > 0 or not positive):
            return low, high
    raise ConfigError(f"{place} must be the lowest and the highest value{', above 0' if positive else ''}")


def _table(told: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    table = told.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {name} must be a table")
    return table


def _only(told: Mapping[str, Any], known: set[str], path: Path) -> None:
    for name in told:
        if name not in known:
            raise ConfigError(f"{path}: unknown {name!r}; known are {', '.join(sorted(known))}")
