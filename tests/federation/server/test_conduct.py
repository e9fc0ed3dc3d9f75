"""What one phone does to a server, and anyone who records its requests: places, replays, false shares, and CPU."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sql

from federation.protocol.evidence import Evidence
from federation.protocol.steps import STEPS, Step
from federation.secure_aggregation import shamir
from federation.secure_aggregation.errors import InboxRefusedError, MalformedMessageError, SecureAggregationError
from federation.secure_aggregation.messages import HEADER_BYTES, Kind
from federation.secure_aggregation.shamir import field_element
from federation.server.errors import ConflictError, ForbiddenError, GoneError, UnauthorisedError
from federation.server.retention import Retention
from federation.server.session_events import Event
from federation.server.settings import RetentionSettings, RoundSettings
from federation.server.tables import ComplaintRow, DeviceRow, EventRow, EvidenceRow, NonceRow
from tests.federation.secure_aggregation.cohort import DEVICES, Session, parameters
from tests.federation.server.phones import ISSUER, READY, Clock, Phone, Server, gather, phase_of

SETTINGS = RoundSettings(goal=6, minimum=3, over_selection=1.0, clip=8.0)


@pytest.fixture
def serve(tmp_path: Path, clock: Clock) -> Callable[..., Server]:
    return lambda settings=SETTINGS: Server(tmp_path, clock, settings)


def events(server: Server, kind: Event) -> list[EventRow]:
    with server.database.read() as session:
        return list(session.scalars(sql.select(EventRow).where(EventRow.kind == kind)))


def evidence(server: Server) -> list[EvidenceRow]:
    with server.database.read() as session:
        return list(session.scalars(sql.select(EvidenceRow)))


def test_a_request_that_is_sent_fifty_times_makes_one_event(serve: Callable[..., Server], clock: Clock) -> None:
    """Anyone who recorded a check-in sends it to every worker, before and after a restart."""
    workers, phone = [serve(), serve()], Phone(1)
    for server in workers:
        for _ in range(25):
            try:
                server.check_ins.check_in(phone.credential, b"n" * 16, READY)
            except ConflictError as error:
                assert "made before" in str(error)  # noqa: PT017 - all but the first
    clock.now += 600
    with pytest.raises(ConflictError):
        serve().check_ins.check_in(phone.credential, b"n" * 16, READY)
    assert len(events(workers[0], Event.CHECKED_IN)) == 1
    workers[0].check_ins.check_in(phone.credential, b"m" * 16, READY)
    workers[0].check_ins.check_in(Phone(2).credential, b"n" * 16, READY)  # nonces are a device's own
    assert len(events(workers[0], Event.CHECKED_IN)) == 3


def test_a_replayed_check_in_selects_nobody(serve: Callable[..., Server], clock: Clock) -> None:
    server, phones = serve(), [Phone(number) for number in range(6)]
    recorded = os.urandom(16)
    assert server.check_ins.check_in(phones[0].credential, recorded, READY).round_id is None
    for phone in phones[1:]:
        phone.check_in(server)
    clock.now += 60
    for phone in phones:
        phone.check_in(server)
    server.coordinator.tick()
    with pytest.raises(ConflictError):
        server.check_ins.check_in(phones[0].credential, recorded, READY)
    assert events(server, Event.SELECTED) == []


def test_a_report_is_written_down_once(serve: Callable[..., Server], clock: Clock) -> None:
    server, phones = serve(), [Phone(number) for number in range(6)]
    round_id = gather(server, clock, phones)
    told = (round_id, phones[0].key.device_id, b"n" * 16, Event.PLAN, "")
    server.rounds.report(*told)
    with pytest.raises(ConflictError):
        server.rounds.report(*told)
    assert len(events(server, Event.PLAN)) == 1


def test_nonces_are_forgotten_once_their_signatures_are_too_old(serve: Callable[..., Server], clock: Clock) -> None:
    server = serve()
    for number in range(20):
        Phone(number).asked(server)
        clock.now += 100
    with server.database.read() as session:
        assert session.scalar(sql.select(sql.func.count()).select_from(NonceRow)) == 7


def test_a_message_of_the_protocol_counts_once_however_often_it_comes(
    serve: Callable[..., Server], clock: Clock
) -> None:
    server, phones = serve(), [Phone(number) for number in range(6)]
    round_id = gather(server, clock, phones)
    message = phones[0].take(server, round_id, Step.ADVERTISE)
    for _ in range(50):
        phones[0].send(server, round_id, Step.ADVERTISE, message)
    assert len(events(server, Event.ADVERTISED)) == 1


def test_a_phone_that_does_nothing_does_not_hold_its_place(serve: Callable[..., Server], clock: Clock) -> None:
    settings = replace(SETTINGS, meeting_seconds=30, slot_seconds=40)
    server, phones = serve(settings), [Phone(number) for number in range(9)]
    idle, busy, late = phones[:2], phones[2:6], phones[6:]
    for phone in phones[:6]:
        phone.check_in(server)
    assert server.coordinator.tick()
    round_id = {phone.check_in(server) for phone in phones[:6]}.pop()
    assert round_id is not None
    for phone in busy:
        phone.take(server, round_id, Step.ADVERTISE)
    assert late[0].check_in(server) is None  # it is full
    made = idle[0].make(server, round_id, Step.ADVERTISE)
    clock.now += 41
    other = serve(settings)  # another worker: what is known is in the database
    assert [late[0].check_in(other), late[1].check_in(other), late[2].check_in(other)] == [round_id, round_id, None]
    assert idle[1].check_in(server) is None  # and does not get another one at once
    with pytest.raises(GoneError, match="place went to another"):
        idle[0].send(server, round_id, Step.ADVERTISE, made)
    for phone in late[:2]:
        phone.take(server, round_id, Step.ADVERTISE)
    assert server.coordinator.tick()
    assert phase_of(server, round_id)[0] == Step.SHARE


def test_a_slow_phone_keeps_its_place_while_nobody_else_wants_it(serve: Callable[..., Server], clock: Clock) -> None:
    server, phones = serve(), [Phone(number) for number in range(6)]
    round_id = gather(server, clock, phones)
    clock.now += SETTINGS.slot_seconds
    phones[0].take(server, round_id, Step.ADVERTISE)


class GarbageDealer(Phone):
    """Deals random bytes in place of encrypted shares, to some or to all."""

    def __init__(self, name: int, victims: int) -> None:
        super().__init__(name)
        self._victims = victims

    def make(self, server: Server, round_id: int, step: Step) -> bytes:
        message = super().make(server, round_id, step)
        if step is not Step.SHARE:
            return message
        payload = bytearray(message[HEADER_BYTES + 64 :])
        payload[: 80 * self._victims] = os.urandom(80 * self._victims)
        sealed: bytes = self.phase._session.seal(Kind.SHARES, bytes(payload))
        return sealed


def dealt(server: Server, clock: Clock, phones: list[Phone]) -> tuple[int, dict[int, bytes]]:
    """Return a round in which shares were dealt, and the complaints of phones, by place."""
    round_id = gather(server, clock, phones)
    for step in (Step.ADVERTISE, Step.SHARE):
        for phone in phones:
            phone.take(server, round_id, step)
        assert server.coordinator.tick()
    complaints = {}
    for place, phone in enumerate(phones):
        try:
            phone.make(server, round_id, Step.UPLOAD)
        except InboxRefusedError as error:
            complaints[place] = error.complaint
    return round_id, complaints


def complain(server: Server, round_id: int, phones: list[Phone], complaints: dict[int, bytes]) -> None:
    for place, complaint in complaints.items():
        server.rounds.complain(round_id, phones[place].key.device_id, complaint)


def test_who_deals_garbage_to_a_group_is_convicted_and_stays_away(serve: Callable[..., Server], clock: Clock) -> None:
    server = serve()
    phones = [*(Phone(number) for number in range(5)), GarbageDealer(5, 5)]
    round_id, complaints = dealt(server, clock, phones)
    assert sorted(complaints) == [0, 1, 2, 3, 4]
    complain(server, round_id, phones, {place: complaints[place] for place in (0, 1)})
    assert evidence(server) == []  # two of six may be the ones who lie
    complain(serve(), round_id, phones, complaints)  # another worker
    (row, *more) = evidence(server)
    assert not more
    assert row.devices == [phones[5].key.device_id.hex()]
    assert [event.detail for event in events(server, Event.CONVICTED)] == [f"dealt false shares: see evidence {row.id}"]
    clock.now += 3700
    assert server.coordinator.tick()
    assert phase_of(server, round_id)[0] == "abandoned"
    others = [*phones[:5], Phone(6)]
    again = gather(server, clock, others)
    assert "stays away" in phones[5].asked(server).reason
    for step in STEPS:
        for phone in others:
            phone.take(server, again, step)
        assert server.coordinator.tick()
    assert phase_of(server, again)[0] == "finished"


def test_evidence_convicts_without_the_servers_word(serve: Callable[..., Server], clock: Clock) -> None:
    server = serve()
    phones = [*(Phone(number) for number in range(5)), GarbageDealer(5, 5)]
    round_id, complaints = dealt(server, clock, phones)
    complain(server, round_id, phones, complaints)
    found = Evidence.from_bytes(evidence(server)[0].content)
    authority = ISSUER.authority.at(phones[0].credential.epoch)
    assert found.convicted(authority) == {phones[5].key.device_id}
    assert replace(found, messages=found.messages[:2]).convicted(authority) == frozenset()
    with pytest.raises(MalformedMessageError, match="once"):
        replace(found, messages=found.messages[:1] * 3).convicted(authority)
    forged = bytearray(found.messages[0])
    forged[-1] ^= 3
    for framed in (
        replace(found, messages=(bytes(forged), *found.messages[1:])),
        replace(found, plan_hash=bytes(32)),
        replace(found, roster=found.roster[:-64] + bytes(64)),
    ):
        with pytest.raises(SecureAggregationError):
            framed.convicted(authority)
    with pytest.raises(SecureAggregationError):
        found.convicted(ISSUER.authority.at(phones[0].credential.epoch + 1))
    for damaged in (b"", found.to_bytes()[:-1], b"\x01\x00\x00\x00x" + found.to_bytes()):
        with pytest.raises(ValueError, match="evidence"):
            Evidence.from_bytes(damaged)


def test_a_third_of_a_group_convicts_nobody_and_a_complaint_counts_once(
    serve: Callable[..., Server], clock: Clock
) -> None:
    """Two of six who collude name an honest phone, in three rounds' worth of messages."""
    server, phones = serve(), [Phone(number) for number in range(6)]
    round_id, complaints = dealt(server, clock, phones)
    assert complaints == {}
    sessions = {place: phones[place].phase._session for place in (0, 1, 2)}
    victim = sessions[0].roster.phones[5].device_id
    index = 5
    for place in (0, 1):
        if sessions[place].index == index:
            continue
        message = sessions[place].seal(Kind.COMPLAINT, bytes([1 << index]))
        for _ in range(3):
            server.rounds.complain(round_id, phones[place].key.device_id, message)
        with pytest.raises(ForbiddenError):
            server.rounds.complain(round_id, phones[2].key.device_id, message)
    with server.database.read() as session:
        assert session.scalar(sql.select(sql.func.count()).select_from(ComplaintRow)) in {1, 2}
        device = session.get_one(DeviceRow, victim)
        assert device.quarantined_until is None
    own = sessions[2]
    for wrong in (bytes([1 << own.index]), bytes([0]), bytes([1 << 7])):
        with pytest.raises(MalformedMessageError):
            server.rounds.complain(round_id, phones[2].key.device_id, own.seal(Kind.COMPLAINT, wrong))


