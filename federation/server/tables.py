"""Tables of the round server; `migrations` creates them.

Times are seconds since 1970. Nothing here holds text, an update in clear or a count of one device: masked vectors are
blobs, everything else of the protocol is the messages as they came.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Of all tables."""


class ModelRow(Base):
    """A version of what rounds change: weights and what the server optimizer remembers, or counts of n-grams.

    Attributes:
        version: counts up, over all kinds.
        kind: a `Kind` of `federation.server.models`.
        parent: version that it was made from.
        sha256: hex, of the weights.
        signature: of the round server, over version and hash.
        status: `accepted` or `rejected` by the gate.
        round_id: that made it, if one did.
        weights, optimizer, mean: names of blobs; the mean is what the server optimizer was given.
        metrics: measured by the gate and in the round.
    """

    __tablename__ = "models"
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    parent: Mapped[int | None] = mapped_column(ForeignKey("models.version"))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    signature: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[str] = mapped_column(String(16))
    round_id: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    weights: Mapped[str] = mapped_column(String(255))
    optimizer: Mapped[str] = mapped_column(String(255))
    mean: Mapped[str] = mapped_column(String(255), default="")
    metrics: Mapped[dict[str, Any]] = mapped_column(JSON)
    created: Mapped[float]


class CurrentRow(Base):
    """Which version is current, a row for each kind: of weights with id 1, of counts with id 2."""

    __tablename__ = "current"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(ForeignKey("models.version"))


class RoundRow(Base):
    """A round.

    Attributes:
        phase: a `federation.server.phases.Phase`.
        reason: why it was abandoned.
        plan, task: as phones get them, the plan signed.
        goal: phones wanted in the sum.
        max_phones: that are let in.
        group_phones: in a group, at least; see `standing`.
        group_seed: 32 random bytes that the groups follow from, known to the server alone until the roster is closed.
        finish: share of phones that are expected to stay once they have uploaded.
        selected, joined: phones that were told to join, and that did, counted as they come.
        attendance: of each step that is closed; see `federation.server.attendance`.
        noise_stream: of the server's noise, if it adds any.
        noise_time: how many rounds of that stream were noised before this one, once it is.
    """

    __tablename__ = "rounds"
    round_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    phase: Mapped[str] = mapped_column(String(16), index=True)
    reason: Mapped[str | None]
    plan: Mapped[bytes] = mapped_column(LargeBinary)
    task: Mapped[bytes] = mapped_column(LargeBinary)
    model_version: Mapped[int] = mapped_column(ForeignKey("models.version"))
    goal: Mapped[int]
    max_phones: Mapped[int]
    group_phones: Mapped[int]
    group_seed: Mapped[bytes] = mapped_column(LargeBinary(32))
    opened: Mapped[float]
    selected: Mapped[int] = mapped_column(default=0)
    joined: Mapped[int] = mapped_column(default=0)
    finish: Mapped[float] = mapped_column(default=1.0)
    attendance: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    ended: Mapped[float | None]
    noise_stream: Mapped[int | None]
    noise_time: Mapped[int | None] = mapped_column(BigInteger)


class NoiseStreamRow(Base):
    """A stream of the server's noise: `federation.privacy.central.NoiseStream`; who reads it can take noise away.

    Attributes:
        buffers: decays and scales, found when it began.
        secret: 32 random bytes.
        rounds: noised so far.
        held: float64[buffers, dimension], little-endian.
        settings: it was made for.
        reason: why it began.
    """

    __tablename__ = "noise_streams"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    buffers: Mapped[dict[str, Any]] = mapped_column(JSON)
    secret: Mapped[bytes] = mapped_column(LargeBinary(32))
    rounds: Mapped[int] = mapped_column(BigInteger)
    dimension: Mapped[int] = mapped_column(BigInteger)
    held: Mapped[bytes] = mapped_column(LargeBinary)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(String(200))


class MessageRow(Base):
    """An accepted message of the protocol, in the body or, if it is a masked vector, in a blob."""

    __tablename__ = "messages"
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.round_id"), primary_key=True)
    step: Mapped[str] = mapped_column(String(16), primary_key=True)
    device_id: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    blob: Mapped[str | None] = mapped_column(String(255))
    size_bytes: Mapped[int]
    received: Mapped[float]


