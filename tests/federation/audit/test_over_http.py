"""The audit of a real server over HTTP and of its folder, with what real phones kept; and of answers that are none."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation.audit import AuditError, HttpSource, audit, seen_logs
from federation.device.connection import http_client
from federation.fleet.headless import DEFAULT_POLICY
from federation.server.settings import RoundSettings
from fedkey.cli import main
from fedkey.cli.audit import FOUND
from tests.federation.server.http import URL, HttpPhone, Site, Wire, run
from tests.federation.server.phones import Clock

SETTINGS = RoundSettings(goal=3, minimum=3, over_selection=1.0, clip=2.0, weight_cap=20, separation_seconds=0)
POLICY = replace(DEFAULT_POLICY, min_phones=3)


def one_round(site: Site, phones: list[HttpPhone]) -> None:
    done = site.installation.models.current_version()
    run(site, phones, until=lambda: site.installation.models.current_version() > done)
    run(site, phones, until=lambda: all(phone.client.status.round_id is None for phone in phones))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audited")


@pytest.fixture(scope="module")
def site(folder: Path, exported: Path) -> Site:
    """A server after one round, a fork of it, and three phones that went on with each."""
    site = Site(folder, exported, Clock(), SETTINGS)
    phones = [HttpPhone(site, folder, number, policy=POLICY) for number in range(3)]
    one_round(site, phones)
    shutil.copytree(site.folder, folder / "fork", symlinks=True)
    fork = copy.copy(site)
    fork.folder = folder / "fork"
    fork.restart()
    fork.wire = Wire(lambda: fork.application)
    others = [HttpPhone(fork, folder, number, policy=POLICY) for number in range(3, 6)]
    for each, own in ((site, phones), (fork, others)):
        for _ in range(2):  # phones see a head when they join, so that of the second round is seen in the third
            one_round(each, own)
    for phone in (*phones, *others):
        phone.store.close()
    return site


@pytest.fixture
def wired(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command talk to the server in this process."""
    monkeypatch.setattr("federation.audit.sources.http_client", lambda url, _: http_client(url, site.wire))


def fedkey(*words: object) -> Result:
    return CliRunner().invoke(main, ["audit", *map(str, words)])


@pytest.mark.usefixtures("wired")
def test_nothing_is_found_on_an_honest_server_over_http_and_in_its_folder(folder: Path, site: Site) -> None:
    seen = [word for number in range(3) for word in ("--seen", folder / f"phone-{number}")]
    for place in (URL, site.folder):
        result = fedkey(place, "--json", *seen)
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)
        assert (report["models"], report["recomputed"], report["rounds"]) == (4, 3, 3)
        assert report["findings"] == []
        assert report["epsilon"] is None  # these phones add no noise
        assert report["server_key"] == site.installation.public_key.hex()


@pytest.mark.usefixtures("wired")
def test_a_fork_is_found_by_what_real_phones_kept(folder: Path, site: Site) -> None:
    for place in (URL, site.folder, folder / "fork"):
        result = fedkey(place, "--seen", folder / "phone-0", "--seen", folder / "phone-3")
        assert result.exit_code == FOUND
        assert "FOUND (view" in result.stdout
        assert result.stdout.strip().endswith("do not hold")


def test_heads_that_were_kept_are_compared(folder: Path, site: Site, tmp_path: Path) -> None:
    head = tmp_path / "head.json"
    assert fedkey(folder / "fork", "--keep", head).exit_code == 0
    assert fedkey(folder / "fork", "--seen", head).exit_code == 0
    assert fedkey(site.folder, "--seen", head).exit_code == FOUND
    again = fedkey(folder / "fork", "--keep", head)
    assert again.exit_code == 1  # nothing is overwritten
    assert "there already" in again.output
    head.write_bytes(head.read_bytes().replace(b'"size":4', b'"size":3'))
    forged = fedkey(site.folder, "--seen", head)
    assert forged.exit_code == 1
    assert "not signed" in forged.output


def test_what_cannot_be_audited_is_one_sentence(tmp_path: Path, site: Site) -> None:
    for place in (tmp_path, tmp_path / "nowhere", "http://example.org", "http://127.0.0.1:9"):
        result = fedkey(place)
        assert result.exit_code == 1
        assert result.output.strip().splitlines()[-1].startswith("Error: ")
    with pytest.raises(AuditError, match="larger"):
        audit(HttpSource(URL, max_bytes=1000, transport=site.wire), site.installation.public_key)


def test_a_phones_folder_is_read_and_nothing_else(folder: Path, site: Site, tmp_path: Path) -> None:
    key = site.installation.public_key
    (log,) = seen_logs(folder / "phone-0", key)
    assert (log.size, log.given) == (3, {1, 2, 3})
    with pytest.raises(AuditError, match="neither"):
        seen_logs(tmp_path, key)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(garbage=st.binary(max_size=300), at=st.integers(0, 40), cut=st.integers(0, 400))
def test_any_answer_is_read_or_refused(site: Site, garbage: bytes, at: int, cut: int) -> None:
    """One answer of an honest server is replaced, or damaged: there is a finding or an error, and nothing else."""
    asked = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        response = site.wire.handle_request(request)
        asked += 1
        if asked - 1 != at:
            return response
        content = response.content
        damaged = garbage if cut > 300 else content[:cut] + garbage + content[cut + len(garbage) :]
        return httpx.Response(response.status_code, content=damaged)

    source = HttpSource(URL, max_bytes=100_000_000, transport=httpx.MockTransport(answer), sleep=lambda _: None)
    try:
        report, _ = audit(source, site.installation.public_key)
    except AuditError:
        return
    report.to_json()
    assert list(report.lines())
