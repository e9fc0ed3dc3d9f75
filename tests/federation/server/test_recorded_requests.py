"""Signed requests that somebody recorded on their way to the server, and sends again, or sends as something else."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sql

from federation.server.settings import RoundSettings
from federation.server.tables import DeviceRow, EventRow
from tests.federation.server.http import URL, HttpPhone, Seen, Site, run
from tests.federation.server.phones import Clock

SETTINGS = RoundSettings(goal=5, minimum=5, over_selection=1.0, clip=2.0)


@pytest.fixture
def site(tmp_path: Path, exported: Path, clock: Clock) -> Site:
    return Site(tmp_path, exported, clock, SETTINGS)


@pytest.fixture
def phones(site: Site, tmp_path: Path) -> list[HttpPhone]:
    return [HttpPhone(site, tmp_path, number) for number in range(SETTINGS.goal)]


def again(site: Site, seen: Seen, **changes: object) -> httpx.Response:
    """Send what was recorded once more, with something of it changed."""
    told = {"method": seen.method, "url": seen.path, "content": seen.body} | changes
    transport = httpx.WSGITransport(site.application, raise_app_exceptions=False)  # type: ignore[arg-type]
    headers = {name: value for name, value in seen.headers.items() if name.startswith(("fedkey", "content-type"))}
    with httpx.Client(transport=transport, base_url=URL) as client:
        return client.request(**told, headers=headers)  # type: ignore[arg-type]


def written(site: Site) -> tuple[int, int]:
    """Return the number of events in all trails, and of phones in a round."""
    with site.installation.database.read() as session:
        selected = sql.select(sql.func.count()).select_from(DeviceRow).where(DeviceRow.last_round > 0)
        return session.scalar(sql.select(sql.func.count()).select_from(EventRow)) or 0, session.scalar(selected) or 0


def recorded(site: Site, path: str) -> Seen:
    return next(seen for seen in reversed(site.wire.seen) if seen.path == path and seen.status < 300)


def test_a_check_in_that_is_sent_fifty_times_is_written_down_once(site: Site, phones: list[HttpPhone]) -> None:
    phones[0].client.step()
    before = written(site)
    seen = recorded(site, "/v1/check-in")
    for number in range(50):
        if number == 25:
            site.restart_workers()
        assert again(site, seen).status_code == 409
    assert written(site) == before
    site.clock.now += 301
    assert again(site, seen).status_code == 401


def test_a_check_in_that_was_recorded_selects_nobody(site: Site, phones: list[HttpPhone]) -> None:
    for phone in phones:
        phone.client.step()
    site.clock.now += 60
    for phone in phones:
        phone.client._until = 0
        phone.client.step()
    assert site.coordinator.tick()
    before = written(site)
    for seen in [each for each in site.wire.seen if each.path == "/v1/check-in"]:
        assert again(site, seen).status_code == 409
    assert written(site) == before


def test_nothing_that_was_recorded_in_a_round_changes_anything_when_it_comes_again(
    site: Site, phones: list[HttpPhone]
) -> None:
    run(site, phones, until=lambda: any("/signatures" in seen.path for seen in site.wire.seen))
    before = written(site)
    for seen in [each for each in site.wire.seen if each.method == "POST" and each.status < 300]:
        assert again(site, seen).status_code in {200, 204, 409, 410}
    assert written(site) == before
    run(site, phones, until=lambda: len(site.installation.models.versions()) == 2)
    before = written(site)
    for seen in [each for each in site.wire.seen if each.method == "POST" and each.status < 300]:
        assert again(site, seen).status_code in {200, 204, 401, 409, 410}
    assert written(site) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"content": b"{}"},
        {"content": b""},
        {"url": "/v1/check-in?x=1"},
        {"url": "/v1/check%2Din"},
        {"url": "/v1/check-in/"},
        {"url": "/v1/rounds/1/advertise"},
        {"url": "/v1/rounds/1/events"},
        {"method": "PUT"},
        {"method": "GET", "url": "/v1/rounds/1/plan", "content": b""},
    ],
    ids=str,
)
def test_a_signature_is_good_for_the_request_that_it_was_made_for(
    site: Site, phones: list[HttpPhone], changes: dict[str, object]
) -> None:
    phones[0].client.step()
    before = written(site)
    assert again(site, recorded(site, "/v1/check-in"), **changes).status_code in {400, 401, 404, 405, 409}
    assert written(site) == before


@pytest.mark.parametrize("change", [lambda headers, other: headers | other, lambda _, other: other])
def test_nor_for_another_phones(
    site: Site, phones: list[HttpPhone], change: Callable[[dict[str, str], dict[str, str]], dict[str, str]]
) -> None:
    """Headers of two phones' requests that change places, one by one and all that say who it is."""
    for phone in phones[:2]:
        phone.client.step()
    first, second = [each for each in site.wire.seen if each.path == "/v1/check-in"]
    before = written(site)
    for name in ("fedkey-credential", "fedkey-time", "fedkey-nonce", "fedkey-content-sha256", "fedkey-signature"):
        mixed = change(first.headers, {name: second.headers[name]})
        seen = Seen(first.method, first.path, mixed, first.body, 200, b"", {})
        assert again(site, seen).status_code in {401, 409}
    assert written(site) == before