class DeviceRow(Base):
    """A device that has checked in.

    Attributes:
        waiting_since: when it first checked in able to take part and was told to come back, if it is still waiting.
        due: when it is to come back, if it is likely able to take part then.
        last_seen: latest check-in.
        joined: when it last advertised keys.
        last_round: round it was last selected for.
        selected: when it was; nothing once its place in that round went to another.
        quarantined_until: first round that it may take part in again, if it is kept away for what it sent.
    """

    __tablename__ = "devices"
    __table_args__ = (Index("ix_devices_due", "due", "waiting_since"),)  # counted as a whole
    device_id: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    last_seen: Mapped[float] = mapped_column(index=True)
    waiting_since: Mapped[float | None]
    due: Mapped[float | None]
    joined: Mapped[float | None]
    last_round: Mapped[int | None] = mapped_column(BigInteger, index=True)
    selected: Mapped[float | None]
    quarantined_until: Mapped[int | None] = mapped_column(BigInteger)


class DefenceRow(Base):
    """What the poisoning defence remembers, one row with id 1: `federation.robustness.Memory` as JSON."""

    __tablename__ = "defence"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    memory: Mapped[dict[str, Any]] = mapped_column(JSON)


class EventRow(Base):
    """A step in a device's session trail.

    Attributes:
        device: pseudonym, which only this server's key leads back to a device id; empty for the server's own.
        kind: an `Event`.
        detail: of a fixed vocabulary or a number, never what a phone wrote freely.
    """

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_round", "round_id", "kind"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int | None] = mapped_column(BigInteger)
    device: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(24), index=True)
    detail: Mapped[str] = mapped_column(String(200))
    size_bytes: Mapped[int]
    at: Mapped[float] = mapped_column(index=True)


class CounterRow(Base):
    """How often an event has happened, and the bytes that came with it; trails go, this stays."""

    __tablename__ = "counters"
    kind: Mapped[str] = mapped_column(String(24), primary_key=True)
    events: Mapped[int] = mapped_column(BigInteger)
    size_bytes: Mapped[int] = mapped_column(BigInteger)


class JoinedKeyRow(Base):
    """A public key that a phone advertised in a round that is running: no two phones may have the same."""

    __tablename__ = "joined_keys"
    round_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    key: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)


class NonceRow(Base):
    """A request that counts each time that it is made, and was: see `federation.protocol.request_signing`."""

    __tablename__ = "nonces"
    device_id: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    nonce: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    at: Mapped[float] = mapped_column(index=True)


class ComplaintRow(Base):
    """A phone's signed word that another dealt it shares that are not authentic.

    Attributes:
        device_id: of who complains.
        dealer: device id of whom it complains of.
        message: signed, of kind `COMPLAINT`.
    """

    __tablename__ = "complaints"
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.round_id"), primary_key=True)
    device_id: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    dealer: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    message: Mapped[bytes] = mapped_column(LargeBinary)


class EvidenceRow(Base):
    """Messages that convict phones: `federation.secure_aggregation.evidence.Evidence` as bytes.

    Attributes:
        devices: ids of the phones, in hex.
    """

    __tablename__ = "evidence"
    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(BigInteger, index=True)
    kind: Mapped[str] = mapped_column(String(24))
    devices: Mapped[list[str]] = mapped_column(JSON)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[float]


class LeaseRow(Base):
    """Who coordinates, and how often that was said."""

    __tablename__ = "leases"
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    renewals: Mapped[int] = mapped_column(BigInteger)


class LogRow(Base):
    """An entry of the log, which nothing changes: `federation.protocol.log.LogEntry` as bytes.

    Attributes:
        id: place in the log, from 0.
    """

    __tablename__ = "log"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entry: Mapped[bytes] = mapped_column(LargeBinary)


class InstanceRow(Base):
    """Which database this is, one row with id 1: drawn anew when it was lost, or put back from a copy."""

    __tablename__ = "instance"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[bytes] = mapped_column(LargeBinary(16))
