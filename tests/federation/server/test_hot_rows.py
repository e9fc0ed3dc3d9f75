"""Rows without the ORM are the rows that the ORM has."""

from pathlib import Path

import pytest

from federation.server.hot_rows import HotRows, hot_rows
from federation.server.store import Database
from federation.server.tables import DeviceRow, MessageRow

DEVICE = bytes(16)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'server.sqlite'}")
    database.migrate()
    return database


def added(database: Database) -> None:
    with database.write() as session, hot_rows(session) as rows:
        assert rows.get(DeviceRow, DEVICE) is None
        row = rows.add(DeviceRow, device_id=DEVICE, due=5.0)
        assert row.joined is None
        row.last_seen = 4.0


def test_what_is_added_is_there_with_what_was_set_afterwards(database: Database) -> None:
    added(database)
    with database.read() as session:
        row = session.get_one(DeviceRow, DEVICE)
        assert (row.due, row.last_seen, row.joined) == (5.0, 4.0, None)


def test_what_is_changed_is_written_and_nothing_else(database: Database) -> None:
    added(database)
    with database.write() as session, hot_rows(session) as rows:
        row = rows.get(DeviceRow, DEVICE)
        assert row is not None
        row.due, row.joined = None, 7.5
    with database.read() as session:
        again = HotRows(session).get(DeviceRow, DEVICE)
        assert again is not None
        assert (again.due, again.last_seen, again.joined) == (None, 4.0, 7.5)


def test_nothing_is_written_of_a_transaction_that_raised(database: Database) -> None:
    added(database)
    with pytest.raises(ZeroDivisionError):
        _change_and_fail(database)
    with database.read() as session:
        assert session.get_one(DeviceRow, DEVICE).due == 5.0


def test_rows_are_found_by_keys_of_several_columns(database: Database) -> None:
    with database.read() as session:
        assert HotRows(session).get(MessageRow, 1, "share", DEVICE) is None


def _change_and_fail(database: Database) -> None:
    with database.write() as session, hot_rows(session) as rows:
        row = rows.get(DeviceRow, DEVICE)
        assert row is not None
        row.due = 1.0
        raise ZeroDivisionError
