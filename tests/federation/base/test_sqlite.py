"""SQLite files become this version's when they are opened, whole or not at all, by one of several processes."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from federation.base.sqlite import Database

FIRST = ("CREATE TABLE IF NOT EXISTS words (word TEXT)",)
SECOND = ("ALTER TABLE words ADD COLUMN seen INTEGER NOT NULL DEFAULT 1", "UPDATE words SET seen = 2")


class UnusableError(Exception):
    """What the tests' files raise."""


def explained(error: sqlite3.Error) -> Exception:
    return UnusableError(str(error))


def opened(path: Path, *migrations: tuple[str, ...]) -> Database:
    return Database(path, migrations, explain=explained, pragmas=["journal_mode=WAL"])


def words(database: Database) -> list[tuple[object, ...]]:
    with database.reading() as connection:
        return connection.execute("SELECT * FROM words ORDER BY word").fetchall()


def add(database: Database, word: str) -> None:
    with database.writing() as connection:
        connection.execute("INSERT INTO words (word) VALUES (?)", (word,))


def test_a_file_of_an_earlier_version_is_brought_to_this_one(tmp_path: Path) -> None:
    with opened(tmp_path / "a", FIRST) as old:
        add(old, "hello")
    with opened(tmp_path / "a", FIRST, SECOND) as new:
        assert words(new) == [("hello", 2)]
    with opened(tmp_path / "a", FIRST, SECOND) as again:
        assert words(again) == [("hello", 2)], "and once only"


def test_a_file_from_before_there_were_versions_is_the_first(tmp_path: Path) -> None:
    before = sqlite3.connect(tmp_path / "a")
    before.executescript("CREATE TABLE words (word TEXT); INSERT INTO words VALUES ('hello');")
    before.close()
    with opened(tmp_path / "a", FIRST, SECOND) as database:
        assert words(database) == [("hello", 2)]


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    with opened(tmp_path / "a", FIRST) as old:
        add(old, "hello")
    with pytest.raises(UnusableError, match="no such table"):
        opened(tmp_path / "a", FIRST, (*SECOND, "UPDATE letters SET seen = 2"))
    with opened(tmp_path / "a", FIRST) as database:
        assert words(database) == [("hello",)]


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "a", FIRST, SECOND).close()
    with pytest.raises(UnusableError, match="update fedkey"):
        opened(tmp_path / "a", FIRST)


def test_several_may_open_an_old_file_at_once(tmp_path: Path) -> None:
    opened(tmp_path / "a", FIRST).close()
    with ThreadPoolExecutor(8) as pool:
        for database in pool.map(lambda _: opened(tmp_path / "a", FIRST, SECOND), range(8)):
            database.close()


def test_what_is_damaged_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"no database" * 1000)
    with pytest.raises(UnusableError, match="not a database"):
        opened(tmp_path / "a", FIRST)


def test_an_error_undoes_the_whole_transaction_and_an_inner_one_is_part_of_it(tmp_path: Path) -> None:
    def fail(database: Database) -> None:
        with database.writing():
            add(database, "one")
            raise ValueError("no more")

    with opened(tmp_path / "a", FIRST) as database:
        with pytest.raises(ValueError, match="no more"):
            fail(database)
        assert words(database) == []
