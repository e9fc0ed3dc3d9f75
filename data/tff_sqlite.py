"""The SQLite form in which TFF stores its federated corpora, read without TensorFlow.

Each row of `examples` holds a client id and a serialised `tf.train.Example`. Stack Overflow has its text in the
feature `tokens` (lower-case, space-separated) with a `creation_date`; Shakespeare in the feature `snippets`.
"""

import dataclasses
import heapq
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from data.corpus import Corpus, CorpusError, Message, sample_order, seconds
from model import files

_TEXT_FEATURES = ("tokens", "snippets")


def load(path: Path, *, part: str = "train", max_users: int | None = None) -> Corpus:
    """Read one part of a TFF corpus.

    Args:
        path: of the `.sqlite` file.
        part: the `split_name` to read.
        max_users: a sample of this many; Stack Overflow has 342,477.

    Raises:
        CorpusError: with the row that is not of the format.
    """
    corpus = Corpus.from_messages(path.stem, _messages(path, part, max_users))
    return corpus if max_users is None else dataclasses.replace(corpus, users_there=_users_there(path, part))


def _users_there(path: Path, part: str) -> int:
    with closing(_opened(path)) as connection:
        query = "SELECT count(DISTINCT client_id) FROM client_metadata WHERE split_name = ?"
        return int(connection.execute(query, (part,)).fetchone()[0])


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{files.regular(path).absolute().as_uri()}?mode=ro", uri=True)


def _messages(path: Path, part: str, max_users: int | None) -> Iterator[tuple[str, Message]]:
    query = "SELECT rowid, client_id, serialized_example_proto FROM examples WHERE split_name = ?"
    try:
        with closing(_opened(path)) as connection:
            values = [part]
            if max_users is not None:
                # Chosen before the examples are read, of which there are gigabytes.
                known = connection.execute(
                    "SELECT DISTINCT client_id FROM client_metadata WHERE split_name = ?", (part,)
                )
                chosen = heapq.nsmallest(max_users, (row[0] for row in known), key=sample_order)
                query += " AND client_id IN (SELECT value FROM json_each(?))"
                values.append(json.dumps(chosen))
            for row, client, example in connection.execute(f"{query} ORDER BY client_id, rowid", values):
                yield client, _message(example, path, row)
    except sqlite3.Error as error:
        raise CorpusError(path, f"not a TFF corpus: {error}") from error


def _message(example: bytes, path: Path, row: int) -> Message:
    try:
        features = dict(_features(example))
        text = next(features[name] for name in _TEXT_FEATURES if name in features).decode()
        date = features.get("creation_date", b"").decode()
    except (IndexError, TypeError, ValueError, StopIteration) as error:
        raise CorpusError(path, f"row {row} of examples holds no text feature") from error
    return Message(text, _timestamp(date))


def _timestamp(date: str) -> float | None:
    try:
        return seconds(datetime.fromisoformat(date.removesuffix(" UTC")))
    except ValueError:
        return None


def _features(example: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and first value of every bytes feature of a serialised `tf.train.Example`.

    Example { Features features = 1 }, Features { map<string, Feature> feature = 1 },
    Feature { BytesList bytes_list = 1, ... }, BytesList { repeated bytes value = 1 }.
    """
    for features in _fields(example, 1):
        for entry in _fields(features, 1):
            name = next(_fields(entry, 1)).decode()
            for feature in _fields(entry, 2):
                for values in _fields(feature, 1):
                    yield from ((name, value) for value in list(_fields(values, 1))[:1])


def _fields(message: bytes, wanted: int) -> Iterator[bytes]:
    """Yield the length-delimited fields numbered `wanted` of a protocol-buffer message.

    Raises:
        ValueError: the bytes are not such a message.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            _, at = _varint(message, at)
            continue
        if kind not in {1, 2, 5}:
            raise ValueError(f"unknown wire type {kind}")
        size, at = _varint(message, at) if kind == 2 else (8 if kind == 1 else 4, at)
        if at + size > len(message):
            raise ValueError("a field goes past the end")
        if kind == 2 and tag >> 3 == wanted:
            yield message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
