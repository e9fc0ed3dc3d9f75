"""A device in rounds: a small state machine that does one thing at a time and says when it wants to be called again.

It holds a round's secrets in memory only. Whatever it sent it sends again unchanged until the server has it or the
round is over; a phone that was killed comes back with a new check-in, and takes no part in the round that it left.
"""

import contextlib
import math
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from federation.device.answers import CheckedIn
from federation.device.certificates import Certificates
from federation.device.connection import Connection
from federation.device.counts import CountedList, CountsSource
from federation.device.errors import (
    DistrustError,
    NotYetError,
    PhoneError,
    ServerRefusedError,
    StoreError,
    TooLittleError,
    UnreachableError,
)
from federation.device.log_watch import LogWatch
from federation.device.models import ModelSource
from federation.device.store import SHOWN_COORDINATES, Contribution, PhoneStore
from federation.privacy import BudgetError, NoiseError, PrivacyBudget, phone_noise
from federation.privacy.budget import rho_limit
from federation.protocol import versions
from federation.protocol.cohorts import OpenedCohort
from federation.protocol.conditions import Conditions
from federation.protocol.credentials import CredentialError
from federation.protocol.drop_reasons import DeviceEvent, DropReason
from federation.protocol.log import LogError
from federation.protocol.plan import PLAN_BYTES, Mechanism, RoundPlan
from federation.protocol.policy import PhonePolicy
from federation.protocol.task import TrainingTask
from federation.protocol.trust import Anchors
from federation.secure_aggregation import Authority, Device, Roster, phone
from federation.secure_aggregation.errors import (
    InboxRefusedError,
    PlanRefusedError,
    RefusedError,
    SecureAggregationError,
)
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from federation.updates.update import Tally, Update
from model.layout import FlatVector

_NO_LIST = CountedList()
_NOTHING = Conditions()
Train = Callable[[bytes, TrainingTask], Update]
"""Trains from weights as a task says; may raise TooLittleError."""

_LONGEST_REST_SECONDS = 24 * 3600.0
_POLL_SECONDS = 1.0
_AFTER_LEAVING_SECONDS = 30.0
_BACKOFF_SECONDS = 1.0
_MAX_DOUBLINGS = 32  # beyond the longest wait, and within what a float can hold
_LONGEST_BACKOFF_SECONDS = 60.0
_UNAUTHORISED, _GONE = 401, 410
_UNLIMITED = PrivacyBudget(limit_rho=math.inf, max_participations=1 << 31)


@dataclass(frozen=True)
class Status:
    """Where a device stands.

    Attributes:
        activity: `resting`, or what it does in a round: `joining`, `sharing keys`, `training`, `counting`,
            `confirming`, `unmasking`.
        round_id: of the round it is in.
        reason: Why it is resting, in a sentence.
        until: when it will ask again, seconds since 1970.
    """

    activity: str
    round_id: int | None
    reason: str
    until: float


