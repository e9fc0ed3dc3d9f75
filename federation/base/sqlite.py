"""SQLite files that know their version, and become one of this version of fedkey when they are opened."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from model import files

Migration = Sequence[str]
"""Statements that bring a file from one version to the next."""

_BUSY_SECONDS = 30.0


class NewerFileError(sqlite3.DatabaseError):
    """A file that a later version of fedkey wrote."""


class Database:
    """One file, or one database in memory. Safe to use from several threads, but not across a fork.

    Args:
        path: File, or `:memory:`.
        migrations: The first makes version 1 of nothing or of a file without a version (so `IF NOT EXISTS`), and each
            further one the next version. They are never changed, only added to.
        explain: Returns the error to raise in place of one of SQLite.
        pragmas: Settings of the connection, such as `journal_mode=WAL`.

    Raises:
        What `explain` returns: the file cannot be used, or a later version of fedkey wrote it.
    """

    def __init__(
        self,
        path: Path | str,
        migrations: Sequence[Migration],
        *,
        explain: Callable[[sqlite3.Error], Exception],
        pragmas: Sequence[str] = (),
    ) -> None:
        self._explain = explain
        self._lock = threading.RLock()
        with self._explained():
            _refuse_what_never_ends(path)
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with self._explained():
                for pragma in pragmas:
                    self._connection.execute(f"PRAGMA {pragma}")
            self._migrate(migrations)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection, to read from."""
        with self._lock, self._explained():
            yield self._connection

    @contextmanager
    def writing(self, *, durably: bool = False) -> Iterator[sqlite3.Connection]:
        """Make all writes within one transaction: all of them or, after an error, none. Inner ones join the outer.

        Args:
            durably: Whether what was written outlives a power cut when this returns, and not only the process.
        """
        with self._lock, self._explained():
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute(f"PRAGMA synchronous={'FULL' if durably else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def _migrate(self, migrations: Sequence[Migration]) -> None:
        with self.reading():
            if self._version() == len(migrations):
                return
        with self.writing(durably=True) as connection:  # of several processes that open it at once, one migrates
            version = self._version()
            if version > len(migrations):
                raise NewerFileError("a later version of fedkey wrote this file: update fedkey")
            for migration in migrations[version:]:
                for statement in migration:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={len(migrations)}")

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error) from error


def _refuse_what_never_ends(path: Path | str) -> None:
    with contextlib.suppress(OSError):  # nothing is there yet, or it is in memory
        if files.never_ends(path):
            raise sqlite3.OperationalError("it is a pipe, a socket or a device")
