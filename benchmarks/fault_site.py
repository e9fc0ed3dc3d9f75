"""Servers with phones for `benchmarks/faults.py`: processes that are ended and started, a disk that can be filled."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.fault_line import Line
from benchmarks.fault_records import Ledger, WatchedPool, WatchedTransport
from benchmarks.served import TEXTS
from federation.enrolment.authority import AuthorityFolder
from federation.fleet.enrolled_phones import enrol_at
from federation.fleet.headless import Fleet, HeadlessPhone, HeadlessSettings, Typist
from federation.protocol.plan import Deadlines
from federation.protocol.policy import PhonePolicy
from federation.protocol.trust import Anchors
from federation.server.installation import Installation
from federation.server.settings import RoundSettings, ServerSettings
from model.engine import Export
from tests.databases import Cluster, cluster

PHONES = 7
ROUNDS = RoundSettings(
    goal=6,
    minimum=3,
    over_selection=PHONES / 6,
    weight_cap=16,
    deadlines=Deadlines(15, 25, 45, 55, 65),
    separation_seconds=1,
    slot_seconds=10,
    meeting_seconds=2,
    grace_seconds=3,
)
POLICY = PhonePolicy(min_phones=3, min_noise_multiplier=0.0, max_clip=100.0, max_bits=64.0)
STARTING_SECONDS = 300.0
_WORKERS = 2
_LOG_END = 4000
_DISK = "512m"
_BALLAST = "ballast"
_CLOCK = """
import os, time

_told, _right = os.open(os.environ["FEDKEY_BENCHMARK_CLOCK"], os.O_RDONLY), time.time
time.time = lambda: _right() + float(os.pread(_told, 16, 0))
"""
"""Loaded by Python before anything else: the one clock that the server reads, set as a file says."""


class Machine:
    """One `fedkey serve`, behind a line that phones come through.

    Args:
        name: for people.
        folder: of the server, and of what it is made of.
        given: options of the first start.
        log: File that what it prints is added to.
    """

    def __init__(self, name: str, folder: Path, given: Sequence[str], log: Path) -> None:
        self.name, self.folder, self._log = name, folder, log
        self._port, self._admin_port = (_free_port() for _ in range(2))
        self.line = Line(self._port)
        options = ["--folder", str(folder), "--port", str(self._port), "--workers", str(_WORKERS), *given]
        self._command = [sys.executable, "-m", "fedkey", "serve", *options, "--admin-port", str(self._admin_port)]
        self._offset = log.with_suffix(".clock")
        self.set_clock(0)
        customised = log.with_suffix(".python")
        customised.mkdir()
        (customised / "sitecustomize.py").write_text(_CLOCK)
        self._environment = {
            **os.environ,
            "TMPDIR": str(folder.parent),  # most machines have one disk
            "FEDKEY_BENCHMARK_CLOCK": str(self._offset),
            "PYTHONPATH": os.pathsep.join([str(customised), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        }
        self.process: subprocess.Popen[bytes]
        self._begin()

    def _begin(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )

    def start(self) -> None:
        """Start it as an operator's supervisor does: until it answers.

        Raises:
            TimeoutError: it does not.
        """
        ends = time.monotonic() + STARTING_SECONDS
        while not self.answers():
            if time.monotonic() > ends:
                raise TimeoutError(f"{self.name} does not answer: {self._log.read_text()[-_LOG_END:]}")
            if self.process.poll() is not None:  # what is left of the one before may still listen
                time.sleep(0.5)
                self._begin()
            time.sleep(0.1)

    def answers(self) -> bool:
        """Whether it is there for phones and for its operator."""
        try:
            asked = [httpx.get(f"http://127.0.0.1:{self._port}/healthz", timeout=5)]
            asked += [httpx.get(f"http://127.0.0.1:{self._admin_port}/readyz", timeout=5)]
        except httpx.TransportError:
            return False
        return all(answer.status_code == httpx.codes.OK for answer in asked)

    @property
    def master(self) -> psutil.Process:
        """Gunicorn's."""
        return psutil.Process(self.process.pid)

    @property
    def workers(self) -> list[psutil.Process]:
        """Gunicorn's: they run the command of their master."""
        return [child for child in self.master.children() if _command_of(child) == self._command]

    @property
    def coordinator(self) -> list[psutil.Process]:
        """The process that moves rounds on, while there is one."""
        return [child for child in self.master.children() if "coordinate" in _command_of(child)]

    @property
    def processes(self) -> list[psutil.Process]:
        """All of its processes."""
        return [self.master, *self.master.children(recursive=True)]

    def kill(self) -> None:
        """End all processes at once, as a power cut does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def set_clock(self, seconds: float) -> None:
        """Let the server's clock be so far from this machine's."""
        descriptor = os.open(self._offset, os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(descriptor, f"{seconds:+16.0f}".encode(), 0)
        finally:
            os.close(descriptor)

    def stop(self) -> None:
        """End it in order."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.kill()
        self.line.close()


