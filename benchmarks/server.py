"""What the round server does in a second, beside the cost of writing and adding the same bytes.

    uv run python -m benchmarks.server

For each number of workers `fedkey serve` starts over an empty folder, with SQLite and files as it comes. Enrolled
devices with real keys check in, and a cohort of phones goes through a whole round of secure aggregation over HTTP, with
masked vectors of 1.4 million parameters. Requests are made and signed before the clock starts, and sent by 16
connections, which share the machine with the server. p99 is over single requests.

The reference of uploads is the same bytes written to the same disk, each made to last, and added up, by one process; of
check-ins, one SQLite transaction for each; of a close, the masked vectors read and added. A close is the time from the
last upload's answer to the new model: two more steps of every phone, unmasking, the gate on a few messages, storing.
"""

import argparse
import http.client
import json
import os
import secrets
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.results import Figure, write
from federation.base.rate_limits import RateLimits
from federation.enrolment.authority import AuthorityFolder
from federation.protocol import request_signing
from federation.protocol.conditions import Conditions
from federation.protocol.credentials import Credential, EnrolmentRequest
from federation.protocol.plan import PLAN_BYTES, Deadlines, RoundPlan
from federation.protocol.steps import Step
from federation.secure_aggregation import Authority, Device, DeviceKey, phone
from federation.secure_aggregation.identity import DEVICE_ID_BYTES, SIGNATURE_BYTES
from federation.server.settings import RoundSettings, ServerSettings
from federation.updates.update import Tally, Update

CONNECTIONS = 16
READY = Conditions(idle=True, charging=True, unmetered=True)
TEXTS = ["hello there how are you", "i am fine and you", "see you tomorrow then", "what are you doing", "nothing much"]
LONGEST_SECONDS = 300


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--phones", type=int, default=100)
    parser.add_argument("--check-ins", type=int, default=1500)
    parser.add_argument(
        "--hidden", type=int, default=2037, help="cells of the network; 2037 make 1.4 million parameters"
    )
    arguments = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="fedkey-benchmark-") as name:
        export = _export(Path(name), arguments.hidden)
        desk = AuthorityFolder.create(Path(name) / "authority")
        devices = [_enrolled(desk) for _ in range(arguments.phones + arguments.check_ins)]
        cohort, crowd = devices[: arguments.phones], devices[arguments.phones :]
        for workers in arguments.workers:
            figures += _measure(Path(name) / str(workers), export, workers, cohort, crowd)
    write("server", figures)


def _export(folder: Path, hidden: int) -> Path:
    """Write what a server begins with: how well it predicts does not matter here."""
    from model.checkpoint import Checkpoint  # noqa: PLC0415 - TensorFlow
    from model.export import export  # noqa: PLC0415
    from model.layout import NetworkConfig, initial_weights  # noqa: PLC0415
    from model.vocabulary import Vocabulary  # noqa: PLC0415

    vocabulary = Vocabulary.train(TEXTS * 20, size=120)
    network = NetworkConfig(vocabulary.size, hidden=hidden)
    (folder / "public.txt").write_text("\n".join(TEXTS) + "\n")
    return export(
        Checkpoint(network, initial_weights(network, 0), vocabulary), folder / "export", inference="float32"
    ).directory


@dataclass(frozen=True)
class _Server:
    port: int
    key: bytes
    authority: Authority
    process: psutil.Process

    def rss_bytes(self) -> int:
        """Memory of all of its processes; what they share counts once."""
        return sum(each.memory_full_info().pss for each in [self.process, *self.process.children(recursive=True)])


@contextmanager
def _serving(folder: Path, export: Path, workers: int, phones: int) -> Iterator[_Server]:
    folder.mkdir()
    rounds = RoundSettings(
        goal=phones,
        minimum=phones,
        over_selection=1.0,
        weight_cap=1,
        deadlines=Deadlines(*(step * LONGEST_SECONDS for step in range(1, 6))),
    )
    rates = RateLimits(device="100000/second", address="100000/second")
    (folder / "settings.toml").write_text(ServerSettings(rounds=rounds, rates=rates).to_toml())
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port: int = free.getsockname()[1]
    options = {
        "folder": folder / "server",
        "authority": folder.parent / "authority",
        "model": export,
        "settings": folder / "settings.toml",
        "public-text": export.parent / "public.txt",
        "port": port,
        "workers": workers,
    }
    command = [sys.executable, "-m", "fedkey", "serve"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            about = _until(lambda: _about(port))
            yield _Server(
                port,
                bytes.fromhex(about["server_key"]),
                Authority(bytes.fromhex(about["authority_key"])),
                psutil.Process(process.pid),
            )
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _about(port: int) -> Any:
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request("GET", "/v1/server")
            return json.loads(connection.getresponse().read())
    except OSError:
        return None


def _until(ask: Callable[[], Any]) -> Any:
    """Return the first answer that is something."""
    end = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.02)
    raise TimeoutError("the server does not get there")


