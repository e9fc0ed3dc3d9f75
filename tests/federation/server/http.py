"""A server's application in this process, with device clients that talk to it through WSGI."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from federation.device import Connection, DeviceClient, PhoneStore
from federation.device.counts import PinnedLists
from federation.device.running_round import Train
from federation.enrolment.authority import AuthorityFolder
from federation.fleet.enrolled_phones import enrol_at
from federation.fleet.headless import DEFAULT_POLICY
from federation.protocol.conditions import Conditions
from federation.protocol.policy import PhonePolicy
from federation.protocol.task import TrainingTask
from federation.protocol.trust import TRUSTED, Anchors, TrustProfile
from federation.server.history import rounds_of, timeline
from federation.server.installation import Installation
from federation.server.models import Gate, Verdict
from federation.server.serving import application
from federation.server.settings import RoundSettings, ServerSettings
from federation.updates.update import Tally, Update
from model.engine.exported import MANIFEST
from tests.federation.secure_aggregation.cohort import private_key
from tests.federation.server.phones import READY, Clock

URL = "http://127.0.0.1"
PUBLIC = ["hello there how are you", "see you tomorrow then"]


@dataclass
class Seen:
    """What went over the wire.

    Attributes:
        device: that asked.
        path: of the request.
        body: of the request.
        status: of the answer.
        answer: its body.
        answer_headers: of the answer, in small letters.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    answer: bytes
    answer_headers: dict[str, str]


class Wire(httpx.BaseTransport):
    """Carries requests to an application, records them, and fails as it is told to.

    Args:
        application: WSGI, looked up anew for each request, so that it can be restarted.
    """

    def __init__(self, application: Callable[[], object]) -> None:
        self._application = application
        self.seen: list[Seen] = []
        self.lose_request: Callable[[httpx.Request], bool] = lambda _: False
        self.lose_answer: Callable[[httpx.Request], bool] = lambda _: False
        self.tamper: Callable[[httpx.Request, bytes], bytes] = lambda _, content: content

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.lose_request(request):
            raise httpx.ConnectError("lost", request=request)
        body = request.read()
        inner = httpx.WSGITransport(self._application(), raise_app_exceptions=False)  # type: ignore[arg-type]
        response = inner.handle_request(request)
        answer = response.read()
        path = request.url.raw_path.decode()
        headers, told = dict(request.headers), dict(response.headers)
        self.seen.append(Seen(request.method, path, headers, body, response.status_code, answer, told))
        if self.lose_answer(request):
            raise httpx.ReadError("lost", request=request)
        return httpx.Response(
            response.status_code, headers=response.headers, content=self.tamper(request, answer), request=request
        )


def passes(new: object, old: object) -> Verdict:  # noqa: ARG001
    return Verdict(passed=True, metrics={})


class Site:
    """A server in a folder, and its coordinator; `restart` forgets all that was in memory."""

    def __init__(
        self,
        folder: Path,
        export: Path,
        clock: Clock,
        rounds: RoundSettings,
        *,
        gate: Gate = passes,
        database: str = "",
    ) -> None:
        self.clock = clock
        self.folder = folder / "server"
        self.authority = AuthorityFolder.create(folder / "authority", clock)
        self._gate = gate
        self.folder.mkdir()
        (self.folder / "export").symlink_to(export)
        settings = ServerSettings(rounds=rounds, database=database, revoked=str(self.authority.revocations))
        Installation.create(self.folder, settings, self.authority.authority)
        self._application: object = None
        self._begun = False
        self.restart()
        self.installation.begin(self.installation.export.trainer().weights())
        self._begun = True
        self.restart()
        self.wire = Wire(lambda: self.application)

    def restart(self) -> None:
        export = self.installation.export if self._application is not None else None
        self.installation = Installation.load(self.folder, self.clock)
        if export is not None:
            self.installation.__dict__["export"] = export  # never changes, and takes long to read
        counting = self.installation.counting(PUBLIC) if self._begun else None
        self.coordinator = self.installation.coordinator(self._gate, counting=counting)
        self._application = None

    def restart_workers(self) -> None:
        self._application = None
        for each in ("check_ins", "rounds"):
            self.installation.__dict__.pop(each, None)

    def anchors(self, profile: TrustProfile = TRUSTED) -> Anchors:
        """Return what an app of this server brings along."""
        keys = self.installation.public_key, self.authority.authority.public_key
        return Anchors.of(self.installation.export.manifest, *keys, profile=profile)

    def trust(self, profile: TrustProfile = TRUSTED) -> Path:
        """Write what an app of this server brings along, signed by a publisher, and return the file."""
        path = self.folder.parent / "trust.json"
        manifest = self.installation.export.directory / MANIFEST
        self.anchors(profile).write(path, manifest, private_key("publisher"))
        return path

    @property
    def story(self) -> str:
        """What happened in all rounds."""
        database = self.installation.database
        return "\n".join(line for each in rounds_of(database) for line in timeline(database, each.round_id))

    @property
    def application(self) -> object:
        if self._application is None:
            self._application = application(self.installation)
        return self._application


@dataclass
class HttpPhone:
    """A device client with an update that is known beforehand."""

    site: Site
    folder: Path
    number: int
    conditions: Conditions = READY
    policy: PhonePolicy = DEFAULT_POLICY
    profile: TrustProfile = TRUSTED
    learns: Train | None = None
    update: Update = field(init=False)

    def __post_init__(self) -> None:
        manifest = self.site.installation.export.manifest
        random = np.random.default_rng(self.number)
        delta = random.normal(0, 0.01, manifest.network.parameters).astype(np.float32)
        self.update = Update(delta, Tally(10 + self.number % 6, 100, 250.0, 12))
        self.store = PhoneStore(self.folder / f"phone-{self.number}")
        if self.store.credential is None:
            self.renew()
        self.start()

    def renew(self) -> None:
        enrol_at(self.site.authority, self.store)

    def start(self) -> None:
        """Begin as a process does that was killed or never ran."""
        export = self.site.installation.export
        self.connection = Connection(URL, self.store, transport=self.site.wire, clock=self.site.clock)
        self.client = DeviceClient(
            self.store,
            self.connection,
            policy=self.policy,
            train=self.learns or self.train,
            conditions=lambda: self.conditions,
            anchors=self.site.anchors(self.profile),
            renew=self.renew,
            counted=PinnedLists.of(export.mixture.public, export.vocabulary),
            shipped=lambda: self.site.installation.export.trainer().weights(),
            clock=self.site.clock,
            uniform=lambda: 0.5,
        )

    def train(self, weights: bytes, task: TrainingTask) -> Update:  # noqa: ARG002
        return self.update


def run(
    site: Site, phones: list[HttpPhone], *, until: Callable[[], bool], seconds: float = 3600, tick: bool = True
) -> None:
    """Let phones and coordinator act in turn, moving time from one to the next, until something holds."""
    ends = site.clock.now + seconds
    while not until():
        assert site.clock.now < ends, site.story
        waits = [phone.client.step() for phone in phones]
        while tick and site.coordinator.tick():
            waits = [0.0]
        site.clock.now += min([*waits, 5.0])
