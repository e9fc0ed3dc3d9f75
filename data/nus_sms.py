"""The NUS SMS corpus (Chen and Kan 2013) in its official XML: real messages, typed on phones.

A client is the (hashed) number that a message was sent from.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from xml.parsers import expat

from data.corpus import Corpus, CorpusError, Message, seconds
from model import files

_TIME_FORMATS = ("%Y.%m.%d %H:%M", "%Y/%m/%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d")


def load(path: Path, *, max_users: int | None = None) -> Corpus:
    """Read `smsCorpus_*.xml`.

    Messages without a sender are left out: nobody typed them twice. A document type with entities of its own is
    refused, since nothing official has one and entity expansion can exhaust memory.

    Raises:
        CorpusError: with the line that is not of the format.
    """
    return Corpus.from_messages("nus-sms", _messages(path), max_users=max_users)


def _messages(path: Path) -> Iterator[tuple[str, Message]]:
    _refuse_entities(path)
    try:
        for _, element in ET.iterparse(path):  # noqa: S314 - entities are refused
            if element.tag == "message":
                yield from _parse(element, path)
                element.clear()
    except ET.ParseError as error:
        raise CorpusError(path, f"not XML: {error}", error.position[0]) from error
    except OSError as error:
        raise CorpusError(path, str(error)) from error


def _refuse_entities(path: Path) -> None:
    """Scan the prologue for entity declarations before anything is expanded."""
    scanner = expat.ParserCreate()

    def found(name: str, *_: object) -> None:
        raise CorpusError(path, f"declares the entity {name!r}, which is refused", scanner.CurrentLineNumber)

    scanner.EntityDeclHandler = found
    try:
        with files.regular(path).open("rb") as file:
            scanner.ParseFile(file)
    except expat.ExpatError as error:
        raise CorpusError(path, f"not XML: {error}", error.lineno) from error
    except OSError as error:
        raise CorpusError(path, str(error)) from error


def _parse(element: ET.Element, path: Path) -> Iterator[tuple[str, Message]]:
    text = element.findtext("text")
    sender = element.findtext("source/srcNumber") or element.findtext("source/userProfile/userID")
    if text is None:
        raise CorpusError(path, f"message {element.get('id', '?')} has no <text>")
    if sender and sender.strip() not in {"", "unknown"} and text.strip():
        profile = element.find("messageProfile")
        yield sender.strip(), Message(text, _time(profile.get("time", "") if profile is not None else ""))


def _time(written: str) -> float | None:
    for form in _TIME_FORMATS:
        try:
            return seconds(datetime.strptime(written, form))  # noqa: DTZ007 - the corpus names no zone
        except ValueError:
            continue
    return None
