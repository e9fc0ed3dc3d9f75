"""A round that a device is in: what it sends, what it waits for, and what it does in between."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from federation.device.connection import Connection
from federation.device.errors import LeaveError, TooLittleError
from federation.device.joining import JoinedRound
from federation.device.records import SHOWN_COORDINATES, Contribution
from federation.device.reports import complain, report
from federation.device.store import PhoneStore
from federation.privacy.mechanisms import phone_noise
from federation.protocol.cohorts import OpenedCohort
from federation.protocol.drop_reasons import DeviceEvent, DropReason
from federation.protocol.plan import Mechanism
from federation.protocol.task import TrainingTask
from federation.secure_aggregation import Roster
from federation.secure_aggregation.errors import InboxRefusedError
from federation.updates.update import Tally, Update

Train = Callable[[bytes, TrainingTask], Update]
"""Trains from weights as a task says; may raise TooLittleError."""

_SENT = {
    "advertise": "keys",
    "share": "shares of keys",
    "upload": "masked update",
    "confirm": "confirmation",
    "unmask": "shares to unmask",
}


class RunningRound:
    """The steps of one round, after it was joined. Its secrets are in memory only.

    Args:
        joined: the round.
        store: of the device.
        connection: to the server.
        train: makes an update.
        clock: seconds since 1970.

    Attributes:
        plan, task: of the round.
        activity: what the device does in it; see `Status`.
        ends: when the device gives it up, seconds since 1970.
        over: whether the device has done its part.
    """

    def __init__(
        self,
        joined: JoinedRound,
        store: PhoneStore,
        connection: Connection,
        train: Train,
        clock: Callable[[], float],
    ) -> None:
        self.plan, self.task = joined.plan, joined.task
        self.activity, self.over = "joining", False
        self.ends = joined.began + joined.plan.deadlines.unmask_seconds
        self._seen = joined.began
        self._number, self._authority, self._weights = joined.number, joined.authority, joined.weights
        self._advertisement = joined.advertisement
        self._store, self._connection, self._train, self._clock = store, connection, train, clock
        self._phase: Any = joined.phase
        self._outgoing: tuple[str, bytes] | None = ("advertise", joined.advertisement)
        self._next_step = self._share

    @property
    def sending(self) -> str | None:
        """The step whose message waits to be sent, if one does."""
        return None if self._outgoing is None else self._outgoing[0]

    def check_time(self) -> None:
        """Leave if the round should be over by now.

        Raises:
            LeaveError: it should.
        """
        now = self._clock()
        self.ends -= max(0.0, self._seen - now)  # as much as the clock was set back
        self._seen = now
        if now > self.ends:
            raise LeaveError(DropReason.LATE, "the round did not end in time")

    def go_on(self) -> None:
        """Send what waits to be sent, or else take the next step.

        Raises:
            LeaveError: the device cannot do its part.
            SecureAggregationError: what the server sent is refused.
            UnreachableError, ServerRefusedError: see `Connection.get`.
        """
        if self._outgoing is None:
            self._next_step()
            return
        step, message = self._outgoing
        path = f"/v1/rounds/{self.plan.round_id}/{step}"
        self._connection.post(path, message, what=_SENT[step], round_id=self.plan.round_id)
        self._outgoing = None

    def abandon(self, reason: DropReason) -> None:
        """Forget the round's secrets, and note why the device left."""
        self._phase.abandon()
        self._store.end_round(self._number, self._clock(), reason)

    def _share(self) -> None:
        roster = self._awaited("roster")
        plan_hash, told = self.plan.hash, self.task.commitments
        opened = OpenedCohort.from_bytes(self._awaited("cohort"), plan_hash)
        opened.check(told, self._authority, Roster.parse(roster, plan_hash), self._advertisement)
        message, self._phase = self._phase.share(roster)
        self._outgoing = ("share", message)
        self.activity, self._next_step = "sharing keys", self._upload

    def _upload(self) -> None:
        try:
            masking = self._phase.open(self._awaited("inbox"))
        except InboxRefusedError as error:
            complain(self._connection, self.plan.round_id, error.complaint)
            raise
        self._phase = masking
        self.activity = "training" if self.task.counting is None else "counting"
        update = self._trained()
        plan = self.plan
        noise = None if plan.privacy.mechanism is Mechanism.NONE else phone_noise(plan, os.urandom(32))
        message, self._phase = masking.mask(plan.encode(update, os.urandom(32), noise))
        self._store.keep_contribution(
            Contribution(
                self._number,
                update.delta[:SHOWN_COORDINATES],
                np.frombuffer(message, np.uint8)[-4 * SHOWN_COORDINATES :],
                sent_bytes=len(message),
            )
        )
        self._store.upload_round(self._number, self._clock())
        self._outgoing = ("upload", message)
        self.activity, self._next_step = "confirming", self._confirm
        report(self._connection, plan.round_id, DeviceEvent.TRAINED)

    def _trained(self) -> Update:
        try:
            update = self._train(self._weights, self.task)
        except TooLittleError as error:
            if self.plan.codec.noised:  # whether it stays away must not depend on what was typed
                return Update(np.zeros(self.plan.dimension, np.float32), Tally(0))
            raise LeaveError(DropReason.TOO_LITTLE, str(error)) from error
        except Exception as error:  # weights of a server's choice went through a whole engine
            raise LeaveError(DropReason.TRAINING, f"training failed: {error}") from error
        if update.delta.size != self.plan.dimension:
            raise LeaveError(DropReason.INCOMPATIBLE, "the update has another size than the plan says")
        return update

    def _confirm(self) -> None:
        message, self._phase = self._phase.confirm(self._awaited("survivors"))
        self._store.count_phones(self._number, self._phase.phones)
        self._outgoing = ("confirm", message)
        self._next_step = self._unmask

    def _unmask(self) -> None:
        self._outgoing = ("unmask", self._phase.unmask(self._awaited("signatures")))
        self.activity, self._next_step = "unmasking", self._done

    def _done(self) -> None:
        self._store.end_round(self._number, self._clock(), DropReason.NONE)
        self.over = True

    def _awaited(self, name: str) -> bytes:
        round_id = self.plan.round_id
        return self._connection.get(f"/v1/rounds/{round_id}/{name}", what=name, round_id=round_id)
