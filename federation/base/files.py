"""Files that hold secrets."""

from pathlib import Path

from model import files


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all, and on disk when this returns."""
    files.write(path, content, private=True)
