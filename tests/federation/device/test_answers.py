"""Nothing that a server answers, or something in its place, ends a phone's participation."""

import json
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation.device import DistrustError, PhoneError, PhoneStore, UnreachableError, enrol
from federation.device.answers import CheckedIn, ModelFacts, ServerFacts, reason_of, seconds_of
from federation.device.connection import Connection
from federation.device.errors import UnreadableError
from federation.protocol.credentials import CREDENTIAL_BYTES
from federation.protocol.drop_reasons import DropReason
from tests.federation.device.servers import (
    DIMENSION,
    LATER,
    SHA256,
    TASK,
    URL,
    WEIGHTS,
    Scripted,
    ScriptedPhone,
    called,
    of_instance,
    signed_plan,
)
from tests.federation.server.phones import Clock

ENDPOINTS = ("/v1/server", "/v1/check-in", "/v1/models/current", f"/v1/models/{SHA256}", "/v1/rounds/3/plan")
NOT_TEXT = b"\xff\xfe\x00"
MALFORMED = [
    b"",
    b"<html>Sign in to the network</html>",
    NOT_TEXT,
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"NaN",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"9" * 10_000,
    b'"' + b"x" * 200_000 + b'"',
    b'{"round_id": nul',
    b'{"round_id":null,"retry_after_seconds":NaN,"reason":""}',
    b'{"round_id":null,"retry_after_seconds":Infinity,"reason":""}',
    b'{"round_id":null,"retry_after_seconds":1e999,"reason":""}',
    b'{"round_id":null,"retry_after_seconds":-1,"reason":""}',
    b'{"round_id":null,"retry_after_seconds":true,"reason":""}',
    b'{"round_id":null,"retry_after_seconds":0,"reason":["x"]}',
    b'{"round_id":"abc","retry_after_seconds":0,"reason":""}',
    b'{"round_id":true,"retry_after_seconds":0,"reason":""}',
    b'{"round_id":1.0,"retry_after_seconds":0,"reason":""}',
    called(-1),
    called(0),
    called(2**63),
    called(2**70),
    json.dumps({"version": 2**70, "sha256": "00" * 32, "signature": "00" * 64}).encode(),
    json.dumps({"version": -5, "sha256": "00" * 32, "signature": "00" * 64}).encode(),
    json.dumps({"version": 2, "sha256": "../" * 21 + "x", "signature": "00" * 64}).encode(),
    json.dumps({"version": 2, "sha256": "00" * 32, "signature": 7}).encode(),
    bytes(100_000),
    signed_plan(3)[:-1],
    signed_plan(3)[:150],
    signed_plan(4),
]
STATUSES = [
    httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"this is not gzip")),
    httpx.Response(301, headers={"Location": "http://elsewhere.invalid/"}),
    httpx.Response(503, headers={"Retry-After": "nan"}),
    httpx.Response(503, headers={"Retry-After": "-7"}),
    httpx.Response(429, headers={"Retry-After": "9" * 400}),
    httpx.Response(425, content=b"[" * 50_000),
    httpx.Response(401, headers={"Fedkey-Time": "9" * 30}),
    httpx.Response(401, headers={"Fedkey-Time": "-1"}),
    httpx.Response(404, content=NOT_TEXT),
    httpx.Response(200, headers={"Content-Type": "text/html; charset=nonsense"}, content=b"x"),
]


def works(server: Scripted, phone: ScriptedPhone, round_id: int) -> bool:
    """Whether a phone still joins a round that an honest server calls it to."""
    server.instead, server.round_id, server.plan = (lambda _: None), round_id, signed_plan(round_id)
    for _ in range(10):
        try:
            phone.step()
        except DistrustError:
            phone.clock.now += 60
        if f"/v1/rounds/{round_id}/advertise" in server.paths:
            return True
    return False


@pytest.mark.parametrize("path", ENDPOINTS)
def test_no_answer_of_a_server_gets_past_the_errors_that_a_phone_knows(path: str, tmp_path: Path, clock: Clock) -> None:
    server = Scripted()
    phone = ScriptedPhone(tmp_path, server, clock)
    answers = [*MALFORMED, *STATUSES]
    server.round_id, server.plan = (3, signed_plan(3)) if "rounds" in path or SHA256 in path else (None, b"")
    for answer in answers:
        server.instead = lambda asked, answer=answer: answer if asked == path else None  # type: ignore[misc]
        try:
            wait = phone.step()
            assert 0 <= wait <= 24 * 3600 * 1.25
        except PhoneError:
            clock.now += 60
        phone.client.leave()
    assert path in server.paths
    assert works(server, phone, 50)


