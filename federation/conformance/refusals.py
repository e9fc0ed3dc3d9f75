"""What a server must refuse, and with which status."""

import hashlib
import json
from collections.abc import Sequence

from federation.conformance.report import Report
from federation.conformance.trial_phone import TrialPhone, UnansweredError, drawn
from federation.protocol import versions
from federation.protocol.plan import RoundPlan
from federation.protocol.steps import STEPS, Step
from federation.secure_aggregation.messages import HEADER_BYTES, seal

_READY = {"idle": True, "charging": True, "unmetered": True}
_CHECK_IN = "/v1/check-in"
_SIGNATURE_BYTES = 64
_COMMITMENT_AT = 112
_MORE_THAN_A_MESSAGE, _MORE_THAN_A_VECTOR = 4 << 20, 16 << 20
"""Bytes; the second beside those of a vector of the plan's dimension."""

_AFTER = {Step.SHARE: "roster", Step.UPLOAD: "inbox", Step.CONFIRM: "survivors", Step.UNMASK: "signatures"}


def _expect(report: Report, name: str, rule: str, found: int, *wanted: int) -> None:
    report.add(name, rule, holds=found in wanted, found=f"it answered {found} and not {' or '.join(map(str, wanted))}")


def at_the_door(report: Report, phone: TrialPhone) -> None:
    """Sign requests wrongly, and say in check-ins what is none."""
    body = json.dumps({"conditions": _READY, "protocols": list(versions.SPOKEN)}).encode()
    wire = phone.wire

    def sent(headers: dict[str, str], content: bytes = body, target: str = _CHECK_IN) -> int:
        return wire.send("POST", target, headers, content).status_code

    right = phone.headers("POST", _CHECK_IN, body)
    another, elsewhere = drawn(), hashlib.sha256(b"another server").digest()
    for name, rule, headers in (
        ("unsigned", "a request without headers is refused", {}),
        ("key", "a signature with another key is refused", phone.headers("POST", _CHECK_IN, body, key=another)),
        (
            "server",
            "a signature for another server is refused",
            phone.headers("POST", _CHECK_IN, body, server_key=elsewhere),
        ),
        ("method", "a signature of another method is refused", phone.headers("GET", _CHECK_IN, body)),
        ("target", "a signature of another target is refused", phone.headers("POST", "/v1/elsewhere", body)),
        ("early", "a request of five minutes ago is refused", phone.headers("POST", _CHECK_IN, body, later=-400)),
        ("late", "a request of the future is refused", phone.headers("POST", _CHECK_IN, body, later=400)),
        ("credential", "a damaged credential is refused", {**right, "Fedkey-Credential": "AAAA"}),
    ):
        _expect(report, f"door.{name}", rule, sent(headers), 401)
    _expect(report, "door.body", "a body that was not signed is refused", sent(right, body + b" "), 400)
    answered = wire.send("POST", _CHECK_IN, phone.headers("POST", _CHECK_IN, body, later=-400), body)
    told = answered.headers.get("Fedkey-Time", "")
    near = told.isdecimal() and abs(int(told) - wire.clock()) < 300
    report.add("door.time", "a refusal says the server's time", holds=near, found=f"Fedkey-Time: {told!r}")
    for name, rule, content in (
        ("json", "a check-in that is not JSON is refused", b"hello"),
        ("list", "a check-in that is no object is refused", b"[]"),
        ("conditions", "a check-in without conditions is refused", b"{}"),
        ("versions", "a check-in with a version that is no number is refused", _with(body, protocols=["one"])),
    ):
        _expect(report, f"check-in.{name}", rule, phone.post(_CHECK_IN, content).status_code, 400)
    _expect(
        report,
        "check-in.large",
        "a body that is too large is refused",
        phone.post(_CHECK_IN, bytes(1 << 20)).status_code,
        413,
    )
    later = phone.post(_CHECK_IN, _with(body, mood="good"))
    _expect(report, "check-in.later", "what a later version adds is left alone", later.status_code, 200)
    unknown = phone.post(_CHECK_IN, _with(body, protocols=[9999]))
    called = unknown.json().get("round_id") if unknown.status_code == 200 else "refused"
    report.add(
        "check-in.unspoken", "who speaks no common version gets no round", holds=called is None, found=f"{called}"
    )
    again = phone.headers("POST", _CHECK_IN, body)
    first = sent(again)
    _expect(report, "check-in.once", "a check-in counts once", sent(again) if first == 200 else first, 409)


