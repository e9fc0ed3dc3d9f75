"""The uniform format: one JSON object a line, `{"user": ..., "text": ..., "time"?: ...}`, plain or gzipped.

The time is a number of seconds, or a date and time in ISO 8601.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from data.corpus import Corpus, CorpusError, Message, seconds
from data.json_lines import records


def load(path: Path, *, max_users: int | None = None) -> Corpus:
    """Read a JSONL corpus; a user's messages stand in order unless all of them have a time.

    Raises:
        CorpusError: with the line that is not of the format.
    """
    return Corpus.from_messages(path.name.split(".", maxsplit=1)[0], _messages(path), max_users=max_users)


def _messages(path: Path) -> Iterator[tuple[str, Message]]:
    for number, record in records(path):
        if not isinstance(record.get("user"), str) or not isinstance(record.get("text"), str):
            raise CorpusError(path, 'needs an object with the strings "user" and "text"', number)
        yield record["user"], Message(record["text"], _time(record.get("time"), path, number))


def _time(value: object, path: Path, number: int) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    try:
        return seconds(datetime.fromisoformat(str(value)))
    except ValueError as error:
        raise CorpusError(path, '"time" must be seconds or an ISO 8601 date and time', number) from error
