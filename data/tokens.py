"""Encoded messages of many users in a few flat arrays, kept on disk under the name of what made them."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.corpus import Corpus, Split, SplitOptions, Users
from model import files

_FORMAT = 1
PARTS = ("seed", "train", "validation", "test", "held_out")


@dataclass(frozen=True)
class TokenTable:
    """Messages of users as ids.

    Attributes:
        users: ids, in the corpus's order.
        ids: int32 [all ids], message after message, user after user.
        message_ends: int64 [messages]: where each message ends in `ids`.
        user_ends: int64 [users]: how many messages stand before each user's last one, and with it.
    """

    users: tuple[str, ...]
    ids: npt.NDArray[np.int32]
    message_ends: npt.NDArray[np.int64]
    user_ends: npt.NDArray[np.int64]

    @classmethod
    def encode(cls, users: Users, encode: Callable[[str], Sequence[int]]) -> "TokenTable":
        """Encode every message; those that encode to nothing are left out."""
        flat: list[int] = []
        message_ends: list[int] = []
        user_ends: list[int] = []
        for texts in users.values():
            for text in texts:
                ids = encode(text)
                if ids:
                    flat.extend(ids)
                    message_ends.append(len(flat))
            user_ends.append(len(message_ends))
        return cls(
            tuple(users),
            np.array(flat, np.int32),
            np.array(message_ends, np.int64),
            np.array(user_ends, np.int64),
        )

    def messages(self, user: int) -> list[npt.NDArray[np.int32]]:
        """Return the encoded messages of the user at index `user`, oldest first."""
        first = int(self.user_ends[user - 1]) if user else 0
        last = int(self.user_ends[user])
        if first == last:
            return []
        start = int(self.message_ends[first - 1]) if first else 0
        ends = self.message_ends[first:last]
        return np.split(self.ids[start : int(ends[-1])], ends[:-1] - start)

    def all_messages(self) -> list[npt.NDArray[np.int32]]:
        """Return every user's messages."""
        return [message for user in range(len(self.users)) for message in self.messages(user)]


def prepare(
    corpus: Corpus,
    split: Split,
    options: SplitOptions,
    encode: Callable[[str], Sequence[int]],
    encoder_key: str,
    cache: Path,
) -> dict[str, TokenTable]:
    """Return the token table of every part of `split`, from the cache if it is there and whole.

    Args:
        corpus: what `split` was made from.
        split: users by role.
        options: how the split was made.
        encode: from a text to its ids.
        encoder_key: changes whenever `encode` would answer differently.
        cache: folder for the arrays; made if missing.
    """
    made_from = json.dumps([_FORMAT, corpus.fingerprint, asdict(options), encoder_key])
    path = cache / f"{hashlib.sha256(made_from.encode()).hexdigest()[:32]}.npz"
    try:
        return _read(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        # Missing or damaged alike: it can always be made again.
        tables = {part: TokenTable.encode(getattr(split, part), encode) for part in PARTS}
        _write(path, tables)
        return tables


def _write(path: Path, tables: dict[str, TokenTable]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for part, table in tables.items():
        arrays[f"{part}.users"] = np.frombuffer(json.dumps(table.users).encode(), np.uint8)
        arrays[f"{part}.ids"] = table.ids
        arrays[f"{part}.message_ends"] = table.message_ends
        arrays[f"{part}.user_ends"] = table.user_ends
    with files.writing(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def _read(path: Path) -> dict[str, TokenTable]:
    with files.regular(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {
            part: TokenTable(
                tuple(json.loads(arrays[f"{part}.users"].tobytes())),
                arrays[f"{part}.ids"],
                arrays[f"{part}.message_ends"],
                arrays[f"{part}.user_ends"],
            )
            for part in PARTS
        }