class Liar(Phone):
    """Reveals false shares at the end."""

    def make(self, server: Server, round_id: int, step: Step) -> bytes:
        session = self.phase._session if step is Step.UNMASK else None
        message = super().make(server, round_id, step)
        if session is None:
            return message
        count = (len(message) - HEADER_BYTES - 64) // 32
        sealed: bytes = session.seal(Kind.UNMASKING, b"".join(field_element(os.urandom) for _ in range(count)))
        return sealed


@pytest.mark.parametrize("liars", [1, 3])
def test_who_reveals_false_shares_is_convicted_where_the_sum_can_be_had(
    serve: Callable[..., Server], clock: Clock, liars: int
) -> None:
    settings = replace(SETTINGS, goal=20, minimum=5)
    server = serve(settings)
    # Shares that come first are tried first: who lies in others disturbs nothing and is not noticed.
    names = sorted(range(90, 190), key=lambda name: Phone(name).key.device_id)[:liars]
    phones = [*(Phone(number) for number in range(20 - liars)), *map(Liar, names)]
    round_id = gather(server, clock, phones)
    for step in STEPS:
        for phone in phones:
            phone.take(server, round_id, step)
        assert server.coordinator.tick()
    assert phase_of(server, round_id)[0] == "finished"
    (row,) = evidence(server)
    wanted = {phone.key.device_id for phone in phones if isinstance(phone, Liar)}
    assert set(row.devices) == {device_id.hex() for device_id in wanted}
    authority = ISSUER.authority.at(phones[0].credential.epoch)
    assert Evidence.from_bytes(row.content).convicted(authority) == wanted
    assert {event.detail for event in events(server, Event.CONVICTED)} == {
        f"revealed false shares: see evidence {row.id}"
    }
    clock.now += 3700
    assert "stays away" in phones[-1].asked(server).reason


