"""Files and folders that are whole or not there, and that outlast a power cut once they are: the one way to write them.

What is written goes to a hidden file or folder beside its place, reaches the disk, and takes the name; then the name
reaches the disk. A process that is killed on the way leaves the old content, and perhaps a hidden one that ends in
`PARTIAL`.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"


def write(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """Write a file; see `writing`. A string is written in UTF-8."""
    with writing(path, private=private) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes the place of `path` at the end; after an error nothing has changed.

    Args:
        path: In a folder that exists.
        private: Whether only the owner may read the file.

    Raises:
        OSError: it cannot be written.
    """
    partial = _beside(path)
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def making(folder: Path, place: Callable[[Path, Path], object] = Path.replace) -> Iterator[Path]:
    """Give a folder to fill, which becomes `folder` at the end; after an error nothing has changed.

    Args:
        folder: Name of it; folders above it are made.
        place: Moves the first path to the second; by default in place of nothing or of an empty folder.

    Raises:
        OSError: it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(folder)
    partial.mkdir()
    try:
        yield partial
        for path in partial.rglob("*"):
            sync(path)
        sync(partial)
        place(partial, folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sync(path: Path) -> None:
    """Have a file's content, or the names in a folder, reach the disk."""
    if os.name != "posix" and path.is_dir():
        return  # other systems do not open folders, and keep names in order
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
