"""What may be in the place of a file: somebody copied it, cut it off, linked it, or put something else there."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from fedkey.cli.errors import sentence

_HUGE = 1 << 30
_MEMORY = 1 << 26
"""More than reading any of these takes, and much less than a file that was not looked at before."""

Wrong = Callable[[Path, bytes], object]

WRONG: dict[str, Wrong] = {
    "a pipe": lambda path, _: os.mkfifo(path),
    "a folder": lambda path, _: path.mkdir(),
    "a device": lambda path, _: path.symlink_to("/dev/zero"),
    "a loop": lambda path, _: path.symlink_to(path.name),
    "a link to nothing": lambda path, _: path.symlink_to("nothing"),
    "huge": lambda path, _: (path.touch(), os.truncate(path, _HUGE)),
    "no text": lambda path, _: path.write_bytes(bytes(range(256)) * 4),
    "cut off": lambda path, content: path.write_bytes(_cut(content)),
    "empty": lambda path, _: path.touch(),
}


def _cut(content: bytes) -> bytes:
    """Return half of it, or all before the end of a string of TOML: between two lines it would only be shorter."""
    return content[: content.rfind(b'= "') + 3 if b'= "' in content else len(content) // 2]


def put(wrong: str, path: Path) -> None:
    """Put something wrong in the place of a file that is there."""
    content = path.read_bytes()
    path.unlink()
    WRONG[wrong](path, content)


def kept(folder: Path) -> dict[str, bytes | int]:
    """Return the contents of a folder's small files, and what else is in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file() and path.stat().st_size < _HUGE
        else path.lstat().st_mode
        for path in folder.rglob("*")
        if not path.name.endswith(("-shm", "-wal", ".lock"))
    }


def said(load: Callable[[], object]) -> str:
    """Return the one sentence in which something is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(Exception) as refused:  # noqa: PT011 - which one it is the sentence shows
            load()
        assert tracemalloc.get_traced_memory()[1] < _MEMORY
    finally:
        tracemalloc.stop()
    error = refused.value
    told = error.message if isinstance(error, click.ClickException) else sentence(error)
    assert "should not happen" not in told
    assert 0 < len(told) < 500
    return told
