"""What `federation.server.api` says of endpoints, against the routes that there are and the answers that they give."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from federation.base.rate_limits import RateLimits
from federation.device import PhoneStore
from federation.enrolment.authority import AuthorityFolder
from federation.enrolment.service import create_desk
from federation.protocol import request_signing
from federation.protocol.plan import PLAN_BYTES, RoundPlan
from federation.protocol.steps import STEPS, Step
from federation.rounds.server_optimizers import ServerState
from federation.secure_aggregation import Device, phone
from federation.secure_aggregation.messages import HEADER_BYTES, Kind, seal
from federation.server import openapi, serving
from federation.server.api import DESK, ENDPOINTS, Endpoint
from federation.server.installation import Installation
from federation.server.settings import ServerSettings
from federation.server.tables import Base
from tests.federation.server.http import URL, HttpPhone, Site, run
from tests.federation.server.phones import READY, Clock
from tests.federation.server.test_http import SETTINGS, _device, versions

AWAITED = {Step.SHARE: "roster", Step.UPLOAD: "inbox", Step.CONFIRM: "survivors", Step.UNMASK: "signatures"}
BIG = 1 << 70


def test_the_file_says_what_the_module_says() -> None:
    assert openapi.OPENAPI.read_text(encoding="utf-8") == openapi.to_json()


def test_every_route_is_described_and_no_other(site: Site) -> None:
    desk = create_desk(site.authority, rates=RateLimits())
    for application, endpoints in ((site.application, ENDPOINTS), (desk, DESK)):
        routes = {
            (method.lower(), each)
            for rule in application.url_map.iter_rules()  # type: ignore[attr-defined]
            for method in rule.methods - {"HEAD", "OPTIONS"}
            for each in _expanded(rule.rule)
        }
        assert routes == {(each.method, each.path) for each in endpoints}


def _expanded(rule: str) -> list[str]:
    """Return the paths of a rule of Flask's as OpenAPI writes them."""
    path = re.sub("<any[(].*?[)]:what>", "{what}", rule).replace("<int:", "{").replace("<", "{").replace(">", "}")
    if "{any(" not in path:
        return [path]
    before, steps = path.split("{any(")
    return [before + step for step in steps.removesuffix("):step}").split(",")]


@dataclass
class Asked:
    """Every status that each endpoint has answered, and who asks.

    Attributes:
        site: that is asked.
        seen: names of endpoints with statuses.
    """

    site: Site
    seen: set[tuple[str, int]] = field(default_factory=set)

    def __call__(
        self,
        name: str,
        who: PhoneStore | None = None,
        body: bytes = b"",
        *,
        application: object = None,
        sent: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        at: float | None = None,
        nonce: bytes = b"",
        **parameters: object,
    ) -> httpx.Response:
        """Ask once; `sent` is the body if it is another than the one that is signed."""
        endpoint = next(each for each in (*ENDPOINTS, *DESK) if each.name == name)
        target = endpoint.path.format(
            **{"round_id": 1, "first": 0, "sha256": "00", "old": "00", "what": "models", **parameters}
        )
        told = dict(headers or {})
        if who is not None and who.credential is not None:
            told |= request_signing.sign(
                who.key,
                who.credential,
                self.site.installation.public_key,
                method=endpoint.method.upper(),
                target=target,
                body=body,
                now=self.site.clock() if at is None else at,
                nonce=nonce,
            )
        transport = httpx.WSGITransport(application or self.site.application, raise_app_exceptions=False)  # type: ignore[arg-type]
        with httpx.Client(transport=transport, base_url=URL) as client:
            response = client.request(
                endpoint.method.upper(), target, headers=told, content=body if sent is None else sent
            )
        self.note(endpoint, response.status_code, response.content)
        return response

    def note(self, endpoint: Endpoint, status: int, answer: bytes) -> None:
        """Write down an answer, which has to be one of the endpoint's."""
        assert status in endpoint.answers, (endpoint.name, status, answer[:300])
        if status >= 400:
            assert set(json.loads(answer)) == {"error"}
        self.seen.add((endpoint.name, status))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, exported: Path) -> Site:
    return Site(tmp_path_factory.mktemp("api"), exported, Clock(), SETTINGS)


