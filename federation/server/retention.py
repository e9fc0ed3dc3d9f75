"""How long a server keeps what it no longer needs: trails, messages, devices and old models go by age.

What stays for as long as the server accounts for privacy is who uploaded in which round: the cost to the phone that
paid most cannot be known without it.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sql

from federation.protocol.steps import STEPS, Step
from federation.server.defence import remembered
from federation.server.settings import RetentionSettings
from federation.server.store import Blobs, Database
from federation.server.tables import (
    ComplaintRow,
    CurrentRow,
    DeviceRow,
    EventRow,
    EvidenceRow,
    JoinedKeyRow,
    MessageRow,
    ModelRow,
    RoundRow,
)

_DAY = 86400.0
_BLOBS = (ModelRow.weights, ModelRow.optimizer, ModelRow.mean)
_BATCH = 5000
"""Rows in one transaction: phones wait for no longer than that takes."""


class Retention:
    """Removes what is too old.

    Args:
        database: of the server.
        blobs: where weights are.
        settings: how long what is kept.
        clock: seconds since 1970.
    """

    def __init__(
        self, database: Database, blobs: Blobs, settings: RetentionSettings, clock: Callable[[], float]
    ) -> None:
        self._database, self._blobs, self._settings, self._clock = database, blobs, settings, clock

    def sweep(self) -> None:
        """Remove all that is due; safe to be interrupted and to be done by two at once."""
        settings, now = self._settings, self._clock()
        if settings.events_days:
            self._delete(EventRow.id, EventRow.at < now - settings.events_days * _DAY)
            self._delete(EvidenceRow.id, EvidenceRow.at < now - settings.events_days * _DAY)
        if settings.devices_days:
            quarantined = DeviceRow.quarantined_until.is_not(None)
            self._delete(DeviceRow.device_id, DeviceRow.last_seen < now - settings.devices_days * _DAY, ~quarantined)
        over = sql.select(RoundRow.round_id).where(RoundRow.phase.not_in(STEPS))
        self._delete(JoinedKeyRow.key, JoinedKeyRow.round_id.in_(over))
        if settings.messages_days:
            long_over = over.where(RoundRow.ended < now - settings.messages_days * _DAY)
            self._delete(MessageRow.round_id, MessageRow.round_id.in_(long_over), MessageRow.step != Step.UPLOAD)
            self._delete(ComplaintRow.round_id, ComplaintRow.round_id.in_(long_over))
        self._forget_models()

    def _delete(self, key: Any, *which: Any) -> None:
        """Delete rows, a batch a transaction."""
        while True:
            with self._database.write(lasting=False) as session:
                keys = session.scalars(sql.select(key).where(*which).distinct().limit(_BATCH)).all()
                if not keys:
                    return
                session.execute(sql.delete(key.class_).where(*which, key.in_(keys[: _batch_of(key)])))

    def _forget_models(self) -> None:
        """Remove the blobs of old versions that are neither current nor first nor what the defence may return to."""
        with self._database.read() as session:
            kept = set(session.scalars(sql.select(CurrentRow.version)))
            best = remembered(session).best
            rows = session.execute(
                sql.select(ModelRow.version, ModelRow.kind, ModelRow.round_id, *_BLOBS)
                .where(ModelRow.weights != "")
                .order_by(ModelRow.version)
            ).all()
        for kind in {row.kind for row in rows}:
            versions = [row.version for row in rows if row.kind == kind]
            kept |= {versions[0], *versions[-self._settings.models :]}
        kept |= {row.version for row in rows if best is not None and (row.round_id or 0) == best.round_number}
        old = [row for row in rows if row.version not in kept]
        if not old:
            return
        with self._database.write() as session:
            forgotten = sql.update(ModelRow).where(ModelRow.version.in_([row.version for row in old]))
            session.execute(forgotten.values(weights="", optimizer="", mean=""))
            used = {name for row in session.execute(sql.select(*_BLOBS)) for name in row}
        for name in {name for row in old for name in (row.weights, row.optimizer, row.mean)} - used - {""}:
            self._blobs.remove(name)


def _batch_of(key: Any) -> int:
    return 1 if key.class_ is MessageRow else _BATCH  # a round, which has many messages
