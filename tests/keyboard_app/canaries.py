"""A search for words that must not be found: in files, requests and whatever else is looked at."""

import base64
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_written: list[Path] = []
"""Files that this process opened for writing, wherever they are, in that order."""


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | os.PathLike):
        path, _, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR):
            _written.append(Path(os.fsdecode(path)).absolute())


sys.addaudithook(_note)


def forms(word: str) -> Iterator[bytes]:
    """Yield how a word, in lower case, would look in a file; base64 at each of its three offsets."""
    plain = word.encode()
    yield plain
    yield word.encode("utf-16-le")
    yield plain.hex().encode()
    for offset in range(3):
        coded = base64.b64encode(bytes(offset) + plain)
        yield coded[-(-offset * 8 // 6) : len(coded) // 4 * 4 - 4]  # what its neighbours have no part in


class Search:
    """Looks for words in what the phone wrote and sent; what was seen once is not forgotten.

    Args:
        folder: whose files are all looked at.
        here: the phone is in this process, so files that this process opens elsewhere from now on are looked at, too.
        words: in lower case.

    Attributes:
        found: the words, and where each was.
        files: all that were looked at.
    """

    def __init__(self, folder: Path, words: Sequence[str], *, here: bool = True) -> None:
        self.found: set[tuple[str, str]] = set()
        self.files: set[str] = set()
        self._folder, self._here = folder, here
        self._since = len(_written)  # what other tests wrote before is theirs
        self._forms = {word: tuple(forms(word)) for word in words}

    def look(self, place: str, content: bytes) -> None:
        lowered = content.lower()
        for word, shapes in self._forms.items():
            if any(shape in content or shape in lowered for shape in shapes):
                self.found.add((word, place))

    def look_at_files(self) -> None:
        elsewhere = {*_written[self._since :], *_held_open()} if self._here else set()
        for path in {*self._folder.rglob("*"), *elsewhere}:
            self.look("name of a file", path.name.encode())
            try:
                content = path.read_bytes() if path.is_file() else b""
            except OSError:
                continue  # gone meanwhile
            self.files.add(path.name)
            self.look(path.name, content)


def _held_open() -> Iterator[Path]:
    """Yield the files that this process has open, for those from before it was listened to."""
    for link in Path("/proc/self/fd").glob("*"):
        try:
            yield link.readlink()
        except OSError:
            continue
