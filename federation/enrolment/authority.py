"""The enrolment authority's folder: its key, which devices it vouches for, and which it no longer does.

authority.key     raw Ed25519 private key, readable by the owner only; may be kept off-line
authority.pub     raw public key, which round servers and phones pin
devices.sqlite    a device id stays with its first key
revoked.list      signed list of revoked devices, which round servers read
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
from federation.protocol.credentials import Credential, CredentialError, Issuer, Revocations
from federation.secure_aggregation import Authority, parse_enrolment
from federation.secure_aggregation.errors import SecureAggregationError
from model import files

DAY_SECONDS = 86400

_DEVICES = """
CREATE TABLE IF NOT EXISTS devices (
    device_id BLOB PRIMARY KEY, identity_key BLOB NOT NULL, enrolled REAL NOT NULL, expires INTEGER NOT NULL,
    revoked REAL)
"""
_MIGRATIONS = ((_DEVICES,),)


@dataclass(frozen=True)
class EnrolledDevice:
    """What the authority knows of a device.

    Attributes:
        device_id: 16 bytes.
        enrolled: Time of the first enrolment, in seconds since 1970.
        expires: Time at which its latest credential expires, in seconds since 1970.
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
            key = (folder / "authority.key").read_bytes()
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
        """Draw a key and write a folder; an authority that is there already stays as it is."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "authority.key"
        if not path.exists():
            key = Ed25519PrivateKey.generate()
            write_private(path, key.private_bytes_raw())
            files.write(folder / "authority.pub", key.public_key().public_bytes_raw())
            write_private(folder / "revoked.list", Revocations().signed(key))
        return cls(folder, clock)

    @property
    def authority(self) -> Authority:
        """What phones and servers pin."""
        return self._issuer.authority

    @property
    def revocations(self) -> Path:
        """The signed list of revoked devices."""
        return self._revoked

    def enrol(self, request: bytes, days: int) -> Credential:
        """Vouch for a device, or renew its credential.

        Args:
            request: `DeviceKey.enrolment_request`.
            days: until the credential expires.

        Raises:
            CredentialError: the request is damaged, the id has another key already, or the device was revoked.
        """
        try:
            device_id, identity_key = parse_enrolment(request)
        except SecureAggregationError as error:
            raise CredentialError(f"the enrolment request cannot be used: {error}") from error
        now = self._clock()
        expires = int(now) + days * DAY_SECONDS
        with self._open() as records, records.writing(durably=True) as database:
            known = database.execute(
                "SELECT identity_key, revoked FROM devices WHERE device_id = ?", (device_id,)
            ).fetchone()
            if known is not None and known[0] != identity_key:
                raise CredentialError("this device id belongs to another key: draw a new identity")
            if known is not None and known[1] is not None:
                raise CredentialError("this device was revoked: it is not enrolled again")
            database.execute(
                "INSERT INTO devices VALUES (?1, ?2, ?3, ?4, NULL) ON CONFLICT (device_id) DO UPDATE SET expires = ?4",
                (device_id, identity_key, now, expires),
            )
        return self._issuer.issue(request, expires)

    def revoke(self, device_id: bytes) -> None:
        """Vouch for a device no longer, and write the list anew.

        Raises:
            CredentialError: there is no such device.
        """
        with self._open() as records, records.writing(durably=True) as database:
            changed = database.execute(
                "UPDATE devices SET revoked = coalesce(revoked, ?) WHERE device_id = ?", (self._clock(), device_id)
            )
            if not changed.rowcount:
                raise CredentialError(f"no device {device_id.hex()} is enrolled: see `fedkey enrol list`")
            gone = frozenset(
                bytes(row[0]) for row in database.execute("SELECT device_id FROM devices WHERE revoked IS NOT NULL")
            )
            write_private(self._revoked, Revocations(gone).signed(self._key))

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