class _LeaveError(PhoneError):
    """The device leaves its round."""

    def __init__(self, reason: DropReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass
class _Round:
    """A round that the device is in, and its next step."""

    number: int
    plan: RoundPlan
    task: TrainingTask
    authority: Authority
    advertisement: bytes
    weights: bytes
    ends: float
    seen: float
    activity: str
    next_step: Callable[["_Round"], float]
    phase: Any
    outgoing: tuple[str, bytes] | None = None


class DeviceClient:
    """A device's side of all rounds of one server.

    Args:
        store: of the device, which must be enrolled.
        connection: to the server.
        policy: what the device agrees to.
        train: makes an update.
        conditions: how the device is at the moment.
        anchors: what the app brings and no server may change.
        renew: has the authority vouch for the device in the present epoch, and keeps the credential.
        needed: conditions that the owner asks for, whatever the task does.
        shipped: returns the weights that the app came with; needed if the policy bounds how far models may move.
        admits: see `ModelSource`.
        counted: list of n-grams that the app counts; none by default.
        budget: of privacy, for a device that has none yet.
        clock: seconds since 1970.
        uniform: random, 0 to 1.
    """

    def __init__(
        self,
        store: PhoneStore,
        connection: Connection,
        *,
        policy: PhonePolicy,
        train: Train,
        conditions: Callable[[], Conditions],
        anchors: Anchors,
        renew: Callable[[], None],
        needed: Conditions = _NOTHING,
        shipped: Callable[[], FlatVector] | None = None,
        admits: Callable[[bytes], None] = lambda _: None,
        counted: CountedList = _NO_LIST,
        budget: PrivacyBudget | None = None,
        clock: Callable[[], float] = time.time,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._connection = connection
        self._policy = policy.within(anchors.profile)
        self._needed = needed
        self._train = train
        self._conditions = conditions
        self._anchors = anchors
        self._models = ModelSource(store, connection, anchors, self._policy, shipped, admits)
        self._log = LogWatch(store, connection, required=self._policy.bounds_models)
        self._certificates = Certificates(store, connection, renew, required=self._policy.bounds_models)
        self._counted = counted
        self._counts = CountsSource(store, connection, counted)
        store.anchor(anchors)
        self._clock = clock
        self._uniform = uniform
        self._round: _Round | None = None
        self._until = self._longest_wait = 0.0
        self._reason = ""
        self._failures = 0
        self._server_known = False
        spent = store.budget or budget or _UNLIMITED
        limit = rho_limit(anchors.profile.epsilon_limit)
        store.budget = replace(spent, limit_rho=min(spent.limit_rho, limit))
        for record in store.rounds():
            if record.ended is None:
                store.end_round(record.number, clock(), DropReason.RESTARTED)

    @property
    def status(self) -> Status:
        """Where the device stands."""
        if self._round is None:
            return Status("resting", None, self._reason, self._until)
        return Status(self._round.activity, self._round.plan.round_id, self._reason, self._until)

    @property
    def sending(self) -> str | None:
        """The step of its round whose message waits to be sent, if one does."""
        running = self._round
        return None if running is None or running.outgoing is None else running.outgoing[0]

    def step(self) -> float:
        """Do the next thing; return in how many seconds there is another.

        Raises:
            DistrustError: this server is not to be talked to; somebody must look after it.
            StoreError: the device's records cannot be written.
        """
        now = self._clock()
        if self._until - now > self._longest_wait:  # the clock was set back meanwhile
            self._until = now + self._longest_wait
        if self._until > now:
            return self._until - now
        try:
            wait = self._rest_over() if self._round is None else self._go_on(self._round)
            self._failures = 0
        except (DistrustError, StoreError) as error:
            self._drop(DropReason.REFUSED, str(error))
            raise
        except UnreachableError as error:
            wait = self._backed_off(error)
        except _LeaveError as error:
            wait = self._leave(error.reason, str(error))
        except ServerRefusedError as error:
            wait = self._leave(DropReason.LATE if error.status == _GONE else DropReason.REFUSED, str(error))
        except RefusedError as error:
            wait = self._leave(DropReason.UNSAFE, str(error))
        except SecureAggregationError as error:
            wait = self._leave(DropReason.SIGNATURE, str(error))
        self._until, self._longest_wait = self._clock() + wait, wait
        return wait

    @property
    def unreachable(self) -> str:
        """Why the server did not answer lately; nothing if it did."""
        return self._reason if self._failures else ""

    def leave(self) -> None:
        """Leave the round, if the device is in one: its owner wants it."""
        if self._round is not None:
            self._leave(DropReason.LEFT, "the owner left")

    def _rest_over(self) -> float:
        if not self._server_known:
            facts = self._connection.facts()
            if (facts.vocabulary, facts.dimension) != (self._anchors.vocabulary, self._anchors.dimension):
                raise DistrustError("the server trains a model with another vocabulary or size: update the app")
            if versions.common(facts.protocols) is None:
                raise DistrustError("the server speaks no version of the protocol that this app does: update the app")
            self._server_known = True
        self._certificates.keep_up()
        conditions = self._conditions()
        if not conditions.meet(self._needed):
            conditions = _NOTHING  # not ready, whatever the task would do with
        content = {"conditions": vars(conditions), "protocols": list(versions.SPOKEN)}
        try:
            told = CheckedIn.from_bytes(self._connection.post_json("/v1/check-in", content, what="check-in"))
        except ServerRefusedError as error:
            if error.status == _UNAUTHORISED and self._certificates.renewed():
                return 0.0
            raise
        self._reason = told.reason
        if told.round_id is not None:
            self._join(told.round_id)
            return 0.0
        self._models.follow(self._anchors.server_key)
        self._counts.follow(self._anchors.server_key)
        return min(max(told.retry_after_seconds, _POLL_SECONDS), _LONGEST_REST_SECONDS)

    def _join(self, round_id: int) -> None:
        """Look at a round's plan, and advertise keys if it is acceptable."""
        plan, task = self._read_plan(round_id)
        budget = self._agreed(plan, task)
        try:
            self._log.go_on(task.commitments, plan.model_sha256, round_id)
            authority = self._certificates.of_round(task.commitments, self._anchors.authority_key, round_id)
        except (LogError, CredentialError) as error:
            self._refuse(round_id, DropReason.SIGNATURE, error)
        weights = b""  # counting begins from nothing: what was counted before is not needed
        if task.counting is None:
            weights = self._weights(plan, task)
        now = self._clock()
        credential = self._store.credential
        assert credential is not None  # noqa: S101 - the round is of its epoch
        number = self._store.begin_round(round_id, now, budget, task.commitments.instance, plan.model_sha256)
        device = Device(self._store.key, credential.certificate)
        message, phase = phone.AdvertiseKeys(plan.session, device, authority, os.urandom).advertise()
        ends = now + plan.deadlines.unmask_seconds
        self._round = _Round(
            number,
            plan,
            task,
            authority,
            message,
            weights,
            ends,
            now,
            "joining",
            self._share,
            phase,
            ("advertise", message),
        )
        self._report(round_id, DeviceEvent.PLAN, DropReason.NONE)

    def _weights(self, plan: RoundPlan, task: TrainingTask) -> bytes:
        """Return the weights that a round trains, or leave if they cannot be admitted."""
        try:
            weights = self._models.fetched(plan.model_sha256.hex(), task.model_version, plan.round_id)
        except PlanRefusedError as error:
            self._refuse(plan.round_id, DropReason.POLICY, error)
        if len(weights) != 4 * plan.dimension:
            self._refuse(plan.round_id, DropReason.INCOMPATIBLE, "the model has another size than the plan says")
        return weights

    def _read_plan(self, round_id: int) -> tuple[RoundPlan, TrainingTask]:
        """Fetch a round's plan and task, and leave unless the server signed them for this round and this app."""
        signed = self._connection.get(f"/v1/rounds/{round_id}/plan", what="plan", round_id=round_id)
        end = PLAN_BYTES + SIGNATURE_BYTES
        try:
            plan = RoundPlan.from_signed(signed[:end], self._anchors.server_key)
            task = TrainingTask.of_plan(signed[end:], plan)
        except PlanRefusedError as error:
            self._refuse(round_id, DropReason.SIGNATURE, error)
        if plan.round_id != round_id:
            self._refuse(round_id, DropReason.SIGNATURE, "the plan is another round's: do not take part")
        mismatch = self._counted.mismatch(plan, task, self._anchors.dimension)
        if mismatch is not None:
            self._refuse(round_id, *mismatch)
        return plan, task

    def _agreed(self, plan: RoundPlan, task: TrainingTask) -> PrivacyBudget:
        """Return the privacy budget after a round, or leave if its plan asks for more than the owner agrees to."""
        latest = self._store.last_round_of(task.commitments.instance)
        try:
            self._policy.check(plan, latest)
            self._policy.check_task(task)
            self._policy.check_history(*self._store.uploads(self._clock(), plan.model_sha256))
            return replace(self._store.budget or _UNLIMITED, last_round_id=latest).join(plan)
        except PlanRefusedError as error:
            self._refuse(plan.round_id, DropReason.POLICY, error)
        except (BudgetError, NoiseError) as error:
            self._refuse(plan.round_id, DropReason.BUDGET, error)

    def _go_on(self, running: _Round) -> float:
        """Send what waits to be sent; then take the round's next step."""
        now = self._clock()
        running.ends -= max(0.0, running.seen - now)  # as much as the clock was set back
        running.seen = now
        if now > running.ends:
            raise _LeaveError(DropReason.LATE, "the round did not end in time")
        conditions = self._conditions()
        if not (conditions.meet(running.task.needed) and conditions.meet(self._needed)):
            raise _LeaveError(DropReason.CONDITIONS, DropReason.CONDITIONS.sentence)
        if running.outgoing is not None:
            step, message = running.outgoing
            path = f"/v1/rounds/{running.plan.round_id}/{step}"
            self._connection.post(path, message, what=_SENT[step], round_id=running.plan.round_id)
            running.outgoing = None
            return 0.0
        return running.next_step(running)

    def _share(self, running: _Round) -> float:
        roster = self._awaited(running, "roster")
        plan_hash, told = running.plan.hash, running.task.commitments
        opened = OpenedCohort.from_bytes(self._awaited(running, "cohort"), plan_hash)
        opened.check(told, running.authority, Roster.parse(roster, plan_hash), running.advertisement)
        message, running.phase = running.phase.share(roster)
        running.outgoing = ("share", message)
        running.activity, running.next_step = "sharing keys", self._upload
        return 0.0

    def _upload(self, running: _Round) -> float:
        try:
            masking = running.phase.open(self._awaited(running, "inbox"))
        except InboxRefusedError as error:
            self._complain(running.plan.round_id, error.complaint)
            raise
        running.phase = masking
        running.activity = "training" if running.task.counting is None else "counting"
        update = self._trained(running)
        plan = running.plan
        noise = None if plan.privacy.mechanism is Mechanism.NONE else phone_noise(plan, os.urandom(32))
        message, running.phase = masking.mask(plan.encode(update, os.urandom(32), noise))
        self._store.keep_contribution(
            Contribution(
                running.number,
                update.delta[:SHOWN_COORDINATES],
                np.frombuffer(message, np.uint8)[-4 * SHOWN_COORDINATES :],
                sent_bytes=len(message),
            )
        )
        self._store.upload_round(running.number, self._clock())
        running.outgoing = ("upload", message)
        running.activity, running.next_step = "confirming", self._confirm
        self._report(plan.round_id, DeviceEvent.TRAINED, DropReason.NONE)
        return 0.0

    def _trained(self, running: _Round) -> Update:
        try:
            update = self._train(running.weights, running.task)
        except TooLittleError as error:
            if running.plan.codec.noised:  # whether it stays away must not depend on what was typed
                return Update(np.zeros(running.plan.dimension, np.float32), Tally(0))
            raise _LeaveError(DropReason.TOO_LITTLE, str(error)) from error
        except Exception as error:  # weights of a server's choice went through a whole engine
            raise _LeaveError(DropReason.TRAINING, f"training failed: {error}") from error
        if update.delta.size != running.plan.dimension:
            raise _LeaveError(DropReason.INCOMPATIBLE, "the update has another size than the plan says")
        return update

    def _confirm(self, running: _Round) -> float:
        message, running.phase = running.phase.confirm(self._awaited(running, "survivors"))
        self._store.count_phones(running.number, running.phase.phones)
        running.outgoing = ("confirm", message)
        running.next_step = self._unmask
        return 0.0

    def _unmask(self, running: _Round) -> float:
        running.outgoing = ("unmask", running.phase.unmask(self._awaited(running, "signatures")))
        running.activity, running.next_step = "unmasking", self._done
        return 0.0

    def _done(self, running: _Round) -> float:
        self._store.end_round(running.number, self._clock(), DropReason.NONE)
        self._round, self._reason = None, "the device has taken part"
        return _POLL_SECONDS

    def _awaited(self, running: _Round, name: str) -> bytes:
        round_id = running.plan.round_id
        return self._connection.get(f"/v1/rounds/{round_id}/{name}", what=name, round_id=round_id)

    def _refuse(self, round_id: int, reason: DropReason, message: object) -> NoReturn:
        """Do not join a round."""
        self._store.refuse_round(round_id, self._clock(), reason)
        self._report(round_id, DeviceEvent.REFUSED, reason)
        raise _LeaveError(reason, str(message))

    def _leave(self, reason: DropReason, message: str) -> float:
        if self._round is not None and reason is not DropReason.LATE:
            self._report(self._round.plan.round_id, DeviceEvent.FAILED, reason)
        self._drop(reason, message)
        return self._later(_AFTER_LEAVING_SECONDS)

    def _drop(self, reason: DropReason, message: str) -> None:
        if self._round is not None:
            self._round.phase.abandon()
            self._store.end_round(self._round.number, self._clock(), reason)
        self._round, self._reason = None, message

    def _backed_off(self, error: UnreachableError) -> float:
        if self._round is not None and isinstance(error, NotYetError):
            self._failures = 0
            return self._later(error.retry_after_seconds or _POLL_SECONDS)
        self._reason = str(error)
        self._failures += 1
        wait = self._backoff() if error.retry_after_seconds is None else self._later(error.retry_after_seconds)
        if self._round is not None and self._clock() + wait > self._round.ends:
            self._drop(DropReason.UNREACHABLE, str(error))
        return wait

    def _backoff(self) -> float:
        return self._later(min(_BACKOFF_SECONDS * 2 ** min(self._failures, _MAX_DOUBLINGS), _LONGEST_BACKOFF_SECONDS))

    def _later(self, seconds: float) -> float:
        """Spread what many phones were told alike."""
        return min(seconds, _LONGEST_REST_SECONDS) * (0.75 + 0.5 * self._uniform())

    def _complain(self, round_id: int, complaint: bytes) -> None:
        """Tell the server who dealt shares that are not authentic, so that it does without them."""
        with contextlib.suppress(PhoneError):
            if complaint:
                self._connection.post(
                    f"/v1/rounds/{round_id}/complaint", complaint, what="complaint", round_id=round_id
                )

    def _report(self, round_id: int, event: DeviceEvent, reason: DropReason) -> None:
        with contextlib.suppress(PhoneError):  # a trail with a gap is better than a round lost
            self._connection.post_json(
                f"/v1/rounds/{round_id}/events",
                {"event": event.value, "reason": reason.value},
                what="report",
                round_id=round_id,
            )


_SENT = {
    "advertise": "keys",
    "share": "shares of keys",
    "upload": "masked update",
    "confirm": "confirmation",
    "unmask": "shares to unmask",
}
