"""What a large or old fleet costs: joins, scrapes and sweeps do not grow with what there was."""

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sql
from sqlalchemy.orm import DeclarativeBase

from federation.protocol.steps import Step
from federation.secure_aggregation.errors import ConflictingMessageError
from federation.server import phases
from federation.server.errors import BadRequestError, UnavailableError, UnknownError
from federation.server.history import rounds_of, timeline
from federation.server.hot_rows import HotRows
from federation.server.metrics import Metrics
from federation.server.models import Verdict
from federation.server.phases import Ended
from federation.server.queries import known
from federation.server.retention import Retention
from federation.server.round_state import plan_of
from federation.server.settings import RetentionSettings, RoundSettings
from federation.server.store import WRITERS_IN_LINE, Database
from federation.server.tables import CounterRow, DeviceRow, EventRow, JoinedKeyRow, MessageRow, ModelRow
from tests.federation.server.phones import Clock, Phone, Server, gather, phase_of, take_all_steps

SETTINGS = RoundSettings(goal=6, minimum=4, over_selection=1.5, clip=2.0, weight_cap=20)
DAY = 86400.0


@pytest.fixture
def server(tmp_path: Path, clock: Clock, database_url: str) -> Iterator[Server]:
    running = Server(tmp_path, clock, SETTINGS, url=database_url)
    yield running
    running.database.close()


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    sql.event.listen(database._engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sql.event.remove(database._engine, "before_cursor_execute", note)


def count(server: Server, table: type[DeclarativeBase]) -> int:
    with server.database.read() as session:
        return session.scalar(sql.select(sql.func.count()).select_from(table)) or 0


def swept(server: Server, clock: Clock, settings: RetentionSettings | None = None) -> None:
    Retention(server.database, server.blobs, settings or RetentionSettings(), clock).sweep()


def test_a_phone_joins_with_the_same_statements_however_many_are_in_the_round(tmp_path: Path, clock: Clock) -> None:
    server = Server(tmp_path, clock, replace(SETTINGS, goal=40, over_selection=1.0))
    phones = [Phone(number) for number in range(40)]
    round_id = gather(server, clock, phones)
    asked = []
    for phone in phones:
        with statements(server.database) as seen:
            phone.take(server, round_id, Step.ADVERTISE)
        asked.append(seen)
    assert asked[5] == asked[-1]
    by_key = ("messages.device_id = ", "INSERT INTO messages")  # and not all messages of the round
    assert all(any(key in one for key in by_key) for one in asked[-1] if "messages" in one)


def test_keys_of_another_phone_are_refused(server: Server, clock: Clock) -> None:
    phones = [Phone(number) for number in range(6)]
    round_id = gather(server, clock, phones)
    phones[0].take(server, round_id, Step.ADVERTISE)
    assert count(server, JoinedKeyRow) == 3
    message = phones[1].make(server, round_id, Step.ADVERTISE)
    with server.database.write() as session:
        keys = phases.advertised_keys(plan_of(known(HotRows(session), round_id)), message)
        session.execute(sql.insert(JoinedKeyRow).values(round_id=round_id, key=keys[1]))
    with pytest.raises(ConflictingMessageError, match="in use"):
        phones[1].send(server, round_id, Step.ADVERTISE, message)


def test_trails_messages_and_devices_go_by_age_and_who_uploaded_stays(server: Server, clock: Clock) -> None:
    phones = [Phone(number) for number in range(6)]
    round_id = gather(server, clock, phones)
    take_all_steps(server, round_id, phones)
    events, counted = count(server, EventRow), count(server, CounterRow)
    swept(server, clock)
    assert count(server, EventRow) == events
    assert count(server, JoinedKeyRow) == 0
    clock.now += 8 * DAY
    swept(server, clock)
    with server.database.read() as session:
        assert set(session.scalars(sql.select(MessageRow.step))) == {Step.UPLOAD}
    clock.now += 23 * DAY
    swept(server, clock)
    assert count(server, EventRow) == 0
    assert count(server, CounterRow) == counted
    assert rounds_of(server.database)[0].phones == 6
    assert "no longer kept" in timeline(server.database, round_id)[-1]
    assert b'fedkey_events_total{event="uploaded"} 6.0' in Metrics(server.database).exposition()
    clock.now += 200 * DAY
    swept(server, clock)
    assert count(server, DeviceRow) == 0


def test_a_round_that_runs_loses_nothing(server: Server, clock: Clock) -> None:
    phones = [Phone(number) for number in range(6)]
    round_id = gather(server, clock, phones)
    for phone in phones:
        phone.take(server, round_id, Step.ADVERTISE)
    before = count(server, MessageRow), count(server, JoinedKeyRow)
    clock.now += 8 * DAY
    swept(server, clock)
    assert (count(server, MessageRow), count(server, JoinedKeyRow)) == before


def test_weights_of_old_versions_go_but_not_the_first_the_current_or_shared_ones(server: Server, clock: Clock) -> None:
    state = server.models.state(1)
    for number in range(2, 8):
        other = replace(state, weights=state.weights + (number if number != 4 else 7))
        stored = server.models.store(other)  # versions 4 and 7 have the same weights
        with server.database.write() as session:
            server.models.insert(
                session, stored, parent=number - 1, verdict=Verdict(passed=True, metrics={}), round_id=None, now=clock()
            )
    server.models.promote(3)
    swept(server, clock, RetentionSettings(models=2))
    for kept in (1, 3, 6, 7):
        assert server.models.state(kept).weights is not None
    for gone in (2, 4, 5):
        with pytest.raises(UnknownError, match="no longer kept"):
            server.models.state(gone)
        with pytest.raises(BadRequestError, match="no longer kept"):
            server.models.promote(gone)
    assert len(server.models.versions()) == count(server, ModelRow) == 7


def test_a_clock_that_was_set_back_ends_the_round_and_lets_phones_come(server: Server, clock: Clock) -> None:
    phones = [Phone(number) for number in range(6)]
    round_id = gather(server, clock, phones)
    phones[0].take(server, round_id, Step.ADVERTISE)
    clock.now -= DAY
    server.coordinator.tick()
    assert phase_of(server, round_id)[0] == Ended.ABANDONED
    assert "clock was set back" in rounds_of(server.database)[0].outcome
    assert phones[0].check_in(server) is None
    with server.database.read() as session:
        device = session.get_one(DeviceRow, phones[0].key.device_id)
        assert device.waiting_since == clock.now


def test_a_lock_that_is_held_takes_no_more_threads_than_may_wait(tmp_path: Path, clock: Clock) -> None:
    server = Server(tmp_path, clock, SETTINGS)
    refused: list[BaseException] = []
    waiting = threading.Semaphore(0)

    def write() -> None:
        try:
            waiting.release()
            with server.database.write():
                pass
        except UnavailableError as error:
            refused.append(error)

    with (tmp_path / "server.sqlite.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        threads = [threading.Thread(target=write) for _ in range(WRITERS_IN_LINE + 3)]
        for thread in threads:
            thread.start()
        for _ in threads:
            waiting.acquire()
        while len(refused) < 3:
            assert any(thread.is_alive() for thread in threads)
        assert server.models.current_version() == 1  # who reads is answered
    for thread in threads:
        thread.join()
    with server.database.write():
        pass
