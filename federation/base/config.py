"""Dataclasses from TOML: every key and value is checked against the type it fills, and errors name the place."""

import dataclasses
import enum
import tomllib
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from federation.errors import ConfigError
from model import files
from model.wording import KINDS, in_words, toml_fault

T = TypeVar("T")

_RENAMED = {
    "gate_loss": ("max_relative_gate_loss", "max_gate_loss_nats"),
    "local_epochs": ("client.epochs",),
    "first_moment": ("momentum",),
    **{name: (f"training.{name}",) for name in ("learning_rate", "epochs", "gradient_norm", "dropout")},
}
"""New names of settings of earlier versions; a dotted one has moved into a table."""

_RENAMED_PREFIXES = {"least_": "min_", "smallest_": "min_", "most_": "max_", "largest_": "max_"}


def load(kind: type[T], path: Path) -> T:
    """Read a file into a dataclass; what it leaves out keeps its default.

    Raises:
        ConfigError: the file cannot be read, or a key or value is not one of the dataclass's.
    """
    return build(kind, read(path), str(path))


def read(path: Path) -> dict[str, Any]:
    """Return the tables of a file.

    Raises:
        ConfigError: it cannot be read.
    """
    return parse(text_of(path), str(path))


def text_of(path: Path) -> str:
    """Return the text of a file in UTF-8, without a byte order mark.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return files.read_text(path, "utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text in UTF-8: write it anew with a text editor") from error


def parse(text: str, where: str) -> dict[str, Any]:
    """Return the tables of a TOML text that comes from somewhere.

    Raises:
        ConfigError: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except (RecursionError, ValueError) as error:
        raise ConfigError(f"{where}: {toml_fault(error)}") from error


def build(kind: type[T], table: dict[str, Any], where: str) -> T:
    """Make a dataclass of nested tables.

    Args:
        kind: a dataclass whose fields are numbers, strings, literals, enumerations, dataclasses, or tuples or tables of
            any of these.
        table: as TOML or JSON has it.
        where: it comes from, for errors.

    Raises:
        ConfigError: see `load`.
    """
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(table) - set(hints))
    if unknown:
        new = next((name for name in _new_names(unknown[0]) if name.split(".")[0] in hints), None)
        if new:
            raise ConfigError(f"{where}: {unknown[0]} is called {new} now: rename it")
        raise ConfigError(f"{where}: unknown setting {unknown[0]!r}; known are {', '.join(hints)}")
    values = {name: _value(hints[name], value, f"{where}: {name}") for name, value in table.items()}
    for field in dataclasses.fields(typing.cast("Any", kind)):
        if field.name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}: {field.name} is missing")
    try:
        return kind(**values)
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def assigned(text: str, assignments: Sequence[str], where: str) -> dict[str, Any]:
    """Read TOML and put `name=value` strings over it; their values are as in TOML, strings need no quotes.

    Args:
        text: TOML.
        assignments: strings.
        where: the text comes from, for errors.

    Raises:
        ConfigError: the text is not TOML, or a string no assignment.
    """
    table = parse(text, where)
    for name, value in parsed(assignments).items():
        *parents, last = name.split(".")
        part = table
        for parent in parents:
            part = part.setdefault(parent, {})
            if not isinstance(part, dict):
                raise ConfigError(f"options: unknown setting {name!r}")
        part[last] = value
    return table


def parsed(assignments: Sequence[str]) -> dict[str, Any]:
    """Return name and value of `name=value` strings; see `assigned`."""
    values = {}
    for assignment in assignments:
        name, equals, written = assignment.partition("=")
        if not equals:
            raise ConfigError(f"options: {assignment!r} must be NAME=VALUE")
        try:
            values[name.strip()] = tomllib.loads(f"value = {written}")["value"]
        except (RecursionError, ValueError):
            values[name.strip()] = written.strip()
    return values


def _new_names(old: str) -> tuple[str, ...]:
    """Return what a setting of an earlier version may be called today."""
    prefixed = (new + old.removeprefix(prefix) for prefix, new in _RENAMED_PREFIXES.items() if old.startswith(prefix))
    return (*_RENAMED.get(old, ()), *prefixed)


def _value(hint: Any, value: object, place: str) -> object:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        # The one union there is: something or nothing. TOML has no word for nothing, JSON has.
        return None if value is None else _value(arguments[0], value, place)
    if dataclasses.is_dataclass(hint):
        return build(typing.cast("type[Any]", hint), _table(value, place), place)
    if origin is dict:
        key, each = arguments
        entries = _table(value, place).items()
        return {_value(key, name, place): _value(each, entry, f"{place}: {name}") for name, entry in entries}
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{place} must be a list")
        return tuple(_value(arguments[0], each, f"{place} {number}") for number, each in enumerate(value, 1))
    if origin is Literal or isinstance(hint, enum.EnumMeta):
        return _chosen(_choices(hint), value, place)
    return _plain(hint, value, place)


def _table(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{place} must be a table")
    return value


def _choices(hint: Any) -> dict[str, object]:
    """Return what a literal or an enumeration may be, by how it is written."""
    if isinstance(hint, enum.EnumMeta):
        members: dict[str, object] = dict(hint.__members__)
        return {name.lower(): member for name, member in members.items()}
    return {choice: choice for choice in typing.get_args(hint)}


def _chosen(choices: dict[str, object], value: object, place: str) -> object:
    written = value.lower() if isinstance(value, str) and value not in choices else value
    if not isinstance(written, str) or written not in choices:
        raise ConfigError(f"{place} must be one of {', '.join(choices)}, not {in_words(value)}")
    return choices[written]


def _plain(hint: Any, value: object, place: str) -> object:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise ConfigError(f"{place} must be a number, not one beyond all") from error
    if not isinstance(value, hint) or isinstance(value, bool) != (hint is bool):
        raise ConfigError(f"{place} must be {KINDS[hint]}, not {in_words(value)}")
    return value
