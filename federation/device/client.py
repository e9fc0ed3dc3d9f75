"""A device in rounds: a small state machine that does one thing at a time and says when it wants to be called again.

It holds a round's secrets in memory only. Whatever it sent it sends again unchanged until the server has it or the
round is over; a phone that was killed comes back with a new check-in, and takes no part in the round that it left.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from federation.device.answers import CheckedIn
from federation.device.certificates import Certificates
from federation.device.connection import Connection
from federation.device.counts import CountsSource, PinnedLists
from federation.device.errors import (
    DistrustError,
    LeaveError,
    NotYetError,
    ServerRefusedError,
    StoreError,
    UnreachableError,
)
from federation.device.joining import UNLIMITED, Joining
from federation.device.models import ModelSource
from federation.device.reports import report
from federation.device.running_round import RunningRound, Train
from federation.device.store import PhoneStore
from federation.privacy.budget import PrivacyBudget
from federation.privacy.conversion import rho_limit
from federation.protocol import versions
from federation.protocol.conditions import Conditions
from federation.protocol.drop_reasons import DeviceEvent, DropReason
from federation.protocol.policy import PhonePolicy
from federation.protocol.trust import Anchors
from federation.secure_aggregation.errors import (
    RefusedError,
    SecureAggregationError,
)
from model.layout import FlatVector

_NO_LISTS = PinnedLists()
_NOTHING = Conditions()
_LONGEST_REST_SECONDS = 24 * 3600.0
_POLL_SECONDS = 1.0
_AFTER_LEAVING_SECONDS = 30.0
_BACKOFF_SECONDS = 1.0
_MAX_DOUBLINGS = 32  # beyond the longest wait, and within what a float can hold
_LONGEST_BACKOFF_SECONDS = 60.0
_UNAUTHORISED, _GONE = 401, 410


@dataclass(frozen=True)
class Status:
    """Where a device stands.

    Attributes:
        activity: `resting`, or what it does in a round: `joining`, `sharing keys`, `training`, `counting`,
            `confirming`, `unmasking`.
        round_id: of the round it is in.
        reason: Why it is resting, in a sentence.
    """

    activity: str
    round_id: int | None
    reason: str


class DeviceClient:
    """A device's side of all rounds of one server.

    Args:
        store: of the device, which must be enrolled.
        connection: to the server.
        policy: what the device agrees to.
        train: makes an update.
        conditions: how the device is at the moment.
        anchors: what the app brings and no server may change.
        renew: has the authority certify the device for the current epoch, and keeps the credential.
        needed: conditions that the owner asks for, whatever the task does.
        shipped: returns the weights that the app came with; needed if the policy bounds how far models may move.
        admits: see `ModelSource`.
        counted: lists that the app counts over; none by default.
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
        counted: PinnedLists = _NO_LISTS,
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
        self._certificates = Certificates(store, connection, renew, required=self._policy.bounds_models)
        self._joining = Joining(
            store, connection, self._policy, anchors, self._models, self._certificates, counted, clock
        )
        self._counts = CountsSource(store, connection, counted)
        store.anchor(anchors)
        self._clock = clock
        self._uniform = uniform
        self._round: RunningRound | None = None
        self._until = self._longest_wait = self._pace = 0.0
        self._reason = ""
        self._failures = 0
        self._server_known = False
        spent = store.budget or budget or UNLIMITED
        limit = rho_limit(anchors.profile.epsilon_limit)
        store.budget = replace(spent, limit_rho=min(spent.limit_rho, limit))
        for record in store.rounds():
            if record.ended is None:
                store.end_round(record.number, clock(), DropReason.RESTARTED)

    @property
    def status(self) -> Status:
        """Where the device stands."""
        if self._round is None:
            return Status("resting", None, self._reason)
        return Status(self._round.activity, self._round.plan.round_id, self._reason)

    @property
    def sending(self) -> str | None:
        """The step of its round whose message waits to be sent, if one does."""
        return None if self._round is None else self._round.sending

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
        except LeaveError as error:
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
        self._pace = 0.0
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
            joined = self._joining.join(told.round_id)
            self._round = RunningRound(joined, self._store, self._connection, self._train, self._clock)
            report(self._connection, told.round_id, DeviceEvent.PLAN)
            return 0.0
        # Whoever refuses the model that waits here comes no sooner for that.
        self._pace = min(max(told.retry_after_seconds, _POLL_SECONDS), _LONGEST_REST_SECONDS)
        self._models.follow(self._anchors.server_key)
        self._counts.follow(self._anchors.server_key)
        return self._pace

    def _go_on(self, running: RunningRound) -> float:
        """Do the round's next thing, unless it is late or the device is needed for something else."""
        running.check_time()
        conditions = self._conditions()
        if not (conditions.meet(running.task.needed) and conditions.meet(self._needed)):
            raise LeaveError(DropReason.CONDITIONS, DropReason.CONDITIONS.sentence)
        running.go_on()
        if not running.over:
            return 0.0
        self._round, self._reason = None, "the device has taken part"
        return _POLL_SECONDS

    def _leave(self, reason: DropReason, message: str) -> float:
        if self._round is not None and reason is not DropReason.LATE:
            report(self._connection, self._round.plan.round_id, DeviceEvent.FAILED, reason)
        self._drop(reason, message)
        return max(self._later(_AFTER_LEAVING_SECONDS), self._pace)

    def _drop(self, reason: DropReason, message: str) -> None:
        if self._round is not None:
            self._round.abandon(reason)
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
