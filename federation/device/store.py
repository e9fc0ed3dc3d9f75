"""What a device keeps: who it is, what it was told, and a ledger of every byte that it sent and why.

One SQLite file, one file for the identity and one for the model, in a folder that only its owner may read. Nothing of
it is text that was typed. Secrets of a round are never written: a phone that was killed has dropped out.
"""

import io
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.base.files import write_private
from federation.device.errors import StoreError
from federation.privacy import PrivacyBudget
from federation.protocol.credentials import Credential
from federation.protocol.drop_reasons import DropReason
from federation.secure_aggregation import DeviceKey
from federation.secure_aggregation.identity import DEVICE_ID_BYTES
from model.layout import FlatVector

SHOWN_COORDINATES = 4096
"""Of its last update, a phone keeps so many to show its owner."""

_TABLES = """
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS ledger (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, round_id INTEGER, what TEXT NOT NULL,
    sent INTEGER NOT NULL, received INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS rounds (
    round_id INTEGER PRIMARY KEY, began REAL NOT NULL, ended REAL, contributed INTEGER, reason TEXT);
"""
_LEDGER_KEPT = 20_000


@dataclass(frozen=True)
class Pins:
    """Keys that a phone trusts, from its first contact or from the app.

    Attributes:
        server_key: raw Ed25519 public key of the round server.
        authority_key: of the enrolment authority.
    """

    server_key: bytes
    authority_key: bytes


@dataclass(frozen=True)
class RequestLogEntry:
    """One request.

    Attributes:
        at: seconds since 1970.
        round_id: of the round it was for, if it was for one.
        what: it was, from a fixed vocabulary.
        sent, received: bytes with headers, without those of TLS.
    """

    at: float
    round_id: int | None
    what: str
    sent: int
    received: int


@dataclass(frozen=True)
class RoundRecord:
    """A round as this phone saw it.

    Attributes:
        round_id: of the round.
        began, ended: seconds since 1970; no end if it is running or the phone was killed in it.
        contributed: whether the phone's update was in the sum as far as it can know.
        reason: why it was not.
        sent, received: bytes.
    """

    round_id: int
    began: float
    ended: float | None
    contributed: bool
    reason: DropReason
    sent: int
    received: int


@dataclass(frozen=True, eq=False)
class Contribution:
    """The beginning of what was learnt in a round, and of what the server got instead.

    Attributes:
        round_id: of the round.
        delta: float32[n], weights after training minus before; n is `SHOWN_COORDINATES` at most.
        masked: uint8[4 n], of the masked vector.
        sent_bytes: of all of the masked vector.
    """

    round_id: int
    delta: FlatVector
    masked: np.ndarray[tuple[int], np.dtype[np.uint8]]
    sent_bytes: int


