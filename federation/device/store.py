"""What a device keeps: who it is, what it was told, and a ledger of every byte that it sent and why.

One SQLite file, one file each for the identity, the pseudonym and the model, in a folder that only its owner may read.
Nothing of it is text that was typed. Secrets of a round are never written: a phone that was killed has dropped out.
"""

import io
import json
import math
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.base.files import write_private
from federation.base.sqlite import Database
from federation.device.errors import DistrustError, StoreError
from federation.device.migrations import MIGRATIONS
from federation.privacy import PrivacyBudget
from federation.protocol.credentials import (
    CREDENTIAL_BYTES,
    Credential,
    CredentialError,
    EnrolmentRequest,
    Revocations,
)
from federation.protocol.drop_reasons import DropReason
from federation.protocol.model_codec import SharedKind
from federation.protocol.trust import Anchors, TrustProfile
from federation.secure_aggregation import DeviceKey
from federation.secure_aggregation.identity import DEVICE_ID_BYTES
from model.layout import FlatVector

SHOWN_COORDINATES = 4096
"""Of its last update, a phone keeps so many to show its owner."""

_PSEUDONYM, _NEXT = "pseudonym.key", "next.key"
DATABASE = "phone.sqlite"
"""Name of the file in a device's folder."""

_LEDGER_KEPT = 20_000
_ROUNDS_KEPT = 5_000
_WEEK_SECONDS = 7 * 86400.0


@dataclass(frozen=True)
class Pins:
    """Keys that a phone trusts: those that came with the app.

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
        number: on this phone; later rounds have larger ones, also when a server begins to count again.
        round_id: of the round, as its server counts.
        joined: whether keys were advertised for it.
        began, ended: seconds since 1970; no end if it is running or the phone was killed in it.
        contributed: whether the phone's update was in the sum as far as it can know.
        reason: why it was not.
        sent, received: bytes.
        phones: in the sum, if this one signed who is.
    """

    number: int
    round_id: int
    joined: bool
    began: float
    ended: float | None
    contributed: bool
    reason: DropReason
    sent: int
    received: int
    phones: int = 0


