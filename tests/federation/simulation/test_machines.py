"""Runs whose clients are computed by `fedkey worker`s, which die and are cut off."""

import ipaddress
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from federation.base.child_processes import end_with_parent
from federation.simulation import fedavg
from federation.simulation.report import RoundReport, Watcher
from federation.simulation.run import Run
from tests.federation.simulation.conftest import same

COHORT = 24  # in three parts

_TESTS_NETWORK = ipaddress.ip_network("198.18.0.0/15")  # which RFC 2544 keeps for tests


@pytest.fixture(autouse=True)
def _ungrouped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients are few and small here: together they would be one part."""
    monkeypatch.setattr(fedavg, "GROUP_ROWS", 1)


def _begin() -> None:
    """End with the tests, and undo what a shell does for those in its background: they would not hear of Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent(signal.SIGTERM)


@contextmanager
def working(*options: str, within: tuple[str, ...] = ()) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run `fedkey worker`; give its address."""
    command = [*within, sys.executable, "-m", "fedkey", "worker", "--port", "0", "--threads", "1", *options]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=_begin,  # noqa: PLW1509 - two system calls
    ) as it:
        assert it.stdout is not None
        told = re.fullmatch(r"computing for who connects to (\S+); Ctrl-C ends it\n", it.stdout.readline())
        assert told is not None
        try:
            yield told[1], it
        finally:
            it.terminate()


@pytest.mark.slow
def test_a_worker_killed_in_a_round_changes_nothing_to_the_bit(make: Callable[..., Run]) -> None:
    reports: list[RoundReport] = []
    here = make("here", cohort=COHORT).train()
    with working() as (first, victim), working() as (second, _):

        def kill_in_the_next_round(report: RoundReport) -> None:
            reports.append(report)
            if report.number == 2:
                processes = [psutil.Process(victim.pid), *psutil.Process(victim.pid).children(recursive=True)]
                for process in processes:
                    process.suspend()  # so it is at its part when it is killed
                threading.Timer(1.0, lambda: [process.kill() for process in processes]).start()

        elsewhere = make("elsewhere", cohort=COHORT, workers=(first, second)).train(
            Watcher(round_done=kill_in_the_next_round)
        )
    assert same(here, elsewhere)
    assert [report.repeated for report in reports] == [0, 0, 1, 0, 0]


@pytest.mark.slow
def test_a_run_goes_on_with_other_workers_than_it_began_with(make: Callable[..., Run]) -> None:
    whole = make("whole", cohort=COHORT).train()
    make("moved", cohort=COHORT, rounds=2, schedule="constant").train()
    with working() as (address, _):
        moved = make("moved", cohort=COHORT, schedule="constant", workers=(address, "local")).train()
    constant = make("constant", cohort=COHORT, schedule="constant").train()
    assert same(moved, constant)
    assert not same(moved, whole)


@pytest.fixture
def other_host() -> Iterator[tuple[tuple[str, ...], str, str]]:
    """A network of its own, a cable to it: what runs a command there, its address, its end of the cable.

    All of it is gone with this process, however that ends.
    """
    number = os.getpid() % (1 << 15)
    here, there = (str(_TESTS_NETWORK[4 * number + end]) for end in (1, 2))
    ours, theirs = f"fk{number}a", f"fk{number}b"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: end_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one system call
    ) as inhabitant:
        try:
            assert inhabitant.stdout is not None
            inhabitant.stdout.readline()  # it is in there
            within = ("nsenter", f"--net=/proc/{inhabitant.pid}/ns/net")
            ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", str(inhabitant.pid))
            ip("address", "add", f"{here}/30", "dev", ours)
            ip("link", "set", ours, "up")
            for words in (
                ("address", "add", f"{there}/30", "dev", theirs),
                ("link", "set", theirs, "up"),
                ("link", "set", "lo", "up"),
            ):
                subprocess.run([*within, "ip", *words], check=True)
            yield within, there, theirs
        finally:
            inhabitant.kill()
            subprocess.run(["ip", "link", "del", ours], check=False)  # connections that were cut keep it for minutes


@pytest.mark.slow
def test_a_host_that_is_cut_off_in_a_run_changes_nothing_to_the_bit(
    other_host: tuple[tuple[str, ...], str, str], make: Callable[..., Run]
) -> None:
    there, host, cable = other_host
    reports: list[RoundReport] = []
    here = make("here", cohort=COHORT).train()

    def cut(report: RoundReport) -> None:
        reports.append(report)
        if report.number == 2:
            subprocess.run([*there, "ip", "link", "set", cable, "down"], check=True)

    with working("--host", host, "--allow-unauthenticated-network", within=there) as (address, _):
        run = make("cut", cohort=COHORT, workers=(address,), allow_unauthenticated_network=True)
        assert same(run.train(Watcher(round_done=cut)), here)
    assert [report.repeated for report in reports] == [0, 0, 1, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_worker_that_is_ended_leaves_nothing_behind(blow: signal.Signals) -> None:
    with working() as (_, process):
        everything = psutil.Process(process.pid).children(recursive=True)
        deadline = time.monotonic() + 100
        while len(everything) < 2:
            assert time.monotonic() < deadline
            everything = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(blow)
        assert process.wait(100) == (0 if blow != signal.SIGKILL else -signal.SIGKILL)
        assert not psutil.wait_procs(everything, 60)[1]
