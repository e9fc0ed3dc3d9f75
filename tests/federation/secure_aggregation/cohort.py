"""A cohort of phones and a server in one process, driven step by step."""

import hashlib
from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.secure_aggregation import (
    Aggregate,
    Device,
    DeviceKey,
    EnrolmentAuthority,
    SessionParameters,
    Vector,
    VectorFormat,
    phone,
    server,
)
from federation.secure_aggregation.messages import Kind, header, seal
from federation.secure_aggregation.shamir import Entropy

PLAN_HASH = hashlib.sha256(b"the plan").digest()
SMALL = VectorFormat(counters=2, words=5, word_bytes=1)


def digest(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def entropy(*name: object) -> Entropy:
    """Return a fixed stream of random bytes."""
    drawn = 0

    def draw(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return hashlib.shake_256(digest(name, drawn)).digest(size)

    return draw


def private_key(*name: object) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(digest("identity", name))


AUTHORITY = EnrolmentAuthority(private_key("authority"))


def device(name: object, authority: EnrolmentAuthority = AUTHORITY) -> Device:
    key = DeviceKey(digest("device", name)[:16], private_key("device", name))
    return Device(key, authority.certify(key.enrolment_request()))


DEVICES = sorted((device(name) for name in range(64)), key=lambda each: each.key.device_id)
"""By device id, so that the first n have the indices 0 to n - 1 on their roster."""


def parameters(
    minimum: int = 3, maximum: int = 64, vector: VectorFormat = SMALL, plan_hash: bytes = PLAN_HASH
) -> SessionParameters:
    return SessionParameters(plan_hash, minimum, maximum, vector)


def vector_of(parameters: SessionParameters, *name: object) -> Vector:
    data = hashlib.shake_256(digest("vector", name)).digest(parameters.vector.nbytes)
    return parameters.vector.parse(data)


class Session:
    """A session of `n` phones: each method takes one step of all the phones in `who` and then of the server.

    Attributes:
        server: the server's phase.
        phones: each phone's phase, by index among `DEVICES`.
        messages: the last message of each phone.
    """

    def __init__(self, n: int, parameters: SessionParameters, seed: object = 0) -> None:
        self.parameters = parameters
        self.vectors = {index: vector_of(parameters, seed, index) for index in range(n)}
        self.server: Any = server.CollectAdvertisements(parameters, AUTHORITY.authority)
        self.phones: dict[int, Any] = {
            index: phone.AdvertiseKeys(parameters, DEVICES[index], AUTHORITY.authority, entropy(seed, index))
            for index in range(n)
        }
        self.messages: dict[int, bytes] = {}

    def _send(self, index: int, step: tuple[bytes, Any]) -> None:
        self.messages[index], self.phones[index] = step
        assert self.server.receive(self.messages[index]) == DEVICES[index].key.device_id

    def _keep(self, who: Iterable[int] | None) -> list[int]:
        if who is not None:
            self.phones = {index: self.phones[index] for index in who}
        self.messages = {}
        return sorted(self.phones)

    def advertise(self, who: Iterable[int] | None = None, *, close: bool = True) -> "Session":
        for index in self._keep(who):
            self._send(index, self.phones[index].advertise())
        return self._close(close)

    def share(self, who: Iterable[int] | None = None, *, close: bool = True) -> "Session":
        for index in self._keep(who):
            self._send(index, self.phones[index].share(self.server.roster_message))
        return self._close(close)

    def mask(self, who: Iterable[int] | None = None, *, close: bool = True) -> "Session":
        self.open(who)
        for index in sorted(self.phones):
            self._send(index, self.phones[index].mask(self.vectors[index]))
        return self._close(close)

    def open(self, who: Iterable[int] | None = None) -> "Session":
        for index in self._keep(who):
            self.phones[index] = self.phones[index].open(self.inbox(index))
        return self

    def inbox(self, index: int) -> bytes:
        message: bytes = self.server.inbox_message(DEVICES[index].key.device_id)
        return message

    def confirm(self, who: Iterable[int] | None = None, *, close: bool = True) -> "Session":
        for index in self._keep(who):
            self._send(index, self.phones[index].confirm(self.server.survivors_message))
        return self._close(close)

    def unmask(self, who: Iterable[int] | None = None, *, close: bool = True) -> "Session":
        for index in self._keep(who):
            self.messages[index] = self.phones[index].unmask(self.server.signatures_message)
            self.server.receive(self.messages[index])
        return self._close(close)

    def aggregate(self) -> Aggregate:
        assert isinstance(self.server, Aggregate)
        return self.server

    def _close(self, close: bool) -> "Session":
        if close:
            self.server = self.server.close()
        return self

    def expected(self, who: Iterable[int]) -> Vector:
        total = self.parameters.vector.zeros()
        for index in who:
            total.add(self.vectors[index])
        return total

    def sealed(self, index: int, kind: Kind, payload: bytes, sid: bytes | None = None) -> bytes:
        """Return what phone `index` would send if it were malicious."""
        context = self.server.roster.sid if sid is None else sid
        return seal(header(kind, index, context), payload, DEVICES[index].key.private_key)


def equal(left: Vector, right: Vector) -> bool:
    return left.to_bytes() == right.to_bytes()
