"""What a worker does for phones in rounds: take their messages, answer with the round's.

Stateless but for caches: whatever a phone was told is stored first, and where a round stands is read anew every time.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import sqlalchemy as sql
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from federation.protocol.credentials import Credential, CredentialError, Revocations
from federation.protocol.drop_reasons import DropReason
from federation.protocol.steps import STEPS, Step
from federation.rounds import pace
from federation.rounds.rules import deadline_seconds
from federation.secure_aggregation import Authority
from federation.server import conduct, phases
from federation.server.errors import (
    ConflictError,
    ForbiddenError,
    GoneError,
    NotYetError,
    RevokedError,
    UnauthorisedError,
    UnavailableError,
)
from federation.server.group_steps import GroupSteps
from federation.server.hot_rows import HotRows, hot_rows
from federation.server.phases import Ended
from federation.server.queries import join, known
from federation.server.round_state import authority_of, plan_of
from federation.server.session_events import Event, pseudonyms, record
from federation.server.store import Blobs, Database
from federation.server.tables import DeviceRow, EventRow, MessageRow, RoundRow

_LOG = logging.getLogger("fedkey.server")

REVOKED = "revoked"
"""Prefix of the blobs of signed lists of revoked devices."""

_EVENT = {
    Step.ADVERTISE: Event.ADVERTISED,
    Step.SHARE: Event.SHARED,
    Step.UPLOAD: Event.UPLOADED,
    Step.CONFIRM: Event.CONFIRMED,
    Step.UNMASK: Event.UNMASKED,
}


class Rounds:
    """The rounds of a server, as phones see them.

    Args:
        database: of the server.
        blobs: where masked vectors are.
        key: of the round server.
        authority: whose devices may take part.
        clock: seconds since 1970.
        revocations: read at every check-in.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        key: Ed25519PrivateKey,
        authority: Authority,
        clock: Callable[[], float],
        revocations: Callable[[], Revocations] = Revocations,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._authority = authority
        self._clock = clock
        self._revocations = revocations
        self._pseudonym = pseudonyms(key)
        self._steps = GroupSteps(authority)

    def admit(self, credential: Credential) -> None:
        """Check that a device may talk to this server.

        Raises:
            UnauthorisedError: it may not; the message says why.
        """
        try:
            credential.check(self._authority, self._clock())
        except CredentialError as error:
            raise UnauthorisedError(str(error)) from error
        try:
            revoked = self._revocations().devices
        except CredentialError as error:
            raise UnavailableError(f"nobody is let in for now: {error}", 60) from error
        if credential.device_id in revoked:
            _LOG.info(json.dumps({"event": "revoked", "device": self._pseudonym(credential.device_id)}))
            raise RevokedError("this device was revoked: enrol it anew")

    def plan(self, round_id: int) -> bytes:
        """Return a round's signed plan, followed by its task."""
        with self._database.read() as session:
            row = known(HotRows(session), round_id)
            return row.plan + row.task

    def receive(self, round_id: int, step: Step, message: bytes, *, sender: bytes, digest: bytes | None = None) -> None:
        """Take a message of the protocol; once this returns, it is stored and counts.

        Args:
            round_id: of the round.
            step: that the message is of.
            message: signed by the device that sends it.
            sender: device id of who asks.
            digest: SHA-256 of the message, if it is known; a message may be megabytes.

        Raises:
            ForbiddenError: another device signed the message.
            UnknownError: there is no such round.
            NotYetError, GoneError: the round is not at this step.
            ConflictError: the device sent something else before.
            SecureAggregationError: the message is wrong; its type says how.
            UnavailableError: it could not be stored.
        """
        digest = digest or hashlib.sha256(message).digest()
        try:
            with self._database.read() as session:
                rows = HotRows(session)
                row = known(rows, round_id)
                stored = rows.get(MessageRow, round_id, step, sender)
                if stored is not None and stored.digest == digest:
                    return
                self._must_be_at(row, step)
                signer = self._signer(session, row, step, message, sender)
                keys = phases.advertised_keys(plan_of(row), message) if step is Step.ADVERTISE else ()
        except GoneError:
            if step is Step.UPLOAD:
                self._note_late(round_id, sender, step)
            raise
        if signer != sender:
            raise ForbiddenError("another device signed this message: a device sends its own")
        blob = self._blobs.put(f"rounds/{round_id}", message, digest) if step is Step.UPLOAD else None
        self._accept(round_id, step, sender, digest, message if blob is None else None, blob, len(message), keys)

    def _accept(
        self,
        round_id: int,
        step: Step,
        device_id: bytes,
        digest: bytes,
        body: bytes | None,
        blob: str | None,
        size: int,
        keys: Collection[bytes],
    ) -> None:
        now = self._clock()
        with self._database.write() as session, hot_rows(session) as rows:
            row = known(rows, round_id)
            stored = rows.get(MessageRow, round_id, step, device_id)
            if stored is not None and stored.digest == digest:
                return
            if stored is not None:
                raise ConflictError("the device sent something else before: resend the first message unchanged")
            self._must_be_at(row, step)
            if step is Step.ADVERTISE:
                device = rows.get(DeviceRow, device_id)
                if device is None or device.last_round != round_id:
                    raise ForbiddenError("the device was not selected for this round: check in")
                if device.selected is None:
                    raise GoneError("the device's place went to another: wait for the next round")
                join(session, row, device_id, keys)
                device.joined = now
            rows.add(
                MessageRow,
                round_id=round_id,
                step=step,
                device_id=device_id,
                digest=digest,
                body=body,
                blob=blob,
                size_bytes=size,
                received=now,
            )
            name = self._pseudonym(device_id)
            record(session, now, _EVENT[step], round_id=round_id, device=name, size=size)

    def roster(self, round_id: int, device_id: bytes) -> bytes:
        """Return the roster of a device's group, once the first step is closed."""
        with self._begun(round_id, Step.SHARE) as (session, row):
            return self._steps.sharing(session, row, device_id).roster_message

    def inbox(self, round_id: int, device_id: bytes) -> bytes:
        """Return what others dealt to a device, once the second step is closed."""
        with self._begun(round_id, Step.UPLOAD) as (session, row):
            return self._steps.masking(session, row, device_id).inbox_message(device_id)

    def survivors(self, round_id: int, device_id: bytes) -> bytes:
        """Return who of a device's group uploaded, once that step is closed."""
        with self._begun(round_id, Step.CONFIRM) as (session, row):
            return self._steps.confirming(session, row, device_id).survivors_message

    def signatures(self, round_id: int, device_id: bytes) -> bytes:
        """Return the group's signatures over its survivors, once that step is closed."""
        with self._begun(round_id, Step.UNMASK) as (session, row):
            return self._steps.unmasking(session, row, device_id).signatures_message

    def cohort(self, round_id: int, device_id: bytes) -> bytes:
        """Return who joined a round, and the nonce that the groups follow from, once the first step is closed."""
        with self._begun(round_id, Step.SHARE) as (session, row):
            return self._steps.cohort(session, row, device_id)

    def revoked(self, sha256: str) -> bytes:
        """Return the authority's signed list of revoked devices with a hash.

        Raises:
            UnknownError: there is none.
        """
        return self._blobs.get(f"{REVOKED}/{sha256}")

    def complain(self, round_id: int, device_id: bytes, message: bytes) -> None:
        """Take a phone's signed complaint about shares that were dealt to it; it counts once.

        Raises:
            ForbiddenError: another device signed it.
            NotYetError, GoneError: the shares were not dealt yet, or the round was abandoned.
            SecureAggregationError: the message is wrong; its type says how.
        """
        with self._begun(round_id, Step.UPLOAD) as (session, row):
            group = self._steps.masking(session, row, device_id)
            accuser, _ = group.accused(message)
        if accuser != device_id:
            raise ForbiddenError("another device signed this message: a device sends its own")
        with self._database.write() as session:
            conduct.complain(session, round_id, group, message, self._clock(), self._pseudonym)

    def report(self, round_id: int, device_id: bytes, nonce: bytes, kind: Event, detail: str) -> None:
        """Add to a device's trail what it says of itself.

        Raises:
            ForbiddenError: it was not selected for the round.
            ConflictError: the request was made before.
        """
        with self._database.write() as session, hot_rows(session) as rows:
            conduct.refuse_replay(session, rows, device_id, nonce, self._clock())
            known(rows, round_id)
            device = rows.get(DeviceRow, device_id)
            if device is None or device.last_round != round_id:
                raise ForbiddenError("the device was not selected for this round: check in")
            name = self._pseudonym(device_id)
            record(session, self._clock(), kind, round_id=round_id, device=name, detail=detail)

    def _signer(self, session: Session, row: RoundRow, step: Step, message: bytes, sender: bytes) -> bytes:
        """Check a message of a step that is open; return the device id of who signed it."""
        if step is Step.ADVERTISE:  # who else has advertised is looked at under the database's lock, by `_accept`
            authority = authority_of(row, self._authority)
            return phases.advertising(plan_of(row), authority, (), row.max_phones).check(message)
        if step is Step.SHARE:
            return self._steps.sharing(session, row, sender).check(message)
        if step is Step.UPLOAD:
            return self._steps.masking(session, row, sender).check(message)
        if step is Step.CONFIRM:
            return self._steps.confirming(session, row, sender).check(message)
        return self._steps.unmasking(session, row, sender).check(message)

    @contextmanager
    def _begun(self, round_id: int, step: Step) -> Iterator[tuple[Session, RoundRow]]:
        """Yield a round that has come to a step, or is past it."""
        with self._database.read() as session:
            row = known(HotRows(session), round_id)
            if row.phase == Ended.ABANDONED:
                raise GoneError(f"the round was abandoned: {row.reason}")
            if row.phase in STEPS and STEPS.index(Step(row.phase)) < STEPS.index(step):
                raise self._not_yet(row)
            yield session, row

    def _must_be_at(self, row: RoundRow, step: Step) -> None:
        if row.phase == Ended.ABANDONED:
            raise GoneError(f"the round was abandoned: {row.reason}")
        if _is_past(row, step):
            raise GoneError(f"the round is past {step.value!r}: wait for the next one")
        if row.phase != step:
            raise self._not_yet(row)

    def _not_yet(self, row: RoundRow) -> NotYetError:
        left = row.opened + deadline_seconds(plan_of(row).deadlines, Step(row.phase)) - self._clock()
        later = pace.poll_seconds(phones=row.joined, left_seconds=left)
        return NotYetError(f"the round is still at {row.phase!r}: ask again", later)

    def _note_late(self, round_id: int, device_id: bytes, step: Step) -> None:
        """Record once that a phone was cut off from a step: it has not dropped out, and over-selection should know."""
        with self._database.write(lasting=False) as session:
            rows = HotRows(session)
            cut_off = known(rows, round_id).phase != Ended.ABANDONED
            shared, took = (rows.get(MessageRow, round_id, each, device_id) for each in (Step.SHARE, step))
            name = self._pseudonym(device_id)
            noted = sql.select(EventRow.id).where(EventRow.round_id == round_id, EventRow.kind == Event.FAILED)
            again = session.scalar(noted.where(EventRow.device == name).limit(1)) is not None
            if cut_off and shared is not None and took is None and not again:
                record(session, self._clock(), Event.FAILED, round_id=round_id, device=name, detail=DropReason.LATE)


def _is_past(row: RoundRow, step: Step) -> bool:
    return row.phase == Ended.FINISHED or (row.phase in STEPS and STEPS.index(Step(row.phase)) > STEPS.index(step))
