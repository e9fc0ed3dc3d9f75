"""Public text without users: `{"source": ..., "text": ...}` a line, plain or gzipped.

What the public start is trained on. Sources are named so that their licences can be.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from data.corpus import CorpusError


@dataclass(frozen=True)
class PublicText:
    """Messages that anybody may read.

    Attributes:
        sources: messages of each source, in the files' order.
        fingerprint: SHA-256 (hex) of all of it.
    """

    sources: Mapping[str, tuple[str, ...]]
    fingerprint: str

    @property
    def messages(self) -> tuple[str, ...]:
        """All sources' messages, one source after the other."""
        return tuple(chain.from_iterable(self.sources.values()))


def load(paths: Sequence[Path]) -> PublicText:
    """Read public text from one or more files.

    Raises:
        CorpusError: with the file and the line that is not of the format; or there is no message at all.
    """
    sources: dict[str, list[str]] = {}
    digest = hashlib.sha256()
    for path in paths:
        for source, text in _lines(path):
            sources.setdefault(source, []).append(text)
            for part in (source, text):
                encoded = part.encode("utf-8", "surrogatepass")
                digest.update(len(encoded).to_bytes(8, "little") + encoded)
    if paths and not sources:
        raise CorpusError(paths[0], "no messages in it")
    return PublicText({name: tuple(texts) for name, texts in sources.items()}, digest.hexdigest())


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    number = 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _parse(line, path, number)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise CorpusError(path, f"cannot be read further: {error}", number + 1) from error


def _parse(line: str, path: Path, number: int) -> tuple[str, str]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise CorpusError(path, f"not JSON: {error.msg}", number) from error
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise CorpusError(path, 'needs an object with the string "text"', number)
    source = record.get("source", path.name.split(".", maxsplit=1)[0])
    if not isinstance(source, str):
        raise CorpusError(path, '"source" must be a string', number)
    return source, record["text"]
