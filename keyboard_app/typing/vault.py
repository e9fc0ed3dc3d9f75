"""What a phone keeps of its owner, encrypted at rest: one SQLite file whose contents are sealed with AES-GCM.

Deleting is thorough in three ways. SQLite overwrites what it deletes or replaces (`secure_delete`), and its write-ahead
log is emptied at once, so that no file has it any more when the call returns. With `forget_key` the key is changed too,
and all that remains is sealed anew: what a flash memory or a backup of the file keeps of the old bytes cannot be read
any more once the old key is gone. A backup of the key defeats this, and so does anyone who can read the memory of the
running app.
"""

import contextlib
import hashlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from federation.base.files import write_private
from federation.base.sqlite import Database
from model import files

KEY_BYTES = 32
MAX_BYTES = 64 << 20
"""Largest file; beyond it the store is full."""

IN_MEMORY = ":memory:"

_NONCE_BYTES, _KEY_NAME_BYTES = 12, 4
_PAGE_BYTES = 4096
_PROBE = "probe"
_PRAGMAS = ("journal_mode=WAL", "secure_delete=ON")
_MIGRATIONS = (
    (
        """CREATE TABLE IF NOT EXISTS entries (
            id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, sealed BLOB NOT NULL)""",
        "CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, sealed BLOB NOT NULL)",
    ),
    # Entries from before uses were counted may have had any number of them: they count as used once.
    (
        "ALTER TABLE entries ADD COLUMN uses INTEGER NOT NULL DEFAULT 0",
        "UPDATE entries SET uses = 1",
    ),
)


class VaultError(Exception):
    """What is kept cannot be read or written; the message is one sentence."""


class VaultFullError(VaultError):
    """There is no room, on the disk or in the file."""


class KeyStore(Protocol):
    """Where the keys are; a phone's operating system has a better place than a file."""

    def load(self) -> Sequence[bytes]:
        """Return the keys, the one in use first; none at the first start.

        Raises:
            VaultError: they cannot be read.
        """

    def save(self, keys: Sequence[bytes]) -> None:
        """Replace all keys; a crash leaves either the old ones or the new ones.

        Raises:
            VaultError: they cannot be written.
        """


