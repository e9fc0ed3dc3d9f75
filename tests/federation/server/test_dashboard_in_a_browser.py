"""The dashboard as Chromium shows it: charts drawn, news by server-sent events, nothing that the policy forbids."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.federation.server.test_dashboard import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


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


@contextmanager
def nobody_else_told(address: str) -> Iterator[None]:
    """Take all places of those who are told of news: Chromium's virtual time waits for streams to end."""
    base = address.split("?", maxsplit=1)[0]
    with ExitStack() as stack:
        browser = stack.enter_context(httpx.Client(follow_redirects=True, timeout=60))
        browser.get(address)
        while stack.enter_context(browser.stream("GET", f"{base}events")).status_code == 200:
            pass
        yield


def chromium(address: str, folder: Path, *options: str) -> str:
    """Load a page without a window; return what was drawn, as HTML, and keep a picture."""
    program = shutil.which("chromium")
    assert program, "this test needs Chromium: apt-get install chromium"
    common = [program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    common += ["--virtual-time-budget=4000", "--enable-logging=stderr", *options]
    done = subprocess.run([*common, "--dump-dom", address], capture_output=True, text=True, check=True, timeout=120)
    assert "CONSOLE" not in done.stderr, done.stderr
    shot = [*common, f"--screenshot={folder / 'picture.png'}", "--window-size=1200,1400", address]
    subprocess.run(shot, capture_output=True, check=True, timeout=120)
    return done.stdout


def test_runs_are_drawn_in_light_and_dark_and_on_a_phone(tmp_path: Path) -> None:
    folders = [run(tmp_path / "one", 8), run(tmp_path / "two", 8, client={"learning_rate": 0.1})]
    dark = ("--force-dark-mode", "--blink-settings=preferredColorScheme=0")
    with served(*folders) as address, nobody_else_told(address):
        for options in ((), dark, ("--window-size=390,800",)):
            page = chromium(address, tmp_path, *options)
            assert page.count("<canvas") == 2  # the other figures have no values yet
            assert "client.learning_rate" in page
            assert (tmp_path / "picture.png").stat().st_size > 20_000


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
