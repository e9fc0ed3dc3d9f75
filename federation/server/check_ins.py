"""Check-ins: a phone that may take part is selected for the round that is filling, or told when to come back.

As in Bonawitz et al., Towards Federated Learning at Scale, MLSys 2019, https://arxiv.org/abs/1902.01046, section 2.2.
"""

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from federation.protocol.conditions import Conditions
from federation.protocol.credentials import Credential, epoch_of
from federation.protocol.steps import Step
from federation.rounds import pace
from federation.server import conduct
from federation.server.errors import UnauthorisedError
from federation.server.hot_rows import HotRows, hot_rows
from federation.server.queries import ACTIVE, latest_cohort, waiting
from federation.server.session_events import Event, pseudonyms, record
from federation.server.settings import RoundSettings
from federation.server.store import Database
from federation.server.tables import DeviceRow, MessageRow, RoundRow

_COUNT_SECONDS = 1.0
_MANY = 1000


@dataclass(frozen=True)
class CheckedIn:
    """The answer to a check-in: a round to join, or when to come back.

    Attributes:
        round_id: of the round that the phone was selected for.
        retry_after_seconds: if there is none for it.
        reason: why not.
    """

    round_id: int | None
    retry_after_seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class _Refusal:
    """Why a device was not selected.

    Attributes:
        reason: for its owner.
        at_least_seconds: before which it is no use to come back.
        likely_able_then: whether to count on it when it does.
    """

    reason: str
    at_least_seconds: float = 0.0
    likely_able_then: bool = True


class CheckIns:
    """Decides who takes part in the rounds of a server.

    Args:
        database: of the server.
        key: of the round server.
        settings: of rounds.
        clock: seconds since 1970.
    """

    def __init__(
        self, database: Database, key: Ed25519PrivateKey, settings: RoundSettings, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._pseudonym = pseudonyms(key)
        self._counted = -math.inf, 0, settings.max_phones

    def check_in(self, credential: Credential, nonce: bytes, conditions: Conditions) -> CheckedIn:
        """Select a device for the round that is filling, or say when to come back.

        Raises:
            UnauthorisedError: its credential is of an epoch that is over.
            ConflictError: the request was made before.
        """
        now, settings, device_id = self._clock(), self._settings, credential.device_id
        if credential.epoch < epoch_of(now):
            raise UnauthorisedError("the credential is of an earlier epoch: renew it with the enrolment authority")
        population, cohort = self._population(now)
        # A check-in that a power cut undoes is one more check-in.
        with self._database.write(lasting=False) as session, hot_rows(session) as rows:
            conduct.refuse_replay(session, rows, device_id, nonce, now)
            device = rows.get(DeviceRow, device_id) or rows.add(DeviceRow, device_id=device_id)
            device.last_seen = now
            name = self._pseudonym(device_id)
            filling = rows.first(RoundRow, ACTIVE)
            refusal = self._refusal(device, conditions, now, None if filling is None else filling.round_id)
            if refusal is None and filling is not None and self._has_room(session, rows, filling, device, now):
                filling.selected += device.last_round != filling.round_id
                device.waiting_since, device.due, device.last_round = None, None, filling.round_id
                device.selected = now
                record(session, now, Event.SELECTED, round_id=filling.round_id, device=name)
                return CheckedIn(filling.round_id)
            refused = refusal or _Refusal("no round is open for this device now")
            later = refused.at_least_seconds + pace.retry_after_seconds(
                now=now + refused.at_least_seconds,
                uniform=secrets.randbelow(1 << 20) / (1 << 20),
                population=population,
                cohort=cohort,
                meeting_seconds=settings.meeting_seconds,
                window_seconds=settings.deadlines.advertise_seconds,
            )
            came_as_told = device.due is not None and device.due >= now - settings.meeting_seconds
            if refusal is not None:
                device.waiting_since = None
            elif device.waiting_since is None or not came_as_told:
                device.waiting_since = now
            device.due = now + later if refused.likely_able_then else None
            record(session, now, Event.CHECKED_IN, round_id=None, device=name, detail=refused.reason)
            return CheckedIn(None, later, refused.reason)

    def _population(self, now: float) -> tuple[int, int]:
        """Return how many devices wait for a round, and how many one lets in.

        They were counted a moment ago, and the longer ago the more there are.
        """
        until, count, cohort = self._counted
        if now >= until:
            with self._database.read() as session:
                count, cohort = waiting(session, now).devices, latest_cohort(session) or self._settings.max_phones
            self._counted = now + _COUNT_SECONDS * (1 + count / _MANY), count, cohort
        return count, cohort

    def _refusal(
        self, device: DeviceRow, conditions: Conditions, now: float, round_id: int | None
    ) -> "_Refusal | None":
        """Return why a device cannot take part at the moment, or nothing."""
        settings = self._settings
        if device.quarantined_until is not None and (round_id is None or round_id < device.quarantined_until):
            reason = f"the device stays away until round {device.quarantined_until}"
            return _Refusal(reason, likely_able_then=False)
        if not conditions.meet(settings.needed):
            reason = "the device must be idle, charging and on an unmetered network as the plan says"
            return _Refusal(reason, likely_able_then=False)
        # A clock that was set back leaves times in the future; nobody has to wait for those.
        if device.joined is not None and 0 <= now - device.joined < settings.separation_seconds:
            wait = settings.separation_seconds - (now - device.joined)
            return _Refusal("the device took part a short while ago", at_least_seconds=wait)
        return None

    def _has_room(self, session: Session, rows: HotRows, row: RoundRow, device: DeviceRow, now: float) -> bool:
        if row.phase != Step.ADVERTISE:
            return False
        if device.last_round == row.round_id:
            # Killed after it was selected: it may join with new keys, unless it has already advertised some, or did
            # nothing until its place was another's.
            joined = rows.get(MessageRow, row.round_id, Step.ADVERTISE, device.device_id)
            return joined is None and device.selected is not None
        if row.selected >= row.max_phones:
            conduct.free_places(session, row, now, self._settings.slot_seconds)
        return row.selected < row.max_phones
