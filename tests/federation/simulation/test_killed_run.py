"""A run whose process is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model.checkpoint import Checkpoint
from tests.federation.simulation.conftest import same


def simulate(corpus: Path, out: Path, cache: Path) -> subprocess.Popen[bytes]:
    options = ["--rounds", "6", "--cohort", "4", "--set", "row_length=8", "--set", "warm_start.epochs=1"]
    options += ["--set", "evaluate_clients=4"]
    return subprocess.Popen(
        [sys.executable, "-m", "fedkey", "simulate", "--corpus", str(corpus), "--out", str(out), *options],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.slow
def test_a_run_killed_in_the_middle_of_a_round_ends_with_the_same_weights(corpus: Path, tmp_path: Path) -> None:
    whole = simulate(corpus, tmp_path / "whole", tmp_path / "cache")
    with simulate(corpus, tmp_path / "killed", tmp_path / "cache") as killed:
        deadline = time.monotonic() + 200
        while not (tmp_path / "killed" / "states" / "round-000002.npz").exists():
            assert killed.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.kill(killed.pid, signal.SIGKILL)
    with simulate(corpus, tmp_path / "killed", tmp_path / "cache") as again:
        assert again.wait(200) == 0
    with whole:
        assert whole.wait(200) == 0
    assert same(Checkpoint.load(tmp_path / "killed" / "model"), Checkpoint.load(tmp_path / "whole" / "model"))
