"""Runs whose clients are computed by `fedkey worker`s, which die and are cut off."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from federation.simulation.report import RoundReport, Watcher
from federation.simulation.run import Run
from model.checkpoint import Checkpoint
from tests.federation.simulation.conftest import same
from tests.federation.simulation.test_killed_run import simulate

COHORT = 24  # in three parts


@contextmanager
def working(*options: str, within: tuple[str, ...] = ()) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run `fedkey worker`; give its address."""
    command = [*within, sys.executable, "-m", "fedkey", "worker", "--port", "0", "--threads", "1", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
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
def two_hosts() -> Iterator[tuple[tuple[str, ...], tuple[str, ...], str]]:
    """Two network namespaces with a cable between them: what runs a command in either, and the second one's address."""
    names = [f"fedkey-{os.getpid()}-{end}" for end in "ab"]
    cables = [f"fk{os.getpid()}{end}" for end in "ab"]

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    with ExitStack() as stack:
        for name in names:
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
        ip("link", "add", cables[0], "netns", names[0], "type", "veth", "peer", "name", cables[1], "netns", names[1])
        for number, (name, cable) in enumerate(zip(names, cables, strict=True), 1):
            ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", cable)
            ip("-n", name, "link", "set", cable, "up")
            ip("-n", name, "link", "set", "lo", "up")
        first, second = (("ip", "netns", "exec", name) for name in names)
        yield first, second, cables[1]


@pytest.mark.slow
def test_a_host_that_is_cut_off_in_a_run_changes_nothing_to_the_bit(
    two_hosts: tuple[tuple[str, ...], tuple[str, ...], str], corpus: Path, tmp_path: Path
) -> None:
    here, there, cable = two_hosts
    whole = simulate(corpus, tmp_path / "whole", tmp_path / "cache")
    with working("--host", "10.77.0.2", "--allow-unauthenticated-network", within=there) as (address, _):
        options = ("--workers", address, "--allow-unauthenticated-network")
        with simulate(corpus, tmp_path / "cut", tmp_path / "cache", *options, within=here) as cut:
            deadline = time.monotonic() + 200
            while not (tmp_path / "cut" / "states" / "round-000002.npz").exists():
                assert cut.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.002)
            subprocess.run([*there, "ip", "link", "set", cable, "down"], check=True)
            assert cut.wait(200) == 0
    with whole:
        assert whole.wait(200) == 0
    assert same(Checkpoint.load(tmp_path / "cut" / "model"), Checkpoint.load(tmp_path / "whole" / "model"))
    repeated = (tmp_path / "cut" / "metrics.csv").read_text().splitlines()
    column = repeated[0].split(",").index("calls_repeated")
    assert sum(float(line.split(",")[column] or 0) for line in repeated[1:]) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_worker_that_is_ended_leaves_nothing_behind(blow: signal.Signals) -> None:
    with working() as (_, process):
        everything = psutil.Process(process.pid).children(recursive=True)
        deadline = time.monotonic() + 20
        while len(everything) < 2:
            assert time.monotonic() < deadline
            everything = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(blow)
        assert process.wait(20) == (0 if blow != signal.SIGKILL else -signal.SIGKILL)
        assert not psutil.wait_procs(everything, 10)[1]
