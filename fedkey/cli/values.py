"""Values of options: numbers to reckon with, and places of files, looked at before the work that fills them."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from model import folders

MAX_WHOLE = (1 << 31) - 1


class Whole(click.IntRange):
    """A whole number that databases and messages have room for."""

    name = "whole number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See the class; the error names what is allowed."""
        number = super().convert(value, param, ctx)
        if abs(number) > MAX_WHOLE:
            self.fail(f"{value} is too large: give at most {MAX_WHOLE}.", param, ctx)
        return number


class Real(click.FloatRange):
    """A finite number."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See the class; not a number is in no range, although no comparison says so."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Setting(click.ParamType[float, Any]):
    """A number of a setting, whose field has the range.

    Args:
        kind: int or float.
    """

    def __init__(self, kind: type[int | float]) -> None:
        self.name = "whole number" if kind is int else "number"
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See the class."""
        try:
            return self._kind(value)
        except ValueError:
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)


DELTA = Real(0, 1, min_open=True, max_open=True)


def check_file(path: Path, option: str, ours: Callable[[Path], bool] = lambda _: False) -> None:
    """Refuse a place where a file cannot be written, or where there is one that is not ours to replace.

    Args:
        path: Where the file is to be; folders above it are made.
        option: Name of what chooses another place.
        ours: Whether a file that is there already is one that the same command wrote.

    Raises:
        FolderError: see above; nothing has changed.
    """
    if path.is_dir() or path.is_symlink() or (path.exists() and not ours(path)):
        raise folders.FolderError(f"{path} is there already and stays as it is: choose another file with {option}")
    folders.check_writable(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
