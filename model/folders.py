"""Folders that fedkey writes: each kind is known by a description that it holds, and no other folder is touched."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model import files


class FolderError(ValueError):
    """A folder that is not ours to write into; the message says so and what to do."""


@dataclass(frozen=True)
class Kind:
    """A kind of folder.

    Attributes:
        name: for people, with its article.
        description: JSON file that every folder of this kind holds.
        keys: that its object has.
        contents: glob patterns of all that is ever put there.
    """

    name: str
    description: str
    keys: frozenset[str]
    contents: tuple[str, ...]


def check(folder: Path, kind: Kind) -> bool:
    """Return whether a folder of this kind is there already; a missing or an empty one may become one.

    Raises:
        FolderError: there is something else, which stays as it is, or nothing can be written there.
    """
    if not folder.exists() and not folder.is_symlink():
        check_writable(folder)
        return False
    if not folder.is_dir():
        raise FolderError(f"{folder} is not a folder: choose another place")
    check_writable(folder)
    if not any(folder.iterdir()):
        return False
    try:
        described = json.loads(files.read(folder / kind.description))
    except (OSError, ValueError, RecursionError):
        described = None
    if not isinstance(described, dict) or not kind.keys <= described.keys():
        raise FolderError(f"{folder} has files in it and is not {kind.name} that fedkey wrote: choose another folder")
    return True


def check_writable(folder: Path) -> None:
    """See whether files can be written into a folder, which may be missing; nothing is left of the trial.

    Raises:
        FolderError: they cannot.
    """
    above = Path(os.path.abspath(folder))  # noqa: PTH100 - a symbolic link is a place of its own
    while not above.exists() and not above.is_symlink():
        above = above.parent
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise FolderError(f"nothing can be written in {above} ({error.strerror}): choose another place") from error


def clear(folder: Path, kind: Kind) -> None:
    """Delete what fedkey put into a folder of this kind, and the folder itself if nothing else is in it.

    Raises:
        FolderError: see `check`.
    """
    if not check(folder, kind):
        return
    for path in _ours(folder, kind):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    # Last, so that what is left of an interrupted deletion is still known as ours.
    (folder / kind.description).unlink(missing_ok=True)
    if not folder.is_symlink() and not any(folder.iterdir()):
        folder.rmdir()


@contextmanager
def making(folder: Path, kind: Kind) -> Iterator[Path]:
    """Give a new folder to fill, which takes the place of an older one of its kind; see `files.making`.

    Raises:
        FolderError: see `check`.
    """
    check(folder, kind)
    with files.making(folder, lambda partial, folder: place(partial, folder, kind)) as partial:
        yield partial


def place(partial: Path, folder: Path, kind: Kind) -> None:
    """Move a whole new folder to its place, where an older one of its kind may be.

    Raises:
        FolderError: see `check`.
    """
    clear(folder, kind)
    if not folder.exists():
        partial.replace(folder)
        return
    for path in partial.iterdir():
        path.replace(folder / path.name)
    partial.rmdir()


def _ours(folder: Path, kind: Kind) -> Iterator[Path]:
    for pattern in (*kind.contents, f".*{files.PARTIAL}"):
        for path in sorted(folder.glob(pattern)):
            if path.name != kind.description:
                yield path
