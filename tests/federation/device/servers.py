"""A server that answers what a test says, and a phone that talks to it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np

from federation.device import Connection, DeviceClient, PhoneStore
from federation.fleet.headless import DEFAULT_POLICY
from federation.protocol import model_codec
from federation.protocol.commitments import Commitments
from federation.protocol.conditions import Conditions
from federation.protocol.credentials import Credential, EnrolmentRequest, Revocations
from federation.protocol.log import Edge, LogEntry, pack
from federation.protocol.plan import Deadlines, RoundPlan
from federation.protocol.policy import PhonePolicy
from federation.protocol.task import DEVICE_CLASSES, ComputeBudget, TrainingTask
from federation.protocol.training_settings import TrainingSettings
from federation.protocol.trust import TRUSTED, Anchors
from federation.updates.encoding import choose
from federation.updates.update import Tally, Update
from tests.federation.secure_aggregation.cohort import private_key
from tests.federation.server.phones import ISSUER, READY, SERVER_KEY, Clock

URL = "http://127.0.0.1"
DIMENSION = 64
EPOCH = 1
WEIGHTS = np.linspace(-1, 1, DIMENSION, dtype=np.float32).tobytes()
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
ANCHORS = Anchors(
    vocabulary="words",
    dimension=DIMENSION,
    version=1,
    server_key=SERVER_KEY.public_key().public_bytes_raw(),
    authority_key=ISSUER.authority.public_key,
    profile=TRUSTED,
)
LATER = json.dumps({"round_id": None, "retry_after_seconds": 5, "reason": "later"}).encode()
FIRST_ENTRY = LogEntry(version=1, parent=None, sha256=SHA256, accepted=True).to_bytes()
REVOKED = Revocations(issued=1).signed(private_key("authority"))
TASK = TrainingTask(
    commitments=Commitments(
        epoch=EPOCH, revoked=hashlib.sha256(REVOKED).digest(), log_size=1, log_root=Edge.of([FIRST_ENTRY]).root
    ),
    nonce=bytes(32),
    model_version=1,
    training=TrainingSettings(learning_rate=0.1, epochs=1, gradient_norm=1.0, dropout=0.0),
    budgets={name: ComputeBudget(steps=10, seconds=10) for name in DEVICE_CLASSES},
    needed=READY,
    separation_seconds=0,
)


def vouched(store: PhoneStore, epoch: int = EPOCH) -> Credential:
    """Return the credential that a store asks for; no matter what time it is, it is one epoch."""
    return ISSUER.issue(EnrolmentRequest.from_signed(store.enrolment_request()).pseudonym, epoch)


def signed_plan(round_id: int, task: TrainingTask = TASK, **changes: object) -> bytes:
    """Return a plan as a server answers it: plan, signature, task."""
    plan = RoundPlan(
        round_id=round_id,
        model_sha256=bytes.fromhex(SHA256),
        dimension=DIMENSION,
        encoding=choose(10, 1.0, DIMENSION),
        clip=1.0,
        weight_cap=100,
        rotation_seed=task.rotation_seed,
        minimum=5,
        deadlines=Deadlines(10, 20, 300, 320, 340),
    )
    return replace(plan, **changes).signed(SERVER_KEY) + task.to_bytes()  # type: ignore[arg-type]


def called(round_id: object) -> bytes:
    return json.dumps({"round_id": round_id, "retry_after_seconds": 0, "reason": ""}).encode()


@dataclass
class Scripted(httpx.BaseTransport):
    """Answers as an honest server whose phones have nothing to do, but for what `instead` says.

    Attributes:
        round_id: that phones are called to.
        plan: of that round.
        log: of models.
        instead: returns another answer for a path, or nothing.
        paths: that were asked for.
    """

    round_id: object = None
    plan: bytes = b""
    instead: Callable[[str], httpx.Response | bytes | None] = lambda _: None
    log: list[bytes] = field(default_factory=lambda: [FIRST_ENTRY])
    paths: list[str] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        path = request.url.path
        self.paths.append(path)
        answer = self.instead(path)
        if isinstance(answer, httpx.Response):
            return answer
        content = self._honest(path) if answer is None else answer
        if content is None:
            return httpx.Response(404, json={"error": "there is none"})
        return httpx.Response(200, content=content)

    def _honest(self, path: str) -> bytes | None:  # noqa: PLR0911 - one for each endpoint
        if path == "/v1/server":
            facts = {
                "server_key": SERVER_KEY.public_key().public_bytes_raw().hex(),
                "authority_key": ISSUER.authority.public_key.hex(),
                "vocabulary": ANCHORS.vocabulary,
                "dimension": DIMENSION,
                "enrolment_url": "",
            }
            return json.dumps(facts).encode()
        if path == "/v1/check-in":
            return called(self.round_id)
        if path == "/v1/models/current":
            signature = SERVER_KEY.sign(model_codec.signed_part(1, SHA256)).hex()
            return json.dumps({"version": 1, "sha256": SHA256, "signature": signature}).encode()
        if path.endswith("/plan"):
            return self.plan
        if path.startswith("/v1/log/"):
            return pack(self.log[int(path.rsplit("/", 1)[1]) :])
        if path == f"/v1/revoked/{hashlib.sha256(REVOKED).hexdigest()}":
            return REVOKED
        if path.endswith(("/advertise", "/share", "/events")):
            return b""
        return WEIGHTS if path == f"/v1/models/{SHA256}" else None


class ScriptedPhone:
    """A device client whose server is `Scripted`."""

    def __init__(
        self,
        folder: Path,
        server: httpx.BaseTransport,
        clock: Clock,
        *,
        policy: PhonePolicy = DEFAULT_POLICY,
        anchors: Anchors = ANCHORS,
        conditions: Conditions = READY,
    ) -> None:
        self.store = PhoneStore(folder)
        self.renew = lambda: self.store.enrolled(vouched(self.store))
        self.renew()
        self.clock = clock
        self.connection = Connection(URL, self.store, transport=server, clock=clock)
        self.client = DeviceClient(
            self.store,
            self.connection,
            policy=policy,
            train=lambda *_: Update(np.zeros(DIMENSION, np.float32), Tally(1)),
            conditions=lambda: conditions,
            anchors=anchors,
            renew=lambda: self.renew(),  # noqa: PLW0108 - a test may put another in its place
            needed=Conditions(idle=True, charging=True),
            shipped=lambda: np.frombuffer(WEIGHTS, np.float32),
            clock=clock,
            uniform=lambda: 0.5,
        )

    def step(self) -> float:
        """Take the next step that does something."""
        self.clock.now += max(self.client.step(), 0.0)
        return self.client.step()


def of_instance(number: int) -> TrainingTask:
    return replace(TASK, commitments=replace(TASK.commitments, instance=bytes([number]) * 16))
