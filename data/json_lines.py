"""Files of one JSON object a line, plain or gzipped."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.corpus import CorpusError
from model import files

_MAX_LINE = 1 << 24


def records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each line that is not empty, and its object.

    Raises:
        CorpusError: with the line that is not an object, or beyond which the file cannot be read.
    """
    number = 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(files.regular(path), "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(_MAX_LINE + 1), ""), 1):
                if len(line) > _MAX_LINE:
                    raise CorpusError(path, f"a line has over {_MAX_LINE:,} characters", number)
                if line.strip():
                    yield number, _parse(line, path, number)
    except UnicodeDecodeError as error:
        raise CorpusError(path, "is not text in UTF-8: convert the file", number + 1) from error
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(path, f"cannot be read further: {error}", number + 1) from error


def _parse(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise CorpusError(path, f"not JSON: {error.msg}", number) from error
    except (RecursionError, ValueError) as error:
        raise CorpusError(path, "it is nested too deeply, or holds a number that is too long", number) from error
    if not isinstance(record, dict):
        raise CorpusError(path, "needs an object a line", number)
    return record
