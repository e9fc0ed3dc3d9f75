"""Where an audit reads from: a server over HTTP, whose every answer is bounded and read strictly."""

import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

import httpx

from federation.audit.report import AuditError
from federation.device.answers import MAX_JSON_BYTES, ServerFacts, reason_of, seconds_of
from federation.device.connection import http_client
from federation.device.errors import PhoneError
from federation.protocol.log import LogError, unpack

_MAX_LOG_ANSWER = 8 << 20
_MAX_ROUND = 1 << 16
_CHUNK = 1 << 16
_BUSY = frozenset({429, 502, 503, 504})
_TRIES, _LONGEST_WAIT_SECONDS = 5, 60.0
_SHA256 = re.compile("[0-9a-f]{64}")


class Source(Protocol):
    """What is audited. Methods raise AuditError if it does not answer, and return None for what it does not have."""

    where: str

    def head(self) -> bytes:
        """Return the signed head of the log."""

    def entries(self, first: int) -> list[bytes]:
        """Return entries of the log from one on; maybe not all that are left."""

    def round(self, round_id: int) -> bytes | None:
        """Return a round's plan, signature and task."""

    def weights(self, sha256: str) -> bytes | None:
        """Return the weights with a hash."""

    def mean(self, sha256: str) -> bytes | None:
        """Return the mean delta with a hash."""

    def state(self, sha256: str) -> bytes | None:
        """Return the server optimizer's state with a hash."""


class HttpSource:
    """A server.

    Args:
        url: of it; plain HTTP only within this machine.
        max_bytes: to download in all.
        transport: what carries requests; httpx's own if there is none.
        sleep: waits this many seconds, if the server asks for it.

    Raises:
        AuditError: the URL would send plain HTTP over a network.
    """

    def __init__(
        self,
        url: str,
        *,
        max_bytes: int,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.where = url
        self._left, self._sleep = max_bytes, sleep
        try:
            self._client = http_client(url, transport)
        except PhoneError as error:
            raise AuditError(str(error)) from error

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def facts(self) -> ServerFacts:
        """Return what the server says of itself; its key, if none is known from elsewhere."""
        try:
            return ServerFacts.from_bytes(self._known("/v1/server", MAX_JSON_BYTES))
        except PhoneError as error:
            raise AuditError(f"{self.where} does not answer as a round server does: check the address") from error

    def head(self) -> bytes:
        """See `Source.head`."""
        return self._known("/v1/log", MAX_JSON_BYTES)

    def entries(self, first: int) -> list[bytes]:
        """See `Source.entries`."""
        try:
            return unpack(self._known(f"/v1/log/{first}", _MAX_LOG_ANSWER))
        except LogError as error:
            raise AuditError(f"{self.where}: {error}") from error

    def round(self, round_id: int) -> bytes | None:
        """See `Source.round`."""
        return self._get(f"/v1/log/rounds/{round_id}", _MAX_ROUND)

    def weights(self, sha256: str) -> bytes | None:
        """See `Source.weights`."""
        return self._named("models", sha256)

    def mean(self, sha256: str) -> bytes | None:
        """See `Source.mean`."""
        return self._named("means", sha256)

    def state(self, sha256: str) -> bytes | None:
        """See `Source.state`."""
        return self._named("states", sha256)

    def _named(self, what: str, sha256: str) -> bytes | None:
        return self._get(f"/v1/log/{what}/{sha256}", self._left) if _SHA256.fullmatch(sha256) else None

    def _known(self, path: str, most: int) -> bytes:
        content = self._get(path, most)
        if content is None:
            raise AuditError(f"{self.where} keeps no log that anyone may read: it has no {path}")
        return content

    def _get(self, path: str, most: int) -> bytes | None:
        for _ in range(_TRIES):
            response, content = self._answer(path, most)
            later = seconds_of(response.headers.get("Retry-After"))
            if response.status_code not in _BUSY or later is None or later > _LONGEST_WAIT_SECONDS:
                break
            self._sleep(later)
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        if response.status_code != HTTPStatus.OK:
            raise AuditError(f"{self.where} does not show {path}: {reason_of(content, str(response.status_code))}")
        return content

    def _answer(self, path: str, most: int) -> tuple[httpx.Response, bytes]:
        content = bytearray()
        try:
            with self._client.stream("GET", path, headers={"Accept-Encoding": "identity"}) as response:
                for chunk in response.iter_bytes(_CHUNK):
                    content += chunk
                    self._left -= len(chunk)
                    if len(content) > most or self._left < 0:
                        raise AuditError(f"{self.where}{path} is larger than it may be: the audit was given up")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError) as error:
            raise AuditError(f"{self.where} does not answer: {type(error).__name__}") from error
        return response, bytes(content)
