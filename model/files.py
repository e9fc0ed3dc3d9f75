"""Files and folders that are whole or not there, and that outlast a power cut once they are: the one way to write them.

What is written goes to a hidden file or folder beside its place, reaches the disk, and takes the name; then the name
reaches the disk. A process that is killed on the way leaves the old content, and perhaps a hidden one that ends in
`PARTIAL`. What is read may be something else that somebody put in a file's place: `regular` and `read` refuse what
never ends, waits for a writer, or is larger than any such file.
"""

import errno
import io
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"

MAX_BYTES = 1 << 28
"""No file that is read at once is larger: weights, a list of words, settings, keys."""


_OPEN_ALREADY = ("/dev/fd/", "/dev/std", "/proc/")
"""Where a shell puts pipes that it has opened for a command, as with `<(...)`."""


def never_ends(path: str | os.PathLike[str]) -> bool:
    """Whether there is a pipe, a socket or a device, but for what a shell has opened.

    Raises:
        OSError: there is nothing, or no way to it.
    """
    place = os.fspath(path)
    if place == os.devnull or place.startswith(_OPEN_ALREADY):
        return False
    mode = Path(place).stat().st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def regular(path: Path) -> Path:
    """Return a path, if there is a file with an end.

    Raises:
        OSError: there is none, or a folder, a pipe, a socket or a device.
    """
    if never_ends(path):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, and a file is needed", str(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "there is a folder where a file is needed", str(path))
    return path


def read(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: see `regular`; or the file is larger than it can be.
    """
    with regular(path).open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size <= max_bytes:
            content = file.read() if stat.S_ISREG(status.st_mode) else file.read(max_bytes + 1)
            if len(content) <= max_bytes:
                return content
    raise OSError(errno.EINVAL, f"it is larger than {max_bytes:,} bytes, which no such file is", str(path))


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Return the text of a file, with line ends as Python has them.

    Raises:
        OSError: see `read`.
        UnicodeDecodeError: it is no such text.
    """
    return io.TextIOWrapper(io.BytesIO(read(path)), encoding=encoding).read()


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
