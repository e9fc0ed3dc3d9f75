"""A corpus in several files, or with roles by name: a TOML file says which users are public, clients and held out.

For example::

    clients = "messages.jsonl"       # a file, or a list of files, of any format
    public = ["news.jsonl"]          # all of their users are public
    min_messages = 3

    [roles]                          # of users of these files, by name
    ann = "held_out"

Paths are relative to the description. Roles that have no file and no name are given by hash.
"""

import hashlib
import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.corpus import ROLES, Corpus, CorpusError, Role, SplitOptions
from model import files
from model.wording import fault, in_words, toml_fault

_FILES: dict[str, Role] = {"clients": "client", "public": "public", "held_out": "held_out"}
_NUMBERS = {"min_messages": int, "max_messages": int, "validation_share": float, "test_share": float}

Read = Callable[[str], Corpus]


@dataclass(frozen=True)
class Described:
    """A corpus and how its users are to be split."""

    corpus: Corpus
    options: SplitOptions


def load(path: Path, read: Read) -> Described:
    """Read a description and what it names.

    Args:
        path: of the TOML file.
        read: reads one file.

    Raises:
        CorpusError: it says something else than it can, or a user is in files of two roles.
    """
    told = _told(path)
    users: dict[str, tuple[str, ...]] = {}
    role_of: dict[str, Role] = {}
    roles: dict[str, Role] = {}
    given: set[Role] = set()
    digest, there = hashlib.sha256(), 0
    for name, role in _FILES.items():
        for file in _listed(told.get(name, []), path, name):
            corpus = read(str(path.parent / file))
            digest.update(corpus.fingerprint.encode())
            there += max(corpus.users_there, len(corpus.users))
            for user, texts in corpus.users.items():
                if role_of.setdefault(user, role) != role:
                    raise CorpusError(path, f"user {user!r} is in files of two roles: give it another name in one")
                users[user] = (*users.get(user, ()), *texts)
                if role != "client":
                    roles[user] = role
            if role != "client":
                given.add(role)
    roles |= _named(told.get("roles", {}), users, path)
    by_name = tuple(role for role in ROLES if role in given)
    options = {name: kind(told[name]) for name, kind in _NUMBERS.items() if name in told}
    return Described(
        Corpus(path.stem, dict(sorted(users.items())), digest.hexdigest(), there),
        SplitOptions(**options, roles=dict(sorted(roles.items())), given=by_name),
    )


def _told(path: Path) -> dict[str, Any]:
    try:
        told = tomllib.loads(files.read_text(path, "utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(path, f"not a description of a corpus: {fault(error)}") from error
    except (RecursionError, ValueError) as error:
        raise CorpusError(path, f"not a description of a corpus: {toml_fault(error)}") from error
    known = {*_FILES, *_NUMBERS, "roles"}
    for name, value in told.items():
        if name not in known:
            raise CorpusError(path, f"unknown {name!r}; known are {', '.join(sorted(known))}")
        if name in _NUMBERS and not _fits(_NUMBERS[name], value):
            of = "a whole number of 0 or more" if _NUMBERS[name] is int else "a number of 0 or more, below 1"
            raise CorpusError(path, f"{name} must be {of}, not {in_words(value)}")
    if told.get("validation_share", 0.0) + told.get("test_share", 0.0) >= 1:
        raise CorpusError(path, "validation_share and test_share leave nothing to train on: together they are below 1")
    if "clients" not in told:
        raise CorpusError(path, 'needs "clients", the file of those who take part')
    return told


def _fits(kind: type, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        return False
    return value == int(value) if kind is int else value < 1


def _listed(value: object, path: Path, name: str) -> list[str]:
    files = [value] if isinstance(value, str) else value
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise CorpusError(path, f"{name} must be a file or a list of files")
    return files


def _named(value: object, users: dict[str, tuple[str, ...]], path: Path) -> dict[str, Role]:
    if not isinstance(value, dict):
        raise CorpusError(path, "[roles] must be a table of users and their roles")
    named: dict[str, Role] = {}
    for user, role in value.items():
        found = next((each for each in ROLES if each == str(role).replace("-", "_")), None)
        if found is None:
            raise CorpusError(path, f"the role of {user!r} must be one of {', '.join(ROLES)}, not {in_words(role)}")
        if user not in users:
            raise CorpusError(path, f"[roles] names {user!r}, who is in none of the files")
        named[user] = found
    return named
