"""The real thing: `fedkey serve` as processes, phones over sockets, killed at every step."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from federation.device.records import RoundRecord
from federation.enrolment.authority import AuthorityFolder
from federation.fleet.enrolled_phones import enrol_at
from federation.fleet.headless import Fleet, HeadlessPhone, HeadlessSettings, TrainerPool, Typist
from federation.fleet.scenario import DropOut
from federation.protocol.plan import Deadlines
from federation.protocol.trust import Anchors
from federation.server.history import RoundSummary, rounds_of, timeline
from federation.server.installation import Installation
from federation.server.settings import RoundSettings, ServerSettings
from model.engine import Export
from tests.databases import Cluster
from tests.federation.server.conftest import TEXT
from tests.object_store import ObjectStore

PHONES = 10
SETTINGS = ServerSettings(
    rounds=RoundSettings(
        goal=8,
        minimum=5,
        over_selection=1.25,
        weight_cap=16,
        deadlines=Deadlines(60, 90, 120, 150, 180),
        separation_seconds=1,
        meeting_seconds=3,
        grace_seconds=3,
    ),
    max_relative_gate_loss=10.0,
)


class Process:
    """`fedkey serve` on one port, killed and started as tests like.

    Args:
        folder: of its machine.
        exported: the first model.
        settings: of the server.
    """

    def __init__(self, folder: Path, exported: Path, settings: ServerSettings = SETTINGS) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "server.toml").write_text(settings.to_toml(), encoding="utf-8")
        (folder / "public.txt").write_text("\n".join(TEXT), encoding="utf-8")
        self._exported = exported
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    @property
    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "fedkey", "serve", "--folder", str(self._folder / "server")),
            *("--model", str(self._exported), "--settings", str(self._folder / "server.toml")),
            *("--public-text", str(self._folder / "public.txt")),
            *(
                "--authority",
                str(self._folder / "authority"),
                "--port",
                str(self._port),
                "--workers",
                "2",
                "--admin-port",
                "0",
            ),
        ]

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float) -> int:
        return self._process.wait(seconds)

    @property
    def installation(self) -> Installation:
        return Installation.load(self._folder / "server")

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self.answers, 120)

    def answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            return httpx.get(f"{self.url}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """As a power cut does: all of its processes at once."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(100)
            except subprocess.TimeoutExpired:
                self.kill()


def until(holds: Callable[[], object], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.1)


@contextmanager
def fleet(
    servers: Sequence[Process], folder: Path, records: list[tuple[int, RoundRecord]], flaky: float = 0.0
) -> Iterator[Fleet]:
    """Run phones of the authority in a folder, shared out among servers."""
    export = Export.load(folder / "server" / "export")
    authority = AuthorityFolder(folder / "authority")
    pool = TrainerPool(export)
    phones = [
        HeadlessPhone(
            folder / "phones" / str(number),
            servers[number % len(servers)].url,
            enrol=lambda store: enrol_at(authority, store),
            typist=Typist(TEXT * 4, at_first=10, a_round=1),
            pool=pool,
            anchors=Anchors.read(export.directory, export.manifest),
            settings=HeadlessSettings(scenario=replace(HeadlessSettings().scenario, drop_out=DropOut.of_round(flaky))),
            seed=1,
            index=number,
        )
        for number in range(PHONES)
    ]
    lock = threading.Lock()

    def note(number: int, record: RoundRecord) -> None:
        with lock:
            records.append((number, record))

    with Fleet(phones, note) as running:
        yield running


def ended(server: Process) -> int:
    return sum(each.seconds is not None for each in rounds_of(server.installation.database))


def story(server: Process) -> str:
    database = server.installation.database
    return "\n".join(line for each in rounds_of(database) for line in timeline(database, each.round_id))


@pytest.fixture
def server(tmp_path: Path, exported: Path) -> Iterator[Process]:
    process = Process(tmp_path, exported)
    yield process
    process.stop()


