"""Signals to one worker or to the master of `fedkey serve`: a worker is replaced, a master ends in order."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.federation.server.test_serving import Process, until

pytestmark = pytest.mark.slow
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGABRT, signal.SIGQUIT)


@pytest.fixture
def server(tmp_path: Path, exported: Path) -> Iterator[Process]:
    process = Process(tmp_path, exported)
    yield process
    process.stop()


def workers(server: Process) -> list[psutil.Process]:
    """Return gunicorn's workers: they run the command of their master."""
    master = psutil.Process(server.pid)
    return [child for child in master.children() if _runs(child, master.cmdline())]


def _runs(process: psutil.Process, command: list[str]) -> bool:
    try:
        return process.cmdline() == command
    except psutil.Error:  # it is ending
        return False


def test_a_worker_that_any_signal_ends_is_replaced_and_the_others_go_on(server: Process) -> None:
    master = psutil.Process(server.pid)
    for number in (*ENDING, signal.SIGHUP, signal.SIGKILL):
        until(lambda: len(workers(server)) == 2, 120)
        before = {worker.pid for worker in workers(server)}
        victim = min(before)
        psutil.Process(victim).send_signal(number)
        if number != signal.SIGHUP:  # gunicorn's workers ignore it
            until(lambda before=before: {w.pid for w in workers(server)} - before, 120)  # type: ignore[misc]
        until(server.answers, 120)
    time.sleep(1)
    assert master.is_running()
    assert server.answers()


def test_hup_reads_the_settings_anew_and_goes_on_with_the_old_ones_if_they_are_broken(
    server: Process, tmp_path: Path
) -> None:
    toml = tmp_path / "server" / "server.toml"
    whole = toml.read_text()
    for text in ("no = toml = at all", whole):
        until(lambda: len(workers(server)) == 2, 120)
        before = {worker.pid for worker in workers(server)}
        toml.write_text(text)
        psutil.Process(server.pid).send_signal(signal.SIGHUP)
        until(lambda before=before: len({w.pid for w in workers(server)} - before) == 2, 120)  # type: ignore[misc]
        until(server.answers, 120)


@pytest.mark.parametrize("number", ENDING)
def test_a_master_that_is_told_to_ends_in_order_and_leaves_nobody_behind(
    server: Process, number: signal.Signals
) -> None:
    until(lambda: len(psutil.Process(server.pid).children()) == 4, 120)  # two workers, who coordinates, who shows
    family = psutil.Process(server.pid).children(recursive=True)
    (counted,) = {Path(told) for each in family if (told := each.environ().get("PROMETHEUS_MULTIPROC_DIR"))}
    assert counted.parent == Path("/dev/shm")  # no disk that is full ends a worker that counts
    assert counted.exists()
    server.signal(number)
    assert server.wait(100) == 0
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    assert not counted.exists()


def test_a_port_that_is_taken_is_a_sentence(server: Process) -> None:
    done = subprocess.run(
        server.command,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "another program listens there" in done.stderr
