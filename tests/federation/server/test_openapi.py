"""Schemathesis: requests made of the OpenAPI file, and ones that break it. None makes the server fail."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from werkzeug.wrappers import Request

from federation.protocol import request_signing
from federation.protocol.credentials import EnrolmentRequest
from federation.secure_aggregation import DeviceKey
from federation.server.settings import RoundSettings
from tests.federation.secure_aggregation.cohort import digest, private_key
from tests.federation.server.http import HttpPhone, Site
from tests.federation.server.phones import Clock

SETTINGS = RoundSettings(goal=3, minimum=3, over_selection=2.0, clip=2.0, weight_cap=20)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Signing:
    """Signs each request on its way in, so that what is made up gets past the door.

    Args:
        site: that the requests are for.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._key = DeviceKey(digest("device", "fuzz")[:16], private_key("device", "fuzz"))
        identity = DeviceKey(digest("identity", "fuzz")[:16], private_key("identity", "fuzz"))
        self._credential = site.authority.enrol(EnrolmentRequest.signed(identity, self._key))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        request = Request(environ)
        headers = request_signing.sign(
            self._key,
            self._credential,
            self._site.installation.public_key,
            method=request.method,
            target=request.full_path if request.query_string else request.path,
            body=body,
            now=self._site.clock(),
        )
        environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        application: Wsgi = self._site.application  # type: ignore[assignment]
        return application(environ, start_response)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, exported: Path) -> Site:
    """A server with a round that lets phones in."""
    folder = tmp_path_factory.mktemp("openapi")
    site = Site(folder, exported, Clock(), SETTINGS)
    for number in range(3):
        HttpPhone(site, folder, number).client.step()
    assert site.coordinator.tick()
    return site


@pytest.fixture(params=["signed", "not signed"])
def door(request: pytest.FixtureRequest) -> str:
    """Whether requests are signed."""
    return str(request.param)


@pytest.fixture
def api(door: str, site: Site) -> Any:
    application = Signing(site) if door == "signed" else site.application
    return schemathesis.openapi.from_wsgi("/openapi.json", application)


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_makes_the_server_fail(case: Any, door: str) -> None:
    response = case.call_and_validate(checks=[not_a_server_error])
    assert door == "not signed" or response.status_code != 401