def test_evidence_goes_with_the_trails(serve: Callable[..., Server], clock: Clock) -> None:
    server = serve()
    phones = [*(Phone(number) for number in range(5)), GarbageDealer(5, 5)]
    round_id, complaints = dealt(server, clock, phones)
    complain(server, round_id, phones, complaints)
    clock.now += 3700
    server.coordinator.tick()
    clock.now += 31 * 86400
    Retention(server.database, server.blobs, RetentionSettings(), clock).sweep()
    assert evidence(server) == []
    with server.database.read() as session:
        assert session.scalar(sql.select(sql.func.count()).select_from(ComplaintRow)) == 0


def test_who_was_revoked_meanwhile_is_not_let_in(serve: Callable[..., Server], clock: Clock) -> None:
    server = serve()
    stale = Phone(1)
    clock.now += 8 * 86400
    with pytest.raises(UnauthorisedError, match="earlier epoch"):
        server.check_ins.check_in(stale.credential, b"n" * 16, READY)


def test_correcting_shares_costs_a_round_no_more_than_its_budget() -> None:
    """Every secret of forty is shared so that nothing can be found; the work is counted, not timed."""
    effort = shamir.Effort()
    shares = {holder: field_element(os.urandom) for holder in range(40)}
    tried = 0

    def accept(_: bytes) -> bool:
        nonlocal tried
        tried += 1
        return False

    for _ in range(40):
        assert shamir.correct(shares, 27, accept, effort)[0] is None
    assert 0 <= effort.left < shamir.Effort().left / 100
    assert tried <= 40 + shamir.Effort().left / (shamir.COEFFICIENTS * 27**2)
    before = tried
    assert shamir.correct(shares, 27, accept, effort) == (None, frozenset(shares))
    assert tried == before


def test_who_lied_once_is_not_relied_on_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five of forty who lie about every secret cost one correction, and not forty."""
    session = Session(40, parameters(minimum=3)).advertise().share().mask().confirm()
    corrected = []
    correct = shamir.correct
    monkeypatch.setattr(shamir, "correct", lambda *told: corrected.append(1) or correct(*told))
    for index in sorted(session.phones):
        message = session.phones[index].unmask(session.server.signatures_message)
        if index < 5:
            garbage = b"".join(field_element(os.urandom) for _ in range(40))
            message = session.sealed(index, Kind.UNMASKING, garbage)
        session.server.receive(message)
    result = session.server.close()
    assert len(corrected) == 1
    assert result.blame.certain == {DEVICES[index].key.device_id for index in range(5)}
    assert result.vector.to_bytes() == session.expected(range(40)).to_bytes()