def _too_large(phone: TrialPhone, step: Step, plan: RoundPlan) -> int:
    """Return what a server answers to far more than it wants; to hang up in the middle of it is as good."""
    size = _MORE_THAN_A_VECTOR + 8 * plan.dimension if step is Step.UPLOAD else _MORE_THAN_A_MESSAGE
    try:
        return phone.post(f"/v1/rounds/{plan.round_id}/{step}", bytes(size)).status_code
    except UnansweredError:
        return 413


def _with(body: bytes, **more: object) -> bytes:
    return json.dumps(json.loads(body) | more).encode()


def in_round(report: Report, phone: TrialPhone, round_id: int) -> None:
    """Ask for what there is not, and for what is not there yet."""
    for name, target in (
        ("round", f"/v1/rounds/{1 << 60}/plan"),
        ("number", f"/v1/rounds/{1 << 70}/plan"),
        ("model", f"/v1/models/{'00' * 32}"),
        ("revoked", f"/v1/revoked/{'00' * 32}"),
    ):
        _expect(report, f"unknown.{name}", f"there is no such {name}", phone.get(target).status_code, 404)
    for name in _AFTER.values():
        status = phone.get(f"/v1/rounds/{round_id}/{name}").status_code
        _expect(report, f"early.{name}", f"the {name} is not there before its step", status, 425)


def at_step(
    report: Report,
    step: Step,
    phone: TrialPhone,
    others: Sequence[TrialPhone],
    stranger: TrialPhone,
    plan: RoundPlan,
) -> None:
    """Send what must be refused at a step that one phone has taken and the others have not."""
    round_id = plan.round_id
    path, message = f"/v1/rounds/{round_id}/{step}", phone.sent[step]
    start, payload = message[:HEADER_BYTES], message[HEADER_BYTES + _SIGNATURE_BYTES :]
    again = phone.post(path, message).status_code
    _expect(report, f"{step}.again", "the same message again is acknowledged", again, 204)
    changed = bytearray(payload)
    changed[_COMMITMENT_AT if step is Step.ADVERTISE else -1] ^= 1
    another = seal(start, bytes(changed), phone.key.private_key)
    wanted = (412, 422) if step is Step.CONFIRM else (409,)
    _expect(
        report,
        f"{step}.other",
        "another message than before is refused",
        phone.post(path, another).status_code,
        *wanted,
    )
    wrong_body = phone.wire.send("POST", path, phone.headers("POST", path, b"another"), message)
    _expect(report, f"{step}.body", "a body that was not signed is refused", wrong_body.status_code, 400)
    _expect(report, f"{step}.large", "a body that is too large is refused", _too_large(phone, step, plan), 413)
    if others:
        other = others[0]
        for name, rule, sent, status in (
            ("stolen", "a message of another device is refused", message, 403),
            ("cut", "a message that is cut off is refused", message[:-1], 422),
            ("forged", "a signature that does not verify is refused", start + bytes(64) + payload, 422),
            ("elsewhere", "a message of another plan or session is refused", start[:4] + bytes(32) + message[36:], 412),
        ):
            _expect(report, f"{step}.{name}", rule, other.post(path, sent).status_code, status)
        for before in STEPS[: STEPS.index(step)]:
            late = other.post(f"/v1/rounds/{round_id}/{before}", b"late").status_code
            _expect(report, f"{step}.late.{before}", "what comes too late is refused", late, 410)
    for after in STEPS[STEPS.index(step) + 1 :]:
        early = phone.post(f"/v1/rounds/{round_id}/{after}", b"early").status_code
        _expect(report, f"{step}.early.{after}", "what comes too early is refused for now", early, 425)
    event = json.dumps({"event": "plan", "reason": ""}).encode()
    told = stranger.post(f"/v1/rounds/{round_id}/events", event).status_code
    _expect(report, f"{step}.stranger", "a device that is not in the round says nothing of it", told, 403)
    if step is not Step.ADVERTISE:
        seen = stranger.get(f"/v1/rounds/{round_id}/{_AFTER[step]}").status_code
        _expect(report, f"{step}.shown", "a device that is not in the round sees nothing of it", seen, 410)
