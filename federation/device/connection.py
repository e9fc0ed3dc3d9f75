"""Requests of a device to its round server: signed, bounded, entered in the ledger."""

import ipaddress
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from federation.device.answers import ServerFacts, reason_of, seconds_of
from federation.device.errors import (
    DistrustError,
    NotYetError,
    ServerRefusedError,
    StoreError,
    UnreachableError,
    UnreadableError,
)
from federation.device.records import Pins
from federation.device.store import PhoneStore
from federation.protocol import request_signing
from federation.protocol.credentials import Credential, CredentialError
from model import files

_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_MAX_ANSWER = 64 << 20
_MAX_REFUSAL = 1 << 16
_CHUNK = 1 << 16
_END_OF_TIME = 1 << 40
_NOT_YET = 425
_BUSY = frozenset({429, 500, 502, 503, 504})


class Connection:
    """A device's line to one server.

    Args:
        url: of the server; plain HTTP only within this machine.
        store: of the device.
        transport: what carries requests; httpx's own if there is none.
        clock: seconds since 1970, which may be wrong: the server's time corrects it.

    Raises:
        DistrustError: the URL would send plain HTTP over a network.
    """

    def __init__(
        self,
        url: str,
        store: PhoneStore,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = http_client(url, transport)
        self._store = store
        self._clock = clock
        self._skew = 0.0
        self.url = url

    @property
    def now(self) -> float:
        """Seconds since 1970, corrected by what the server said when it was asked at a wrong time."""
        return min(max(self._clock() + self._skew, 0.0), _END_OF_TIME)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def facts(self) -> ServerFacts:
        """Ask the server who it is, and compare: nothing that it says of itself is taken from it.

        Raises:
            DistrustError: the app brings no keys, or other ones.
            UnreachableError: it does not answer, or something else answers in its place.
        """
        known = self._store.pins
        if known is None:
            raise DistrustError("this app brings no keys of a round server, and takes none from a server")
        try:
            facts = ServerFacts.from_bytes(self._request("GET", "/v1/server", what="server", signed=False))
        except (UnreadableError, ServerRefusedError) as error:
            raise UnreadableError(
                f"{self.url} does not answer as a round server does: check the address, or sign in to the network"
            ) from error
        if known != facts.pins:
            raise DistrustError(f"{self.url} has other keys than this app brings: it is not the server of this app")
        return facts

    def get(self, path: str, *, what: str, round_id: int | None = None) -> bytes:
        """Return what the server has under a path.

        Raises:
            NotYetError: the round's step has not begun.
            UnreachableError: no answer, or none at the moment.
            ServerRefusedError: the server said no.
        """
        return self._request("GET", path, what=what, round_id=round_id)

    def post(self, path: str, body: bytes, *, what: str, round_id: int | None = None) -> bytes:
        """Send a body; see `get`."""
        return self._request("POST", path, body, what=what, round_id=round_id)

    def post_json(self, path: str, content: Mapping[str, Any], *, what: str, round_id: int | None = None) -> bytes:
        """Send JSON; see `get`."""
        return self.post(path, json.dumps(content).encode(), what=what, round_id=round_id)

    def download(self, path: str, name: str, *, largest: int, what: str, round_id: int | None = None) -> bytes:
        """Return bytes that never change under their path, going on where an earlier call was cut off.

        Args:
            path: on the server.
            name: of the file that keeps what came so far.
            largest: bytes that it can have, over all calls together.
            what: for the ledger.
            round_id: likewise.

        Raises:
            ServerRefusedError: see `get`, or it is larger than it can be.
            UnreachableError: see `get`; what came is kept for the next call.
        """
        part = self._store.partial(name)
        self._store.forget_partials(but=part)
        have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        request = self._signed("GET", path, b"", headers)
        received = 0
        try:
            with (
                self._answered(),
                self._client.stream(request.method, request.url, headers=request.headers) as response,
            ):
                whole = response.status_code == httpx.codes.OK
                if whole or response.status_code == httpx.codes.PARTIAL_CONTENT:
                    room = largest - (0 if whole else have)
                    with part.open("wb" if whole else "ab") as file:
                        for chunk in self._bounded(response, room, what):
                            received += len(chunk)
                            file.write(chunk)
                elif response.status_code != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                    self._check(response, b"".join(self._bounded(response, _MAX_REFUSAL, what)))
        except ServerRefusedError:
            part.unlink(missing_ok=True)
            raise
        except OSError as error:
            raise StoreError(f"{what} cannot be stored: {error.strerror}") from error
        finally:
            self._enter(round_id, what, request, received)
        if not part.exists():
            raise UnreadableError(f"{self.url} answered with the end of {what} and not its beginning")
        content = files.read(part)
        part.unlink()
        return content

    def _request(
        self, method: str, path: str, body: bytes = b"", *, what: str, round_id: int | None = None, signed: bool = True
    ) -> bytes:
        for attempt in (1, 2):
            request = self._signed(method, path, body, {}) if signed else self._client.build_request(method, path)
            received = 0
            try:
                with self._answered():
                    response = self._client.send(request, stream=True)
                    try:
                        content = b"".join(self._bounded(response, _MAX_ANSWER, what))
                        received = len(content)
                    finally:
                        response.close()
            finally:
                self._enter(round_id, what, request, received)
            if attempt == 1 and response.status_code == httpx.codes.UNAUTHORIZED and self._corrected(response):
                continue
            break
        self._check(response, content)
        return content

    def _bounded(self, response: httpx.Response, most: int, what: str) -> Iterator[bytes]:
        """Pass on an answer, unless it is larger than it can be."""
        for chunk in response.iter_bytes(_CHUNK):
            most -= len(chunk)
            if most < 0:
                raise ServerRefusedError(f"{what} is larger than it can be: it was not taken", response.status_code)
            yield chunk

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Turn whatever goes wrong on the way into an error of this package's."""
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError) as error:
            raise UnreachableError(f"{self.url} does not answer: {type(error).__name__}") from error

    def _signed(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> httpx.Request:
        credential, pins = self._identity()
        signature = request_signing.sign(
            self._store.key,
            credential,
            pins.server_key,
            method=method,
            target=path,
            body=body,
            now=self.now,
        )
        return self._client.build_request(method, path, content=body, headers={**signature, **headers})

    def _identity(self) -> tuple[Credential, Pins]:
        credential, pins = self._store.credential, self._store.pins
        if credential is None or pins is None:
            raise DistrustError("this device is not enrolled: enrol it first")
        return credential, pins

    def _corrected(self, response: httpx.Response) -> bool:
        """Take over the server's time if ours is far from it; return whether that may help."""
        try:
            told = int(response.headers[request_signing.TIME_HEADER])
        except (KeyError, ValueError):
            return False
        if not 0 <= told < _END_OF_TIME:
            return False
        skew = told - self._clock()
        helps = abs(skew - self._skew) > request_signing.MAX_SKEW_SECONDS / 2
        self._skew = skew if helps else self._skew
        return helps

    def _check(self, response: httpx.Response, content: bytes) -> None:
        status = response.status_code
        if status < 300:
            return
        reason = reason_of(content, f"{self.url} answered {status}")
        later = seconds_of(response.headers.get("Retry-After"))
        if status == _NOT_YET:
            raise NotYetError(reason, later)
        if status in _BUSY:
            raise UnreachableError(reason, later)
        raise ServerRefusedError(reason, status)

    def _enter(self, round_id: int | None, what: str, request: httpx.Request, received: int) -> None:
        line = len(request.method) + len(request.url.raw_path) + len(b"  HTTP/1.1\r\n\r\n")
        headers = sum(len(name) + len(value) + 4 for name, value in request.headers.raw)
        body = int(request.headers.get("content-length", 0))
        self._store.record(self._clock(), round_id, what, sent=line + headers + body, received=received)


def checked(url: str) -> str:
    """Return a URL that may be talked to.

    Raises:
        DistrustError: plain HTTP beyond this machine, or no URL.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise DistrustError(f"{url!r} is no address of a server") from error
    if parsed.scheme == "https" and parsed.host:
        return url
    if parsed.scheme == "http" and _is_loopback(parsed.host):
        return url
    raise DistrustError(f"{url!r} would not be encrypted on its way: give an https address")


def http_client(url: str, transport: httpx.BaseTransport | None) -> httpx.Client:
    """Return a client for a server; what goes to this machine itself goes through no proxy of the environment."""
    local = _is_loopback(httpx.URL(checked(url)).host)
    return httpx.Client(base_url=url, transport=transport, timeout=_TIMEOUT, trust_env=not local)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def enrol(url: str, store: PhoneStore, *, transport: httpx.BaseTransport | None = None) -> None:
    """Have the enrolment service at `url` certify the device for the current epoch, and keep its credential.

    Raises:
        DistrustError: plain HTTP beyond this machine, or the service certifies another device.
        UnreachableError, ServerRefusedError: the service does not answer, or refuses.
    """
    with http_client(url, transport) as client:
        try:
            request = client.build_request("POST", "/v1/enrol", content=store.enrolment_request())
            response = client.send(request, stream=True)
            try:
                answer = b"".join(itertools.islice(response.iter_bytes(_CHUNK), 1))
            finally:
                response.close()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError) as error:
            raise UnreachableError(f"{url} does not answer: {type(error).__name__}") from error
    status = response.status_code
    if status in _BUSY:
        raise UnreachableError(
            reason_of(answer, f"{url} answered {status}"), seconds_of(response.headers.get("Retry-After"))
        )
    if status != httpx.codes.OK:
        raise ServerRefusedError(
            f"{url} does not enrol this device: {reason_of(answer, f'it answered {status}')}", status
        )
    try:
        credential = Credential.from_bytes(answer)
    except CredentialError as error:
        raise UnreadableError(f"{url} does not answer as an enrolment service does") from error
    store.enrolled(credential)
