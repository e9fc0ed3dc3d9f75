"""What a device's records tell: requests, rounds, what was sent last, and whom it trusts."""

from dataclasses import dataclass

import numpy as np

from federation.protocol.drop_reasons import DropReason
from model.layout import FlatVector

SHOWN_COORDINATES = 4096
"""Of its last update, a phone keeps this many to show its owner."""


@dataclass(frozen=True)
class Pins:
    """Keys that a phone trusts: those that came with the app.

    Attributes:
        server_key: raw Ed25519 public key of the round server.
        authority_key: of the enrolment authority.
    """

    server_key: bytes
    authority_key: bytes


@dataclass(frozen=True)
class RequestLogEntry:
    """One request.

    Attributes:
        at: seconds since 1970.
        round_id: of the round it was for, if it was for one.
        what: it was, from a fixed vocabulary.
        sent, received: bytes with headers, without those of TLS.
    """

    at: float
    round_id: int | None
    what: str
    sent: int
    received: int


@dataclass(frozen=True)
class RoundRecord:
    """A round as this phone saw it.

    Attributes:
        number: on this phone; later rounds have larger ones, also when a server begins to count again.
        round_id: of the round, as its server counts.
        joined: whether keys were advertised for it.
        began, ended: seconds since 1970; no end if it is running or the phone was killed in it.
        contributed: whether the phone's update was in the sum as far as it can know.
        reason: why it was not.
        sent, received: bytes.
        phones: in the sum, if this one signed who is.
    """

    number: int
    round_id: int
    joined: bool
    began: float
    ended: float | None
    contributed: bool
    reason: DropReason
    sent: int
    received: int
    phones: int = 0


@dataclass(frozen=True, eq=False)
class Contribution:
    """The beginning of what was learnt in a round, and of what the server got instead.

    Attributes:
        number: of the round on this phone.
        delta: float32[n], weights after training minus before; n is `SHOWN_COORDINATES` at most.
        masked: uint8[4 n], of the masked vector.
        sent_bytes: of all of the masked vector.
    """

    number: int
    delta: FlatVector
    masked: np.ndarray[tuple[int], np.dtype[np.uint8]]
    sent_bytes: int
