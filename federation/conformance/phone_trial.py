"""A server for one foreign phone: it plays rounds with it, misbehaves in every way of `cases`, and says what it did."""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.base.files import write_private
from federation.conformance.cases import CASES, FORBIDDEN, Case
from federation.conformance.encoded import encoding_faults
from federation.conformance.rehearsal import DIMENSION, MIN_PHONES, Rehearsal, World
from federation.conformance.report import Report
from federation.protocol import request_signing, versions
from federation.protocol.credentials import CredentialError, EnrolmentRequest
from federation.protocol.drop_reasons import DropReason
from federation.protocol.log import pack
from federation.protocol.model_codec import delta, sha256
from federation.protocol.steps import STEPS, Step
from federation.protocol.trust import TRUSTED, Anchors
from federation.secure_aggregation.errors import SecureAggregationError
from model.engine.exported import MANIFEST

VOCABULARY = "conformance"
_WRONG_CLOCK_SECONDS = 1000
_AWAITED = ("roster", "cohort", "inbox", "survivors", "signatures")


@dataclass(frozen=True)
class Answer:
    """To a request; a status of 0 is none.

    Attributes:
        status, headers, body: of it.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Running:
    """A case that is being tried.

    Attributes:
        case: that it is.
        rehearsal: its round.
        plan: as the phone gets it.
        hiccups: answers that it still has to get.
        since: of the latest request, seconds since 1970.
        deceived: whether the phone has got the answer that is tampered with.
        left: code that the phone said it left with.
        problems: what the phone did that it must not.
    """

    case: Case
    rehearsal: Rehearsal
    plan: bytes
    hiccups: dict[str, tuple[int, Mapping[str, str]]]
    since: float
    deceived: bool = False
    left: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether the phone did what it must not, or said that it left."""
        return bool(self.problems)


