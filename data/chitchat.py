"""The ChitChat challenge (Myers et al. 2018): students' chat, from the PyPI package `chitchat-dataset`.

A client is a sender. The challenge paid for volume, so some senders pasted scripts: messages sent at twenty or more a
clock minute, keyboard mash and immediate repeats are dropped.
"""

import importlib.util
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from data.corpus import Corpus, CorpusError, Message, seconds

_BURST = 20  # messages a clock minute
_LONGEST_WORD = 25
_MASH = re.compile(r"(.)\1{9}")


class _Sent(NamedTuple):
    time: datetime
    text: str


def dataset_path() -> Path:
    """Return where the installed package keeps its data.

    Raises:
        CorpusError: the package is not installed.
    """
    found = importlib.util.find_spec("chitchat_dataset")
    if found is None or found.origin is None:
        raise CorpusError("chitchat", "the package chitchat-dataset is not installed: run `uv sync`")
    return Path(found.origin).parent / "dataset.json"


def load(path: Path | None = None, *, max_users: int | None = None) -> Corpus:
    """Read and clean the corpus.

    Args:
        path: of a `dataset.json` in the package's form; by default the installed one.
        max_users: a sample of this many; None for all.

    Raises:
        CorpusError: the package is missing or the file is not in its form.
    """
    path = path or dataset_path()
    try:
        conversations = json.loads(path.read_text(encoding="utf-8"))
        senders: dict[str, list[_Sent]] = {}
        for conversation in conversations.values():
            for block in conversation["messages"]:
                for message in block:
                    sent = _Sent(datetime.fromisoformat(message["timestamp"]), message["text"])
                    senders.setdefault(message["sender"], []).append(sent)
    except json.JSONDecodeError as error:
        raise CorpusError(path, f"not JSON: {error.msg}", error.lineno) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(path, str(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorpusError(path, "not a ChitChat dataset: reinstall chitchat-dataset") from error
    return Corpus.from_messages(
        "chitchat",
        ((sender, Message(sent.text, seconds(sent.time))) for sender in senders for sent in clean(senders[sender])),
        max_users=max_users,
    )


def clean(sent: list[_Sent]) -> Iterator[_Sent]:
    """Yield one sender's messages in time order without bursts, keyboard mash and immediate repeats."""
    sent = sorted(sent, key=lambda message: message.time)
    minutes = Counter(message.time.replace(second=0, microsecond=0) for message in sent)
    previous = ""
    for message in sent:
        text = message.text.strip()
        bare = text.casefold()
        if not text or bare == previous or minutes[message.time.replace(second=0, microsecond=0)] >= _BURST:
            continue
        previous = bare
        if _MASH.search(text) or any(len(w) > _LONGEST_WORD and "://" not in w for w in text.split()):
            continue
        yield message
