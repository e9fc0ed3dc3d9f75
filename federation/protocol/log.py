"""An append-only log that all phones of a sum have seen alike: a Merkle tree hashed as RFC 9162, section 2.1.1, has it.

A plan commits to the log's head, and every key of a round derives from the plan's hash, so phones that were shown
different heads cannot be in one sum. A phone keeps the edge of the tree that it saw last, and goes on from it with the
entries that were added since: a log that was rewritten leads to another head.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.errors import FederationError
from federation.secure_aggregation.identity import SIGNATURE_BYTES, verifies

HASH_BYTES = 32
INSTANCE_BYTES = 16
MAX_ENTRY_BYTES = 4096
_HASH = re.compile("[0-9a-f]{64}")
_KINDS = frozenset({"weights", "counts"})
_HEAD_LABEL = b"fedkey log head v1\0"
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
class LogEntry:
    """How a round ended, or a model that no round made: one leaf of the log.

    Attributes:
        kind: of what the round changes: `weights` or `counts`.
        round_id: that ended; 0 if none made the model.
        version: that came of it; None if the round was abandoned.
        parent: version that the round trained; None for the first.
        sha256: hex, of the new version; of the parent if there is none.
        accepted: whether the gate let the version through.
        plan: hash (hex) of the round's plan; empty if no round made the model.
        mean: SHA-256 (hex) of what the server optimizer was given, the mean delta as float32; empty if nothing was
            published: of counts, and of a round without a model.
        state: SHA-256 (hex) of what the server optimizer remembers after it; empty of counts.
        optimizer: settings of the server optimizer, by name.
        uploads: phones whose masked update came: what a round cost them it cost, whatever became of it.
        phones: in the sum.
        simulated: simulated clients in the mean beside the phones.
        clip: L2 bound of what a phone contributed.
        noise_multiplier: of the noise that phones made.
        corrupt: phones whose noise was not counted on.
        minimum: phones that had to be in the sum.
    """

    version: int | None
    parent: int | None
    sha256: str
    accepted: bool
    kind: str = "weights"
    round_id: int = 0
    plan: str = ""
    mean: str = ""
    state: str = ""
    optimizer: Mapping[str, str | float] = field(default_factory=dict)
    uploads: int = 0
    phones: int = 0
    simulated: int = 0
    clip: float = 0.0
    noise_multiplier: float = 0.0
    corrupt: int = 0
    minimum: int = 0

    def __post_init__(self) -> None:
        hashes = [each for each in (self.plan, self.mean, self.state) if each != ""]
        counts = [self.round_id, self.uploads, self.phones, self.simulated, self.corrupt, self.minimum]
        numbers = [each for each in (self.version, self.parent) if each is not None]
        if not all(isinstance(each, str) and _HASH.fullmatch(each) for each in (self.sha256, *hashes)):
            raise ValueError("a hash has 64 hex digits")
        if not all(type(each) is int and 0 <= each < 1 << 63 for each in (*counts, *numbers)):
            raise ValueError("a count is a whole number from 0")
        if not all(type(each) is float and 0 <= each < math.inf for each in (self.clip, self.noise_multiplier)):
            raise ValueError("a clip and a noise multiplier are finite and not negative")
        if self.kind not in _KINDS or type(self.accepted) is not bool or not isinstance(self.optimizer, dict):
            raise ValueError("another kind of entry")
        if self.version is None and (self.accepted or not self.round_id):
            raise ValueError("what has no version is a round that was abandoned")

    def to_bytes(self) -> bytes:
        """Return the entry; its bytes are what is hashed."""
        return _json(vars(self))

    @classmethod
    def from_bytes(cls, entry: bytes) -> Self:
        """Read an entry.

        Raises:
            LogError: it is none.
        """
        try:
            if len(entry) > MAX_ENTRY_BYTES:
                raise ValueError("too long")  # noqa: TRY301
            values: dict[str, Any] = json.loads(entry)
            made = cls(**values)
            if set(values) != set(vars(made)) or made.to_bytes() != entry:
                raise ValueError("written in another way")  # noqa: TRY301
        except (TypeError, ValueError, RecursionError) as error:
            raise LogError("an entry of the log cannot be read") from error
        return made


@dataclass(frozen=True, kw_only=True)
class LogHead:
    """What a server says of its log to anyone, under its signature: anyone who has two that contradict has a proof.

    Attributes:
        instance: of the server's database.
        size, root: of the log.
        rounds: that ended and in which a phone's masked update came.
        unnoised: of those, without noise by the phones.
        rho: zCDP of all the others together, for a phone that was in each.
    """

    instance: bytes
    size: int
    root: bytes
    rounds: int
    unnoised: int
    rho: float

    def __post_init__(self) -> None:
        if not all(type(each) is int and 0 <= each < 1 << 31 for each in (self.size, self.rounds, self.unnoised)):
            raise ValueError("a log has from 0 to 2^31 entries")
        if len(self.instance) != INSTANCE_BYTES or len(self.root) != HASH_BYTES:
            raise ValueError(f"an instance has {INSTANCE_BYTES} bytes, and the head of a log {HASH_BYTES}")
        if type(self.rho) is not float or not 0 <= self.rho < math.inf:
            raise ValueError("a privacy loss is finite and not negative")

    def signed(self, key: Ed25519PrivateKey) -> bytes:
        """Return the head as JSON, with the signature of a round server."""
        head = vars(self) | {"instance": self.instance.hex(), "root": self.root.hex()}
        return _json({"head": head, "signature": key.sign(_HEAD_LABEL + _json(head)).hex()})

    @classmethod
    def from_signed(cls, data: bytes, server_key: bytes) -> Self:
        """Read a head that the round server with this raw Ed25519 public key signed.

        Raises:
            LogError: it did not, or it is no head.
        """
        try:
            told = json.loads(data)
            head, signature = told["head"], bytes.fromhex(told["signature"])
            made = cls(**(head | {name: bytes.fromhex(head[name]) for name in ("instance", "root")}))
            signed = len(signature) == SIGNATURE_BYTES and verifies(server_key, signature, _HEAD_LABEL + _json(head))
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise LogError("the head of the log cannot be read") from error
        if not signed:
            raise LogError("the head of the log is not signed by the round server")
        return made


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


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
