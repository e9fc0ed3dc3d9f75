"""Public text without users: `{"source": ..., "text": ...}` a line, plain or gzipped.

What the public start is trained on. Sources are named so that their licences can be.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from data.corpus import CorpusError
from data.json_lines import records


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
    for number, record in records(path):
        source = record.get("source", path.name.split(".", maxsplit=1)[0])
        if not isinstance(record.get("text"), str):
            raise CorpusError(path, 'needs an object with the string "text"', number)
        if not isinstance(source, str):
            raise CorpusError(path, '"source" must be a string', number)
        yield source, record["text"]
