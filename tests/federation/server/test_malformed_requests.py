"""Requests of an enrolled phone that no phone would make: a 4xx with one sentence, and never a traceback."""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from federation.protocol import request_signing
from federation.server.api import ENDPOINTS, Endpoint
from tests.federation.server.http import URL, HttpPhone, Site
from tests.federation.server.phones import Clock
from tests.federation.server.test_http import SETTINGS

pytestmark = pytest.mark.slow

BODIES = (
    *(b"", b"{", b'"x"', b"null", b"\0" * 50, b"\xff\xfe{}", b"A" * 3000, b"[" * 100_000),
    *(b'{"conditions": NaN, "protocols": [1e999]}', b'{"protocols": [' + b"9" * 5000 + b"]}", b'{"a": 1, "a": 2}'),
    b'{"conditions": {"idle": 1, "charging": "x", "unmetered": null}, "protocols": [-1]}',
    b'{"conditions": [], "protocols": {}}',
    *(b'{"event": "plan", "reason": "\xed\xa0\x80"}', b'{"event": "plan\\u0000", "reason": "\\ud800"}'),
    *(b'{"event": ["plan"], "reason": {}}', b'{"event": "failed", "reason": "' + b"x" * 100_000 + b'"}'),
)
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW")
NUMBERS = ("0", "-1", "9" * 26, "1e5", "%00", "%2e%2e%2f", "01", "%201", "1%0d%0a")
NAMES = ("00", "g" * 64, "0" * 64, "%00" * 32, "F" * 64)
HEADERS: tuple[Mapping[str, bytes], ...] = (
    *({"content-length": each} for each in (b"-1", b"x")),
    *({"content-encoding": b"gzip"}, {"content-type": b"multipart/form-data; boundary="}, {"range": b"bytes=9-1"}),
    *({"host": b"e v i l"}, {"host": b""}, {"x-forwarded-for": b"\x01,999.1.1.1"}, {"accept": b"~"}),
)
SIGNED = (b"", b"x", b"-1", b"9" * 400, b"nan")
"""What is put in the place of each header of a signature."""


@pytest.fixture
def phone(tmp_path: Path, exported: Path) -> HttpPhone:
    """One of a round that lets phones in."""
    site = Site(tmp_path, exported, Clock(), SETTINGS)
    phones = [HttpPhone(site, tmp_path, number) for number in range(6)]
    for each in phones:
        each.client.step()
    assert site.coordinator.tick()
    return phones[0]


def target(endpoint: Endpoint, number: str = "1", name: str = "00") -> str:
    return endpoint.path.format(round_id=number, first=number, sha256=name, old=name, what="models")


def requests(endpoint: Endpoint, signed: Mapping[str, str]) -> Iterator[tuple[str, str, bytes, Mapping[str, bytes]]]:
    """Yield method, target, body, and headers in place of those that are right."""
    method, right = endpoint.method.upper(), target(endpoint)
    yield from ((method, right, body, {}) for body in BODIES)
    yield from ((other, right, b"", {}) for other in METHODS)
    for at, number in enumerate(NUMBERS):
        yield method, target(endpoint, number, NAMES[at % len(NAMES)]), b"{}", {}
    yield from ((method, right, b"{}", headers) for headers in HEADERS)
    yield from ((method, right, b"{}", {name: value}) for name in signed for value in SIGNED)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_a_malformed_request_is_refused_in_one_sentence(
    phone: HttpPhone, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    store, site = phone.store, phone.site
    assert store.credential is not None
    transport = httpx.WSGITransport(site.application, raise_app_exceptions=False)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING), httpx.Client(transport=transport, base_url=URL) as client:
        names = ("GET", "/", b"")
        for method, where, body, instead in requests(endpoint, _signed(phone, *names)):
            headers = {name.lower(): value.encode() for name, value in _signed(phone, method, where, body).items()}
            lowered = {name.lower(): value for name, value in instead.items()}
            answer = client.request(method, where, content=body, headers={**headers, **lowered})  # type: ignore[arg-type]
            told = (method, where, body[:40], instead, answer.text[:200])
            assert answer.status_code < 500, told
            if answer.status_code >= 400:
                content = json.loads(answer.content)
                assert set(content) == {"error"}, told
                assert "\n" not in content["error"], told
                assert len(content["error"]) < 400, told
    assert "Traceback" not in caplog.text


def _signed(phone: HttpPhone, method: str, where: str, body: bytes) -> dict[str, str]:
    store, site = phone.store, phone.site
    assert store.credential is not None
    return dict(
        request_signing.sign(
            store.key,
            store.credential,
            site.installation.public_key,
            method=method,
            target=where,
            body=body,
            now=site.clock(),
        )
    )
