"""What lasts: one database and one blob store, shared by all workers.

SQLite in WAL mode or PostgreSQL, by URL. A write is one transaction that takes its lock first, so what it reads stays
true until it commits; on SQLite that is the database's one writer lock, and a file's before it, on PostgreSQL an
advisory lock.
"""

import fcntl
import hashlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any

import fsspec
import sqlalchemy as sql
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from federation.errors import ConfigError
from federation.server.errors import UnavailableError, UnknownError
from model import files

_LOG = logging.getLogger("fedkey.store")

_BUSY_SECONDS = 30.0
_RETRY_SECONDS = 10.0
"""After which a phone asks again where there is no room: well within a step of a round, so that it misses none."""

_TURN_SECONDS = 10.0
WRITERS_IN_LINE = 6
"""Threads of a process that may wait to write; a worker has more, so that some are left for what only reads."""

_ONE_STATE = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
WRITERS_LOCK = 0x6665646B  # any constant: anyone who writes to a fedkey database takes it on PostgreSQL


class Database:
    """The database of a round server.

    Args:
        url: `sqlite:////path/to/file` or `postgresql://user@host/name`.

    Raises:
        ConfigError: it is no such URL.
    """

    def __init__(self, url: str) -> None:
        try:
            address = sql.make_url(_with_driver(url))
            # A server may have closed a connection meanwhile; a file does not.
            self._engine = sql.create_engine(address, pool_pre_ping=address.get_backend_name() != "sqlite")
        except (sql.exc.ArgumentError, ModuleNotFoundError) as error:
            raise ConfigError(
                "database in server.toml is a URL such as sqlite:////path/to/file or postgresql://user@host/name"
            ) from error
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        self._line, self._first = threading.BoundedSemaphore(WRITERS_IN_LINE), threading.Lock()
        if self._is_sqlite:
            sql.event.listen(self._engine, "connect", _prepare_sqlite)
            sql.event.listen(self._engine, "begin", _begin_sqlite)
        # A write sees what was committed before it got the lock; PostgreSQL's default level does that.
        self._writing = self._engine.execution_options(fedkey_write="FULL")
        self._writing_loosely = self._engine.execution_options(fedkey_write="NORMAL")
        self._reading = self._engine if self._is_sqlite else self._engine.execution_options(**_ONE_STATE)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session that sees one state of the database."""
        with _refusals(), Session(self._reading, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def write(self, *, lasting: bool = True) -> Iterator[Session]:
        """Give a session that nobody writes beside; what it did is kept as a whole or, if it raises, not at all.

        Args:
            lasting: whether a power cut right afterwards must not undo it; nothing else does, whatever is killed.
        """
        engine = self._writing if lasting else self._writing_loosely
        with _refusals(), self._turn(), Session(engine, expire_on_commit=False) as session, session.begin():
            if not self._is_sqlite:
                session.execute(sql.select(sql.func.pg_advisory_xact_lock(WRITERS_LOCK)))
                if not lasting:
                    session.execute(sql.text("SET LOCAL synchronous_commit TO off"))
            yield session

    def migrate(self) -> None:
        """Create the tables, or bring them to this version of fedkey; run it before workers start."""
        config = Config()
        config.set_main_option("script_location", str(resources.files("federation.server") / "migrations"))
        # Of several machines that start at once one migrates; DDL is in the transaction that holds the lock.
        with _refusals(), self._turn(), self._writing.begin() as connection:
            if not self._is_sqlite:
                connection.execute(sql.select(sql.func.pg_advisory_xact_lock(WRITERS_LOCK)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait in line for SQLite's one writer; by itself it sleeps and asks again, so some wait very long."""
        if not self._is_sqlite:
            yield
            return
        if not self._line.acquire(blocking=False):
            raise UnavailableError("too many write to the database at once: try again", 2)
        try:
            # Of one process one waits for the file; the others give up after a while if it never gets it.
            if not self._first.acquire(timeout=_TURN_SECONDS):
                raise UnavailableError("somebody else writes to the database for long: try again", 10)
            try:
                with self._locked():
                    yield
            finally:
                self._first.release()
        finally:
            self._line.release()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            descriptor = os.open(f"{self._engine.url.database}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise UnavailableError("the database's folder is away or has no room: try again", _RETRY_SECONDS) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _with_driver(url: str) -> str:
    """Return a URL with the one driver for PostgreSQL that is installed; people and providers write it without."""
    kind, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if kind in {"postgres", "postgresql"} else url


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # transactions begin where we say
    for pragma in (
        "journal_mode=WAL",
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_SECONDS * 1000:.0f}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sql.Connection) -> None:
    writes = connection.get_execution_options().get("fedkey_write")
    if writes:
        connection.exec_driver_sql(f"PRAGMA synchronous={writes}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise UnavailableError("the database does not answer or has no room: try again", _RETRY_SECONDS) from error


class Blobs:
    """Named bytes that are written once: models and masked vectors.

    Args:
        url: folder, or anything that fsspec opens, such as `s3://bucket/prefix`. Address and credentials of such a
            store come from where its own tools have them: `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` and so on.
    """

    def __init__(self, url: str) -> None:
        # Other workers write too, so what this one saw in a folder does not last.
        try:
            self._files, self._root = fsspec.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"blobs in server.toml is a folder or a URL like s3://bucket/name: {error}") from error

    def put(self, prefix: str, data: bytes, digest: bytes | None = None) -> str:
        """Store bytes under a name made of their hash, and return it. A name exists only with all of its bytes.

        Args:
            prefix: of the name.
            data: may be megabytes.
            digest: its SHA-256, if it is known.

        Raises:
            UnavailableError: there is no room; nothing was stored.
        """
        name = f"{prefix}/{(digest or hashlib.sha256(data).digest()).hex()}"
        with _answers("the blob store has no room or does not answer: try again", but=()):
            self._put(self._path(name), data)
        return name

    def get(self, name: str) -> bytes:
        """Return the bytes of a name.

        Raises:
            UnknownError: there is no such name.
            UnavailableError: the store does not answer.
        """
        try:
            with _answers():
                content: bytes = self._files.cat_file(self._path(name))
        except FileNotFoundError as error:
            raise UnknownError(f"the blob store has no {name}: was it emptied?") from error
        return content

    def list(self, prefix: str) -> list[str]:
        """Return the prefixes and names right below a prefix, without it."""
        try:
            with _answers():
                paths = self._files.ls(self._path(prefix), detail=False)
        except FileNotFoundError:
            return []
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in paths)

    def remove(self, prefix: str) -> None:
        """Forget all names under a prefix, if there are any.

        Raises:
            UnavailableError: some may be left.
        """
        with suppress(FileNotFoundError), _answers("the blob store does not let go of everything: try again"):
            self._files.rm(self._path(prefix), recursive=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _put(self, path: str, data: bytes) -> None:
        if "file" not in self._protocols:
            self._files.pipe_file(path, data)  # object stores show whole objects only
            return
        target = Path(path)
        if not target.parent.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            files.sync(target.parent.parent)
        files.write(target, data)

    @property
    def _protocols(self) -> tuple[str, ...]:
        protocol: Any = self._files.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)


@contextmanager
def _answers(
    otherwise: str = "the blob store does not answer: try again",
    but: tuple[type[Exception], ...] = (FileNotFoundError,),
) -> Iterator[None]:
    try:
        yield
    except but:
        raise
    except Exception as error:  # each kind of store has errors of its own; the log names them
        _LOG.warning({"blob_store": type(error).__name__, "error": str(error)})
        raise UnavailableError(otherwise, _RETRY_SECONDS) from error
