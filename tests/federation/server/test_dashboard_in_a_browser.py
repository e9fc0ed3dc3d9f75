"""The dashboard as Chromium shows it: charts drawn, news by server-sent events, nothing that the policy forbids."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from federation.server.history import rounds_of
from tests.chromium import Page, chromium
from tests.federation.server.http import HttpPhone, Site
from tests.federation.server.http import run as play
from tests.federation.server.phones import Clock
from tests.federation.server.test_dashboard import ROUNDS, run

pytestmark = pytest.mark.slow


@contextmanager
def served(*folders: Path) -> Iterator[str]:
    """Run `fedkey dashboard`; give the address that it prints."""
    command = [sys.executable, "-m", "fedkey", "dashboard", *map(str, folders), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = process.stderr.readline().removeprefix("dashboard: ").strip()
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            while True:
                try:
                    httpx.get(address)
                    break
                except httpx.TransportError:
                    assert process.poll() is None
                    time.sleep(0.1)
            yield address
        finally:
            process.terminate()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with chromium(tmp_path / "profile") as page:
        yield page
        assert page.complaints == []


LOOKS: tuple[dict[str, Any], ...] = ({}, {"dark": True}, {"width": 390}, {"width": 390, "dark": True})


def test_runs_are_drawn_in_light_and_dark_and_on_a_phone(tmp_path: Path, page: Page) -> None:
    folders = [run(tmp_path / "one", 8), run(tmp_path / "two", 8, client={"learning_rate": 0.1})]
    with served(*folders) as address:
        for number, look in enumerate(LOOKS):
            page.show(address, **look)
            assert page.value("document.querySelectorAll('canvas').length") == 2  # the other figures have no values yet
            assert "client.learning_rate" in page.value("document.body.innerText")
            page.picture(tmp_path / f"runs{number}.png")
            assert (tmp_path / f"runs{number}.png").stat().st_size > 20_000


def test_models_are_promoted_and_rounds_taken_back_with_mouse_and_keys(
    tmp_path: Path, exported: Path, page: Page
) -> None:
    clock = Clock()
    clock.now = time.time() - 7200
    site = Site(tmp_path, exported, clock, ROUNDS)
    phones = [HttpPhone(site, tmp_path, number) for number in range(6)]
    play(site, phones, until=lambda: site.story.count("shared +") == 6)
    play(site, phones[:5], until=lambda: len(site.installation.models.versions()) == 2)
    play(site, phones[:5], until=lambda: len(site.installation.models.versions()) == 3)
    current = "document.querySelector('#models tr.now td').textContent"
    with served(site.folder) as address:
        for number, look in enumerate(LOOKS):
            page.show(address, **look)
            assert page.value(current) == "3"
            told = page.value("document.body.innerText")
            assert "silent after: shared" in told
            assert "0.00" not in told
            page.picture(tmp_path / f"server{number}.png")
            assert page.value("document.documentElement.scrollWidth <= innerWidth")  # nothing to push sideways
        page.show(address)
        page.click("form[action='/models/1/promote'] button")
        page.until(f"{current} === '1'")
        assert site.installation.models.current_version() == 1
        last = max(each.round_id for each in rounds_of(site.installation.database) if each.outcome == "finished")
        page.press_enter_on(f"form[action='/rounds/{last}/rollback'] button")
        page.until(f"{current} === '2'")
        assert site.installation.models.current_version() == 2
        assert page.value("location.hash") == "#models"


def test_a_browser_is_told_when_a_run_goes_on(tmp_path: Path) -> None:
    folder = run(tmp_path / "one", 2)
    with served(folder) as address, httpx.Client(follow_redirects=True, timeout=60) as browser:
        assert "2 of 10" in browser.get(address).text
        base = address.split("?", maxsplit=1)[0]
        with browser.stream("GET", f"{base}events") as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("retry")
            with (folder / "metrics.csv").open("a") as metrics:
                metrics.write("3,1.0,,20,1000\n")
            assert next(line for line in lines if line.startswith("event")) == "event: changed"
        assert "3 of 10" in browser.get(f"{base}fragment").text
        assert json.loads(browser.get(f"{base}charts.json").text)["loss"]["x"][-1] == 3