@pytest.mark.slow
@pytest.mark.parametrize("path", ENDPOINTS)
@settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_five_thousand_malformed_answers_leave_a_phone_that_takes_part(
    path: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server, clock = Scripted(), Clock()
    if path not in _PHONES:
        _PHONES[path] = ScriptedPhone(tmp_path_factory.mktemp("phone"), server, clock)
    phone = _PHONES[path]
    phone.connection._client = httpx.Client(base_url=URL, transport=server)
    honest = signed_plan(3) if "rounds" in path else WEIGHTS if SHA256 in path else LATER
    answer = data.draw(
        st.one_of(st.binary(max_size=300), JSON.map(lambda told: json.dumps(told).encode()), cut(honest))
    )
    server.round_id, server.plan = (3, signed_plan(3)) if "rounds" in path or SHA256 in path else (None, b"")
    server.instead = lambda asked: answer if asked == path else None
    try:
        phone.step()
    except PhoneError:
        phone.clock.now += 60
    phone.client.leave()
    assert phone.store.last_round_id in {0, 3}


_PHONES: dict[str, ScriptedPhone] = {}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["round_id", "retry_after_seconds", "reason", "version", "sha256", "signature", "server_key"]
            ),
            inner,
            max_size=6,
        )
    ),
)


@st.composite
def cut(draw: st.DrawFn, honest: bytes) -> bytes:
    """Return an honest answer with some bytes changed, lost or repeated."""
    first, last = sorted(draw(st.tuples(*[st.integers(0, len(honest))] * 2)))
    return honest[:first] + draw(st.binary(max_size=8)) + honest[last:]


@given(JSON.map(lambda told: json.dumps(told).encode()) | st.binary(max_size=200))
def test_answers_are_read_or_unreadable(data: bytes) -> None:
    for kind in (CheckedIn, ServerFacts, ModelFacts):
        try:
            kind.from_bytes(data)  # type: ignore[attr-defined]
        except UnreadableError:
            continue
    assert reason_of(data, "none").isprintable()


@given(st.text(max_size=30))
def test_the_seconds_of_a_header_can_be_waited_for(header: str) -> None:
    seconds = seconds_of(header)
    assert seconds is None or 0 <= seconds <= 30 * 86400


def test_what_a_refusal_says_fits_on_one_line() -> None:
    told = json.dumps({"error": "sorry\n\x1b[31m" + "x" * 5000}).encode()
    assert reason_of(told, "none") == "sorry[31m" + "x" * 289


def test_a_round_that_was_only_named_moves_no_mark(tmp_path: Path, clock: Clock) -> None:
    server = Scripted(round_id=2**62)
    phone = ScriptedPhone(tmp_path, server, clock)
    server.plan = b"x" * 400
    phone.step()
    assert phone.store.last_round_id == 0
    assert [record.reason for record in phone.store.rounds()] == [DropReason.SIGNATURE]
    assert works(server, phone, 1)


def test_a_signed_plan_that_was_refused_moves_no_mark(tmp_path: Path, clock: Clock) -> None:
    server = Scripted(round_id=2**62, plan=signed_plan(2**62, minimum=3))
    phone = ScriptedPhone(tmp_path, server, clock)
    phone.step()
    assert [record.reason for record in phone.store.rounds()] == [DropReason.POLICY]
    assert works(server, phone, 1)


def test_naming_an_old_round_again_does_not_rewrite_what_became_of_it(tmp_path: Path, clock: Clock) -> None:
    server = Scripted()
    phone = ScriptedPhone(tmp_path, server, clock)
    assert works(server, phone, 7)
    phone.client.leave()
    before = phone.store.rounds()
    server.plan = b""
    for _ in range(5):
        phone.step()
    assert [record.reason for record in phone.store.rounds()] == [record.reason for record in before]
    assert phone.store.last_round_id == 7


