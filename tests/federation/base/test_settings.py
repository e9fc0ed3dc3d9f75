"""Every setting of every file, tried with wrong types and impossible values: cases are made from the fields."""

import dataclasses
import datetime as dt
import enum
import math
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import tomli_w

from federation.base.config import load
from federation.errors import ConfigError
from federation.fleet.scenario import Scenario
from federation.server.settings import ServerSettings
from federation.simulation.config import SimulationConfig
from tests.wording import has_words_of_python

FILES: dict[str, Any] = {
    "server.toml": ServerSettings(),
    "simulation.toml": SimulationConfig(scenario=Scenario()),
    "scenario.toml": Scenario(),
}
INFINITE = ("simulation.toml", "privacy", "clip")
"""The one number that may be infinite."""

Place = tuple[str | int, ...]


WRONG: dict[Any, list[Any]] = {
    bool: ["no", 0, 0.0, [True], dt.date(2026, 1, 1)],
    str: [3, True, ["text"], {"a": False}],
    int: ["many", 1.5, True, -(10**30), 10**30, dt.time(1)],
    float: ["fast", True, math.nan, -1e300, [False]],
}


def plain(value: Any) -> Any:
    """Return what TOML can say of a setting."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value.name.lower() if isinstance(value, enum.Enum) else value


def leaves(hint: Any, value: Any, path: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield place and type of every setting of a value, tables and lists among them."""
    if typing.get_origin(hint) is types.UnionType:
        hint = typing.get_args(hint)[0]
    if path:
        yield path, hint
    if dataclasses.is_dataclass(hint):
        for name, inner in typing.get_type_hints(hint).items():
            yield from leaves(inner, getattr(value, name), (*path, name))
    elif typing.get_origin(hint) is dict:
        for name, each in value.items():
            yield from leaves(typing.get_args(hint)[1], each, (*path, name))
    elif typing.get_origin(hint) is tuple:
        for index, each in enumerate(value[:1]):
            yield from leaves(typing.get_args(hint)[0], each, (*path, index))


def wrong(hint: Any, file: str, path: Place) -> list[Any]:
    """Return what a setting of a type can never be."""
    if hint is float:
        return [*WRONG[float], *([] if (file, *path) == INFINITE else [math.inf])]
    if hint in WRONG:
        return WRONG[hint]
    if dataclasses.is_dataclass(hint) or typing.get_origin(hint) is dict:
        return [3, "text", True, {"no such setting": 1}]
    if typing.get_origin(hint) is tuple:
        return [3, "text", False, {"a": 1}]
    assert typing.get_origin(hint) is Literal or isinstance(hint, enum.EnumMeta), hint
    return ["nonsense", 3, True, ["none"]]


CASES = [
    pytest.param(file, path, hint, id=f"{file}:{'.'.join(map(str, path))}")
    for file, settings in FILES.items()
    for path, hint in leaves(type(settings), settings)
]


@pytest.mark.parametrize(("file", "path", "hint"), CASES)
def test_what_a_setting_cannot_be_is_refused_in_one_sentence(tmp_path: Path, file: str, path: Place, hint: Any) -> None:
    for value in wrong(hint, file, path):
        table = plain(dataclasses.asdict(FILES[file]))
        part = table
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = value
        (tmp_path / file).write_text(tomli_w.dumps(table))
        with pytest.raises(ConfigError) as caught:
            load(type(FILES[file]), tmp_path / file)
        assert "\n" not in str(caught.value)
        assert file in str(caught.value)
        assert not has_words_of_python(str(caught.value))


@pytest.mark.parametrize("file", FILES)
def test_what_is_written_is_read_again(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text(tomli_w.dumps(plain(dataclasses.asdict(FILES[file]))))
    assert load(type(FILES[file]), tmp_path / file) == FILES[file]


@pytest.mark.parametrize(
    "text",
    [
        *("rounds = ", "rounds = " + "9" * 10_000, "a = " + "[" * 5000, 'database = "\\q"', "goal = 1\ngoal = 2"),
        *("[rounds]\n[rounds]", "[rounds.privacy]\n[rounds.privacy]", "rounds.goal = 1\n[rounds]"),
    ],
)
def test_what_is_not_toml_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(ServerSettings, tmp_path / "server.toml")
    assert "\n" not in str(caught.value)
    assert not has_words_of_python(str(caught.value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[rounds]\nlearning_rate = 0.5", "learning_rate is called training.learning_rate now"),
        ("[optimizer]\nfirst_moment = 0.9", "first_moment is called momentum now"),
        ('enrolment_url = "ftp://example.org"', "http"),
        ('[rates]\ndevice = "often"', "20/second"),
        ("[rounds.budgets]\nlow = {steps = 1, seconds = 1}", "low, middle, high"),
        ("[rounds.budgets.tiny]\nsteps = 1\nseconds = 1", "one of low, middle, high"),
        ("[rounds]\ngoal = 3\nminimum = 5", "minimum is 3 to its goal"),
        ("[rounds.privacy]\nmechanism = 'skellam'", "does not go with noise multiplier 0"),
        ("max_relative_gate_loss = 1" + "0" * 400, "a number"),
    ],
)
def test_old_names_and_settings_that_do_not_go_together_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "server.toml").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load(ServerSettings, tmp_path / "server.toml")
    assert "\n" not in str(caught.value)
