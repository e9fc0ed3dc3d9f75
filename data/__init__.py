"""What people typed: corpora become users with messages in time order, users get roles, messages become tokens."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

from data import chitchat, description, jsonl, leaf, nus_sms, tff_sqlite
from data.corpus import Corpus, CorpusError, LeftOut, Message, Split, SplitOptions, Users, split

__all__ = [
    "Corpus",
    "CorpusError",
    "LeftOut",
    "Message",
    "Selection",
    "Split",
    "SplitOptions",
    "Users",
    "load",
    "select",
    "split",
]

_BY_ENDING = {
    ".jsonl": jsonl.load,
    ".jsonl.gz": jsonl.load,
    ".xml": nus_sms.load,
    ".sqlite": tff_sqlite.load,
    ".json": leaf.load,
}
_DESCRIPTION = ".toml"
_LARGE_BYTES = 2 << 30


class Selection(NamedTuple):
    """A corpus, its users by role, and how they came to them."""

    corpus: Corpus
    split: Split
    options: SplitOptions


def select(corpus: str, *, min_messages: int = 0, max_users: int = 0) -> Selection:
    """Read a corpus and give its users their roles.

    Args:
        corpus: see `load`, or the path of a description; see `data.description`.
        min_messages: that users have who are not left out; 0 for what the description says, or 10.
        max_users: a sample of this many of each file; 0 for all.

    Raises:
        CorpusError: see `load`, or a role has no user.
    """

    def read(name: str) -> Corpus:
        return load(name, max_users=max_users or None)

    if corpus.endswith(_DESCRIPTION):
        described = description.load(Path(corpus), read)
        read_corpus, options = described.corpus, described.options
    else:
        read_corpus, options = read(corpus), SplitOptions()
    if min_messages:
        options = dataclasses.replace(options, min_messages=min_messages)
    return Selection(read_corpus, split(read_corpus, options), options)


def check(corpus: str) -> None:
    """See whether there is such a corpus, without reading it.

    Raises:
        CorpusError: there is none.
    """
    if corpus != "chitchat" and not Path(corpus).exists():
        raise CorpusError(corpus, "no such file; give `chitchat` or the path of a corpus")


def load(corpus: str, *, max_users: int | None = None) -> Corpus:
    """Read the corpus called `corpus`: `chitchat`, or the path of a file in one of the known formats.

    Args:
        corpus: name or path.
        max_users: a sample of this many; None for all.

    Raises:
        CorpusError: there is no such file, its ending names no format, its content is damaged, or it is too large to be
            read as a whole.
    """
    check(corpus)
    if corpus == "chitchat":
        return chitchat.load(max_users=max_users)
    path = Path(corpus)
    if path.is_dir():
        return leaf.load(path, max_users=max_users)
    if max_users is None and path.stat().st_size > _LARGE_BYTES:
        raise CorpusError(path, "too large for memory as a whole: read a sample of it with --max-users, such as 10000")
    for ending, read in _BY_ENDING.items():
        if path.name.endswith(ending):
            return read(path, max_users=max_users)
    raise CorpusError(path, f"unknown format: the name must end in one of {', '.join([*_BY_ENDING, _DESCRIPTION])}")