class FileKeyStore:
    """Keys in a file that only its owner may read.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._old = path.with_suffix(".old")

    def load(self) -> Sequence[bytes]:
        """See `KeyStore.load`."""
        try:
            data = files.read(self._path)
        except FileNotFoundError as error:
            if self._path.is_symlink():  # to a disk that is away: another key would take its place
                raise VaultError(f"the key in {self._path} cannot be read: the link leads nowhere") from error
            return ()
        except OSError as error:
            raise VaultError(f"the key in {self._path} cannot be read: {error.strerror}") from error
        if not data or len(data) % KEY_BYTES:
            raise VaultError(f"the key in {self._path} is damaged")
        return [data[i : i + KEY_BYTES] for i in range(0, len(data), KEY_BYTES)]

    def save(self, keys: Sequence[bytes]) -> None:
        """See `KeyStore.save`; what was there before is overwritten."""
        try:
            if self._old.exists() and self._path.exists() and self._old.samefile(self._path):
                self._old.unlink()  # cut off before the new file was there: this is the key in use
            _shred(self._old)
            with contextlib.suppress(FileNotFoundError):
                os.link(self._path, self._old)
            write_private(self._path, b"".join(keys))
            _shred(self._old)
        except OSError as error:
            raise VaultError(f"the key in {self._path} cannot be written: {error.strerror}") from error


class Vault:
    """Sealed entries in order, and sealed documents by name. Safe to use from several threads.

    A write that has returned survives the death of the process. Times, numbers, uses, names and sizes are not sealed.
    Every method raises VaultError if the file cannot be used, and VaultFullError if there is no room; nothing changes
    then.

    Args:
        path: SQLite file, or `IN_MEMORY`.
        keys: Where the keys are.
        max_bytes: Maximum size of the file.

    Raises:
        VaultError: the file is damaged, cannot be opened, or was sealed with other keys.
    """

    def __init__(self, path: Path | str, keys: KeyStore, *, max_bytes: int = MAX_BYTES) -> None:
        self._keys = keys
        self._lock = threading.RLock()
        self._stale = True  # whether the write-ahead log has what was deleted or replaced, as after a kill
        pragmas = (*_PRAGMAS, f"max_page_count={max(1, max_bytes // _PAGE_BYTES)}")
        self._database = Database(path, _MIGRATIONS, explain=_explained, pragmas=pragmas)
        try:
            self._check()
            self._empty_write_ahead_log()
            self._ciphers = _ciphers(keys.load())
            if not self._ciphers:
                first = [secrets.token_bytes(KEY_BYTES)]
                keys.save(first)
                self._ciphers = _ciphers(first)
            if len(self._ciphers) > 1:  # a change of keys was cut off
                self._seal_anew()
            if self.get(_PROBE) is None:
                self.put(_PROBE, b"")
        except VaultError:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def append(self, at: float, content: bytes) -> int:
        """Keep an entry and return its number, which no other entry ever has."""
        with self.writing() as database:
            sealed = self._seal(_ENTRY, content)
            return int(database.execute("INSERT INTO entries (at, sealed) VALUES (?, ?)", (at, sealed)).lastrowid or 0)

    def entries(self, after: int = 0) -> list[tuple[int, float, bytes]]:
        """Return number, time and content of the entries with numbers above `after`, in order."""
        with self._database.reading() as database:
            rows = database.execute("SELECT id, at, sealed FROM entries WHERE id > ? ORDER BY id", (after,)).fetchall()
            return [(number, at, self._open(_ENTRY, sealed)) for number, at, sealed in rows]

    def count(self, after: int = 0) -> int:
        """Return how many entries have numbers above `after`."""
        with self._database.reading() as database:
            return int(database.execute("SELECT count(*) FROM entries WHERE id > ?", (after,)).fetchone()[0])

    def uses(self) -> dict[int, int]:
        """Return how often each entry was used, by number."""
        with self._database.reading() as database:
            return dict(database.execute("SELECT id, uses FROM entries").fetchall())

    def count_use(self, numbers: Sequence[int]) -> None:
        """Count one more use of some entries."""
        with self.writing() as database:
            database.executemany("UPDATE entries SET uses = uses + 1 WHERE id = ?", [(number,) for number in numbers])

    def numbers(self) -> list[int]:
        """Return the numbers of all entries, in order."""
        with self._database.reading() as database:
            return [row[0] for row in database.execute("SELECT id FROM entries ORDER BY id").fetchall()]

    def latest(self) -> int:
        """Return the largest number of any entry that there ever was; 0 if there was none."""
        with self._database.reading() as database:
            row = database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entries'").fetchone()
            return int(row[0]) if row else 0

    def delete(self, numbers: Sequence[int]) -> None:
        """Delete entries; `forget_key` makes it final."""
        with self._erasing() as database:
            database.executemany("DELETE FROM entries WHERE id = ?", [(number,) for number in numbers])

    def delete_before(self, at: float) -> int:
        """Delete entries that are older than a time; return how many."""
        with self._erasing() as database:
            return database.execute("DELETE FROM entries WHERE at < ?", (at,)).rowcount

    def delete_oldest(self, keep: int) -> int:
        """Delete all entries but the latest `keep`; return how many."""
        with self._erasing() as database:
            latest = "SELECT id FROM entries ORDER BY id DESC LIMIT ?"
            return database.execute(f"DELETE FROM entries WHERE id NOT IN ({latest})", (keep,)).rowcount  # noqa: S608

    def put(self, name: str, content: bytes | None) -> None:
        """Keep a document in place of the one of that name; nothing deletes it."""
        with self._erasing() as database:
            if content is None:
                database.execute("DELETE FROM documents WHERE name = ?", (name,))
            else:
                sealed = self._seal(name.encode(), content)
                database.execute("INSERT OR REPLACE INTO documents VALUES (?, ?)", (name, sealed))

    def get(self, name: str) -> bytes | None:
        """Return a document, if there is one."""
        with self._database.reading() as database:
            row = database.execute("SELECT sealed FROM documents WHERE name = ?", (name,)).fetchone()
            return None if row is None else self._open(name.encode(), row[0])

    def names(self) -> list[str]:
        """Return the names of all documents, sorted."""
        with self._database.reading() as database:
            rows = database.execute("SELECT name FROM documents WHERE name != ? ORDER BY name", (_PROBE,)).fetchall()
        return [row[0] for row in rows]

    def wipe(self) -> None:
        """Delete everything, and forget the key."""
        with self._lock:
            with self._erasing() as database:
                database.execute("DELETE FROM entries")
                database.execute("DELETE FROM documents WHERE name != ?", (_PROBE,))
            self.forget_key()

    def forget_key(self) -> None:
        """Seal all that is left with a new key, and forget the old one.

        A crash on the way leaves both keys; the next start goes on from there.
        """
        with self._lock:
            keys = [secrets.token_bytes(KEY_BYTES), *self._keys.load()]
            self._keys.save(keys)
            self._ciphers = _ciphers(keys)
            self._seal_anew()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Make all writes within one transaction: all of them or, after an error, none."""
        with self._lock:
            with self._database.writing() as database:
                yield database
            if self._stale and not database.in_transaction:  # not within another `writing`
                self._empty_write_ahead_log()

    @contextmanager
    def _erasing(self) -> Iterator[sqlite3.Connection]:
        """Write what deletes or replaces something, none of which is in the write-ahead log afterwards."""
        with self.writing() as database:
            self._stale = True
            yield database

    def _check(self) -> None:
        with self._database.reading() as database:
            if database.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise VaultError("the file is damaged")

    def _empty_write_ahead_log(self) -> None:
        with self._database.reading() as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._stale = False

    def _seal_anew(self) -> None:
        with self._erasing() as database:
            for number, sealed in database.execute("SELECT id, sealed FROM entries").fetchall():
                again = self._seal(_ENTRY, self._open(_ENTRY, sealed))
                database.execute("UPDATE entries SET sealed = ? WHERE id = ?", (again, number))
            for name, sealed in database.execute("SELECT name, sealed FROM documents").fetchall():
                again = self._seal(name.encode(), self._open(name.encode(), sealed))
                database.execute("UPDATE documents SET sealed = ? WHERE name = ?", (again, name))
        self._keys.save(self._keys.load()[:1])
        self._ciphers = _ciphers(self._keys.load())

    def _seal(self, name: bytes, content: bytes) -> bytes:
        key_name, cipher = next(iter(self._ciphers.items()))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return key_name + nonce + cipher.encrypt(nonce, content, name)

    def _open(self, name: bytes, sealed: bytes) -> bytes:
        start = _KEY_NAME_BYTES + _NONCE_BYTES
        try:
            cipher = self._ciphers[sealed[:_KEY_NAME_BYTES]]
            return cipher.decrypt(sealed[_KEY_NAME_BYTES:start], sealed[start:], name)
        except (InvalidTag, KeyError, ValueError) as error:
            raise VaultError("it cannot be read with this phone's key") from error


