"""The server of ours before phones that try it, and servers that are not as they should be."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from federation.conformance import Outcome, Report, ServerTrial
from tests.federation.server.http import URL, Site
from tests.federation.server.phones import Clock
from tests.federation.server.test_http import SETTINGS

Change = Callable[[httpx.Request, httpx.Response], httpx.Response]


class Between(httpx.BaseTransport):
    """Changes a server's answers on their way.

    Args:
        site: that answers.
        change: returns another answer.
    """

    def __init__(self, site: Site, change: Change) -> None:
        self._site, self._change = site, change

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._change(request, self._site.wire.handle_request(request))


def tried(site: Site, change: Change = lambda _, response: response, phones: int = 6) -> Report:
    def pause(seconds: float) -> None:
        while site.coordinator.tick():
            pass
        site.clock.now += max(seconds, 1.0)

    with httpx.Client(transport=Between(site, change), base_url=URL) as client:
        trial = ServerTrial(client, site.anchors(), site.authority.enrol, phones=phones, clock=site.clock, pause=pause)
        return trial.run()


@pytest.fixture
def site(tmp_path: Path, exported: Path, clock: Clock) -> Site:
    return Site(tmp_path, exported, clock, SETTINGS)


def outcomes(report: Report, outcome: Outcome) -> dict[str, str]:
    return {check.name: check.found for check in report.checks if check.outcome is outcome}


def test_the_server_conforms_and_rounding_alone_moves_its_model(site: Site) -> None:
    report = tried(site)
    assert outcomes(report, Outcome.DEVIATES) == {}
    assert report.exit_code == 0
    models = site.installation.models
    moved = np.linalg.norm(models.state(2).weights - models.state(1).weights)
    assert moved < 1e-3 * SETTINGS.clip


def test_a_server_that_lets_anybody_in_and_forgets_sentences_is_found(site: Site) -> None:
    def lax(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if response.status_code == 401:
            told = {"round_id": None, "retry_after_seconds": 1, "reason": ""}
            return httpx.Response(200, json=told, request=request)
        return httpx.Response(404, content=b"<html>", request=request) if response.status_code == 404 else response

    found = outcomes(tried(site, lax), Outcome.DEVIATES)
    assert {f"door.{name}" for name in ("unsigned", "key", "server", "target", "early", "late")} <= found.keys()
    assert "without a sentence" in found["statuses"]


@pytest.mark.parametrize("what", ["plan", "roster"])
def test_answers_that_were_altered_are_found(site: Site, what: str) -> None:
    def altered(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if not request.url.path.endswith(f"/{what}") or response.status_code != 200:
            return response
        content = response.read()
        return httpx.Response(200, content=content[:200] + bytes([content[200] ^ 1]) + content[201:], request=request)

    report = tried(site, altered)
    assert what in outcomes(report, Outcome.DEVIATES)
    assert report.exit_code == 1


def test_other_keys_than_the_apps_are_found(site: Site) -> None:
    def renamed(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if request.url.path != "/v1/server":
            return response
        return httpx.Response(200, json=json.loads(response.read()) | {"server_key": "00" * 32}, request=request)

    assert "server.keys" in outcomes(tried(site, renamed, phones=3), Outcome.DEVIATES)


def test_without_a_round_the_rest_is_not_tried(site: Site) -> None:
    report = tried(site, phones=3)  # fewer than its goal
    assert outcomes(report, Outcome.DEVIATES) == {}
    assert "round" in outcomes(report, Outcome.NOT_TRIED)
    assert report.exit_code == 3


def test_a_server_that_is_away_is_reported(site: Site) -> None:
    site.wire.lose_request = lambda _: True
    assert "does not answer" in outcomes(tried(site), Outcome.DEVIATES)["answered"]