@dataclass
class _Phone:
    """A device, and where it stands in the round."""

    key: DeviceKey
    credential: Credential
    plan: Any = None
    phase: Any = None

    def ask(self, server: _Server, method: str, path: str, body: bytes = b"") -> "_Request":
        target = f"/v1{path}"
        headers = request_signing.sign(
            self.key, self.credential, server.key, method=method, target=target, body=body, now=time.time()
        )
        return _Request(method, target, body, headers)

    def check_in(self, server: _Server) -> "_Request":
        return self.ask(server, "POST", "/check-in", json.dumps({"conditions": asdict(READY)}).encode())


@dataclass(frozen=True)
class _Request:
    method: str
    target: str
    body: bytes
    headers: dict[str, str]


class _Connections:
    """Sends requests side by side."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._own = local()
        self._pool = ThreadPoolExecutor(CONNECTIONS)

    def send(self, requests: Sequence[_Request]) -> tuple[list[bytes], list[float], float]:
        """Return the answers, the seconds of each and of all."""
        began = time.perf_counter()
        answers = list(self._pool.map(self._send, requests))
        seconds = time.perf_counter() - began
        return [answer for answer, _ in answers], [each for _, each in answers], seconds

    def _send(self, request: _Request) -> tuple[bytes, float]:
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LONGEST_SECONDS)
            self._own.connection.connect()
            self._own.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = self._own.connection
        began = time.perf_counter()
        while True:
            connection.request(request.method, request.target, request.body or None, request.headers)
            response = connection.getresponse()
            answer: bytes = response.read()
            if response.status != http.HTTPStatus.TOO_EARLY:
                break
            time.sleep(0.02)
        if response.status >= 300:
            raise RuntimeError(f"{request.method} {request.target}: {response.status} {answer!r}")
        return answer, time.perf_counter() - began


def _measure(
    folder: Path, export: Path, workers: int, cohort: Sequence[_Phone], crowd: Sequence[_Phone]
) -> list[Figure]:
    phones = len(cohort)
    named = f"{workers}_worker" + "s" * (workers > 1)
    with _serving(folder, export, workers, phones) as server:
        connections = _Connections(server.port)
        # The cohort's round is opened first and does not fill meanwhile, so that the crowd only checks in.
        _until(lambda: _selected(connections, server, cohort))
        _, latencies, seconds = connections.send([device.check_in(server) for device in crowd])
        figures = [
            Figure(
                f"check_ins_per_s_{named}",
                len(crowd) / seconds,
                "1/s",
                "SQLite transactions of one row, one process",
                _transactions_per_second(folder),
            ),
            Figure(f"check_in_p99_s_{named}", statistics.quantiles(latencies, n=100)[-1], "s"),
        ]
        uploads, latencies, seconds, close = _round(connections, server, cohort)
        floor_write, floor_read = _floor(folder, uploads)
        figures += [
            Figure(
                f"uploads_per_s_{named}",
                phones / seconds,
                "1/s",
                "write and add the same bytes, one process",
                phones / floor_write,
            ),
            Figure(f"upload_p99_s_{named}", statistics.quantiles(latencies, n=100)[-1], "s"),
        ]
        if workers == 2:
            figures += [
                Figure(f"close_{phones}_phones_s", close, "s", "read and add the same bytes", floor_read),
                Figure("rss_mb", server.rss_bytes() / 1e6, "MB"),
                Figure("upload_mb", len(uploads[0]) / 1e6, "MB"),
            ]
    return figures


def _enrolled(desk: AuthorityFolder) -> _Phone:
    key = DeviceKey(secrets.token_bytes(DEVICE_ID_BYTES), Ed25519PrivateKey.generate())
    identity = DeviceKey(secrets.token_bytes(16), Ed25519PrivateKey.generate())
    return _Phone(key, desk.enrol(EnrolmentRequest.signed(identity, key)))


def _selected(connections: _Connections, server: _Server, cohort: Sequence[_Phone]) -> bool:
    """Check the cohort in; return whether all of it was selected."""
    answers, _, _ = connections.send([device.check_in(server) for device in cohort])
    time.sleep(1)
    return all(json.loads(answer)["round_id"] == 1 for answer in answers)


def _round(
    connections: _Connections, server: _Server, cohort: Sequence[_Phone]
) -> tuple[list[bytes], list[float], float, float]:
    """Take a cohort through the round; return the uploads, the seconds of each and of all, and of the close."""
    path = "/rounds/1"

    def fetch(what: str) -> list[bytes]:
        return connections.send([device.ask(server, "GET", f"{path}/{what}") for device in cohort])[0]

    def post(step: Step, messages: Sequence[bytes]) -> tuple[list[float], float]:
        pairs = zip(cohort, messages, strict=True)
        requests = [device.ask(server, "POST", f"{path}/{step}", message) for device, message in pairs]
        _, latencies, seconds = connections.send(requests)
        return latencies, seconds

    def step_on(answers: Sequence[bytes], take: Callable[[Any, bytes], tuple[bytes, Any]]) -> list[bytes]:
        messages = []
        for device, answer in zip(cohort, answers, strict=True):
            message, device.phase = take(device.phase, answer)
            messages.append(message)
        return messages

    for device, answer in zip(cohort, fetch("plan"), strict=True):
        device.plan = RoundPlan.from_signed(answer[: PLAN_BYTES + SIGNATURE_BYTES], server.key)
        certified = Device(device.key, device.credential.certificate)
        authority = server.authority.at(device.credential.epoch)
        device.phase = phone.AdvertiseKeys(device.plan.session, certified, authority)
    plan = cohort[0].plan
    delta = np.random.default_rng(0).normal(0, plan.clip / np.sqrt(plan.dimension), plan.dimension).astype(np.float32)
    vector = plan.encode(Update(delta, Tally(1, 100, 250.0, 12)), secrets.token_bytes(32))
    post(Step.ADVERTISE, step_on([b""] * len(cohort), lambda phase, _: phase.advertise()))
    post(Step.SHARE, step_on(fetch("roster"), lambda phase, answer: phase.share(answer)))
    uploads = step_on(fetch("inbox"), lambda phase, answer: phase.open(answer).mask(vector))
    latencies, seconds = post(Step.UPLOAD, uploads)
    began = time.perf_counter()
    post(Step.CONFIRM, step_on(fetch("survivors"), lambda phase, answer: phase.confirm(answer)))
    post(Step.UNMASK, step_on(fetch("signatures"), lambda phase, answer: (phase.unmask(answer), None)))
    reader = cohort[0]
    _until(lambda: json.loads(connections.send([reader.ask(server, "GET", "/models/current")])[0][0])["version"] == 2)
    return uploads, latencies, seconds, time.perf_counter() - began


def _transactions_per_second(folder: Path, count: int = 500) -> float:
    with closing(sqlite3.connect(folder / "floor.sqlite", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, content BLOB)")
        began = time.perf_counter()
        for _ in range(count):
            database.execute("INSERT INTO rows (content) VALUES (?)", (bytes(100),))
        return count / (time.perf_counter() - began)


def _floor(folder: Path, uploads: Sequence[bytes]) -> tuple[float, float]:
    """Return the seconds of writing and adding the uploads, and of reading and adding them."""
    words = len(uploads[0]) // 8

    def add(total: Any, data: bytes) -> None:
        np.add(total, np.frombuffer(data, "<u8", words), out=total)

    total = np.zeros(words, "<u8")
    began = time.perf_counter()
    for number, upload in enumerate(uploads):
        with (folder / f"floor{number}").open("xb") as file:
            file.write(upload)
            file.flush()
            os.fsync(file.fileno())
        add(total, upload)
    written = time.perf_counter() - began
    began = time.perf_counter()
    for number in range(len(uploads)):
        add(total, (folder / f"floor{number}").read_bytes())
    return written, time.perf_counter() - began


if __name__ == "__main__":
    main()
