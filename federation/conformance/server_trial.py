"""A round of phones against a server, with everything on the way that a server must refuse."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import numpy as np

from federation.conformance import refusals
from federation.conformance.report import Check, Report
from federation.conformance.trial_phone import Enrol, TrialPhone, UnansweredError, Wire
from federation.device.answers import CheckedIn, ModelFacts, ServerFacts
from federation.device.errors import UnreadableError
from federation.errors import FederationError
from federation.privacy.mechanisms import phone_noise
from federation.protocol import versions
from federation.protocol.cohorts import OpenedCohort
from federation.protocol.credentials import CredentialError, Revocations
from federation.protocol.log import Edge, LogEntry, unpack
from federation.protocol.model_codec import signed_part
from federation.protocol.plan import PLAN_BYTES, Mechanism, RoundPlan
from federation.protocol.steps import STEPS, Step
from federation.protocol.task import TrainingTask
from federation.protocol.trust import Anchors
from federation.secure_aggregation import Authority, Roster, phone
from federation.secure_aggregation.identity import SIGNATURE_BYTES, verifies
from federation.updates.update import Tally, Update
from model.wording import in_words

_READY = {"idle": True, "charging": True, "unmetered": True}
_AWAITED = {Step.SHARE: "roster", Step.UPLOAD: "inbox", Step.CONFIRM: "survivors", Step.UNMASK: "signatures"}
_POLL_SECONDS = 2.0
_STRANGERS = 1


class ServerTrial:
    """One trial of one server. Its phones contribute zeros, which move the model by rounding alone.

    Args:
        client: carries requests; its base URL is the server's.
        anchors: what an app of the server brings along.
        enrol: has the authority certify a phone.
        phones: that take part; the server has to open a round for this many.
        clock: seconds since 1970.
        pause: waits this many seconds.
        patience_seconds: for which a round, and each of its steps, is waited for.
        show: told of each check as it comes.
    """

    def __init__(
        self,
        client: httpx.Client,
        anchors: Anchors,
        enrol: Enrol,
        *,
        phones: int,
        clock: Callable[[], float],
        pause: Callable[[float], None],
        patience_seconds: float = 600.0,
        show: Callable[[Check], None] = lambda _: None,
    ) -> None:
        self.report = Report(show)
        self._wire = Wire(client, anchors.server_key, clock, pause, patience_seconds)
        self._anchors = anchors
        self._enrol = enrol
        self._count = phones
        self._plan: RoundPlan
        self._task: TrainingTask
        self._authority = Authority(anchors.authority_key)

    def run(self) -> Report:
        """Try everything; return the report."""
        try:
            self._says_who_it_is()
            phones = [TrialPhone(self._wire, self._enrol) for _ in range(self._count + _STRANGERS)]
            *phones, stranger = phones
            refusals.at_the_door(self.report, phones[0])
            joined, round_id = self._gathered(phones)
            if joined:
                self._plays(joined, stranger, round_id)
            else:
                self.report.leave_out("round", "a round is played", f"no round within {self._wire.patience_seconds} s")
        except (UnansweredError, CredentialError) as error:
            self.report.add(
                "answered", "server and enrolment service answer, and in time", holds=False, found=str(error)
            )
        self.report.add(
            "statuses",
            "every answer has a status that its endpoint has, and refusals say why",
            holds=not self._wire.oddities,
            found="; ".join(self._wire.oddities[:5]),
        )
        return self.report

    def _holds(self, name: str, rule: str, checked: Callable[[], Any]) -> Any:
        """Report whether something can be read and is right; return it, or nothing."""
        try:
            found = checked()
        except (FederationError, ValueError, KeyError, TypeError) as error:
            self.report.add(name, rule, holds=False, found=str(error))
            return None
        self.report.add(name, rule, holds=found is not False, found="it is not so")
        return found

    def _says_who_it_is(self) -> None:
        told = self._wire.send("GET", "/v1/server", {}, b"")
        facts = self._holds("server", "the server says who it is", lambda: ServerFacts.from_bytes(told.content))
        if facts is not None:
            keys = (facts.pins.server_key, facts.pins.authority_key)
            wanted = (self._anchors.server_key, self._anchors.authority_key)
            self.report.add("server.keys", "its keys are the app's", holds=keys == wanted, found="they are others")
            common = versions.common(facts.protocols)
            self.report.add("server.version", "it speaks this version", holds=common is not None, found="it does not")
        answer = self._wire.send("GET", "/v1/models/current", {}, b"").content
        model = self._holds("model.current", "the current model can be read", lambda: ModelFacts.from_bytes(answer))
        if model is not None:
            signed = verifies(self._anchors.server_key, model.signature, signed_part(model.version, model.sha256))
            self.report.add(
                "model.signature", "the server signed it", holds=signed, found="the signature does not verify"
            )

    def _gathered(self, phones: Sequence[TrialPhone]) -> tuple[list[TrialPhone], int]:
        """Check in until phones are called to a round; return those, and its number."""
        ends = self._wire.clock() + self._wire.patience_seconds
        content = {"conditions": _READY, "protocols": list(versions.SPOKEN)}
        called: dict[int, list[TrialPhone]] = {}
        while self._wire.clock() < ends:
            for each in phones:
                if not any(each in joined for joined in called.values()):
                    try:
                        told = CheckedIn.from_bytes(each.post_json("/v1/check-in", content).content)
                    except UnreadableError as error:
                        self.report.add("check-in", "check-ins are answered", holds=False, found=str(error))
                        return [], 0
                    if told.round_id is not None:
                        called.setdefault(told.round_id, []).append(each)
            if called and sum(map(len, called.values())) == len(phones):
                break
            self._wire.pause(_POLL_SECONDS)
        if not called:
            return [], 0
        round_id = max(called, key=lambda number: len(called[number]))
        self.report.add("check-in", "phones that wait are called to a round", holds=True)
        return called[round_id], round_id

    def _plays(self, joined: Sequence[TrialPhone], stranger: TrialPhone, round_id: int) -> None:
        if not self._reads(joined, round_id):
            return
        refusals.in_round(self.report, joined[0], round_id)
        left = list(joined)
        for step in STEPS:
            takers = [(each, made) for each in left if (made := self._made(each, round_id, step)) is not None]
            if not takers:
                return
            for number, (each, message) in enumerate(takers):
                each.sent[step] = message
                status = each.post(f"/v1/rounds/{round_id}/{step}", message).status_code
                if not number:
                    self.report.add(
                        f"{step}.stored", "a right message is stored", holds=status == 204, found=f"{status}"
                    )
                    if status == 204:
                        others = [other for other, _ in takers[1:]]
                        refusals.at_step(self.report, step, each, others, stranger, self._plan)
            left = [each for each, _ in takers]
        self._ends(left, round_id)

    def _reads(self, joined: Sequence[TrialPhone], round_id: int) -> bool:
        """Check what a plan names; return whether the round can be played."""
        answers = {each.get(f"/v1/rounds/{round_id}/plan").content for each in joined}
        self.report.add("plan.same", "all phones get one plan", holds=len(answers) == 1, found=f"{len(answers)} plans")
        answer = answers.pop()
        end = PLAN_BYTES + SIGNATURE_BYTES
        plan = self._holds(
            "plan",
            "the plan is signed and possible",
            lambda: RoundPlan.from_signed(answer[:end], self._anchors.server_key),
        )
        if plan is None:
            return False
        task = self._holds("task", "the task is the plan's", lambda: TrainingTask.of_plan(answer[end:], plan))
        if task is None:
            return False
        self._plan, self._task = plan, task
        one, told = joined[0], task.commitments
        self.report.add("plan.round", "it is of the round", holds=plan.round_id == round_id, found=f"{plan.round_id}")
        epochs = {each.credential.epoch for each in joined}
        self.report.add("plan.epoch", "it is of the present epoch", holds=epochs == {told.epoch}, found=f"{told.epoch}")
        revoked = Revocations()
        if told.revoked:
            data = one.get(f"/v1/revoked/{told.revoked.hex()}").content
            rule = "the list of revoked devices is the one that the plan names, and the authority's"
            same = hashlib.sha256(data).digest() == told.revoked
            found = self._holds("revoked", rule, lambda: same and Revocations.from_signed(data, self._authority))
            revoked = found or revoked
        self._authority = self._authority.at(told.epoch, revoked.devices)
        if task.counting is None:
            self._downloads(one, plan)
        self._reads_log(told.log_size, told.log_root, plan)
        return True

    def _downloads(self, one: TrialPhone, plan: RoundPlan) -> None:
        path = f"/v1/models/{plan.model_sha256.hex()}"
        weights = one.get(path).content
        rule = "the model is the plan's"
        right = hashlib.sha256(weights).digest() == plan.model_sha256 and len(weights) == 4 * plan.dimension
        self.report.add("model", rule, holds=right, found="it is another")
        rest = one.get(path, Range="bytes=7-")
        right = rest.status_code == 206 and rest.content == weights[7:]
        self.report.add("model.range", "a download can be gone on with", holds=right, found=f"{rest.status_code}")

    def _reads_log(self, size: int, root: bytes, plan: RoundPlan) -> None:
        entries = self._entries(0, size)
        right = len(entries) == size and Edge.of(entries).root == root
        self.report.add("log.head", "the log leads to the head of the plan", holds=right, found="to another head")
        read = self._holds("log.entries", "its entries can be read", lambda: [*map(LogEntry.from_bytes, entries)])
        if read is not None and size:
            known = any(each.accepted and each.sha256 == plan.model_sha256.hex() for each in read)
            self.report.add("log.model", "it has the model of the round", holds=known, found="it has not")

    def _entries(self, first: int, size: float) -> list[bytes]:
        entries: list[bytes] = []
        while first + len(entries) < size:
            more = unpack(self._wire.send("GET", f"/v1/log/{first + len(entries)}", {}, b"").content)
            if not more:
                break
            entries += more
        return entries[: int(size) - first] if size < math.inf else entries

    def _made(self, each: TrialPhone, round_id: int, step: Step) -> bytes | None:
        """Return a phone's message of a step, if it accepts what the server says."""
        if step is Step.ADVERTISE:
            message, each.phase = phone.AdvertiseKeys(self._plan.session, each.device, self._authority).advertise()
            return message
        name = _AWAITED[step]
        answer = each.awaited(f"/v1/rounds/{round_id}/{name}")
        rule = f"a phone accepts the {name}"
        if answer.status_code != 200:
            self.report.add(name, rule, holds=False, found=f"{answer.status_code}: {answer.text[:200]}")
            return None
        made: bytes | None = self._holds(name, rule, lambda: self._taken(each, round_id, step, answer.content))
        return made

    def _taken(self, each: TrialPhone, round_id: int, step: Step, answer: bytes) -> bytes:
        message: bytes
        if step is Step.SHARE:
            cohort = OpenedCohort.from_bytes(each.awaited(f"/v1/rounds/{round_id}/cohort").content, self._plan.hash)
            roster = Roster.parse(answer, self._plan.hash)
            cohort.check(self._task.commitments, self._authority, roster, each.sent[Step.ADVERTISE])
            message, each.phase = each.phase.share(answer)
        elif step is Step.UPLOAD:
            nothing = Update(np.zeros(self._plan.dimension, np.float32), Tally(self._plan.weight_cap))
            noise = None if self._plan.privacy.mechanism is Mechanism.NONE else phone_noise(self._plan, os.urandom(32))
            vector = self._plan.encode(nothing, os.urandom(32), noise)
            message, each.phase = each.phase.open(answer).mask(vector)
        elif step is Step.CONFIRM:
            message, each.phase = each.phase.confirm(answer)
        else:
            message = each.phase.unmask(answer)
        return message

    def _ends(self, left: Sequence[TrialPhone], round_id: int) -> None:
        """Wait until the log has the round."""
        size, rule = self._task.commitments.log_size, "the log gets an entry of the round"
        ends = self._wire.clock() + self._wire.patience_seconds
        while self._wire.clock() < ends:
            for entry in self._entries(size, math.inf):
                told = json.loads(entry)
                if told.get("plan") == self._plan.hash.hex():
                    self.report.add("log.round", rule, holds=told.get("round_id") == round_id, found=json.dumps(told))
                    right = told.get("phones") == len(left)
                    rule = "it says how many phones are in the sum"
                    self.report.add(
                        "log.phones", rule, holds=right, found=f"{in_words(told.get('phones'))} for {len(left)}"
                    )
                    return
            self._wire.pause(_POLL_SECONDS)
        self.report.add("log.round", rule, holds=False, found=f"none came within {self._wire.patience_seconds:.0f} s")
