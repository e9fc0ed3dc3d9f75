"""A device's records outlast new versions of fedkey, and codes that this version does not know."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from federation.device.errors import StoreError
from federation.device.store import PhoneStore
from federation.protocol.drop_reasons import DropReason

FIRST_VERSION = """
CREATE TABLE state (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, round_id INTEGER, what TEXT NOT NULL,
    sent INTEGER NOT NULL, received INTEGER NOT NULL);
CREATE TABLE rounds (
    round_id INTEGER PRIMARY KEY, began REAL NOT NULL, ended REAL, contributed INTEGER, reason TEXT);
INSERT INTO state VALUES ('pins', zeroblob(64));
INSERT INTO ledger (at, round_id, what, sent, received) VALUES (1, 7, 'plan', 100, 200), (2, 8, 'plan', 10, 20);
INSERT INTO rounds VALUES (7, 1, 2, 1, ''), (9, 4, NULL, NULL, NULL);
INSERT INTO rounds VALUES (8, 3, 3, 0, 'the plan is below this phone''s policy');
"""


def change(folder: Path, script: str) -> None:
    with closing(sqlite3.connect(folder / "phone.sqlite")) as database:
        database.executescript(script)


def test_records_of_the_first_version_are_read_and_their_reasons_become_codes(tmp_path: Path) -> None:
    change(tmp_path, FIRST_VERSION)
    store = PhoneStore(tmp_path)
    assert store.pins is not None
    assert [(entry.round_id, entry.sent, entry.received) for entry in store.ledger()] == [(8, 10, 20), (7, 100, 200)]
    assert [(record.round_id, record.joined, record.contributed, record.reason) for record in store.rounds()] == [
        (9, True, False, DropReason.NONE),
        (8, False, False, DropReason.POLICY),
        (7, True, True, DropReason.NONE),
    ]
    assert store.rounds()[-1].sent == 100
    store.close()


def test_a_reason_of_a_later_version_is_tolerated(tmp_path: Path) -> None:
    store = PhoneStore(tmp_path)
    store.refuse_round(3, 1.0, DropReason.POLICY)
    change(tmp_path, "UPDATE joined_rounds SET reason = 'moon_phase'")
    assert [record.reason for record in store.rounds()] == [DropReason.UNKNOWN]
    store.close()


def test_records_of_a_later_version_are_refused(tmp_path: Path) -> None:
    PhoneStore(tmp_path).close()
    change(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="update fedkey"):
        PhoneStore(tmp_path)
