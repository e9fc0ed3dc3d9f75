"""Files and folders that a person names on the command line."""

import os
from pathlib import Path
from typing import Any

import click

from model import files


class Place(click.Path):
    """A path that is a file, a folder or nothing yet: what never ends or waits for a writer is refused.

    Args:
        options: of `click.Path`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; see the class."""
        if reason := unusable(value):
            self.fail(reason, param, ctx)
        return super().convert(value, param, ctx)


def unusable(place: str | os.PathLike[str]) -> str:
    """Return why no command can use a place, or nothing."""
    try:
        endless = files.never_ends(place)
    except (OSError, ValueError):
        return ""  # whoever opens it says what is wrong
    return f"{os.fspath(place)} is a pipe, a socket or a device: name a file or a folder" if endless else ""
