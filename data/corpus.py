"""Users and their messages in time order, and the roles that users play in federated learning."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple


class CorpusError(ValueError):
    """A corpus that cannot be read.

    Args:
        source: the file or package.
        problem: one clause that says what is wrong, and what to do where that is not obvious.
        line: where in the file, from 1; None where lines mean nothing.
    """

    def __init__(self, source: Path | str, problem: str, line: int | None = None) -> None:
        self.source, self.problem, self.line = source, problem, line
        super().__init__(f"{source}{'' if line is None else f', line {line}'}: {problem}")


def seconds(moment: datetime) -> float:
    """Return seconds since 1970; a moment that names no zone is taken as UTC, so that no machine's zone matters."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class Message(NamedTuple):
    """One message as it was typed, and when, in seconds since 1970 (None if unknown)."""

    text: str
    time: float | None = None


Users = Mapping[str, tuple[str, ...]]
"""Texts of each user, oldest first."""


@dataclass(frozen=True)
class Corpus:
    """A named corpus.

    Attributes:
        name: for people.
        users: texts of each user, oldest first; users in a fixed order.
        fingerprint: SHA-256 (hex) of all of it.
    """

    name: str
    users: Users
    fingerprint: str

    @classmethod
    def from_messages(cls, name: str, messages: Iterable[tuple[str, Message]]) -> "Corpus":
        """Gather (user, message) pairs; a user's messages are sorted by time where they have one.

        Raises:
            CorpusError: there is no message at all.
        """
        gathered: dict[str, list[Message]] = {}
        for user, message in messages:
            gathered.setdefault(user, []).append(message)
        if not gathered:
            raise CorpusError(name, "no messages in it")
        users = {}
        digest = hashlib.sha256()
        for user in sorted(gathered):
            own = gathered[user]
            if all(message.time is not None for message in own):
                own.sort(key=lambda message: message.time or 0.0)
            users[user] = tuple(message.text for message in own)
            for text in (user, *users[user]):
                encoded = text.encode("utf-8", "surrogatepass")
                digest.update(len(encoded).to_bytes(8, "little") + encoded)
        return cls(name, users, digest.hexdigest())

    @property
    def messages(self) -> int:
        """How many messages all users have together."""
        return sum(len(texts) for texts in self.users.values())


@dataclass(frozen=True)
class SplitOptions:
    """Who takes part and how much of a user counts.

    Attributes:
        min_messages: users with fewer are left out.
        max_messages: only the first so many of a user are used, so that a few heavy users do not rule.
        validation_share: of a client's messages in time, after the training part.
        test_share: of a client's messages in time, at the end.
    """

    min_messages: int = 10
    max_messages: int = 512
    validation_share: float = 0.1
    test_share: float = 0.1


@dataclass(frozen=True)
class Split:
    """Users by role: disjoint, and the same on every machine.

    Attributes:
        seed: public text: vocabulary and warm start.
        train, validation, test: the federated clients' messages, split in time.
        held_out: users that no training ever sees.
    """

    seed: Users
    train: Users
    validation: Users
    test: Users
    held_out: Users


def split(corpus: Corpus, options: SplitOptions | None = None) -> Split:
    """Give every user a role by the SHA-256 of its id modulo 10: 0 seed, 8 and 9 held out, the rest clients.

    Raises:
        CorpusError: a role has no user.
    """
    options = options or SplitOptions()
    roles: dict[str, dict[str, tuple[str, ...]]] = {"seed": {}, "client": {}, "held_out": {}}
    for user, texts in corpus.users.items():
        if len(texts) < options.min_messages:
            continue
        bucket = int(hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest(), 16) % 10
        role = "seed" if bucket == 0 else "held_out" if bucket >= 8 else "client"
        roles[role][user] = texts[: options.max_messages]
    for role, members in roles.items():
        if not members:
            raise CorpusError(
                corpus.name,
                f"no user with {options.min_messages} messages or more falls to the {role.replace('_', '-')} role: "
                "use a corpus with more users",
            )
    train, validation, test = {}, {}, {}
    for user, texts in roles["client"].items():
        end_train = int(len(texts) * (1 - options.validation_share - options.test_share) + 1e-9)
        end_validation = int(len(texts) * (1 - options.test_share) + 1e-9)
        train[user], validation[user], test[user] = (
            texts[:end_train],
            texts[end_train:end_validation],
            texts[end_validation:],
        )
    return Split(roles["seed"], train, validation, test, roles["held_out"])
