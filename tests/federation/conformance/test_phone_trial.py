"""Phones of ours before the server that misbehaves: right ones, and ones that leave a check out."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.conformance import Outcome, PhoneTrial, Report
from federation.conformance.cases import CASES, LEFT, PLAYED, Case
from federation.conformance.http_shell import serving
from federation.conformance.phone_trial import VOCABULARY, Answer
from federation.conformance.reference_update import reference_update
from federation.conformance.rehearsal import DIMENSION, MIN_PHONES
from federation.device import Connection, DeviceClient, PhoneStore, running_round
from federation.device.certificates import Certificates
from federation.device.connection import enrol
from federation.device.log_watch import LogWatch
from federation.privacy.mechanisms import phone_noise
from federation.protocol.cohorts import OpenedCohort
from federation.protocol.credentials import Revocations
from federation.protocol.plan import RoundPlan
from federation.protocol.policy import PhonePolicy
from federation.protocol.task import TrainingTask
from federation.protocol.trust import TRUSTED, Anchors
from federation.secure_aggregation import Roster
from federation.secure_aggregation.identity import SIGNATURE_BYTES, verifies
from federation.updates.update import Update
from tests.federation.server.phones import READY, Clock

URL = "http://127.0.0.1"
POLICY = PhonePolicy(min_phones=MIN_PHONES, min_noise_multiplier=0.0, max_clip=100.0, max_bits=64.0)


class Line(httpx.BaseTransport):
    """Carries requests to a trial in this process."""

    def __init__(self, trial: PhoneTrial) -> None:
        self._trial = trial

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        answer = self._trial.handle(request.method, path, dict(request.headers), request.read())
        if not answer.status:
            raise httpx.ReadError("lost", request=request)
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body, request=request)


def tried(
    folder: Path,
    clock: Clock,
    cases: Sequence[Case] = CASES,
    train: Callable[[bytes, TrainingTask], Update] = lambda *_: reference_update(DIMENSION),
) -> Report:
    """Let a device client of ours be tried."""
    trial = PhoneTrial(clock, cases=cases)
    store, line = PhoneStore(folder / "phone"), Line(trial)
    anchors = Anchors(
        vocabulary=VOCABULARY,
        dimension=DIMENSION,
        version=1,
        server_key=trial.world.server_public,
        authority_key=trial.world.issuer.authority.public_key,
        profile=TRUSTED,
    )
    client = DeviceClient(
        store,
        Connection(URL, store, transport=line, clock=clock),
        policy=POLICY,
        train=train,
        conditions=lambda: READY,
        anchors=anchors,
        renew=lambda: enrol(URL, store, transport=line),
        clock=clock,
    )
    for _ in range(40 * len(cases)):
        clock.now += client.step()
        if trial.over:
            break
    trial.finish()
    return trial.report


def deviating(report: Report) -> set[str]:
    return {check.name for check in report.checks if check.outcome is Outcome.DEVIATES}


def test_a_phone_of_ours_conforms(tmp_path: Path, clock: Clock) -> None:
    report = tried(tmp_path, clock)
    assert deviating(report) == set()
    assert report.exit_code == 0
    assert [check.name for check in report.checks[: len(CASES)]] == [case.name for case in CASES]


def _ignoring(*_: Any) -> None:
    """Check nothing."""


def _unsigned(data: bytes, _: bytes) -> RoundPlan:
    return RoundPlan.from_bytes(data[:-SIGNATURE_BYTES])


_read_task = TrainingTask.of_plan


def _any_task(data: bytes, plan: RoundPlan) -> TrainingTask:
    return _read_task(data, replace(plan, rotation_seed=hashlib.sha256(b"fedkey task v1\0" + data).digest()))


def _any_roster(self: Roster, _parameters: object, _authority: object, own: Any) -> int:
    return self.phones.index(own)


@pytest.mark.parametrize(
    ("kind", "method", "instead", "found"),
    [
        (RoundPlan, "from_signed", staticmethod(_unsigned), ("plan.signature", "plan.signer")),
        (TrainingTask, "of_plan", staticmethod(_any_task), ("plan.task",)),
        (PhonePolicy, "check", _ignoring, ("plan.minimum", "plan.clip", "plan.deadline")),
        (PhonePolicy, "check_task", _ignoring, ("plan.task.rate", "plan.task.epochs")),
        (LogWatch, "go_on", _ignoring, ("plan.rewritten", "plan.cut", "plan.unlogged")),
        (OpenedCohort, "check", _ignoring, ("cohort.nonce", "cohort.own", "cohort.group", "cohort.order")),
        (Roster, "check", _any_roster, ("roster.threshold", "roster.order", "roster.twice")),
        (Certificates, "_revoked", lambda *_: Revocations(), ("roster.revoked",)),
    ],
)
def test_a_phone_that_leaves_a_check_out_is_found(
    kind: type,
    method: str,
    instead: Any,
    found: tuple[str, ...],
    tmp_path: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cases = [PLAYED[0], *(case for case in LEFT if case.name in found)]
    assert deviating(tried(tmp_path / "right", clock, cases)) == set()
    monkeypatch.setattr(kind, method, instead)
    report = tried(tmp_path / "careless", clock, cases)
    assert deviating(report) == set(found)
    assert report.exit_code == 1


def _turned_round(_weights: bytes, _task: TrainingTask) -> Update:
    right = reference_update(DIMENSION)
    return replace(right, delta=right.delta[::-1].copy())


def _unweighted(_weights: bytes, _task: TrainingTask) -> Update:
    right = reference_update(DIMENSION)
    return replace(right, tally=replace(right.tally, examples=1))


def _longer(_weights: bytes, _task: TrainingTask) -> Update:
    right = reference_update(DIMENSION)
    return replace(right, delta=right.delta * np.float32(1.01))


@pytest.mark.parametrize("wrong", [_turned_round, _unweighted, _longer])
def test_a_phone_that_encodes_something_else_is_found(
    wrong: Callable[[bytes, TrainingTask], Update], tmp_path: Path, clock: Clock
) -> None:
    cases = [case for case in PLAYED if case.name in {"lanes", "subset", "modular.16"}]
    report = tried(tmp_path, clock, cases, wrong)
    assert deviating(report) == {case.name for case in cases}


def test_noise_of_another_size_is_found(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case for case in PLAYED if case.name in {"skellam", "gaussian"}]
    monkeypatch.setattr(running_round, "phone_noise", lambda plan, seed: phone_noise(plan, seed) // 2)
    assert deviating(tried(tmp_path, clock, cases)) == {"skellam", "gaussian"}


def test_a_phone_that_falls_silent_is_reported_and_what_was_not_tried_too(clock: Clock) -> None:
    trial = PhoneTrial(clock, cases=CASES[:3], patience_seconds=20.0)
    trial._begin(trial._left.pop(0))
    clock.now += 10
    trial.look()
    assert not trial.report.checks
    clock.now += 11
    trial.look()
    trial.finish()
    outcomes = {check.name: check.outcome for check in trial.report.checks}
    assert outcomes["lanes"] is Outcome.DEVIATES
    assert outcomes[CASES[1].name] is outcomes[CASES[2].name] is Outcome.NOT_TRIED
    assert trial.report.exit_code == 1


def test_the_keys_that_a_phone_comes_with_are_signed_and_the_trials(tmp_path: Path, clock: Clock) -> None:
    trial = PhoneTrial(clock)
    trial.write_trust(tmp_path / "trust.json", Ed25519PrivateKey.generate())
    told = json.loads((tmp_path / "trust.json").read_text())
    signed = b"fedkey trust v1\0" + told["trust"].encode()
    assert verifies(bytes.fromhex(told["publisher"]), bytes.fromhex(told["signature"]), signed)
    assert json.loads(told["trust"])["server_key"] == trial.world.server_public.hex()


def test_a_trial_answers_on_the_network_and_loses_answers_there(clock: Clock) -> None:
    trial = PhoneTrial(clock)
    with serving(trial, "127.0.0.1", 0) as url, httpx.Client(base_url=url) as client:
        assert client.get("/v1/server").json()["vocabulary"] == VOCABULARY
        assert client.post("/v1/check-in", content=b"{}").status_code == 401
        trial.handle = lambda *_: Answer(0)  # type: ignore[method-assign]
        with pytest.raises(httpx.HTTPError):
            client.get("/v1/server")