class PhoneStore:
    """A device's folder.

    Args:
        folder: made if it does not exist; a device that has none draws its identity.

    Raises:
        StoreError: it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.key = _identity(folder / "identity.key")
            self._database = sqlite3.connect(folder / "phone.sqlite", isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA busy_timeout=10000")
            self._database.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"the phone's records in {folder} cannot be used: {error}") from error
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @property
    def credential(self) -> Credential | None:
        """Of this device, once it is enrolled."""
        data = self._get("credential")
        return None if data is None else Credential.from_bytes(data)

    @credential.setter
    def credential(self, credential: Credential) -> None:
        self._set("credential", credential.to_bytes())

    @property
    def pins(self) -> Pins | None:
        """Keys that it trusts, once it was told any."""
        data = self._get("pins")
        return None if data is None else Pins(data[:32], data[32:])

    @pins.setter
    def pins(self, pins: Pins) -> None:
        self._set("pins", pins.server_key + pins.authority_key)

    @property
    def budget(self) -> PrivacyBudget | None:
        """Privacy loss spent, once there is a budget.

        Raises:
            BudgetError: the record of it is damaged.
        """
        data = self._get("budget")
        return None if data is None else PrivacyBudget.from_json(data.decode(errors="replace"))

    @budget.setter
    def budget(self, budget: PrivacyBudget) -> None:
        self._set("budget", budget.to_json().encode())

    @property
    def last_round_id(self) -> int:
        """Latest round that keys were advertised for; 0 if none."""
        with self._reading() as database:
            found = database.execute("SELECT max(round_id) FROM rounds").fetchone()[0]
        return int(found or 0)

    @property
    def model_version(self) -> int:
        """Version of the model that is kept; 0 before one came."""
        return int(self._get("model version") or 0)

    def model(self) -> bytes | None:
        """Return the weights of the model that is kept, as bytes."""
        try:
            return (self.folder / "model.weights").read_bytes()
        except FileNotFoundError:
            return None

    def keep_model(self, weights: bytes, version: int = 0) -> None:
        """Replace the model by another."""
        self._write("model.weights", weights)
        self._set("model version", str(version).encode())

    def begin_round(self, round_id: int, at: float, budget: PrivacyBudget) -> None:
        """Note that the phone joins a round, and the budget after it, so that this outlives a power cut."""
        with self._writing(durably=True) as database:
            database.execute("INSERT INTO rounds (round_id, began) VALUES (?, ?)", (round_id, at))
            database.execute(_SET, ("budget", budget.to_json().encode()))

    def end_round(self, round_id: int, at: float, reason: DropReason) -> None:
        """Note how a round ended; without a reason the phone has contributed."""
        with self._writing() as database:
            database.execute(
                "INSERT INTO rounds (round_id, began, ended, contributed, reason) VALUES (?1, ?2, ?2, ?3, ?4) "
                "ON CONFLICT (round_id) DO UPDATE SET ended = ?2, contributed = ?3, reason = ?4",
                (round_id, at, reason is DropReason.NONE, reason.value),
            )

    def rounds(self) -> list[RoundRecord]:
        """Return all rounds, latest first."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT r.round_id, r.began, r.ended, r.contributed, r.reason, "
                "coalesce(sum(l.sent), 0), coalesce(sum(l.received), 0) "
                "FROM rounds r LEFT JOIN ledger l ON l.round_id = r.round_id GROUP BY r.round_id "
                "ORDER BY r.round_id DESC"
            ).fetchall()
        return [
            RoundRecord(number, began, ended, bool(contributed), DropReason(reason or ""), sent, received)
            for number, began, ended, contributed, reason, sent, received in rows
        ]

    def record(self, at: float, round_id: int | None, what: str, *, sent: int, received: int) -> None:
        """Add a request to the ledger; the oldest entries make room."""
        with self._writing() as database:
            row = database.execute(
                "INSERT INTO ledger (at, round_id, what, sent, received) VALUES (?, ?, ?, ?, ?)",
                (at, round_id, what, sent, received),
            ).lastrowid
            database.execute("DELETE FROM ledger WHERE id <= ?", ((row or 0) - _LEDGER_KEPT,))

    def ledger(self) -> list[RequestLogEntry]:
        """Return all requests, latest first."""
        with self._reading() as database:
            rows = database.execute("SELECT at, round_id, what, sent, received FROM ledger ORDER BY id DESC").fetchall()
        return [RequestLogEntry(*row) for row in rows]

    def keep_contribution(self, contribution: Contribution) -> None:
        """Keep what a round's update looked like, in place of the one before."""
        file = io.BytesIO()
        np.savez(
            file,
            round_id=contribution.round_id,
            delta=contribution.delta[:SHOWN_COORDINATES],
            masked=contribution.masked[: 4 * SHOWN_COORDINATES],
            sent_bytes=contribution.sent_bytes,
        )
        self._write("contribution.npz", file.getvalue())

    def contribution(self) -> Contribution | None:
        """Return what the last update looked like."""
        try:
            with np.load(self.folder / "contribution.npz", allow_pickle=False) as kept:
                return Contribution(
                    int(kept["round_id"]), kept["delta"], kept["masked"], sent_bytes=int(kept["sent_bytes"])
                )
        except (OSError, KeyError, ValueError):
            return None

    def forget_contribution(self) -> None:
        """Keep nothing of the last update: an app may want it sealed, or gone."""
        (self.folder / "contribution.npz").unlink(missing_ok=True)

    def partial(self, name: str) -> Path:
        """Return where a download is kept until it is complete."""
        return self.folder / f"{name}.part"

    def forget_partials(self, *, but: Path | None = None) -> None:
        """Remove downloads that were begun and will not be ended."""
        for path in self.folder.glob("*.part"):
            if path != but:
                path.unlink(missing_ok=True)

    def _get(self, name: str) -> bytes | None:
        with self._reading() as database:
            row = database.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def _set(self, name: str, value: bytes) -> None:
        with self._writing() as database:
            database.execute(_SET, (name, value))

    def _write(self, name: str, content: bytes) -> None:
        try:
            write_private(self.folder / name, content)
        except OSError as error:
            raise StoreError(f"the phone's records in {self.folder} cannot be written: {error}") from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _refusals(self.folder):
            yield self._database

    @contextmanager
    def _writing(self, *, durably: bool = False) -> Iterator[sqlite3.Connection]:
        with self._lock, _refusals(self.folder):
            self._database.execute(f"PRAGMA synchronous={'FULL' if durably else 'NORMAL'}")
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise


_SET = "INSERT INTO state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


@contextmanager
def _refusals(folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"the phone's records in {folder} cannot be used: {error}") from error


def _identity(path: Path) -> DeviceKey:
    """Read a device's identity, or draw one."""
    if not path.exists():
        write_private(path, secrets.token_bytes(DEVICE_ID_BYTES) + Ed25519PrivateKey.generate().private_bytes_raw())
    content = path.read_bytes()
    if len(content) != DEVICE_ID_BYTES + 32:
        raise StoreError(f"{path} is damaged: remove it and enrol the device anew")
    return DeviceKey(content[:DEVICE_ID_BYTES], Ed25519PrivateKey.from_private_bytes(content[DEVICE_ID_BYTES:]))
