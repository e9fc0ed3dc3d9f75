"""A phone that a server is tried with: it signs whatever it is told to, right or wrong."""

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.protocol import request_signing
from federation.protocol.credentials import Credential, CredentialError, EnrolmentRequest
from federation.protocol.steps import Step
from federation.secure_aggregation import Device, DeviceKey
from federation.server.api import ENDPOINTS

_ATTEMPTS = 3

Enrol = Callable[[bytes], Credential]
"""Has the authority answer an enrolment request."""


class UnansweredError(Exception):
    """The server did not answer, or not in time."""


def drawn() -> DeviceKey:
    """Return a key of nobody yet."""
    return DeviceKey(os.urandom(16), Ed25519PrivateKey.generate())


@dataclass
class Wire:
    """The line to a server, and what came over it that no server may say.

    Attributes:
        client: carries requests; its base URL is the server's.
        server_key: raw.
        clock: seconds since 1970.
        pause: waits this many seconds.
        patience_seconds: for how long an answer is waited for.
        oddities: answers with a status that the endpoint does not have, or refusals without a sentence.
    """

    client: httpx.Client
    server_key: bytes
    clock: Callable[[], float]
    pause: Callable[[float], None]
    patience_seconds: float
    oddities: list[str] = field(default_factory=list)

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        """Send a request, and look whether the answer is one that the endpoint has.

        Raises:
            UnansweredError: there was none.
        """
        response = self._answered(method, target, headers, body)
        statuses = _statuses(method, target)
        if response.status_code not in statuses:
            self.oddities.append(f"{method} {target} answered {response.status_code}")
        elif response.status_code >= 400 and not _has_sentence(response):
            self.oddities.append(f"{method} {target} answered {response.status_code} without a sentence in JSON")
        return response

    def _answered(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        """Return the answer; a server may close an idle connection at the moment in which it is used again."""
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(httpx.HTTPError):
                return self.client.request(method, target, headers=dict(headers), content=body)
        try:
            return self.client.request(method, target, headers=dict(headers), content=body)
        except httpx.HTTPError as error:
            raise UnansweredError(f"{self.client.base_url} does not answer: {type(error).__name__}") from error


def _statuses(method: str, target: str) -> frozenset[int]:
    """Return the statuses that the endpoint of a target has; 404 if there is none."""
    parts = target.partition("?")[0].split("/")
    for endpoint in ENDPOINTS:
        wanted = endpoint.path.split("/")
        alike = len(wanted) == len(parts) and all(
            want.startswith("{") or want == part for want, part in zip(wanted, parts, strict=True)
        )
        if alike and endpoint.method == method.lower():
            return frozenset(endpoint.answers)
    return frozenset({404, 429})


def _has_sentence(response: httpx.Response) -> bool:
    try:
        told = response.json()
    except ValueError:
        return False
    return isinstance(told, dict) and isinstance(told.get("error"), str) and bool(told["error"])


class TrialPhone:
    """One phone.

    Args:
        wire: to the server.
        enrol: has the authority certify it.
    """

    def __init__(self, wire: Wire, enrol: Enrol) -> None:
        self.wire = wire
        self.key = drawn()
        self.credential = enrol(EnrolmentRequest.signed(drawn(), self.key))
        self.device = Device(self.key, self.credential.certificate)
        self.phase: Any = None
        self.sent: dict[Step, bytes] = {}

    def headers(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        later: float = 0.0,
        key: DeviceKey | None = None,
        server_key: bytes | None = None,
        nonce: bytes = b"",
    ) -> dict[str, str]:
        """Return the headers of a request, signed this many seconds later, with another key or for another server."""
        return request_signing.sign(
            key or self.key,
            self.credential,
            server_key or self.wire.server_key,
            method=method,
            target=target,
            body=body,
            now=self.wire.clock() + later,
            nonce=nonce,
        )

    def get(self, target: str, **headers: str) -> httpx.Response:
        """Ask for something."""
        return self.wire.send("GET", target, {**self.headers("GET", target), **headers}, b"")

    def post(self, target: str, body: bytes) -> httpx.Response:
        """Send something."""
        return self.wire.send("POST", target, self.headers("POST", target, body), body)

    def post_json(self, target: str, content: object) -> httpx.Response:
        """Send JSON."""
        return self.post(target, json.dumps(content).encode())

    def awaited(self, target: str) -> httpx.Response:
        """Ask until the step before is closed.

        Raises:
            UnansweredError: it took longer than the patience of the trial.
        """
        ends = self.wire.clock() + self.wire.patience_seconds
        while (response := self.get(target)).status_code == 425:
            if self.wire.clock() > ends:
                raise UnansweredError(f"{target} was not there after {self.wire.patience_seconds:.0f} s")
            self.wire.pause(float(response.headers.get("Retry-After", "1")))
        return response


def at_desk(client: httpx.Client) -> Enrol:
    """Return what enrols with a service on the network.

    Args:
        client: its base URL is the service's.
    """

    def enrol(request: bytes) -> Credential:
        try:
            response = client.post("/v1/enrol", content=request)
        except httpx.HTTPError as error:
            raise UnansweredError(f"{client.base_url} does not answer: {type(error).__name__}") from error
        if response.status_code != httpx.codes.OK:
            raise CredentialError(f"{client.base_url} does not enrol: {response.status_code} {response.text[:200]}")
        return Credential.from_bytes(response.content)

    return enrol