@dataclass
class Site:
    """Machines that serve one database, and phones.

    Attributes:
        name: for people.
        machines: `fedkey serve` on each.
        installation: of the first, read from outside.
        ledger: What the phones know.
        phones: of the site.
        disk: where database and blobs are, if it can be filled.
        cluster: PostgreSQL, if they run on it.
        database_line: that machines come to it through.
        own_url: of its database, past that line.
    """

    name: str
    machines: list[Machine]
    installation: Installation
    ledger: Ledger
    phones: list[HeadlessPhone]
    disk: Path | None
    cluster: Cluster | None = None
    database_line: Line | None = None
    own_url: str = ""

    def fill_disk(self) -> None:
        """Leave no byte free."""
        assert self.disk is not None
        with (self.disk / _BALLAST).open("wb", buffering=0) as ballast:
            for chunk in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        ballast.write(bytes(chunk))
                except OSError:
                    continue

    def empty_disk(self) -> None:
        """Give back what was taken."""
        assert self.disk is not None
        (self.disk / _BALLAST).unlink()

    def start(self) -> None:
        """Start whatever does not run, and wait until all of it answers."""
        if self.cluster is not None and not self.cluster.is_running:
            self.cluster.start()
        for machine in self.machines:
            machine.start()


@contextmanager
def site(name: str, folder: Path, export: Path, *, postgresql: bool) -> Iterator[Site]:
    """Run one machine with SQLite, or two on one PostgreSQL, and phones that are told apart by what they type."""
    with ExitStack() as stack:
        folder.mkdir()
        disk = folder / "disk"
        mounted = stack.enter_context(_mounted(disk))
        made, line, own_url = None, None, ""
        settings = ServerSettings(rounds=ROUNDS, max_relative_gate_loss=10.0)
        if postgresql:
            made = stack.enter_context(cluster(disk, lasting=True))
            line = Line(made.socket)
            stack.callback(line.close)
            own_url = made.create_database().replace("+psycopg", "")
            schema = own_url.partition("options=")[2]
            url = f"postgresql://fedkey@127.0.0.1:{line.port}/postgres?options={schema}"
            settings = ServerSettings(
                rounds=ROUNDS, max_relative_gate_loss=10.0, database=url, blobs=str(disk / "blobs")
            )
        (folder / "settings.toml").write_text(settings.to_toml())
        given = ["--authority", str(folder / "authority"), "--model", str(export)]
        given += ["--settings", str(folder / "settings.toml"), "--public-text", str(export.parent / "public.txt")]
        machines: list[Machine] = []
        for number in range(2 if postgresql else 1):
            own = disk / f"server{number}"
            if number:
                shutil.copytree(disk / "server0", own)
            machine = Machine(f"{name} {number + 1}", own, given, folder / f"server{number}.log")
            stack.callback(machine.stop)
            machine.start()
            machines.append(machine)
        ledger = Ledger()
        phones = _phones(folder, machines, ledger)
        shown = Site(
            name,
            machines,
            Installation.load(machines[0].folder),
            ledger,
            phones,
            disk if mounted else None,
            made,
            line,
            own_url,
        )
        stack.callback(shown.installation.database.close)
        stack.enter_context(Fleet(phones, lambda *_: None))
        yield shown


def _phones(folder: Path, machines: Sequence[Machine], ledger: Ledger) -> list[HeadlessPhone]:
    server = machines[0].folder
    export = Export.load(server / "export")
    authority = AuthorityFolder(folder / "authority")
    anchors = Anchors.read(export.directory, export.manifest)
    words = sorted({word for text in TEXTS for word in text.split()})
    made: list[HeadlessPhone] = []
    for number in range(PHONES):
        draw = random.Random(number)
        typed = [" ".join(draw.choices(words, k=6)) for _ in range(40)]
        made.append(
            HeadlessPhone(
                folder / "phones" / str(number),
                f"http://127.0.0.1:{machines[number % len(machines)].line.port}",
                enrol=lambda store: enrol_at(authority, store),
                typist=Typist(typed, at_first=20, a_round=1),
                pool=WatchedPool(export, _learned(ledger, made, number)),
                anchors=anchors,
                settings=HeadlessSettings(policy=POLICY),
                seed=1,
                index=number,
                transport=WatchedTransport(_answered(ledger, made, number)),
            )
        )
        enrol_at(authority, made[-1].store)
    return made


def _learned(ledger: Ledger, phones: Sequence[HeadlessPhone], number: int) -> Callable[..., None]:
    return lambda nonce, update: ledger.learned(phones[number].store.key.device_id, nonce, update)


def _answered(ledger: Ledger, phones: Sequence[HeadlessPhone], number: int) -> Callable[[str, int], None]:
    return lambda path, status: ledger.answered(phones[number].store.key.device_id, path, status)


@contextmanager
def _mounted(folder: Path) -> Iterator[bool]:
    """Give a small disk of its own, if this user may mount one; else a folder."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=755", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _command_of(process: psutil.Process) -> list[str]:
    try:
        found: list[str] = process.cmdline()
    except psutil.Error:  # it is ending
        return []
    return found
