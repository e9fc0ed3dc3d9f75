"""Where the public start's text comes from: five collections of English dialogue, each read from a checkout.

Only what people may use for this is listed, with its terms; `model/public/NOTICE` repeats them.
"""

import csv
import gzip
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.corpus import CorpusError
from model import files

Reader = Callable[[Path], Iterator[str]]


@dataclass(frozen=True)
class Source:
    """One collection.

    Attributes:
        name: in the text file.
        repository: where it is published.
        commit: that was read.
        licence: SPDX identifier.
        read: yields the messages in a checkout.
    """

    name: str
    repository: str
    commit: str
    licence: str
    read: Reader


def _self_dialogue(checkout: Path) -> Iterator[str]:
    """Crowd workers' conversations with themselves, one row each; workers that the authors block are left out."""
    blocked = set((checkout / "blocked_workers.txt").read_text(encoding="utf-8").split())
    seen = set()
    for path in sorted(checkout.glob("corpus/*/*.csv")):
        for row in _rows(path):
            if row.get("Reject") or row["WorkerId"] in blocked or row["AssignmentId"] in seen:
                continue
            seen.add(row["AssignmentId"])
            count = sum(name is not None and name.startswith("Answer.sentence") for name in row)
            for number in range(1, count + 1):
                sentence = (row.get(f"Answer.sentence{number}") or "").strip()
                if sentence not in {"", "{}"}:
                    yield sentence


def _topical_chat(checkout: Path) -> Iterator[str]:
    for path in sorted(checkout.glob("conversations/*.json")):
        for conversation in _json(path).values():
            yield from (turn["message"] for turn in conversation["content"])


def _synthetic_persona_chat(checkout: Path) -> Iterator[str]:
    for path in sorted(checkout.glob("data/Synthetic-Persona-Chat_*.csv")):
        for row in _rows(path):
            for line in row["Best Generated Conversation"].splitlines():
                _, _, said = line.partition(": ")
                if said:
                    yield said


def _taskmaster_4(checkout: Path) -> Iterator[str]:
    for path in sorted(checkout.glob("TM-4-2024/data/*.json")):
        for conversation in _json(path):
            yield from (utterance["text"] for utterance in conversation["utterances"])


def _schema_guided_dialogue(checkout: Path) -> Iterator[str]:
    """What users say; the system's turns are templates."""
    for part in ("train", "dev", "test"):
        for path in sorted((checkout / part).glob("dialogues_*.json")):
            for dialogue in _json(path):
                yield from (turn["utterance"] for turn in dialogue["turns"] if turn["speaker"] == "USER")


SOURCES = (
    Source(
        "topical-chat",
        "https://github.com/alexa/Topical-Chat",
        "8a485f76337a40dfab842426caeaa94fd8212db4",
        "CDLA-Sharing-1.0",
        _topical_chat,
    ),
    Source(
        "self-dialogue",
        "https://github.com/jfainberg/self_dialogue_corpus",
        "113a1b0ff10308f1227c13a4aaded9bc85577816",
        "BSD-3-Clause",
        _self_dialogue,
    ),
    Source(
        "synthetic-persona-chat",
        "https://github.com/google-research-datasets/Synthetic-Persona-Chat",
        "1f367a0f05d388ca96ebbbc9e5752ab19ac76510",
        "CC-BY-4.0",
        _synthetic_persona_chat,
    ),
    Source(
        "taskmaster-4",
        "https://github.com/google-research-datasets/Taskmaster",
        "d92cb6af3005f1dc09c39e75e7daf4a04905e00b",
        "CC-BY-4.0",
        _taskmaster_4,
    ),
    Source(
        "schema-guided-dialogue",
        "https://github.com/google-research-datasets/dstc8-schema-guided-dialogue",
        "3ad8026d7f002743c083e838657885733aca70dc",
        "CC-BY-SA-4.0",
        _schema_guided_dialogue,
    ),
)


def collect(checkouts: Path, out: Path, *, show: Callable[[str], None] = lambda _: None) -> int:
    """Write the text of all sources as one file of public text; return the number of messages.

    Args:
        checkouts: folder with a checkout of each source, named after it; what is missing is cloned with git.
        out: JSONL file, gzipped.
        show: is told what is being done.

    Raises:
        CorpusError: a source cannot be fetched or is not as its authors describe it.
    """
    written = 0
    with files.writing(out) as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
        for source in SOURCES:
            checkout = checkouts / source.name
            if not checkout.exists():
                show(f"cloning {source.repository}")
                _clone(source, checkout)
            before = written
            try:
                for text in source.read(checkout):
                    line = {"source": source.name, "text": " ".join(text.split())}
                    file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                    written += 1
            except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
                raise CorpusError(checkout, f"not a checkout of {source.repository}: {error}") from error
            show(f"{source.name}: {written - before} messages")
    return written


def _clone(source: Source, checkout: Path) -> None:
    checkout.parent.mkdir(parents=True, exist_ok=True)
    for command in (
        ["git", "clone", "--quiet", source.repository, str(checkout)],
        ["git", "-C", str(checkout), "checkout", "--quiet", source.commit],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - no shell
        except (OSError, subprocess.CalledProcessError) as error:
            raise CorpusError(source.repository, f"cannot be fetched: clone it to {checkout} by hand") from error


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
