"""A real server for `benchmarks/server.py`, and phones whose messages are made and signed beforehand."""

import http.client
import json
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from threading import local
from typing import Any, NamedTuple

import numpy as np
import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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
LONGEST_SECONDS = 1200


def export_of(folder: Path, hidden: int) -> Path:
    """Write what a server begins with: how well it predicts does not matter here."""
    from model.checkpoint import Checkpoint  # noqa: PLC0415 - TensorFlow
    from model.export import export  # noqa: PLC0415
    from model.layout import NetworkConfig, initial_weights  # noqa: PLC0415
    from model.vocabulary import Vocabulary  # noqa: PLC0415

    folder.mkdir(exist_ok=True)
    vocabulary = Vocabulary.train(TEXTS * 20, size=120)
    network = NetworkConfig(vocabulary.size, hidden=hidden)
    (folder / "public.txt").write_text("\n".join(TEXTS) + "\n")
    return export(
        Checkpoint(network, initial_weights(network, 0), vocabulary), folder / "export", inference="float32"
    ).directory


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    port: int
    key: bytes
    authority: Authority
    process: psutil.Process

    def rss_bytes(self) -> int:
        """Memory of all of its processes; what they share counts once."""
        return sum(each.memory_full_info().pss for each in self._processes())

    def cpu_seconds(self) -> float:
        """Processor time of all of its processes so far."""
        return sum(sum(each.cpu_times()[:2]) for each in self._processes())

    def _processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def serving(folder: Path, export: Path, workers: int, phones: int, database: str = "") -> Iterator[Server]:
    """Run `fedkey serve` over an empty folder, whose round waits for this many phones."""
    folder.mkdir(parents=True)
    rounds = RoundSettings(
        goal=phones,
        minimum=min(phones, 100),
        over_selection=1.0,
        weight_cap=1,
        deadlines=Deadlines(*(step * LONGEST_SECONDS for step in range(1, 6))),
        slot_seconds=LONGEST_SECONDS,
    )
    rates = RateLimits(device="100000/second", address="100000/second")
    (folder / "settings.toml").write_text(ServerSettings(rounds=rounds, rates=rates, database=database).to_toml())
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
            about = until(lambda: _about(port))
            yield Server(
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


def until(ask: Callable[[], Any]) -> Any:
    """Return the first answer that is something."""
    end = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.02)
    raise TimeoutError("the server does not get there")


@dataclass
class Phone:
    """A device, and where it stands in the round."""

    key: DeviceKey
    credential: Credential
    plan: Any = None
    phase: Any = None

    def ask(self, server: Server, method: str, path: str, body: bytes = b"") -> "Request":
        """Return a request, signed now."""
        target = f"/v1{path}"
        headers = request_signing.sign(
            self.key, self.credential, server.key, method=method, target=target, body=body, now=time.time()
        )
        return Request(method, target, body, headers)

    def check_in(self, server: Server) -> "Request":
        """Return a check-in of a phone that could take part."""
        return self.ask(server, "POST", "/check-in", json.dumps({"conditions": asdict(READY)}).encode())


@dataclass(frozen=True)
class Request:
    """A request, made and signed."""

    method: str
    target: str
    body: bytes
    headers: dict[str, str]


class Connections:
    """Sends requests side by side."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._own = local()
        self._pool = ThreadPoolExecutor(CONNECTIONS)

    def send(self, requests: Sequence[Request], *, once: bool = False) -> tuple[list[bytes], list[float], float]:
        """Return the answers, the seconds of each and of all; `once` takes "not yet" for an answer."""
        began = time.perf_counter()
        answers = list(self._pool.map(partial(self._send, once=once), requests))
        seconds = time.perf_counter() - began
        return [answer for answer, _ in answers], [each for _, each in answers], seconds

    def _send(self, request: Request, *, once: bool) -> tuple[bytes, float]:
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LONGEST_SECONDS)
            self._own.connection.connect()
            self._own.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = self._own.connection
        began = time.perf_counter()
        while True:
            try:
                connection.request(request.method, request.target, request.body or None, request.headers)
                response = connection.getresponse()
            except ConnectionError:  # it was idle for longer than the server keeps it
                connection.close()
                continue
            answer: bytes = response.read()
            if once and response.status == http.HTTPStatus.TOO_EARLY:
                return answer, time.perf_counter() - began
            if response.status not in {http.HTTPStatus.TOO_EARLY, http.HTTPStatus.SERVICE_UNAVAILABLE}:
                break  # as phones do, it waits where a step has not begun, or others are in line to write
            time.sleep(0.02)
        if response.status >= 300:
            raise RuntimeError(f"{request.method} {request.target}: {response.status} {answer!r}")
        return answer, time.perf_counter() - began


def enrolled(authority: AuthorityFolder) -> Phone:
    """Return a device with real keys."""
    key = DeviceKey(secrets.token_bytes(DEVICE_ID_BYTES), Ed25519PrivateKey.generate())
    identity = DeviceKey(secrets.token_bytes(DEVICE_ID_BYTES), Ed25519PrivateKey.generate())
    return Phone(key, authority.enrol(EnrolmentRequest.signed(identity, key)))


def selected(connections: Connections, server: Server, cohort: Sequence[Phone]) -> bool:
    """Check the cohort in; return whether all of it was selected."""
    answers, _, _ = connections.send([device.check_in(server) for device in cohort])
    time.sleep(1)
    return all(json.loads(answer)["round_id"] == 1 for answer in answers)


class Played(NamedTuple):
    """Of a round.

    Attributes:
        uploads: masked vectors.
        latencies: seconds of each upload.
        upload_seconds: of all.
        close_seconds: from the last upload to the new model.
    """

    uploads: list[bytes]
    latencies: list[float]
    upload_seconds: float
    close_seconds: float


def play(connections: Connections, server: Server, cohort: Sequence[Phone]) -> Played:
    """Take a cohort through the round."""
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
    until(lambda: json.loads(connections.send([reader.ask(server, "GET", "/models/current")])[0][0])["version"] == 2)
    return Played(uploads, latencies, seconds, time.perf_counter() - began)
