"""How a device comes into a round: it looks at the plan, and advertises keys only if nothing speaks against it."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn

from federation.device.certificates import Certificates
from federation.device.connection import Connection
from federation.device.counts import PinnedLists
from federation.device.errors import LeaveError
from federation.device.log_watch import LogWatch
from federation.device.models import ModelSource
from federation.device.reports import report
from federation.device.store import PhoneStore
from federation.privacy.budget import PrivacyBudget
from federation.privacy.errors import BudgetError, NoiseError
from federation.protocol.credentials import CredentialError
from federation.protocol.drop_reasons import DeviceEvent, DropReason
from federation.protocol.log import LogError
from federation.protocol.plan import PLAN_BYTES, RoundPlan
from federation.protocol.policy import PhonePolicy
from federation.protocol.task import TrainingTask
from federation.protocol.trust import Anchors
from federation.secure_aggregation import Authority, Device, phone
from federation.secure_aggregation.errors import PlanRefusedError
from federation.secure_aggregation.identity import SIGNATURE_BYTES

UNLIMITED = PrivacyBudget(limit_rho=math.inf, max_participations=1 << 31)
"""Of a device whose app sets none."""


@dataclass(frozen=True)
class JoinedRound:
    """A round whose plan a device has agreed to.

    Attributes:
        number: of the round on this device.
        began: when it was joined, seconds since 1970.
        plan, task: as the server signed them.
        authority: that the others' certificates are checked with.
        weights: to train from; empty if it is a round of counting.
        advertisement: message with the device's keys, which has not been sent yet.
        phase: of secure aggregation, after advertising.
    """

    number: int
    began: float
    plan: RoundPlan
    task: TrainingTask
    authority: Authority
    weights: bytes
    advertisement: bytes
    phase: phone.ShareKeys


class Joining:
    """Of one device.

    Args:
        store: of the device.
        connection: to the server.
        policy: what the device agrees to.
        anchors: what the app brings.
        models: where weights come from.
        certificates: the device's own, and which of the others' are revoked.
        counted: lists that the app counts over.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        store: PhoneStore,
        connection: Connection,
        policy: PhonePolicy,
        anchors: Anchors,
        models: ModelSource,
        certificates: Certificates,
        counted: PinnedLists,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._connection = connection
        self._policy = policy
        self._anchors = anchors
        self._models = models
        self._certificates = certificates
        self._counted = counted
        self._clock = clock
        self._log = LogWatch(store, connection, required=policy.bounds_models)

    def join(self, round_id: int) -> JoinedRound:
        """Look at a round's plan, and make the device's keys for it if it is acceptable.

        Raises:
            LeaveError: it is not; the server has been told, and the device's records say so.
            UnreachableError, ServerRefusedError: see `Connection.get`.
        """
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
        return JoinedRound(number, now, plan, task, authority, weights, message, phase)

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
            self._refuse(round_id, DropReason.SIGNATURE, "the plan is another round's")
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
            return replace(self._store.budget or UNLIMITED, last_round_id=latest).join(plan)
        except PlanRefusedError as error:
            self._refuse(plan.round_id, DropReason.POLICY, error)
        except (BudgetError, NoiseError) as error:
            self._refuse(plan.round_id, DropReason.BUDGET, error)

    def _refuse(self, round_id: int, reason: DropReason, message: object) -> NoReturn:
        """Do not join a round."""
        self._store.refuse_round(round_id, self._clock(), reason)
        report(self._connection, round_id, DeviceEvent.REFUSED, reason)
        raise LeaveError(reason, str(message))