@pytest.fixture(scope="module")
def asked(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Everything that can be provoked."""
    asked, folder = Asked(site), tmp_path_factory.mktemp("asked")
    phones = [HttpPhone(site, folder, number) for number in range(7)]
    _play(asked, phones)
    _read(asked, phones[0].store)
    _turn_away(asked, phones[0].store)
    _break(asked, phones[0].store, folder / "no model")
    _enrol(asked, folder / "desk")
    return asked


def _play(asked: Asked, phones: list[HttpPhone]) -> None:
    """Play a round, and at each step do what must be refused there."""
    site, stranger = asked.site, phones[6]
    done: set[Step] = set()

    def provoke(request: httpx.Request, answer: bytes) -> bytes:
        step = next((step for step in STEPS if request.url.path.endswith(f"/{step}")), None)
        if step is not None and step not in done and site.wire.seen[-1].status == 204:
            done.add(step)
            _refusals(asked, phones, step, request.read(), stranger.store)
        return answer

    stranger.client.step()
    site.wire.tamper = provoke
    run(site, phones[:6], until=lambda: versions(site) == 2)
    site.wire.tamper = lambda _, content: content
    assert done == set(STEPS)
    for seen in site.wire.seen:
        if (endpoint := _endpoint_of(seen.method, seen.path)) is not None:
            asked.note(endpoint, seen.status, seen.answer)
    for step in STEPS:
        asked(step, phones[0].store, b"late")


def _endpoint_of(method: str, path: str) -> Endpoint | None:
    parts = path.split("/")
    for endpoint in ENDPOINTS:
        wanted = endpoint.path.split("/")
        alike = all(want.startswith("{") or want == part for want, part in zip(wanted, parts, strict=False))
        if len(wanted) == len(parts) and endpoint.method == method.lower() and alike:
            return endpoint
    return None


def _refusals(asked: Asked, phones: list[HttpPhone], step: Step, message: bytes, stranger: PhoneStore) -> None:
    """One device has just taken a step, with this message; the others have not."""
    sender = _device(asked.site.wire.seen[-1])
    own = next(each for each in phones if each.store.key.device_id == sender).store
    other = next(each for each in phones[:6] if each.store.key.device_id != sender).store
    assert asked(step, own, message).status_code == 204  # again
    asked(step, own, sent=message)
    asked(step, own, bytes(10_000_000))
    asked(step, own, message, round_id=999)
    asked(step, other, message)
    for wrong in (message[:-1], message[:36] + bytes(64) + message[100:], message[:4] + bytes(32) + message[36:]):
        asked(step, other, wrong)
    payload = bytearray(message[HEADER_BYTES + 64 :])
    payload[-1 if step is not Step.ADVERTISE else 112] ^= 1
    asked(step, own, seal(message[:HEADER_BYTES], bytes(payload), own.key.private_key))
    asked("report", stranger, json.dumps({"event": "plan", "reason": ""}).encode())
    for before in STEPS[: STEPS.index(step)]:
        asked(before, other, b"late")
    for after in STEPS[STEPS.index(step) + 1 :]:
        asked(after, own, b"early")
        asked(AWAITED[after], own)
    if step is Step.SHARE:
        asked("complaint", own, b"early")
    if step is Step.UPLOAD:
        _complain(asked, own, other, message)
        assert asked("cohort", stranger).status_code == 410
        assert asked("complaint", stranger, b"mine").status_code == 410
    if step is Step.ADVERTISE:
        asked("cohort", own)
        _uninvited(asked, stranger)
    else:
        asked(AWAITED[step], stranger)


def _complain(asked: Asked, own: PhoneStore, other: PhoneStore, uploaded: bytes) -> None:
    """Say that somebody dealt garbage, as it is and with something wrong about it."""
    start = bytes([uploaded[0], Kind.COMPLAINT]) + uploaded[2:HEADER_BYTES]
    accused = bytes([1 << (start[2] + 1) % 6])
    message = seal(start, accused, own.key.private_key)
    for _ in range(2):
        assert asked("complaint", own, message).status_code == 204
    asked("complaint", own, sent=message)
    asked("complaint", own, bytes(1 << 20))
    asked("complaint", own, message, round_id=999)
    asked("complaint", other, message)
    asked("complaint", own, message[:-1])
    asked("complaint", own, message[:4] + bytes(32) + message[36:])


def _uninvited(asked: Asked, stranger: PhoneStore) -> None:
    """Advertise keys without having been selected."""
    plan = RoundPlan.from_bytes(asked("plan", stranger).content[:PLAN_BYTES])
    assert stranger.credential is not None
    device = Device(stranger.key, stranger.credential.certificate)
    authority = asked.site.authority.authority.at(stranger.credential.epoch)
    message, _ = phone.AdvertiseKeys(plan.session, device, authority).advertise()
    assert asked("advertise", stranger, message).status_code == 403


def _read(asked: Asked, who: PhoneStore) -> None:
    """Read what there is, and ask for what there is not."""
    models = asked.site.installation.models
    new, old = (models.version(number).sha256 for number in (2, 1))
    for name in ("health", "openapi", "server", "currentModel", "log", "logHead", "roundOfLog"):
        assert asked(name).status_code == 200
    asked("log", first=BIG)
    asked("plan", who, round_id=999)
    asked("roundOfLog", round_id=999)
    for name in (*AWAITED.values(), "cohort"):
        asked(name, who, round_id=BIG)
    asked("cohort", who)
    asked("complaint", who, b"late")
    for again in range(2):
        answer = asked("checkIn", who, json.dumps({"conditions": vars(READY)}).encode(), nonce=b"n" * 16)
        assert answer.status_code == (409 if again else 200)
        asked("report", who, json.dumps({"event": "plan", "reason": ""}).encode(), nonce=b"m" * 16)
    asked("report", who, b"", round_id=1)
    asked("report", who, sent=b"{}")
    asked("report", who, bytes(1 << 20))
    asked("report", who, json.dumps({"event": "plan", "reason": ""}).encode(), round_id=999)
    for body in (b"no JSON", b"[]", b"{}", bytes(1 << 20)):
        asked("checkIn", who, body)
    revoked = hashlib.sha256(asked.site.authority.revocations.read_bytes()).hexdigest()
    for headers in ({}, {"Range": "bytes=5-"}, {"Range": "bytes=99999999-"}, {"If-None-Match": f'"{revoked}"'}):
        asked("revoked", who, sha256=revoked, headers=headers)
    asked("revoked", who, sha256="../models")
    for name, etag in (("model", new), ("published", new), ("difference", f"{old}-{new}")):
        asked(name, who, sha256=new, old=old)
        asked(name, who, sha256=new, old=old, headers={"Range": "bytes=5-"})
        asked(name, who, sha256=new, old=old, headers={"Range": "bytes=99999999-"})
        asked(name, who, sha256=new, old=old, headers={"If-None-Match": f'"{etag}"'})
        asked(name, who)


def _turn_away(asked: Asked, who: PhoneStore) -> None:
    """Ask unsigned, too often, and at another time."""
    site = replace_limits(asked.site, RateLimits(device="1/hour"))
    for endpoint in ENDPOINTS:
        asked(endpoint.name, who if not endpoint.signed else None, application=site)
        asked(endpoint.name, who, application=site)
        asked(endpoint.name, who, application=site)
    asked("checkIn", who, at=asked.site.clock() - 301)
    often = replace_limits(asked.site, RateLimits(address="1/hour"))
    for endpoint in (ENDPOINTS[0], *ENDPOINTS):
        asked(endpoint.name, application=often)


def replace_limits(site: Site, rates: RateLimits) -> object:
    installation = replace(site.installation, settings=replace(site.installation.settings, rates=rates))
    return serving.application(installation)


def _break(asked: Asked, who: PhoneStore, folder: Path) -> None:
    """Ask a server that has no model yet, one that fails, and one whose storage is away."""
    site = asked.site
    folder.mkdir()
    (folder / "export").symlink_to(site.folder / "export")
    empty = Installation.create(folder, ServerSettings(), site.authority.authority)
    empty.database.migrate()
    for name in ("health", "currentModel", "currentCounts"):
        assert asked(name, application=serving.application(empty)).status_code == 404
    empty.models.begin(site.installation.models.state(1), 0.0)
    empty.counts.begin(ServerState(np.zeros(3, np.float32)), 0.0)
    assert asked("currentCounts", application=serving.application(empty)).status_code == 200
    broken = serving.application(site.installation)

    def fail() -> None:
        raise RuntimeError("a fault of the server's")

    broken.before_request_funcs.setdefault(None, []).append(fail)
    for endpoint in ENDPOINTS:
        asked(endpoint.name, who, application=broken)
    Base.metadata.drop_all(empty.database._engine)
    for name in ("health", "currentModel", "currentCounts", "log", "logHead", "roundOfLog", "published"):
        assert asked(name, application=serving.application(empty)).status_code == 503
    site.authority.revocations.write_bytes(b"damaged")
    for endpoint in ENDPOINTS:
        if endpoint.signed:
            assert asked(endpoint.name, who).status_code == 503


def _enrol(asked: Asked, folder: Path) -> None:
    desk = create_desk(AuthorityFolder.create(folder), rates=RateLimits(address="4/hour"))
    request = PhoneStore(folder / "phone").enrolment_request()
    for body in (request, request[:-1], bytes(1000), b"", request):
        asked("enrol", body=body, application=desk)

    def fail() -> None:
        raise RuntimeError("a fault of the service's")

    broken = create_desk(AuthorityFolder.create(folder), rates=RateLimits())
    broken.before_request_funcs.setdefault(None, []).append(fail)
    asked("enrol", body=request, application=broken)


def test_every_answer_that_is_described_can_be_had_and_no_other_is_given(asked: Asked) -> None:
    described = {(endpoint.name, status) for endpoint in (*ENDPOINTS, *DESK) for status in endpoint.answers}
    assert sorted(described - asked.seen) == []


def test_two_models_of_other_sizes_have_no_difference(tmp_path: Path, exported: Path) -> None:
    site = Site(tmp_path, exported, Clock(), SETTINGS)
    site.installation.counts.begin(ServerState(np.zeros(3, np.float32)), 0.0)
    hashes = {"sha256": site.installation.counts.version(2).sha256, "old": site.installation.models.version(1).sha256}
    assert Asked(site)("difference", HttpPhone(site, tmp_path, 0).store, **hashes).status_code == 404