def test_a_server_that_lost_its_records_begins_again(tmp_path: Path, clock: Clock) -> None:
    server = Scripted(round_id=900, plan=signed_plan(900, of_instance(1)))
    phone = ScriptedPhone(tmp_path, server, clock)
    joined = []
    for round_id, instance in ((900, 1), (1, 1), (1, 2), (1, 2), (900, 1), (901, 1)):
        server.paths.clear()
        server.round_id, server.plan = round_id, signed_plan(round_id, of_instance(instance))
        for _ in range(5):
            phone.step()
        joined.append(f"/v1/rounds/{round_id}/advertise" in server.paths)
        phone.client.leave()
    assert joined == [True, False, True, False, False, True]
    kept = [(record.round_id, record.joined) for record in phone.store.rounds() if record.joined]
    assert kept == [(901, True), (1, True), (900, True)]
    assert len({record.number for record in phone.store.rounds()}) == len(phone.store.rounds())
    assert all(record.received > 0 for record in phone.store.rounds() if record.joined)


def test_a_download_that_is_cut_off_again_and_again_never_grows_beyond_what_it_can_be(
    tmp_path: Path, clock: Clock
) -> None:
    class Drip(httpx.SyncByteStream):
        def __iter__(self):  # type: ignore[no-untyped-def] # noqa: ANN204
            yield b"x" * 90_000
            raise httpx.ReadError("cut off")

    server = Scripted(instead=lambda _: httpx.Response(206, stream=Drip()))
    phone = ScriptedPhone(tmp_path, Scripted(), clock)
    phone.connection.facts()
    phone.connection._client = httpx.Client(base_url=URL, transport=server)
    sizes = []
    for _ in range(20):
        with pytest.raises(PhoneError):
            phone.connection.download("/v1/models/x", "f", largest=100_000, what="model")
        part = phone.store.partial("f")
        sizes.append(part.stat().st_size if part.exists() else 0)
    assert 0 < max(sizes) <= 100_000


@pytest.mark.parametrize("jump", [-365 * 86400.0, -10.0, 365 * 86400.0])
def test_a_clock_that_is_set_costs_a_phone_no_more_than_the_wait_that_it_was_told(
    tmp_path: Path, clock: Clock, jump: float
) -> None:
    server = Scripted()
    phone = ScriptedPhone(tmp_path, server, clock)
    wait = phone.client.step()
    clock.now += jump
    again = phone.client.step()
    assert again <= max(wait, 5.0)
    server.paths.clear()
    for _ in range(30):
        clock.now += 1.0
        phone.client.step()
    assert "/v1/check-in" in server.paths


def test_a_round_ends_in_time_although_the_clock_is_set_back_in_it(tmp_path: Path, clock: Clock) -> None:
    server = Scripted()
    phone = ScriptedPhone(tmp_path, server, clock)
    assert works(server, phone, 3)
    server.instead = lambda path: httpx.Response(425) if path.endswith("/roster") else None
    phone.step()
    clock.now -= 86400
    for _ in range(400):
        clock.now += 1
        phone.client.step()
    reasons = {record.round_id: record.reason for record in phone.store.rounds()}
    assert reasons[3] is DropReason.LATE


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>Sign in</html>", bytes(CREDENTIAL_BYTES), b"\x01" * CREDENTIAL_BYTES, b"x" * (1 << 20), *STATUSES],
    ids=lambda answer: str(answer)[:30],
)
def test_enrolment_survives_any_answer(answer: bytes | httpx.Response, tmp_path: Path) -> None:
    store = PhoneStore(tmp_path)
    with pytest.raises(PhoneError):
        enrol(URL, store, transport=Scripted(instead=lambda _: answer))
    assert store.credential is None


def test_a_login_page_in_place_of_the_server_is_only_in_the_way(tmp_path: Path, clock: Clock) -> None:
    server = Scripted(instead=lambda _: b"<html>Sign in</html>")
    phone = ScriptedPhone(tmp_path, server, clock)
    with pytest.raises(UnreachableError, match="sign in"):
        phone.connection.facts()
    server.instead = lambda _: None
    phone.connection.facts()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"])
def test_what_goes_to_this_machine_goes_through_no_proxy(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://proxy.invalid:3128")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert not Connection(url, PhoneStore(tmp_path))._client._mounts
    assert Connection("https://rounds.example", PhoneStore(tmp_path))._client._mounts


def test_the_dimension_of_the_app_bounds_what_is_downloaded(tmp_path: Path, clock: Clock) -> None:
    huge = b"x" * (4 * DIMENSION + 1)
    server = Scripted(instead=lambda path: huge if path == f"/v1/models/{SHA256}" else None)
    phone = ScriptedPhone(tmp_path, server, clock)
    phone.step()
    assert phone.store.model() is None
    assert TASK.commitments.instance == bytes(16)
