"""What people typed: corpora become users with messages in time order, users get roles, messages become tokens."""

from pathlib import Path

from data import chitchat, jsonl, leaf, nus_sms, tff_sqlite
from data.corpus import Corpus, CorpusError, Message, Split, SplitOptions, Users, split

__all__ = ["Corpus", "CorpusError", "Message", "Split", "SplitOptions", "Users", "load", "split"]

_BY_ENDING = {
    ".jsonl": jsonl.load,
    ".jsonl.gz": jsonl.load,
    ".xml": nus_sms.load,
    ".sqlite": tff_sqlite.load,
    ".json": leaf.load,
}


def load(corpus: str) -> Corpus:
    """Read the corpus called `corpus`: `chitchat`, or the path of a file in one of the known formats.

    Raises:
        CorpusError: there is no such file, its ending names no format, or its content is damaged.
    """
    if corpus == "chitchat":
        return chitchat.load()
    path = Path(corpus)
    if not path.exists():
        raise CorpusError(corpus, "no such file; give `chitchat` or the path of a corpus")
    if path.is_dir():
        return leaf.load(path)
    for ending, read in _BY_ENDING.items():
        if path.name.endswith(ending):
            return read(path)
    raise CorpusError(path, f"unknown format: the name must end in one of {', '.join(_BY_ENDING)}")
