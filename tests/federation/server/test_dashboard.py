import json
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from federation.errors import ConfigError
from federation.protocol.plan import Deadlines
from federation.server.dashboard import Access, create_dashboard
from federation.server.dashboard.figures import byte_size, overview
from federation.server.dashboard.runs import StoredRun, charts, differing
from federation.server.history import rounds_of
from federation.server.settings import RoundSettings
from tests.federation.server.http import HttpPhone, Site
from tests.federation.server.http import run as play
from tests.federation.server.phones import Clock

ROUNDS = RoundSettings(goal=6, minimum=5, deadlines=Deadlines(120, 150, 330, 360, 390))
ACCESS = Access("a token")


@pytest.fixture
def site(tmp_path: Path, exported: Path, clock: Clock) -> Site:
    return Site(tmp_path, exported, clock, ROUNDS)


@pytest.fixture
def browser(site: Site) -> FlaskClient:
    return create_dashboard(site.installation, ACCESS).test_client()


def opened(browser: FlaskClient) -> str:
    browser.get("/?token=a token")
    return browser.get("/").get_data(as_text=True)


def test_nobody_sees_it_without_the_token(browser: FlaskClient) -> None:
    for path in ("/", "/fragment", "/charts.json", "/events", "/nowhere"):
        assert browser.get(path).status_code == 401
        assert browser.get(f"{path}?token=another").status_code == 401
    assert browser.post("/models/1/promote").status_code == 401
    assert browser.post("/login", data={"token": "another"}).status_code == 401
    for path in ("/healthz", "/readyz", "/metrics"):
        assert browser.get(path).status_code == 200


def test_the_token_becomes_a_cookie_that_no_script_reads(browser: FlaskClient) -> None:
    answer = browser.get("/?token=a token")
    assert answer.status_code == 303
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "a token" not in cookie
    assert "token" not in answer.headers["Location"]
    assert browser.post("/login", data={"token": "a token"}).status_code == 303


def test_pages_name_a_policy_that_lets_no_foreign_script_in(browser: FlaskClient) -> None:
    page = opened(browser)
    answer = browser.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer.headers["Cache-Control"]
    assert not re.search(r"<script(?![^>]*\bsrc=\"/static/)", page)
    assert " style=" not in page
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        with browser.get(path) as served:
            assert served.status_code == 200


def test_a_form_of_another_site_does_nothing(browser: FlaskClient, site: Site) -> None:
    opened(browser)
    for data in ({}, {"csrf": "guessed"}):
        assert browser.post("/models/1/promote", data=data).status_code == 403
    assert browser.post("/models/1/promote", data={"csrf": ACCESS.csrf}).status_code == 303
    assert browser.post("/models/99/promote", data={"csrf": ACCESS.csrf}).status_code == 404
    assert site.installation.models.current_version() == 1


def test_a_server_without_rounds_says_so(browser: FlaskClient) -> None:
    page = opened(browser)
    assert "No round is running" in page
    assert "no phone has uploaded anything yet" in page
    assert json.loads(browser.get("/charts.json").data)["phones"]["x"] == []


def test_phones_that_vanish_without_a_word_are_drop_outs_and_those_of_a_running_round_are_not(
    site: Site, browser: FlaskClient, tmp_path: Path
) -> None:
    phones = [HttpPhone(site, tmp_path, number) for number in range(6)]
    play(site, phones, until=lambda: site.story.count("shared +") == 6)
    assert overview(site.installation).dropped == []
    play(site, phones[:5], until=lambda: rounds_of(site.installation.database)[0].seconds is not None)
    assert overview(site.installation).dropped == [("silent after: shared", 1)]
    assert "silent after: shared" in opened(browser)


def test_hours_are_named_and_small_sizes_are_seen(
    site: Site, browser: FlaskClient, clock: Clock, tmp_path: Path
) -> None:
    phones = [HttpPhone(site, tmp_path, number) for number in range(6)]
    play(site, phones, until=lambda: site.story.count("advertised +") == 6)
    seen = overview(site.installation)
    hour = int(clock.now // 3600) % 24
    assert len(seen.hours) == 24
    assert seen.hours[-1] == (hour, 6)
    assert sum(count for _, count in seen.hours) == 6
    page = opened(browser)
    assert f"{hour:02} h</small>" in page
    assert "0.00" not in page
    assert [byte_size(size) for size in (0, 7, 999, 1000, 1234, 999_600, 5_000_000, 2_500_000_000)] == [
        *("0 B", "7 B", "999 B", "1 kB", "1.23 kB", "1 MB", "5 MB", "2.50 GB")
    ]


def run(folder: Path, rounds: int, **config: object) -> Path:
    folder.mkdir()
    settings = {"rounds": 10, "client": {"learning_rate": 0.5}} | config
    (folder / "config.json").write_text(json.dumps({"config": settings, "vocabulary": "k"}))
    lines = ["round,loss,validation_loss,clients,bytes_up", "0,,6.5,,"]
    lines += [
        f"{number},{6 - number},{6.4 - number if number % 2 == 0 else ''},20,1000" for number in range(1, rounds + 1)
    ]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_runs_stand_side_by_side(tmp_path: Path) -> None:
    folders = [run(tmp_path / "one", 4), run(tmp_path / "two", 3, client={"learning_rate": 0.1})]
    found = [StoredRun.load(folder) for folder in folders]
    assert [each.rounds for each in found] == [4, 3]
    assert found[1].latest("validation_loss") == pytest.approx(4.4)
    assert found[0].bytes_up == 80_000
    assert differing(found) == [("client.learning_rate", [0.5, 0.1])]
    series = charts(found)["validation_loss"]
    assert series["x"] == [0, 1, 2, 3, 4]
    assert series["series"][1]["y"] == [6.5, None, 4.4, None, None]
    browser = create_dashboard(folders, ACCESS).test_client()
    page = opened(browser)
    assert "client.learning_rate" in page
    assert ">two<" in page


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"config": 1}'])
def test_what_is_no_run_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError, match="there is no run"):
        StoredRun.load(tmp_path)


def test_a_folders_token_is_drawn_once_and_is_its_owners(tmp_path: Path) -> None:
    access = Access.of(tmp_path)
    assert Access.of(tmp_path).token == access.token
    assert (tmp_path / "dashboard.token").stat().st_mode & 0o077 == 0
    assert access.token not in repr(access)
