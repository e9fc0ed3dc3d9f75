"""Answers that a proxy spoiled, between the real server and its phones, and a server that lost its records."""

import json
import shutil
from pathlib import Path

import httpx
import pytest

from federation.device import PhoneError
from federation.server.history import rounds_of
from federation.server.settings import RoundSettings
from tests.federation.device.servers import called
from tests.federation.device.test_answers import MALFORMED
from tests.federation.server.http import HttpPhone, Site, run
from tests.federation.server.phones import Clock

SETTINGS = RoundSettings(goal=5, minimum=5, over_selection=1.0, clip=2.0, separation_seconds=0)
AT_REST = (
    "/v1/check-in",
    *(pytest.param(path, marks=pytest.mark.slow) for path in ("/v1/server", "/v1/models/current")),
)
IN_A_ROUND = (
    "/roster",
    *(
        pytest.param(path, marks=pytest.mark.slow)
        for path in ("/plan", "/cohort", "/inbox", "/survivors", "/signatures")
    ),
)
PAGE = b"<html>Sign in to the network</html>"


@pytest.fixture
def site(tmp_path: Path, exported: Path, clock: Clock) -> Site:
    return Site(tmp_path, exported, clock, SETTINGS)


@pytest.fixture
def phones(site: Site, tmp_path: Path) -> list[HttpPhone]:
    return [HttpPhone(site, tmp_path, number) for number in range(SETTINGS.goal)]


def outcomes(site: Site) -> list[str]:
    return [each.outcome for each in rounds_of(site.installation.database)]


def play(site: Site, phones: list[HttpPhone]) -> None:
    """Play a round that all phones are in to its end."""
    wanted = outcomes(site).count("finished") + 1
    site.clock.now += 3600
    run(site, phones, until=lambda: outcomes(site).count("finished") == wanted, seconds=4 * 3600)
    for phone in phones:
        phone.client.step()  # and notes that it was
    assert all(phone.store.rounds()[0].contributed for phone in phones), site.story


def spoil(site: Site, phones: list[HttpPhone], path: str, answers: list[bytes]) -> None:
    """Give phones these in place of what they ask a path for, one after the other."""
    left = list(answers)

    def instead(request: httpx.Request, content: bytes) -> bytes:
        return left.pop() if left and request.url.path.endswith(path) else content

    site.wire.tamper = instead
    for _ in range(100 * len(answers)):
        if not left:
            break
        for phone in phones:
            try:
                assert phone.client.step() >= 0
            except PhoneError:
                continue
        site.coordinator.tick()
        site.clock.now += 10
    assert not left
    site.wire.tamper = lambda _, content: content


@pytest.mark.parametrize("path", AT_REST)
def test_phones_whose_answers_were_spoiled_are_all_in_the_next_round(
    site: Site, phones: list[HttpPhone], path: str
) -> None:
    spoil(site, phones, path, MALFORMED)
    play(site, phones)


@pytest.mark.parametrize("path", IN_A_ROUND)
def test_a_round_that_was_spoiled_is_followed_by_another(site: Site, phones: list[HttpPhone], path: str) -> None:
    spoil(site, phones, path, [PAGE, b"", b"[" * 100_000])
    play(site, phones)
    assert len(outcomes(site)) > 1


def test_a_round_far_ahead_that_was_only_named_bricks_nobody(site: Site, phones: list[HttpPhone]) -> None:
    spoil(site, phones, "/v1/check-in", [called(2**62)] * len(phones))
    spoil(site, phones, "/v1/check-in", [json.dumps({"round_id": 2**63 - 1, "retry_after_seconds": 0}).encode()])
    assert max(phone.store.last_round_id for phone in phones) <= len(outcomes(site))
    play(site, phones)


@pytest.mark.parametrize("kept", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["lost", "put back"])
def test_phones_go_on_with_a_server_whose_database_was_lost(
    site: Site, phones: list[HttpPhone], tmp_path: Path, *, kept: bool
) -> None:
    """With its keys as they were; rounds are then numbered from one again."""
    site.installation.database.close()
    shutil.copytree(site.folder, tmp_path / "copy", symlinks=True)
    play(site, phones)
    site.installation.database.close()
    for file in site.folder.glob("server.sqlite*"):
        file.unlink()
    for file in (tmp_path / "copy").glob("server.sqlite*") if kept else ():
        shutil.copy(file, site.folder)
    site.restart()
    site.installation.begin(site.installation.export.trainer().weights())
    site.restart()
    play(site, phones)
    assert outcomes(site) == ["finished"]
    assert [phone.store.rounds()[0].round_id for phone in phones] == [1] * len(phones)