_ENTRY = b"\0entry"  # no document has this name


def open_or_replace(path: Path, keys: KeyStore) -> tuple[Vault, str]:
    """Open a vault; one that cannot be used is moved aside and a new one takes its place.

    Returns:
        the vault, and what its owner should know, if anything. If no file can be written at all, the vault is one in
        memory that is gone when the app ends.
    """
    try:
        return Vault(path, keys), ""
    except VaultError as error:
        trouble = str(error)
    try:
        aside = move_aside(path, keys)
        return Vault(path, keys), f"What was learned could not be read ({trouble}). It was set aside as {aside.name}."
    except (OSError, VaultError):
        memory = Vault(IN_MEMORY, _KeysInMemory())
        return memory, f"Nothing can be stored ({trouble}): what you type now is forgotten when the app closes."


def move_aside(path: Path, keys: KeyStore) -> Path:
    """Rename a vault's files, and forget keys that cannot be read; return the new name.

    Raises:
        OSError: the files cannot be renamed.
    """
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    if path.exists():
        path.rename(aside)
    try:
        keys.load()
    except VaultError:
        keys.save([secrets.token_bytes(KEY_BYTES)])
    return aside


def set_aside(path: Path) -> list[Path]:
    """Return the files that `move_aside` made."""
    return sorted(path.parent.glob(f"{path.name}.damaged-*"))


class _KeysInMemory:
    def __init__(self) -> None:
        self._keys: Sequence[bytes] = ()

    def load(self) -> Sequence[bytes]:
        return self._keys

    def save(self, keys: Sequence[bytes]) -> None:
        self._keys = list(keys)


def _explained(error: sqlite3.Error) -> VaultError:
    full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return VaultFullError("there is no room for it") if full else VaultError(f"SQLite says: {error}")


def _ciphers(keys: Sequence[bytes]) -> dict[bytes, AESGCM]:
    """Return ciphers by the names of their keys, in the order of the keys."""
    return {hashlib.sha256(key).digest()[:_KEY_NAME_BYTES]: AESGCM(key) for key in keys}


def _shred(path: Path) -> None:
    """Overwrite a file and remove it, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        with path.open("r+b") as file:
            file.write(secrets.token_bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
