"""Versions of what rounds change: where they came from, which is current, what phones download."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sql
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import InstrumentedAttribute, Session

from federation.protocol import model_codec as codec
from federation.rounds.server_optimizers import OptimizerSettings, ServerState
from federation.server import transparency
from federation.server.errors import BadRequestError, UnknownError
from federation.server.store import Blobs, Database
from federation.server.tables import CurrentRow, ModelRow
from model.layout import FlatVector


class Kind(StrEnum):
    """What a version is of; rounds of one kind do not touch versions of another."""

    WEIGHTS = "weights"
    COUNTS = "counts"


NEXT_CLIP = "next_clip"
"""Figure of a version: clip norm of the round after the one that made it, where clips are adapted."""

_MEANS, _STATES = "means", "optimizer"  # prefixes of blobs
_CURRENT = {Kind.WEIGHTS: 1, Kind.COUNTS: 2}  # id of `CurrentRow`


@dataclass(frozen=True)
class Verdict:
    """Of the gate.

    Attributes:
        passed: whether the model may become current.
        metrics: what was measured, by name.
    """

    passed: bool
    metrics: Mapping[str, float]


Gate = Callable[[FlatVector, FlatVector], Verdict]
"""Judges a new model, first argument, against the current one on held-out public text."""


class Stored(NamedTuple):
    """What is stored of a version before it is inserted.

    Attributes:
        sha256: hex, of the weights.
        weights, optimizer, mean: names of blobs; no mean if none led to it.
    """

    sha256: str
    weights: str
    optimizer: str
    mean: str = ""


@dataclass(frozen=True)
class ModelVersion:
    """A version as others see it; the attributes are those of `ModelRow`."""

    version: int
    parent: int | None
    sha256: str
    signature: bytes
    status: str
    round_id: int | None
    metrics: Mapping[str, Any]
    created: float
    current: bool
    kind: str


class Models:
    """All versions of one kind.

    Args:
        database: of the server.
        blobs: where weights are.
        key: of the round server, which signs versions.
        kind: of the versions.
    """

    def __init__(self, database: Database, blobs: Blobs, key: Ed25519PrivateKey, kind: Kind = Kind.WEIGHTS) -> None:
        self._database = database
        self._blobs = blobs
        self._key = key
        self._kind = kind
        self._current = _CURRENT[kind]
        self._head: tuple[tuple[bytes, int], bytes] | None = None

    def store(self, state: ServerState, mean: FlatVector | None = None) -> "Stored":
        """Store the blobs of a version.

        Args:
            state: of it.
            mean: float32[dimension], that the server optimizer was given to come to it; published.
        """
        data = codec.to_bytes(state.weights)
        return Stored(
            codec.sha256(data),
            self._blobs.put("models", data),
            self._blobs.put(_STATES, state.slots_to_bytes()),
            "" if mean is None else self._blobs.put(_MEANS, codec.to_bytes(mean)),
        )

    def insert(
        self,
        session: Session,
        stored: "Stored",
        *,
        parent: int | None,
        verdict: Verdict,
        round_id: int | None,
        now: float,
        optimizer: OptimizerSettings | None = None,
    ) -> int:
        """Add a version in a writing session and return its number.

        It becomes current if it passed and its parent still is: a promotion meanwhile is not overruled.
        """
        version = (session.scalar(sql.select(sql.func.max(ModelRow.version))) or 0) + 1
        model = ModelRow(
            version=version,
            kind=self._kind,
            parent=parent,
            sha256=stored.sha256,
            signature=self._key.sign(codec.signed_part(version, stored.sha256)),
            status="accepted" if verdict.passed else "rejected",
            round_id=round_id,
            weights=stored.weights,
            optimizer=stored.optimizer,
            mean=stored.mean,
            metrics=dict(verdict.metrics),
            created=now,
        )
        session.add(model)
        session.flush()
        transparency.append(session, model, optimizer)
        current = session.get(CurrentRow, self._current)
        if verdict.passed and (current is None or current.version == parent):
            session.merge(CurrentRow(id=self._current, version=version))
        return version

    def return_to(self, session: Session, round_id: int, *, instead_of: int) -> None:
        """Make the version that a round made current, in place of one: of round 0, the first version.

        A promotion meanwhile is not overruled.
        """
        made = ModelRow.round_id == round_id if round_id else ModelRow.round_id.is_(None)
        of_kind = sql.select(ModelRow.version).where(made, ModelRow.kind == self._kind)
        version = session.scalar(of_kind.order_by(ModelRow.version).limit(1))
        current = session.get(CurrentRow, self._current)
        if version is not None and current is not None and current.version == instead_of:
            current.version = version

    def begin(self, state: ServerState, now: float) -> None:
        """Make `state` the first version, unless there is one already."""
        stored = self.store(state)
        with self._database.write() as session:
            transparency.refill(session)
            if session.get(CurrentRow, self._current) is None:
                self.insert(session, stored, parent=None, verdict=Verdict(True, {}), round_id=None, now=now)  # noqa: FBT003

    def current_version(self) -> int:
        """Return the version that is trained.

        Raises:
            UnknownError: there is none yet.
        """
        with self._database.read() as session:
            row = session.get(CurrentRow, self._current)
            if row is None:
                raise UnknownError("there is no model yet: start the server with one")
            return row.version

    def state(self, version: int) -> ServerState:
        """Return the global state at a version."""
        with self._database.read() as session:
            row = self._row(session, version)
            names = row.weights, row.optimizer
        if not names[0]:
            raise UnknownError(f"the weights of version {version} are no longer kept: see [retention] in server.toml")
        weights = codec.from_bytes(self._blobs.get(names[0]))
        return ServerState.of(weights, self._blobs.get(names[1]))

    def versions(self) -> list[ModelVersion]:
        """Return all versions, oldest first."""
        with self._database.read() as session:
            current = session.get(CurrentRow, self._current)
            of_kind = sql.select(ModelRow).where(ModelRow.kind == self._kind)
            rows = session.scalars(of_kind.order_by(ModelRow.version))
            return [_seen(row, current) for row in rows]

    def latest_metric(self, name: str) -> float | None:
        """Return a figure of the newest version, whether or not it became current; nothing if it has none."""
        newest = sql.select(ModelRow.metrics).where(ModelRow.kind == self._kind).order_by(ModelRow.version.desc())
        with self._database.read() as session:
            metrics = session.scalar(newest.limit(1))
        return None if metrics is None else metrics.get(name)

    def version(self, number: int) -> ModelVersion:
        """Return one version.

        Raises:
            UnknownError: there is none.
        """
        with self._database.read() as session:
            return _seen(self._row(session, number), session.get(CurrentRow, self._current))

    def round_of(self, number: int) -> int:
        """Return the round that made a version; 0 for the first."""
        return self.version(number).round_id or 0

    def promote(self, number: int) -> ModelVersion:
        """Make a version current, also an earlier one; the next round trains it and goes on with its optimizer state.

        Raises:
            UnknownError: there is none.
            BadRequestError: the gate rejected it.
        """
        with self._database.write() as session:
            row = self._row(session, number)
            if row.status != "accepted":
                raise BadRequestError(f"the gate rejected version {number}: promote another one")
            if not row.weights:
                raise BadRequestError(f"the weights of version {number} are no longer kept: promote another one")
            session.merge(CurrentRow(id=self._current, version=number))
        return self.version(number)

    def weights(self, sha256: str) -> bytes:
        """Return the weights with a hash.

        Raises:
            UnknownError: there are none.
        """
        with self._database.read() as session:
            kept = sql.select(ModelRow.weights).where(ModelRow.sha256 == sha256, ModelRow.weights != "")
            name = session.scalar(kept.limit(1))
        if not name:
            raise UnknownError(f"there is no model {sha256[:16]}: check in again")
        return self._blobs.get(name)

    def mean(self, sha256: str) -> bytes:
        """Return the mean delta with a hash, that some version of weights was made with.

        Raises:
            UnknownError: there is none, or no longer.
        """
        return self._published(ModelRow.mean, f"{_MEANS}/{sha256}")

    def optimizer_state(self, sha256: str) -> bytes:
        """Return what the server optimizer remembered after some version of weights, by its hash.

        Raises:
            UnknownError: there is none, or no longer.
        """
        return self._published(ModelRow.optimizer, f"{_STATES}/{sha256}")

    def _published(self, column: InstrumentedAttribute[str], name: str) -> bytes:
        with self._database.read() as session:
            found = sql.select(sql.func.count()).where(column == name, ModelRow.kind == Kind.WEIGHTS)
            known = session.scalar(found.select_from(ModelRow))
        if not known:  # sums of counts, which are released above a threshold only, are nobody's business
            raise UnknownError("there is nothing of this hash, or no longer: see [retention] in server.toml")
        return self._blobs.get(name)

    def log_head(self) -> bytes:
        """Return the head of the log, signed; see `federation.protocol.log.LogHead`."""
        with self._database.read() as session:
            position = transparency.position(session)
            if self._head is None or self._head[0] != position:
                self._head = position, transparency.head(session).signed(self._key)
            return self._head[1]

    def log(self, first: int) -> bytes:
        """Return the log of models from an entry on; see `federation.protocol.log.unpack`."""
        with self._database.read() as session:
            return transparency.packed(session, first)

    def delta(self, old: str, new: str) -> bytes:
        """Return what turns the weights of one hash into those of another.

        Raises:
            UnknownError: there are none, or the two are not of one size.
        """
        before, after = self.weights(old), self.weights(new)
        if len(before) != len(after):
            raise UnknownError("these are not two versions of one model: fetch the whole one")
        return codec.delta(before, after)

    def _row(self, session: Session, version: int) -> ModelRow:
        row = session.get(ModelRow, version)
        if row is None or row.kind != self._kind:
            raise UnknownError(f"there is no version {version} of {self._kind}: see `fedkey models list`")
        return row


def _seen(row: ModelRow, current: CurrentRow | None) -> ModelVersion:
    return ModelVersion(
        row.version,
        row.parent,
        row.sha256,
        row.signature,
        row.status,
        row.round_id,
        row.metrics,
        row.created,
        current is not None and current.version == row.version,
        row.kind,
    )
