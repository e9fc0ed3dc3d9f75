"""How commands speak: results always, words in between unless `--quiet`, JSON where it is asked for."""

import contextlib
import gc
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, is_dataclass
from typing import Any

import click

from fedkey.cli.errors import TRACEBACK

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
"""Of every command that reports; the argument is `as_json`."""


class _Level:
    quiet = False


def set_level(*, quiet: bool, verbose: bool) -> None:
    """Say less than usual, or more: what libraries log, and where errors come from."""
    _Level.quiet = quiet
    if verbose:
        os.environ[TRACEBACK] = "1"
        logging.getLogger().setLevel(logging.INFO)
        if logging.lastResort is not None:
            logging.lastResort.setLevel(logging.INFO)


def is_quiet() -> bool:
    """Whether words and bars in between are left out."""
    return _Level.quiet


@contextlib.contextmanager
def quietly(*, when: bool) -> Iterator[None]:
    """Leave words and bars out for a while, where only a result is wanted."""
    before, _Level.quiet = _Level.quiet, _Level.quiet or when
    try:
        yield
    finally:
        _Level.quiet = before


def say(text: str) -> None:
    """Print what is good to know and no result."""
    if not _Level.quiet:
        click.echo(text)


def begin(what: str) -> None:
    """Say to a person who waits what is being done while nothing else is said yet."""
    if not _Level.quiet and sys.stderr.isatty():
        click.echo(what, err=True)


@contextlib.contextmanager
def loading_tensorflow() -> Iterator[None]:
    """Say it of importing TensorFlow, which takes seconds, and a fifth more if garbage is looked for meanwhile.

    What is imported makes a million objects that stay, so no later search looks at them, either.
    """
    begin("loading TensorFlow")
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def print_json(content: object) -> None:
    """Print a result as JSON; dataclasses are objects, bytes hex digits, and what is not finite is null."""
    click.echo(json.dumps(_plain(content), indent=1))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    for kinds, turn in _TURNS:
        if isinstance(value, kinds):
            return turn(value)
    return value


_TURNS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (dict, lambda value: {str(name): _plain(each) for name, each in value.items()}),
    ((list, tuple), lambda value: [_plain(each) for each in value]),
    (bytes, bytes.hex),
    (float, lambda value: value if abs(value) < float("inf") else None),
)