@dataclass(frozen=True, eq=False)
class Contribution:
    """The beginning of what was learnt in a round, and of what the server got instead.

    Attributes:
        number: of the round on this phone.
        delta: float32[n], weights after training minus before; n is `SHOWN_COORDINATES` at most.
        masked: uint8[4 n], of the masked vector.
        sent_bytes: of all of the masked vector.
    """

    number: int
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
            self.identity = _identity(folder / "identity.key")
            self._pseudonym = self._kept_pseudonym()
        except OSError as error:
            raise self._unusable(error) from error
        self._database = Database(folder / DATABASE, MIGRATIONS, explain=self._unusable, pragmas=["journal_mode=WAL"])

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @property
    def key(self) -> DeviceKey:
        """Of the pseudonym that the device goes under.

        Raises:
            DistrustError: it is not enrolled.
        """
        if self._pseudonym is None:
            raise DistrustError("this device is not enrolled: enrol it first")
        return self._pseudonym[0]

    @property
    def credential(self) -> Credential | None:
        """Of the pseudonym, once the device is enrolled."""
        return None if self._pseudonym is None else self._pseudonym[1]

    def enrolment_request(self) -> bytes:
        """Return a request for the authority: to vouch for a pseudonym that nobody else has seen yet.

        It is drawn once, and asked for until the authority has answered.
        """
        path = self.folder / _NEXT
        try:
            if self._pseudonym is not None and path.exists() and _identity(path).public_key == self.key.public_key:
                path.unlink()  # killed when it had just been taken
            return EnrolmentRequest.signed(self.identity, _identity(path))
        except OSError as error:
            raise self._unusable(error) from error

    def enrolled(self, credential: Credential) -> None:
        """Go under the pseudonym of a credential from now on; the one before is forgotten.

        Raises:
            DistrustError: it is not the pseudonym that was asked for.
        """
        path = self.folder / _NEXT
        key = _identity(path)
        if (credential.device_id, credential.identity_key) != (key.device_id, key.public_key):
            raise DistrustError("the enrolment service answered with the credential of another device")
        self._write(_PSEUDONYM, _packed(key) + credential.to_bytes())
        self._pseudonym = key, credential
        path.unlink()

    def _kept_pseudonym(self) -> tuple[DeviceKey, Credential] | None:
        path = self.folder / _PSEUDONYM
        if not path.exists():
            return None
        content = path.read_bytes()
        try:
            return _unpacked(content[:-CREDENTIAL_BYTES], path), Credential.from_bytes(content[-CREDENTIAL_BYTES:])
        except CredentialError as error:
            raise StoreError(f"{path} is damaged: remove it and enrol the device anew") from error

    @property
    def pins(self) -> Pins | None:
        """Keys that it trusts, once an app brought any."""
        data = self._get("pins")
        return None if data is None else Pins(data[:32], data[32:])

    @pins.setter
    def pins(self, pins: Pins) -> None:
        self._set("pins", pins.server_key + pins.authority_key)

    def anchor(self, anchors: Anchors) -> None:
        """Trust the keys that an app brings along; once a phone has some, only those.

        Raises:
            DistrustError: they are other keys, or another publisher's.
        """
        pins = Pins(anchors.server_key, anchors.authority_key)
        publisher = self._get("publisher")
        if (self.pins or pins) != pins or (publisher and publisher != anchors.publisher):
            raise DistrustError(
                "this app brings other keys than those that this phone enrolled with: delete its data to begin anew"
            )
        self.pins = pins
        self._set("profile", json.dumps({"dimension": anchors.dimension, **anchors.profile.to_json()}).encode())
        if anchors.publisher:
            self._set("publisher", anchors.publisher)

    @property
    def profile(self) -> TrustProfile | None:
        """How far the app trusts the operator, once an app brought keys."""
        told = {name: value for name, value in self._profile.items() if name != "dimension"}
        return TrustProfile.from_json(told) if told else None

    @property
    def dimension(self) -> int:
        """Of the app's model, once an app brought keys; 0 before."""
        return int(self._profile.get("dimension", 0))

    @property
    def _profile(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(self._get("profile") or b"{}")
        return values

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
        """Latest round of the server's present instance that keys were advertised for; 0 if none."""
        return self.last_round_of(self._get("instance") or b"")

    def last_round_of(self, instance: bytes) -> int:
        """Return the latest round of an instance of the server that keys were advertised for; 0 if none."""
        with self._database.reading() as database:
            row = database.execute("SELECT last_round_id FROM eras WHERE instance = ?", (instance,)).fetchone()
        return 0 if row is None else int(row[0])

    @property
    def model_version(self) -> int:
        """Version of the model that is kept; 0 before one came."""
        return self.version("model")

    def version(self, kind: SharedKind) -> int:
        """Return the version of what is kept of a kind; 0 before one came."""
        return int(self._get(f"{kind} version") or 0)

    def model(self, kind: SharedKind = "model") -> bytes | None:
        """Return the weights of the model that is kept, or the counts, as bytes."""
        try:
            return (self.folder / f"{kind}.weights").read_bytes()
        except FileNotFoundError:
            return None

    def keep_model(self, weights: bytes, version: int = 0, kind: SharedKind = "model") -> None:
        """Replace the model, or the counts, by another."""
        self._write(f"{kind}.weights", weights)
        self._set(f"{kind} version", str(version).encode())

    def begin_round(
        self, round_id: int, at: float, budget: PrivacyBudget, instance: bytes = b"", model: bytes = b""
    ) -> int:
        """Note that the phone joins a round, and the budget after it, so that this outlives a power cut.

        Args:
            round_id: of a signed plan that was accepted: it is the mark that later rounds have to be above.
            at: seconds since 1970.
            budget: after the round.
            instance: of the server, under which its rounds are counted.
            model: SHA-256 of the one that is trained.

        Returns:
            the round's number on this phone.
        """
        with self._database.writing(durably=True) as database:
            database.execute(_NEW_ERA, (instance,))
            database.execute("UPDATE eras SET last_round_id = ? WHERE instance = ?", (round_id, instance))
            (era,) = database.execute("SELECT era FROM eras WHERE instance = ?", (instance,)).fetchone()
            # What was asked for since the check-in, the plan above all, was for this round.
            database.execute(
                "UPDATE requests SET era = ? WHERE round_id = ? AND id > "
                "(SELECT coalesce(max(id), 0) FROM requests WHERE round_id IS NULL)",
                (era, round_id),
            )
            database.execute("DELETE FROM joined_rounds WHERE era = ? AND round_id = ?", (era, round_id))
            number = database.execute(
                "INSERT INTO joined_rounds (era, round_id, joined, began, model) VALUES (?, ?, 1, ?, ?)",
                (era, round_id, at, model),
            ).lastrowid
            database.execute("DELETE FROM joined_rounds WHERE number <= ?", ((number or 0) - _ROUNDS_KEPT,))
            database.execute(_SET, ("budget", budget.to_json().encode()))
            database.execute(_SET, ("instance", instance))
        return int(number or 0)

    def upload_round(self, number: int, at: float) -> None:
        """Note that an update is about to be sent: from now on the phone may be in a sum, whatever follows."""
        with self._database.writing(durably=True) as database:
            database.execute("UPDATE joined_rounds SET uploaded = ? WHERE number = ?", (at, number))

    def count_phones(self, number: int, phones: int) -> None:
        """Note how many phones are in a round's sum."""
        with self._database.writing() as database:
            database.execute("UPDATE joined_rounds SET phones = ? WHERE number = ?", (phones, number))

    def uploads(self, now: float, model: bytes) -> tuple[int, int, float]:
        """Return what the phone sent: rounds of a model, rounds of the last seven days, seconds since the latest.

        A time in the future, of a clock that was set back, counts as now.
        """
        with self._database.reading() as database:
            (of_model,) = database.execute(
                "SELECT count(*) FROM joined_rounds WHERE uploaded IS NOT NULL AND model = ?", (model,)
            ).fetchone()
            in_week, latest = database.execute(
                "SELECT count(*), max(uploaded) FROM joined_rounds WHERE uploaded > ?", (now - _WEEK_SECONDS,)
            ).fetchone()
        return int(of_model), int(in_week), math.inf if latest is None else max(now - latest, 0.0)

    def end_round(self, number: int, at: float, reason: DropReason) -> None:
        """Note how a round that was joined ended; without a reason the phone has contributed."""
        with self._database.writing() as database:
            database.execute(
                "UPDATE joined_rounds SET ended = ?, contributed = ?, reason = ? WHERE number = ?",
                (at, reason is DropReason.NONE, reason.value, number),
            )

    def refuse_round(self, round_id: int, at: float, reason: DropReason) -> None:
        """Note that the phone did not join a round; what is known of one that it did join stays."""
        with self._database.writing() as database:
            database.execute(
                "INSERT INTO joined_rounds (era, round_id, joined, began, ended, contributed, reason) "  # noqa: S608
                f"VALUES ({_ERA}, ?1, 0, ?2, ?2, 0, ?3) "
                "ON CONFLICT (era, round_id) DO UPDATE SET ended = ?2, reason = ?3 WHERE joined = 0",
                (round_id, at, reason.value),
            )

    def rounds(self) -> list[RoundRecord]:
        """Return all rounds, latest first."""
        with self._database.reading() as database:
            rows = database.execute(
                "SELECT r.number, r.round_id, r.joined, r.began, r.ended, r.contributed, r.reason, "
                "coalesce(sum(l.sent), 0), coalesce(sum(l.received), 0), r.phones "
                "FROM joined_rounds r LEFT JOIN requests l ON l.round_id = r.round_id AND l.era = r.era "
                "GROUP BY r.number ORDER BY r.number DESC"
            ).fetchall()
        return [
            RoundRecord(number, round_id, bool(joined), began, ended, bool(gave), DropReason.read(reason or ""), *rest)
            for number, round_id, joined, began, ended, gave, reason, *rest in rows
        ]

    def record(self, at: float, round_id: int | None, what: str, *, sent: int, received: int) -> None:
        """Add a request to the ledger; the oldest entries make room."""
        with self._database.writing() as database:
            row = database.execute(
                f"INSERT INTO requests (at, round_id, what, sent, received, era) VALUES (?, ?, ?, ?, ?, {_ERA})",  # noqa: S608
                (at, round_id, what, sent, received),
            ).lastrowid
            database.execute("DELETE FROM requests WHERE id <= ?", ((row or 0) - _LEDGER_KEPT,))

    def ledger(self) -> list[RequestLogEntry]:
        """Return all requests, latest first."""
        with self._database.reading() as database:
            query = "SELECT at, round_id, what, sent, received FROM requests ORDER BY id DESC"
            rows = database.execute(query).fetchall()
        return [RequestLogEntry(*row) for row in rows]

    def keep_contribution(self, contribution: Contribution) -> None:
        """Keep what a round's update looked like, in place of the one before."""
        file = io.BytesIO()
        np.savez(
            file,
            number=contribution.number,
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
                    int(kept["number"]), kept["delta"], kept["masked"], sent_bytes=int(kept["sent_bytes"])
                )
        except (OSError, KeyError, ValueError):
            return None

    def forget_contribution(self) -> None:
        """Keep nothing of the last update: an app may want it sealed, or gone."""
        (self.folder / "contribution.npz").unlink(missing_ok=True)

    def log(self, name: str) -> tuple[bytes, bytes]:
        """Return what is known of a log of models, if anything: its edge, and the models that it accepted."""
        return self._get(name) or b"", self._get(f"{name} models") or b""

    def keep_log(self, name: str, edge: bytes, models: bytes) -> None:
        """Keep how far a log was seen, in place of what was known."""
        with self._database.writing(durably=True) as database:
            database.execute(_SET, (name, edge))
            database.execute(_SET, (f"{name} models", models))

    def revocations(self) -> bytes:
        """Return the signed list of revoked devices that was seen last; empty before there was one."""
        return self._get("revoked") or b""

    def keep_revocations(self, revoked: Revocations) -> None:
        """Keep a list, in place of the one before."""
        self._set("revoked", revoked.data)

    @property
    def instance(self) -> bytes | None:
        """Of the server's database, under which the latest round was joined."""
        return self._get("instance")

    def rounds_given_to(self, instance: bytes) -> list[int]:
        """Return the ids of the rounds under an instance whose sum has this phone's update."""
        with self._database.reading() as database:
            rows = database.execute(
                "SELECT r.round_id FROM joined_rounds r JOIN eras e ON e.era = r.era "
                "WHERE e.instance = ? AND r.contributed ORDER BY r.round_id",
                (instance,),
            ).fetchall()
        return [number for (number,) in rows]

    def partial(self, name: str) -> Path:
        """Return where a download is kept until it is complete."""
        return self.folder / f"{name}.part"

    def forget_partials(self, *, but: Path | None = None) -> None:
        """Remove downloads that were begun and will not be ended."""
        for path in self.folder.glob("*.part"):
            if path != but:
                path.unlink(missing_ok=True)

    def _get(self, name: str) -> bytes | None:
        with self._database.reading() as database:
            row = database.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def _set(self, name: str, value: bytes) -> None:
        with self._database.writing() as database:
            database.execute(_SET, (name, value))

    def _unusable(self, error: Exception) -> StoreError:
        return StoreError(f"the phone's records in {self.folder} cannot be used: {error}")

    def _write(self, name: str, content: bytes) -> None:
        try:
            write_private(self.folder / name, content)
        except OSError as error:
            raise StoreError(f"the phone's records in {self.folder} cannot be written: {error}") from error


_ERA = "coalesce((SELECT era FROM eras WHERE instance = (SELECT value FROM state WHERE name = 'instance')), 0)"
_NEW_ERA = "INSERT INTO eras (instance, last_round_id) VALUES (?, 0) ON CONFLICT (instance) DO NOTHING"
_SET = "INSERT INTO state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


def _identity(path: Path) -> DeviceKey:
    """Read an identity, or draw one."""
    if not path.exists():
        write_private(path, _packed(DeviceKey(secrets.token_bytes(DEVICE_ID_BYTES), Ed25519PrivateKey.generate())))
    return _unpacked(path.read_bytes(), path)


def _packed(key: DeviceKey) -> bytes:
    return key.device_id + key.private_key.private_bytes_raw()


def _unpacked(content: bytes, path: Path) -> DeviceKey:
    if len(content) != DEVICE_ID_BYTES + 32:
        raise StoreError(f"{path} is damaged: remove it and enrol the device anew")
    return DeviceKey(content[:DEVICE_ID_BYTES], Ed25519PrivateKey.from_private_bytes(content[DEVICE_ID_BYTES:]))