class PhoneTrial:
    """Answers one phone's requests, and reports.

    Args:
        clock: seconds since 1970.
        show: told of each check as it comes; see `Report`.
        patience_seconds: for which a phone in a round may be silent before it is taken to have left.
        cases: that are tried, in this order.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        show: Callable[[Any], None] = lambda _: None,
        *,
        patience_seconds: float = 20.0,
        cases: Sequence[Case] = CASES,
    ) -> None:
        self.world = World(clock())
        self.report = Report(show)
        self._clock = clock
        self._patience = patience_seconds
        self._left = list(cases)
        self._running: _Running | None = None
        self._round_id = self._joined_id = 0
        self._skew = 0
        self._lock = threading.Lock()
        self._asked_at = clock()
        self._faults: dict[str, str] = {}
        self._babble = [b"<html>please sign in to the network</html>", b'{"round_id": 1e400}', b"[" * 50_000]

    @property
    def over(self) -> bool:
        """Whether everything was tried."""
        return self._running is None and not self._left

    @property
    def idle_seconds(self) -> float:
        """Since the phone asked for anything."""
        return self._clock() - self._asked_at

    def write_trust(self, path: Path, publisher: Ed25519PrivateKey) -> None:
        """Write what the phone brings along: keys and the trusted profile, signed by a publisher of the trial's own."""
        manifest = path.with_name(MANIFEST)
        write_private(manifest, json.dumps({"vocabulary": VOCABULARY, "dimension": DIMENSION}).encode())
        Anchors(
            vocabulary=VOCABULARY,
            dimension=DIMENSION,
            version=1,
            server_key=self.world.server_public,
            authority_key=self.world.issuer.authority.public_key,
            profile=replace(TRUSTED, min_phones=MIN_PHONES),
        ).write(path, manifest, publisher)

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request."""
        with self._lock:
            self._asked_at = self._clock()
            answer = self._answered(method, target, {name.lower(): value for name, value in headers.items()}, body)
            told = str(int(self._clock() + self._skew))
            return Answer(answer.status, answer.body, {**answer.headers, request_signing.TIME_HEADER: told})

    def _answered(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if (method, target) == ("POST", "/v1/enrol"):
            return self._enrol(body)
        if (method, target) == ("GET", "/v1/server"):
            return _json(200, self._facts())
        if method == "GET" and target.startswith("/v1/log/"):
            return self._log(target)
        if target == "/v1/models/current":
            return _json(200, self.world.current)
        try:
            signed = request_signing.check(
                lambda name: headers.get(name.lower()),
                self.world.server_public,
                method=method,
                target=target,
                now=self._clock() + self._skew,
            )
            signed.credential.check(self.world.issuer.authority, self._clock())
            if hashlib.sha256(body).digest() != signed.body_sha256:
                raise CredentialError("the body is not the one that was signed")  # noqa: TRY301
        except CredentialError as error:
            if not isinstance(error, request_signing.SkewError):
                self._faults["requests"] = f"{method} {target}: {error}"
            return _refusal(401, str(error))
        return self._for_phone(method, target, body)

    def _for_phone(self, method: str, target: str, body: bytes) -> Answer:
        """Answer a request that the phone signed."""
        if (method, target) == ("POST", "/v1/check-in"):
            return self._check_in(body)
        if target.startswith("/v1/models/"):
            return self._model(target)
        if target.startswith("/v1/revoked/"):
            found = hashlib.sha256(self.world.revoked).hexdigest() == target.rsplit("/", 1)[1]
            return self._given("revoked", self.world.revoked) if found else _refusal(404, "there is no such list")
        number, _, what = target.removeprefix("/v1/rounds/").partition("/")
        running = self._running
        if running is None or number != str(running.rehearsal.plan.round_id) or running.is_over:
            return _refusal(410, "the round is over: check in")
        running.since = self._clock()
        hiccup = running.hiccups.pop(f"{method} {what}", None)
        if hiccup is not None and hiccup[0] in {401, 425}:
            self._skew = _WRONG_CLOCK_SECONDS if hiccup[0] == 401 else self._skew
            return _refusal(hiccup[0], "not now", hiccup[1])
        answer = self._in_round(running, method, what, body)
        return answer if hiccup is None else Answer(hiccup[0], b'{"error": "busy"}', hiccup[1])

    def _in_round(self, running: _Running, method: str, what: str, body: bytes) -> Answer:
        if method == "POST":
            if what in STEPS:
                return self._message(running, Step(what), body)
            return self._event(running, body) if what == "events" else Answer(204)
        if what == "plan" or what in running.rehearsal.answers:
            return self._given(what, running.plan if what == "plan" else running.rehearsal.answers[what])
        if what in _AWAITED:
            return _refusal(425, "the step before is still open", {"Retry-After": "1"})
        return _refusal(404, f"there is no {what}")

    def _given(self, what: str, answer: bytes) -> Answer:
        """Answer with what is asked for, tampered with if the case wants that."""
        running = self._running
        if running is None or running.case.at != what:
            return Answer(200, answer)
        running.deceived = True
        return Answer(200, running.case.tamper(running.rehearsal, answer))

    def _message(self, running: _Running, step: Step, body: bytes) -> Answer:
        rehearsal, case = running.rehearsal, running.case
        before = rehearsal.sent.get(step)
        if before is not None:
            if before != body:
                running.problems.append(f"it sent something else as {step.value} than before")
                return _refusal(409, "something else was sent before")
            return Answer(204)
        if case.at and running.deceived and step is FORBIDDEN[case.at]:
            running.problems.append(f"it went on with {step.value}")
            return _refusal(410, "the trial of this round is over")
        self._joined_id = rehearsal.plan.round_id
        try:
            rehearsal.take(step, body)
        except SecureAggregationError as error:
            running.problems.append(f"its {step.value} is wrong: {error}")
            return _refusal(422, str(error))
        if rehearsal.aggregate is not None:
            running.problems += encoding_faults(rehearsal.plan, rehearsal.vector)
            self._conclude("")
        return Answer(204)

    def _event(self, running: _Running, body: bytes) -> Answer:
        try:
            told = json.loads(body)
            event, reason = told["event"], DropReason.read(told["reason"])
        except (KeyError, TypeError, ValueError):
            running.problems.append("it reported something that is no event")
            return _refusal(400, "this is no event")
        if event in {"refused", "failed"}:
            running.left = reason.value
        return Answer(204)

    def _check_in(self, body: bytes) -> Answer:
        """Conclude the case before, and begin the next."""
        try:
            told = json.loads(body)
            conditions, theirs = told["conditions"], versions.read(told.get("protocols", [versions.FIRST]))
            right = all(isinstance(conditions[name], bool) for name in ("idle", "charging", "unmetered"))
        except (KeyError, TypeError, ValueError):
            right, theirs = False, ()
        if not right or versions.common(theirs) is None:
            self._faults["check-in"] = "a check-in that is none, or of no version of the protocol"
            return _refusal(400, "this is no check-in")
        self._conclude("it left without a word")
        if self._babble:
            return Answer(200, self._babble.pop())
        if not self._left:
            return _json(200, {"round_id": None, "retry_after_seconds": 3600.0, "reason": "the trial is over"})
        return _json(200, {"round_id": self._begin(self._left.pop(0)), "retry_after_seconds": 0.0, "reason": ""})

    def _begin(self, case: Case) -> int:
        self._round_id += 1
        round_id = self._joined_id if case.stale else self._round_id
        rehearsal = case.begin(self.world, round_id)
        answer = rehearsal.plan.signed(self.world.server_key) + rehearsal.task.to_bytes()
        self._running = _Running(case, rehearsal, answer, dict(case.hiccup), self._clock())
        return round_id

    def _conclude(self, silence: str) -> None:
        """Report on the running case, if there is one.

        Args:
            silence: what is said of a phone that neither finished nor said that it left.
        """
        running, self._running = self._running, None
        if running is None:
            return
        self._skew = 0
        case, problems = running.case, list(running.problems)
        finished = running.rehearsal.aggregate is not None
        if not case.at and not finished and not problems:
            problems.append(f"it left: {running.left or silence}")
        if case.at and not running.deceived:
            self.report.leave_out(case.name, f"the phone {case.rule}", f"it did not come so far: {running.left}")
            return
        self.report.add(case.name, f"the phone {case.rule}", holds=not problems, found="; ".join(problems))

    def look(self) -> None:
        """Conclude a case whose phone has been silent for too long."""
        with self._lock:
            if self._running is not None and self._clock() - self._running.since > self._patience:
                self._conclude("it was silent")

    def finish(self) -> None:
        """Report on what concerns all requests."""
        self._conclude("it was silent")
        for name, rule in _OF_ALL.items():
            self.report.add(name, rule, holds=name not in self._faults, found=self._faults.get(name, ""))
        for case in self._left:
            self.report.leave_out(case.name, f"the phone {case.rule}", "the phone did not check in any more")
        self._left = []

    def _enrol(self, body: bytes) -> Answer:
        try:
            request = EnrolmentRequest.from_signed(body)
        except CredentialError as error:
            self._faults["enrolment"] = str(error)
            return _refusal(403, str(error))
        return Answer(200, self.world.issuer.issue(request.pseudonym, self.world.epoch).to_bytes())

    def _facts(self) -> dict[str, Any]:
        return {
            "protocols": list(versions.SPOKEN),
            "server_key": self.world.server_public.hex(),
            "authority_key": self.world.issuer.authority.public_key.hex(),
            "vocabulary": VOCABULARY,
            "dimension": DIMENSION,
            "enrolment_url": "",
            "time": self._clock(),
        }

    def _log(self, target: str) -> Answer:
        first = target.rsplit("/", 1)[1]
        if not first.isdecimal():
            return _refusal(404, "there is no such entry")
        return self._given("log", pack(self.world.log[int(first) :]))

    def _model(self, target: str) -> Answer:
        models = {sha256(weights): weights for weights in self.world.models}
        wanted, _, old = target.removeprefix("/v1/models/").partition("/from/")
        if wanted not in models or (old and old not in models):
            return _refusal(404, "there is no such model")
        return self._given("model", delta(models[old], models[wanted]) if old else models[wanted])


_OF_ALL = {
    "requests": "the phone signs its requests as the protocol says",
    "enrolment": "the phone's enrolment requests are right",
    "check-in": "the phone's check-ins are right",
}


def _json(status: int, content: Mapping[str, Any]) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


def _refusal(status: int, why: str, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps({"error": why}).encode(), headers or {})
