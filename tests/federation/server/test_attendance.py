"""Rounds let in as many phones as the drop-out of the rounds before asks for."""

from pathlib import Path

import pytest

from federation.protocol.steps import STEPS, Step
from federation.rounds.selection import Selection, Staying
from federation.server.attendance import staying
from federation.server.errors import GoneError
from federation.server.phases import Ended
from federation.server.settings import RoundSettings
from federation.server.tables import RoundRow
from tests.federation.server.phones import Clock, Phone, Server, gather, phase_of

SETTINGS = RoundSettings(goal=6, minimum=4, over_selection=1.5, clip=2.0, weight_cap=20)
LET_IN = SETTINGS.selection(Staying(1.0, 0.67, 1.0))
PHONES = [Phone(name) for name in range(LET_IN.max_phones)]


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Server:
    return Server(tmp_path, clock, SETTINGS)


def take(server: Server, round_id: int, step: Step, phones: list[Phone]) -> None:
    for phone in phones:
        phone.take(server, round_id, step)


def row_of(server: Server, round_id: int) -> RoundRow:
    with server.database.read() as session:
        return session.get_one(RoundRow, round_id)


def seen(server: Server) -> Staying | None:
    with server.database.read() as session:
        return staying(session)


def fail_in_the_upload(server: Server, clock: Clock) -> None:
    """Lose a third of nine phones, which is one too many."""
    round_id = gather(server, clock, PHONES[:9])
    for step in (Step.ADVERTISE, Step.SHARE):
        take(server, round_id, step, PHONES[:9])
        assert server.coordinator.tick()
    take(server, round_id, Step.UPLOAD, PHONES[:6])
    clock.now += 1000
    assert server.coordinator.tick()
    assert phase_of(server, round_id)[0] == Ended.ABANDONED
    clock.now += SETTINGS.separation_seconds


def test_the_next_round_lets_in_what_the_drop_out_of_the_last_asks_for(server: Server, clock: Clock) -> None:
    assert seen(server) is None
    fail_in_the_upload(server, clock)
    assert row_of(server, 1).max_phones == 9
    assert row_of(server, 1).attendance == {"advertise": [9, 9, 0], "share": [9, 9, 0], "upload": [9, 6, 0]}
    assert seen(server) == Staying(1.0, 0.67, 1.0)
    assert gather(server, clock, PHONES) == 2
    row = row_of(server, 2)
    assert Selection(row.max_phones, row.group_phones) == LET_IN
    assert LET_IN.max_phones > 9
    assert LET_IN.group_phones <= 9


def test_a_round_in_groups_completes_although_one_group_is_lost(server: Server, clock: Clock) -> None:
    fail_in_the_upload(server, clock)
    round_id = gather(server, clock, PHONES)
    take(server, round_id, Step.ADVERTISE, PHONES)
    server.coordinator.tick()
    take(server, round_id, Step.SHARE, PHONES)
    assert server.coordinator.tick()
    groups: dict[bytes, list[Phone]] = {}
    for phone in PHONES:
        groups.setdefault(server.rounds.roster(round_id, phone.key.device_id), []).append(phone)
    assert len(groups) > 1
    lost, *others = groups.values()
    left = [phone for group in others for phone in group]
    take(server, round_id, Step.UPLOAD, [*lost[:2], *left])
    clock.now += 1000
    assert server.coordinator.tick()
    for step in (Step.CONFIRM, Step.UNMASK):
        clock.now -= 1000 if step is Step.CONFIRM else 0
        take(server, round_id, step, left)
        assert server.coordinator.tick()
    assert phase_of(server, round_id)[0] == Ended.FINISHED
    assert server.models.version(2).metrics["phones"] == len(left)
    assert row_of(server, round_id).attendance["confirm"] == [len(left), len(left), 0]


def test_phones_that_come_after_they_were_cut_off_have_not_dropped_out(server: Server, clock: Clock) -> None:
    phones = PHONES[:9]
    round_id = gather(server, clock, phones)
    for step in (Step.ADVERTISE, Step.SHARE):
        take(server, round_id, step, phones)
        assert server.coordinator.tick()
    take(server, round_id, Step.UPLOAD, phones[:7])
    late = phones[8].make(server, round_id, Step.UPLOAD)
    clock.now += SETTINGS.grace_seconds + 1
    assert server.coordinator.tick()
    for _ in range(2):
        with pytest.raises(GoneError, match="past 'upload'"):
            phones[8].send(server, round_id, Step.UPLOAD, late)
    with pytest.raises(GoneError, match="past 'upload'"):
        PHONES[9].send(server, round_id, Step.UPLOAD, late)  # was not in the round
    for step in (Step.CONFIRM, Step.UNMASK):
        take(server, round_id, step, phones[:7])
        assert server.coordinator.tick()
    assert phase_of(server, round_id)[0] == Ended.FINISHED
    assert row_of(server, round_id).attendance == {
        **{step: [9, 9, 0] for step in STEPS[:2]},
        Step.UPLOAD: [9, 7, 2],
        **{step: [7, 7, 0] for step in STEPS[3:]},
    }
    assert seen(server) == Staying(1.0, 0.89, 1.0)  # one of nine is nowhere to be seen


def test_only_the_latest_rounds_count_and_a_running_one_does_not(server: Server, clock: Clock) -> None:
    fail_in_the_upload(server, clock)
    with server.database.write() as session:
        gone = session.get_one(RoundRow, 1)
        for number in range(2, 22):
            copied = {column.key: getattr(gone, column.key) for column in RoundRow.__table__.columns}
            session.add(RoundRow(**{**copied, "round_id": number, "attendance": {"advertise": [9, 9, 0]}}))
    assert seen(server) == Staying()
