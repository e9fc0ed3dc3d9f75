"""The enrolment authority's folder: its key, which devices it certifies, and which it has revoked.

authority.key     raw Ed25519 private key, readable by the owner only
authority.pub     raw public key, which round servers and phones pin
devices.sqlite    which devices, and their pseudonyms: who reads it can link what a phone does in one epoch and another
revoked.list      signed list of revoked pseudonyms, which round servers read and hand on to phones
"""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.base.files import write_private
from federation.base.sqlite import Database
from federation.errors import ConfigError
from federation.protocol.credentials import (
    EPOCH_SECONDS,
    Credential,
    CredentialError,
    EnrolmentRequest,
    Issuer,
    Revocations,
    epoch_of,
)
from federation.secure_aggregation import Authority, parse_enrolment
from model import files

_DEVICES = """
CREATE TABLE IF NOT EXISTS devices (
    device_id BLOB PRIMARY KEY, identity_key BLOB NOT NULL, enrolled REAL NOT NULL, expires INTEGER NOT NULL,
    revoked REAL)
"""
_PSEUDONYMS = """
CREATE TABLE pseudonyms (
    enrolled BLOB NOT NULL REFERENCES devices (device_id), epoch INTEGER NOT NULL, device_id BLOB NOT NULL,
    identity_key BLOB NOT NULL, PRIMARY KEY (enrolled, epoch), UNIQUE (epoch, device_id))
"""
_MIGRATIONS = ((_DEVICES,), (_PSEUDONYMS,))


@dataclass(frozen=True)
class EnrolledDevice:
    """What the authority knows of a device.

    Attributes:
        device_id: 16 bytes of its identity, which nobody else knows.
        enrolled: Time of the first enrolment, in seconds since 1970.
        expires: Time at which the epoch of its latest credential ends, in seconds since 1970.
        revoked: Time of the revocation, in seconds since 1970; None if it was not revoked.
    """

    device_id: bytes
    enrolled: float
    expires: int
    revoked: float | None


class AuthorityFolder:
    """An authority and its records.

    Args:
        folder: made by `create`.
        clock: seconds since 1970.

    Raises:
        ConfigError: it is no authority's folder.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        try:
            key = files.read(folder / "authority.key")
            self._issuer = Issuer(Ed25519PrivateKey.from_private_bytes(key))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{folder} is no authority's folder: make one with `fedkey enrol init`") from error
        self._key = Ed25519PrivateKey.from_private_bytes(key)
        self._path = folder / "devices.sqlite"
        self._revoked = folder / "revoked.list"
        self._clock = clock
        self._open().close()

    @classmethod
    def create(cls, folder: Path, clock: Callable[[], float] = time.time) -> Self:
        """Draw a key and write a folder; an authority that is there already stays as it is.

        Raises:
            ConfigError: there is something else.
        """
        if not (folder / "authority.key").exists():
            if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
                raise ConfigError(f"{folder} is there already and is no authority's folder: choose another place")
            folder.mkdir(parents=True, exist_ok=True)
            write_private(folder / "authority.key", Ed25519PrivateKey.generate().private_bytes_raw())
        made = cls(folder, clock)
        if not made.devices():  # perhaps the key alone is there, from a making that was cut off
            files.write(folder / "authority.pub", made.authority.public_key)
            write_private(made.revocations, Revocations().signed(made._key))
        return made

    @property
    def authority(self) -> Authority:
        """What phones and servers pin."""
        return self._issuer.authority

    @property
    def revocations(self) -> Path:
        """The signed list of revoked devices."""
        return self._revoked

    def enrol(self, request: bytes) -> Credential:
        """Certify a device for the current epoch: one pseudonym of it, which it may ask for again.

        Args:
            request: `EnrolmentRequest.signed`.

        Raises:
            CredentialError: the request is damaged, an id has another key already, the device has a pseudonym in this
                epoch, or it was revoked.
        """
        told = EnrolmentRequest.from_signed(request)
        pseudonym = parse_enrolment(told.pseudonym)
        now = self._clock()
        epoch = epoch_of(now)
        with self._open() as records, records.writing(durably=True) as database:
            known = database.execute(
                "SELECT identity_key, revoked FROM devices WHERE device_id = ?", (told.enrolled_id,)
            ).fetchone()
            if known is not None and known[0] != told.enrolled_key:
                raise CredentialError("this device id belongs to another key: draw a new identity")
            if known is not None and known[1] is not None:
                raise CredentialError("this device was revoked: it is not enrolled again")
            same = "SELECT enrolled, device_id, identity_key FROM pseudonyms WHERE epoch = ?1 AND "
            for enrolled, *certified in database.execute(
                f"{same} (enrolled = ?2 OR device_id = ?3)", (epoch, told.enrolled_id, pseudonym[0])
            ).fetchall():
                if enrolled != told.enrolled_id:
                    raise CredentialError("this pseudonym is another device's: draw another")
                if tuple(certified) != pseudonym:
                    raise CredentialError("this device has a pseudonym in this epoch already: wait for the next one")
            database.execute(
                "INSERT INTO devices VALUES (?1, ?2, ?3, ?4, NULL) ON CONFLICT (device_id) DO UPDATE SET expires = ?4",
                (told.enrolled_id, told.enrolled_key, now, (epoch + 1) * EPOCH_SECONDS),
            )
            database.execute(
                "INSERT INTO pseudonyms VALUES (?, ?, ?, ?) ON CONFLICT (enrolled, epoch) DO NOTHING",
                (told.enrolled_id, epoch, *pseudonym),
            )
        return self._issuer.issue(told.pseudonym, epoch)

    def revoke(self, device_id: bytes) -> None:
        """Revoke a device, and write the list anew.

        Args:
            device_id: of the device, or one of its pseudonyms, as a round server knows it.

        Raises:
            CredentialError: there is no such device, or too many were revoked in this epoch.
        """
        now = self._clock()
        with self._open() as records, records.writing(durably=True) as database:
            changed = database.execute(
                "UPDATE devices SET revoked = coalesce(revoked, ?1) WHERE device_id = ?2 "
                "OR device_id IN (SELECT enrolled FROM pseudonyms WHERE device_id = ?2)",
                (now, device_id),
            )
            if not changed.rowcount:
                raise CredentialError(f"no device {device_id.hex()} is enrolled: see `fedkey enrol list`")
            # Certificates of earlier epochs are good for nothing, so the list stays as short as an epoch is.
            gone = database.execute(
                "SELECT p.device_id FROM pseudonyms p JOIN devices d ON d.device_id = p.enrolled "
                "WHERE d.revoked IS NOT NULL AND p.epoch >= ?",
                (epoch_of(now) - 1,),
            )
            revoked = Revocations(frozenset(bytes(row[0]) for row in gone), int(now))
            write_private(self._revoked, revoked.signed(self._key))

    def devices(self) -> list[EnrolledDevice]:
        """Return all devices, in the order in which they enrolled."""
        query = "SELECT device_id, enrolled, expires, revoked FROM devices ORDER BY enrolled, device_id"
        with self._open() as records, records.reading() as database:
            return [EnrolledDevice(*row) for row in database.execute(query)]

    def _open(self) -> Database:
        """Open the records, for one call: the folder's processes fork."""
        return Database(self._path, _MIGRATIONS, explain=self._explained)

    def _explained(self, error: sqlite3.Error) -> ConfigError:
        return ConfigError(f"the records in {self._path} cannot be used: {error}")
