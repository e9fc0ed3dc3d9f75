"""An append-only log that all phones of a sum have seen alike: a Merkle tree hashed as RFC 9162, section 2.1.1, has it.

A plan commits to the log's head, and every key of a round derives from the plan's hash, so phones that were shown
different heads cannot be in one sum. A phone keeps the edge of the tree that it saw last, and goes on from it with the
entries that were added since: a log that was rewritten leads to another head.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Self

from federation.errors import FederationError

HASH_BYTES = 32
MAX_ENTRY_BYTES = 4096
EMPTY_ROOT = hashlib.sha256(b"").digest()


class LogError(FederationError):
    """A log that is not the one that was seen before, or whose entries do not make sense."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\1" + left + right).digest()


@dataclass(frozen=True)
class Edge:
    """The roots of the full subtrees that a log consists of, largest first: all that is needed to go on.

    Attributes:
        size: entries of the log.
        roots: as many as `size` has bits that are set.
    """

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.roots) != self.size.bit_count():
            raise ValueError(f"a log of {self.size} entries has {self.size.bit_count()} full subtrees")
        if any(len(root) != HASH_BYTES for root in self.roots):
            raise ValueError(f"a hash has {HASH_BYTES} bytes")

    @classmethod
    def of(cls, entries: Sequence[bytes]) -> "Edge":
        """Return the edge of a log with these entries."""
        return cls().after(entries)

    def after(self, entries: Sequence[bytes]) -> "Edge":
        """Return the edge once entries were added."""
        size, roots = self.size, list(self.roots)
        for entry in entries:
            root, size = leaf_hash(entry), size + 1
            for _ in range((size & -size).bit_length() - 1):
                root = node_hash(roots.pop(), root)
            roots.append(root)
        return Edge(size, tuple(roots))

    @property
    def root(self) -> bytes:
        """The head: 32 bytes that every entry and its place decide."""
        if not self.roots:
            return EMPTY_ROOT
        *others, last = self.roots
        return reduce(lambda right, left: node_hash(left, right), reversed(others), last)

    def to_bytes(self) -> bytes:
        """Return the edge for `from_bytes`."""
        return self.size.to_bytes(8, "little") + b"".join(self.roots)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Edge":
        """Read an edge.

        Raises:
            ValueError: it is none.
        """
        roots = tuple(data[at : at + HASH_BYTES] for at in range(8, len(data), HASH_BYTES))
        return cls(int.from_bytes(data[:8], "little"), roots)


@dataclass(frozen=True, kw_only=True)
class LoggedModel:
    """A version of the model, as the log has it.

    Attributes:
        version: counts up.
        parent: version that it was made from; nothing for the first.
        sha256: hex, of the weights.
        accepted: whether the gate let it through.
        plan: hash (hex) of the plan of the round that made it; empty if none did.
        mean: SHA-256 (hex) of the mean delta that was applied; empty if there was none.
        phones: in the sum.
        clip: L2 bound of what a phone contributed.
        noise_multiplier: of the noise that phones made.
        corrupt: phones whose noise was not counted on.
        minimum: phones that had to be in the sum.
    """

    version: int
    parent: int | None
    sha256: str
    accepted: bool
    plan: str = ""
    mean: str = ""
    phones: int = 0
    clip: float = 0.0
    noise_multiplier: float = 0.0
    corrupt: int = 0
    minimum: int = 0

    def to_bytes(self) -> bytes:
        """Return the entry; its bytes are what is hashed."""
        return json.dumps(vars(self), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, entry: bytes) -> Self:
        """Read an entry.

        Raises:
            LogError: it is none.
        """
        try:
            if len(entry) > MAX_ENTRY_BYTES:
                raise ValueError("too long")  # noqa: TRY301
            values: Mapping[str, Any] = json.loads(entry)
            made = cls(**values)
            if not isinstance(made.sha256, str) or len(bytes.fromhex(made.sha256)) != HASH_BYTES:
                raise ValueError("no hash")  # noqa: TRY301
            if made.to_bytes() != entry:
                raise ValueError("written in another way")  # noqa: TRY301
        except (TypeError, ValueError, RecursionError) as error:
            raise LogError("an entry of the log cannot be read") from error
        return made


def pack(entries: Sequence[bytes]) -> bytes:
    """Return entries one after the other, each with its length, for `unpack`."""
    return b"".join(len(entry).to_bytes(2, "little") + entry for entry in entries)


def unpack(data: bytes) -> list[bytes]:
    """Return the entries that `pack` packed.

    Raises:
        LogError: the last one is cut off.
    """
    entries, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "little")
        entry = data[at + 2 : at + 2 + length]
        if len(entry) != length or at + 2 > len(data):
            raise LogError("the log is cut off")
        entries.append(entry)
        at += 2 + length
    return entries


def gone_on(edge: Edge, size: int, root: bytes, added: Sequence[bytes]) -> Edge:
    """Return the edge at a head, having gone on from an edge with the entries since.

    Raises:
        LogError: they do not lead to that head: the log was rewritten, or is not the one that was seen before.
    """
    if size < edge.size or len(added) != size - edge.size:
        raise LogError(f"the log has {size} entries, and had {edge.size} before: it was cut, or entries are missing")
    after = edge.after(added)
    if after.root != root:
        raise LogError("the log's entries do not lead to its head: it was rewritten, or others see another one")
    return after
