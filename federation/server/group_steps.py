"""Each group's protocol state at each step, rebuilt from what was stored and kept for the next phone that asks.

A cache and no more: any worker can be asked about any group, and none has to remember anything.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from federation.protocol import cohorts
from federation.protocol.steps import Step
from federation.secure_aggregation import Authority
from federation.secure_aggregation.server import (
    CollectConfirmations,
    CollectMaskedInputs,
    CollectShares,
    CollectUnmasking,
)
from federation.server import phases
from federation.server.errors import GoneError
from federation.server.queries import bodies, senders
from federation.server.round_state import RoundState, plan_of
from federation.server.tables import RoundRow

T = TypeVar("T")

Members = tuple[bytes, ...]
"""Device ids of a group, ascending."""

_ROUNDS_KEPT = 2


class GroupSteps:
    """The groups of the last rounds, at the steps that have begun.

    Args:
        authority: whose devices take part.
    """

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._groups = _Recent[Mapping[bytes, Members]]()
        self._cohorts = _Recent[bytes]()
        self._sharing = _Recent[CollectShares]()
        self._masking = _Recent[CollectMaskedInputs]()
        self._confirming = _Recent[CollectConfirmations]()
        self._unmasking = _Recent[CollectUnmasking]()

    def sharing(self, session: Session, row: RoundRow, device_id: bytes) -> CollectShares:
        """Return a device's group at the second step, with its roster.

        Raises:
            GoneError: here and below: the device did not join the round, or its group has lost too many.
        """
        members = self._members(session, row, Step.SHARE, device_id)
        return self._sharing.get(row.round_id, members, lambda: self._advertised(session, row, members))

    def cohort(self, session: Session, row: RoundRow, device_id: bytes) -> bytes:
        """Return the opened nonce and all who joined, for a device of a group that is left."""
        self._members(session, row, Step.SHARE, device_id)

        def built() -> bytes:
            return cohorts.to_bytes(row.group_seed, bodies(session, row.round_id, Step.ADVERTISE))

        return self._cohorts.get(row.round_id, None, built)

    def masking(self, session: Session, row: RoundRow, device_id: bytes) -> CollectMaskedInputs:
        """Return a device's group at the step of the uploads, with what phones dealt each other."""
        members = self._members(session, row, Step.UPLOAD, device_id)

        def built() -> CollectMaskedInputs:
            shares = bodies(session, row.round_id, Step.SHARE, members)
            return phases.masking(self._advertised(session, row, members), shares)

        return self._masking.get(row.round_id, members, built)

    def confirming(self, session: Session, row: RoundRow, device_id: bytes) -> CollectConfirmations:
        """Return a device's group at the fourth step, with its survivors."""
        members = self._members(session, row, Step.CONFIRM, device_id)
        return self._confirming.get(row.round_id, members, lambda: self._uploaded(session, row, members))

    def unmasking(self, session: Session, row: RoundRow, device_id: bytes) -> CollectUnmasking:
        """Return a device's group at the last step, with its signatures."""
        members = self._members(session, row, Step.UNMASK, device_id)

        def built() -> CollectUnmasking:
            signatures = bodies(session, row.round_id, Step.CONFIRM, members)
            return phases.unmasking(self._uploaded(session, row, members), signatures)

        return self._unmasking.get(row.round_id, members, built)

    def _members(self, session: Session, row: RoundRow, step: Step, device_id: bytes) -> Members:
        def built() -> Mapping[bytes, Members]:
            left = RoundState.of(session, row).left_at(step)
            return {member: group.members for group in left for member in group.members}

        groups = self._groups.get(row.round_id, step, built)
        if device_id in groups:
            return groups[device_id]
        if device_id in senders(session, row.round_id, Step.ADVERTISE):
            raise GoneError("too few phones of the device's group are left: wait for the next round")
        raise GoneError("the device did not join this round: wait for the next one")

    def _advertised(self, session: Session, row: RoundRow, members: Members) -> CollectShares:
        joined = bodies(session, row.round_id, Step.ADVERTISE, members)
        return phases.advertising(plan_of(row), self._authority, joined).close()

    def _uploaded(self, session: Session, row: RoundRow, members: Members) -> CollectConfirmations:
        roster = self._advertised(session, row, members).roster
        sharers, survivors = (senders(session, row.round_id, each, members) for each in (Step.SHARE, Step.UPLOAD))
        return phases.confirming(plan_of(row), roster, sharers, survivors)


class _Recent(Generic[T]):
    """Values of the last rounds, by round and key; threads may build one twice and then share the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[int, object], T] = {}

    def get(self, round_id: int, key: object, build: Callable[[], T]) -> T:
        """Return a value, built if it is not there."""
        with self._lock:
            if (round_id, key) in self._values:
                return self._values[round_id, key]
        built = build()
        with self._lock:
            for old in [old for old in self._values if old[0] <= round_id - _ROUNDS_KEPT]:
                del self._values[old]
            return self._values.setdefault((round_id, key), built)
