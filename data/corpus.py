"""Users and their messages in time order, and the roles that users play in federated learning."""

import hashlib
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, get_args


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


Role = Literal["public", "client", "held_out"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Corpus:
    """A named corpus.

    Attributes:
        name: for people.
        users: texts of each user, oldest first; users in a fixed order.
        fingerprint: SHA-256 (hex) of all of it.
        users_there: how many users its source has, if that is more because it was sampled.
    """

    name: str
    users: Users
    fingerprint: str
    users_there: int = 0

    @classmethod
    def from_messages(
        cls, name: str, messages: Iterable[tuple[str, Message]], *, max_users: int | None = None
    ) -> "Corpus":
        """Gather (user, message) pairs; a user's messages are sorted by time where they have one.

        Args:
            name: for people.
            messages: may be a stream that does not fit in memory, if the users that are kept do.
            max_users: keep a sample of this many, which depends on their ids alone: those with the smallest hashes.

        Raises:
            CorpusError: there is no message at all.
        """
        sample = Sample(max_users)
        for user, message in messages:
            sample.add(user, message)
        gathered = sample.users
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
        return cls(name, users, digest.hexdigest(), sample.seen)

    @property
    def messages(self) -> int:
        """How many messages all users have together."""
        return sum(len(texts) for texts in self.users.values())


def sample_order(user: str) -> bytes:
    """Return what users are sorted by when only some are kept; it has nothing to do with the roles they get."""
    return hashlib.sha256(b"sample\0" + user.encode("utf-8", "surrogatepass")).digest()


class Sample:
    """Messages of all users, or of the users with the smallest hashes (a bottom-k sketch, Cohen 1997).

    Args:
        size: users at most; None for all.
    """

    def __init__(self, size: int | None) -> None:
        self._size = size
        self._known: set[str] = set()
        self._largest_first: list[tuple[int, str]] = []
        self.users: dict[str, list[Message]] = {}

    @property
    def seen(self) -> int:
        """Users that had a message."""
        return len(self._known) if self._size is not None else len(self.users)

    def add(self, user: str, message: Message) -> None:
        """Keep a message, if its user is in the sample so far."""
        if self._size is not None and user not in self._known:
            self._known.add(user)
            self.users[user] = []
            heapq.heappush(self._largest_first, (-int.from_bytes(sample_order(user)), user))
            if len(self.users) > self._size:
                del self.users[heapq.heappop(self._largest_first)[1]]
        if self._size is None:
            self.users.setdefault(user, []).append(message)
        elif user in self.users:
            self.users[user].append(message)


@dataclass(frozen=True)
class SplitOptions:
    """Who takes part and how much of a user counts.

    Attributes:
        min_messages: users with fewer are left out, but for those whose role is `public` by name.
        max_messages: at most this many of a user's, the first, are used, so that a few heavy users do not rule.
        validation_share: of a client's messages in time, after the training part.
        test_share: of a client's messages in time, at the end.
        roles: of users, by name; who is not named gets one by hash, but none that `given` names.
        given: roles that nobody gets by hash, since users have them by name.
    """

    min_messages: int = 10
    max_messages: int = 512
    validation_share: float = 0.1
    test_share: float = 0.1
    roles: Mapping[str, Role] = field(default_factory=dict)
    given: tuple[Role, ...] = ()

    def role(self, user: str) -> Role:
        """Return a user's role: by name, or by the SHA-256 of its id modulo 10: 0 public, 8 and 9 held out."""
        if user in self.roles:
            return self.roles[user]
        bucket = int(hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest(), 16) % 10
        by_hash: Role = "public" if bucket == 0 else "held_out" if bucket >= 8 else "client"
        return "client" if by_hash in self.given else by_hash


class LeftOut(NamedTuple):
    """What of a corpus nothing is made of.

    Attributes:
        users: with too few messages.
        messages: of those users.
        min_messages: what is enough.
        beyond: messages of a user beyond the maximum.
        max_messages: what is used of a user at most.
        not_sampled: users of whom nothing was read.
    """

    users: int = 0
    messages: int = 0
    min_messages: int = 0
    beyond: int = 0
    max_messages: int = 0
    not_sampled: int = 0

    def __str__(self) -> str:
        parts = [
            (
                self.users,
                f"{self.users:,} users with fewer than {self.min_messages} messages ({self.messages:,} messages)",
            ),
            (self.beyond, f"{self.beyond:,} messages after the first {self.max_messages} of a user"),
            (self.not_sampled, f"{self.not_sampled:,} users that are not in the sample"),
        ]
        return "; ".join(said for count, said in parts if count) or "nothing"


@dataclass(frozen=True)
class Split:
    """Users by role: disjoint, and the same on every machine.

    Attributes:
        seed: public text: vocabulary and warm start.
        train, validation, test: the federated clients' messages, split in time.
        held_out: users that no training ever sees.
        left_out: what is in none of them.
    """

    seed: Users
    train: Users
    validation: Users
    test: Users
    held_out: Users
    left_out: LeftOut = field(default_factory=LeftOut)


def split(corpus: Corpus, options: SplitOptions | None = None) -> Split:
    """Give every user a role, see `SplitOptions.role`, and cut clients' messages in time.

    Raises:
        CorpusError: a role has no user.
    """
    options = options or SplitOptions()
    roles: dict[Role, dict[str, tuple[str, ...]]] = {role: {} for role in ROLES}
    few = few_messages = beyond = 0
    for user, texts in corpus.users.items():
        role = options.role(user)
        named_public = role == "public" and user in options.roles
        if len(texts) < options.min_messages and not named_public:
            few, few_messages = few + 1, few_messages + len(texts)
            continue
        roles[role][user] = texts[: options.max_messages]
        beyond += len(texts) - len(roles[role][user])
    for role, members in roles.items():
        if not members:
            raise CorpusError(
                corpus.name,
                f"no user with {options.min_messages} messages or more falls to the {role.replace('_', '-')} role: use "
                "a corpus with more users, a smaller --min-messages, or give roles by name (docs/corpora.md)",
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
    not_sampled = max(0, corpus.users_there - len(corpus.users))
    left_out = LeftOut(few, few_messages, options.min_messages, beyond, options.max_messages, not_sampled)
    return Split(roles["public"], train, validation, test, roles["held_out"], left_out)
