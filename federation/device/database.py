"""A device's records in its SQLite file: whom it trusts, what it may spend, its rounds, and every request it sent."""

import json
import math
from pathlib import Path
from typing import Any

from federation.base.sqlite import Database
from federation.device.errors import DistrustError, StoreError
from federation.device.migrations import MIGRATIONS
from federation.device.records import Pins, RequestLogEntry, RoundRecord
from federation.privacy.budget import PrivacyBudget
from federation.protocol.credentials import Revocations
from federation.protocol.drop_reasons import DropReason
from federation.protocol.trust import Anchors, TrustProfile

DATABASE = "phone.sqlite"
"""Name of the file in a device's folder."""

_LEDGER_KEPT = 20_000
_ROUNDS_KEPT = 5_000
_WEEK_SECONDS = 7 * 86400.0

_ERA = "coalesce((SELECT era FROM eras WHERE instance = (SELECT value FROM state WHERE name = 'instance')), 0)"
_NEW_ERA = "INSERT INTO eras (instance, last_round_id) VALUES (?, 0) ON CONFLICT (instance) DO NOTHING"
_SET = "INSERT INTO state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


class PhoneDatabase:
    """A device's database.

    Args:
        folder: of the device; the file in it is made if there is none.

    Raises:
        StoreError: it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._database = Database(folder / DATABASE, MIGRATIONS, explain=self._unusable, pragmas=["journal_mode=WAL"])

    def close(self) -> None:
        """Close the database."""
        self._database.close()

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

    def _get(self, name: str) -> bytes | None:
        with self._database.reading() as database:
            row = database.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def _set(self, name: str, value: bytes) -> None:
        with self._database.writing() as database:
            database.execute(_SET, (name, value))

    def _unusable(self, error: Exception) -> StoreError:
        return StoreError(f"the phone's records in {self.folder} cannot be used: {error}")
