"""`fedkey conformance URL` against `fedkey serve`, over sockets."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from federation.protocol.plan import Deadlines
from federation.server.settings import RoundSettings, ServerSettings
from tests.federation.server.test_serving import Process

ROUNDS = RoundSettings(
    goal=5,
    minimum=5,
    over_selection=1.0,
    weight_cap=16,
    deadlines=Deadlines(200, 300, 400, 450, 500),
    meeting_seconds=3,
)


@pytest.fixture
def server(tmp_path: Path, exported: Path) -> Iterator[Process]:
    process = Process(tmp_path, exported, ServerSettings(rounds=ROUNDS, max_relative_gate_loss=10.0))
    yield process
    process.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_on_the_network_conforms(server: Process, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fedkey", "conformance", server.url, "--json", "--phones", "5"]
    command += ["--model", str(tmp_path / "server" / "export"), "--authority", str(tmp_path / "authority")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(ran.stdout)
    assert [check for check in report["checks"] if check["outcome"] != "conforms"] == [], ran.stderr
    assert ran.returncode == 0
    assert len(report["checks"]) > 100
    models = server.installation.models
    moved = np.linalg.norm(models.state(2).weights - models.state(1).weights)
    assert moved < 1e-3 * ROUNDS.clip
