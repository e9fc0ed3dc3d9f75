"""A phone's view of certificates: its own, renewed every epoch, and which of the others' are revoked."""

import hashlib
from collections.abc import Callable

from federation.device.connection import Connection
from federation.device.store import PhoneStore
from federation.protocol.commitments import Commitments
from federation.protocol.credentials import (
    MAX_REVOCATIONS_BYTES,
    CredentialError,
    ExpiredError,
    Revocations,
    epoch_of,
)
from federation.secure_aggregation import Authority


class Certificates:
    """Of one phone.

    Args:
        store: of the device.
        connection: to the server.
        renew: has the authority certify the device for the current epoch, and keeps the credential.
        required: whether a server without a list of revoked devices is refused.
    """

    def __init__(self, store: PhoneStore, connection: Connection, renew: Callable[[], None], *, required: bool) -> None:
        self._store = store
        self._connection = connection
        self._renew = renew
        self._required = required
        self._asked = -1

    def keep_up(self) -> None:
        """Ask for a certificate of the present epoch, once in an epoch unless it fails.

        Raises:
            PhoneError: the authority does not answer, or does not certify the device.
        """
        credential, epoch = self._store.credential, epoch_of(self._connection.now)
        if credential is None or (credential.epoch < epoch and self._asked != epoch):
            self._renew()
            self._asked = epoch

    def renewed(self) -> bool:
        """Ask for a certificate because this one's epoch is said to be over; return whether there is another.

        Raises:
            PhoneError: see `keep_up`.
        """
        before = self._store.credential
        self._renew()
        return self._store.credential != before

    def of_round(self, told: Commitments, authority_key: bytes, round_id: int) -> Authority:
        """Return whom a round's certificates are checked with.

        Which epoch it is the authority says, by the phone's own certificate: a server that goes back to certificates
        of an earlier epoch is refused.

        Raises:
            ExpiredError: the round is of another epoch than the phone's certificate.
            CredentialError: the server has no list of revoked devices, another than the plan's, one that is not the
                authority's, or one older than was seen before.
            UnreachableError, ServerRefusedError: see `Connection.get`.
        """
        credential = self._store.credential
        if credential is None or told.epoch != credential.epoch:
            raise ExpiredError(f"the round is of epoch {told.epoch}, which this phone's certificate is not of")
        authority = Authority(authority_key)
        return authority.at(told.epoch, self._revoked(told, authority, round_id).devices)

    def _revoked(self, told: Commitments, authority: Authority, round_id: int) -> Revocations:
        kept = self._store.revocations()
        known = Revocations.from_signed(kept, authority) if kept else Revocations()
        if not told.revoked:
            if self._required or kept:
                raise CredentialError("the server has no list of revoked devices")
            return known
        if known.sha256 == told.revoked:
            return known
        name = told.revoked.hex()
        path = f"/v1/revoked/{name}"
        data = self._connection.download(
            path, f"revoked {name}", largest=MAX_REVOCATIONS_BYTES, what="revoked devices", round_id=round_id
        )
        if hashlib.sha256(data).digest() != told.revoked:
            raise CredentialError("the list of revoked devices is not the one that the plan names")
        fresh = Revocations.from_signed(data, authority)
        if fresh.issued < known.issued:
            raise CredentialError("the list of revoked devices is older than one that this phone has seen")
        self._store.keep_revocations(fresh)
        return fresh