@pytest.fixture
def hurried_server(tmp_path: Path, exported: Path) -> Iterator[Process]:
    """A server that waits less for phones that went silent."""
    rounds = replace(SETTINGS.rounds, deadlines=Deadlines(30, 50, 70, 90, 110))
    process = Process(tmp_path, exported, replace(SETTINGS, rounds=rounds))
    yield process
    process.stop()


@pytest.mark.slow
def test_ten_flaky_phones_finish_rounds(hurried_server: Process, tmp_path: Path) -> None:
    server, records = hurried_server, list[tuple[int, RoundRecord]]()
    with fleet([server], tmp_path, records, flaky=0.1):
        until(lambda: sum(each.outcome == "finished" for each in rounds_of(server.installation.database)) >= 3, 500)
    finished = [each for each in rounds_of(server.installation.database) if each.outcome == "finished"]
    models = server.installation.models.versions()
    assert len(models) == len(finished) + 1
    assert all(each.phones >= 5 for each in finished)
    weights = server.installation.models.state(models[-1].version).weights
    assert np.isfinite(weights).all()
    assert not np.array_equal(weights, server.installation.models.state(1).weights)
    assert any(record.contributed for _, record in records)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_killed_at_every_step_loses_and_repeats_nothing(server: Process, tmp_path: Path) -> None:
    records: list[tuple[int, RoundRecord]] = []
    kinds = ("advertised", "shared", "uploaded", "confirmed", "unmasked")
    with fleet([server], tmp_path, records):
        for kind in kinds:
            counted = story(server).count(kind)
            until(lambda kind=kind, counted=counted: story(server).count(kind) > counted + 2, 200)  # type: ignore[misc]
            server.kill()
            server.start()
        already = ended(server)
        until(lambda: ended(server) >= already + 2, 300)
    database = server.installation.database
    summaries = rounds_of(database)
    for each in summaries:
        if each.outcome == "finished":
            (version,) = [model for model in server.installation.models.versions() if model.round_id == each.round_id]
            assert version.metrics["phones"] == each.phones <= PHONES  # every accepted update once
        else:
            assert each.outcome.startswith("abandoned: ") or each.seconds is None
    assert sum(each.outcome == "finished" for each in summaries) >= 2, story(server)


@pytest.mark.slow
def test_machines_that_share_a_database_and_a_bucket_are_one_server(
    tmp_path: Path, exported: Path, postgresql: Cluster, s3: ObjectStore
) -> None:
    rounds = replace(SETTINGS.rounds, goal=5, over_selection=2.0)  # so that the phones of one machine are enough
    shared = replace(
        SETTINGS, rounds=rounds, database=postgresql.create_database(), blobs=f"{s3.create_bucket()}/fedkey"
    )
    one = Process(tmp_path / "one", exported, shared)
    for name in ("server", "authority"):
        shutil.copytree(tmp_path / "one" / name, tmp_path / "two" / name)
    two = Process(tmp_path / "two", exported, shared)

    def phones_of(each: RoundSummary) -> int:
        return each.phones if each.outcome == "finished" else 0

    records: list[tuple[int, RoundRecord]] = []
    try:
        with fleet([one, two], tmp_path / "one", records):
            until(lambda: any(phones_of(each) > PHONES // 2 for each in rounds_of(two.installation.database)), 200)
            one.kill()  # it came first, so its coordinator has the lease
            before = len(rounds_of(two.installation.database))
            until(lambda: any(map(phones_of, rounds_of(two.installation.database)[before:])), 200)
    finally:
        one.stop()
        two.stop()
    assert not (tmp_path / "one" / "server" / "blobs").exists()
    versions = two.installation.models.versions()
    assert [version.round_id for version in versions[1:]] == [
        each.round_id for each in rounds_of(two.installation.database) if each.outcome == "finished"
    ]
    assert np.isfinite(two.installation.models.state(versions[-1].version).weights).all()
