"""The phone in JavaScript, held against the vectors, the misbehaving server, and rounds with phones of ours.

Needs `node`, Debian's package `nodejs`.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from federation.base.rate_limits import RateLimits
from federation.conformance.reference_update import reference_update
from federation.conformance.rehearsal import DIMENSION
from federation.device import Connection, DeviceClient, PhoneStore
from federation.enrolment.authority import AuthorityFolder
from federation.enrolment.service import create_desk
from federation.fleet.enrolled_phones import enrol_at
from federation.fleet.headless import DEFAULT_POLICY
from federation.protocol.plan import Deadlines, Mechanism, Privacy
from federation.protocol.trust import Anchors
from federation.server.history import rounds_of
from federation.server.serving import free_port
from federation.server.settings import RoundSettings, ServerSettings
from federation.updates.update import clip
from tests.federation.server.conftest import exported
from tests.federation.server.phones import READY
from tests.federation.server.test_serving import Process, story, until
from tests.federation.vectors import FOLDER

__all__ = ["exported"]

HERE = Path(__file__).parent
JAVASCRIPT, PYTHON = 4, 3
CLIP = 0.05
ROUNDS = RoundSettings(
    goal=6,
    minimum=5,
    over_selection=1.2,
    clip=CLIP,
    weight_cap=16,
    deadlines=Deadlines(60, 90, 120, 150, 180),
    separation_seconds=1,
    meeting_seconds=3,
    grace_seconds=3,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@dataclass
class Node:
    """A phone's process, and what it said.

    Attributes:
        command: after the program.
        said: one for each line.
    """

    command: list[str]
    said: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(HERE / "phone.mjs"), *self.command], stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(json.loads(line))

    def has_sent(self, step: str) -> bool:
        return any(each.get("step") == step for each in self.said)

    @property
    def done(self) -> set[object]:
        """Rounds that it took part in until their end."""
        return {each["round"] for each in self.said if each["event"] == "done"}

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def test_it_meets_every_vector() -> None:
    ran = subprocess.run(
        ["node", str(HERE / "check_vectors.mjs"), str(FOLDER)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_vectors_would_find_a_phone_that_is_wrong(tmp_path: Path) -> None:
    for path in FOLDER.iterdir():
        (tmp_path / path.name).write_text(path.read_text().replace("0102", "0201"))
    ran = subprocess.run(["node", str(HERE / "check_vectors.mjs"), str(tmp_path)], capture_output=True, check=False)
    assert ran.returncode != 0


def test_it_conforms_where_a_server_misbehaves(tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    command = [sys.executable, "-m", "fedkey", "conformance", "--phone", "--json", "--port", str(port)]
    trial = subprocess.Popen(
        [*command, "--out", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    url = f"http://127.0.0.1:{port}"
    until(lambda: _answers(url), 120)
    phone = Node(
        [
            *("--url", url, "--desk", url, "--trust", str(tmp_path / "trust.json")),
            *("--dimension", str(DIMENSION), "--rounds", "1000", "--rest", "0.05"),
        ]
    )
    try:
        out, error = trial.communicate(timeout=500)
    finally:
        phone.kill()
        trial.kill()
    report = json.loads(out)
    assert [check for check in report["checks"] if check["outcome"] != "conforms"] == [], error
    assert report["conforms"]
    assert trial.returncode == 0


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/v1/server").status_code == 200
    return False


@contextlib.contextmanager
def desk(folder: Path) -> Iterator[str]:
    """Serve an enrolment service of an authority's folder."""
    from werkzeug.serving import make_server  # noqa: PLC0415 - of the server's packages

    application = create_desk(AuthorityFolder(folder), rates=RateLimits())
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextlib.contextmanager
def python_phones(server: Process, folder: Path) -> Iterator[None]:
    """Let phones of ours take part, each with the test update."""
    manifest = server.installation.export.manifest
    anchors = Anchors.read(server.installation.export.directory, manifest)
    authority, stop = AuthorityFolder(folder / "authority"), threading.Event()

    def live(number: int) -> None:
        store = PhoneStore(folder / f"python-{number}")
        connection = Connection(server.url, store)
        client = DeviceClient(
            store,
            connection,
            policy=DEFAULT_POLICY,
            train=lambda *_: reference_update(manifest.network.parameters),
            conditions=lambda: READY,
            anchors=anchors,
            renew=lambda: enrol_at(authority, store),
        )
        while not stop.is_set():
            stop.wait(min(client.step(), 1.0))
        connection.close()
        store.close()

    threads = [threading.Thread(target=live, args=(number,)) for number in range(PYTHON)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


SETTINGS = {
    "lanes": ROUNDS,
    "a subset": replace(ROUNDS, upload_share=0.5),
    "modular with noise": replace(ROUNDS, privacy=Privacy(Mechanism.SKELLAM, 0.02, 1)),
}
"""Of rounds, and which encoding they have."""

SMALLEST_COSINE = {"lanes": 0.999, "a subset": 0.6, "modular with noise": 0.9}
"""Of the step that the model takes with what all phones contributed."""


@pytest.mark.parametrize("encoding", SETTINGS)
def test_it_is_in_rounds_with_phones_of_ours_and_one_that_drops_out(
    encoding: str, tmp_path: Path, exported: Path
) -> None:
    server = Process(tmp_path, exported, ServerSettings(rounds=SETTINGS[encoding], max_relative_gate_loss=10.0))
    dimension = server.installation.export.manifest.network.parameters
    nodes: list[Node] = []
    try:
        with desk(tmp_path / "authority") as enrolment, python_phones(server, tmp_path):
            trust = server.installation.export.directory / "trust.json"
            nodes = [
                Node(
                    [
                        *("--url", server.url, "--desk", enrolment, "--trust", str(trust)),
                        *("--dimension", str(dimension), "--rounds", "50", "--rest", "3"),
                    ]
                )
                for _ in range(JAVASCRIPT)
            ]
            until(lambda: nodes[0].has_sent("share"), 500)
            nodes[0].kill()
            until(lambda: len(server.installation.models.versions()) > 1, 600)
    finally:
        for node in nodes:
            node.kill()
        server.stop()
    first = next(each for each in rounds_of(server.installation.database) if each.outcome == "finished")
    assert first.phones >= ROUNDS.minimum
    assert sum(first.round_id in node.done for node in nodes[1:]) >= first.phones - PYTHON, story(server)
    models = server.installation.models
    moved = models.state(2).weights.astype(np.float64) - models.state(1).weights
    expected = clip(reference_update(dimension).delta, CLIP).astype(np.float64)
    cosine = moved @ expected / np.linalg.norm(moved) / np.linalg.norm(expected)
    assert cosine > SMALLEST_COSINE[encoding]
    if encoding == "lanes":
        assert np.linalg.norm(moved - expected) < 0.02 * np.linalg.norm(expected)
