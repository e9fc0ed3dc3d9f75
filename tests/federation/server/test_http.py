"""Device clients and server through the whole of HTTP but the sockets."""

import base64
import errno
import json
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import sqlalchemy as sql

from federation.device import DistrustError, ServerRefusedError, UnreachableError
from federation.protocol.conditions import Conditions
from federation.protocol.drop_reasons import DropReason
from federation.protocol.plan import Deadlines
from federation.protocol.policy import PhonePolicy
from federation.server.settings import RoundSettings
from federation.server.tables import EventRow
from federation.updates.update import clip
from model import files
from tests.federation.server.http import HttpPhone, Site, run
from tests.federation.server.phones import GROUPS_OF_FOUR, Clock

SETTINGS = RoundSettings(
    goal=5,
    minimum=5,
    over_selection=1.4,
    clip=2.0,
    weight_cap=16,
    deadlines=Deadlines(75, 85, 135, 145, 155),
    grace_seconds=5,
)


@pytest.fixture
def site(tmp_path: Path, exported: Path, clock: Clock) -> Site:
    return Site(tmp_path, exported, clock, SETTINGS)


@pytest.fixture
def phones(site: Site, tmp_path: Path) -> list[HttpPhone]:
    return [HttpPhone(site, tmp_path, number) for number in range(6)]


def versions(site: Site) -> int:
    return len(site.installation.models.versions())


def expected_mean(phones: list[HttpPhone]) -> np.ndarray:  # type: ignore[type-arg]
    weights = np.array([phone.update.tally.examples for phone in phones], np.float64)
    deltas = np.stack([clip(phone.update.delta, SETTINGS.clip) for phone in phones]).astype(np.float64)
    return weights @ deltas / weights.sum()  # type: ignore[no-any-return]


def difference(site: Site, new: int, old: int) -> np.ndarray:  # type: ignore[type-arg]
    models = site.installation.models
    return models.state(new).weights.astype(np.float64) - models.state(old).weights  # type: ignore[no-any-return]


def test_a_round_over_http_gives_the_weighted_mean(site: Site, phones: list[HttpPhone]) -> None:
    run(site, phones, until=lambda: versions(site) == 2)
    events = [seen for seen in site.wire.seen if seen.path.endswith("/upload") and seen.status == 204]
    uploaders = [phone for phone in phones if any(_device(seen) == phone.store.key.device_id for seen in events)]
    assert len(uploaders) >= SETTINGS.minimum
    expected = expected_mean(uploaders)
    error = np.linalg.norm(difference(site, 2, 1) - expected) / np.linalg.norm(expected)
    assert error < 0.02


def _device(seen: object) -> bytes:
    return base64.b64decode(seen.headers["fedkey-credential"])[1:17]  # type: ignore[attr-defined, no-any-return]


def test_the_new_model_comes_back_to_phones_as_a_difference(site: Site, phones: list[HttpPhone]) -> None:
    run(site, phones, until=lambda: versions(site) == 2)
    run(site, phones, until=lambda: all(phone.store.model_version >= 2 for phone in phones))
    for phone in phones:
        weights = phone.store.model()
        assert weights is not None
        assert weights == site.installation.models.state(2).weights.tobytes()
    kinds = {entry.what for entry in phones[0].store.ledger()}
    assert "model difference" in kinds


def test_an_answer_that_is_lost_is_asked_for_again(site: Site, phones: list[HttpPhone]) -> None:
    lost: set[str] = set()

    def first_time(request: httpx.Request) -> bool:
        is_message = request.method == "POST" and "/rounds/" in request.url.path
        key = f"{request.url.path} {request.headers.get('fedkey-credential')}"
        if not is_message or key in lost:
            return False
        lost.add(key)
        return True

    site.wire.lose_answer = first_time
    run(site, phones, until=lambda: versions(site) == 2)
    assert any(path.split()[0].endswith("/unmask") for path in lost)


def test_where_there_is_no_room_phones_come_again_with_the_same_bytes_in_time(
    site: Site, phones: list[HttpPhone], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, is_full = files.write, True

    def written(path: Path, content: bytes, **options: bool) -> None:
        if is_full and "rounds" in path.parts:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content, **options)

    def uploads(status: int) -> dict[bytes, bytes]:
        seen = (each for each in site.wire.seen if each.path.endswith("/upload") and each.status == status)
        return {_device(each): each.body for each in seen}

    monkeypatch.setattr(files, "write", written)
    run(site, phones, until=lambda: len(uploads(503)) == SETTINGS.minimum)
    assert not uploads(204)
    is_full = False
    run(site, phones, until=lambda: versions(site) == 2)
    assert uploads(503).items() <= uploads(204).items()
    reasons = {phone.store.rounds()[0].reason for phone in phones if phone.store.key.device_id in uploads(503)}
    assert reasons == {DropReason.NONE}
    refused = [each for each in site.wire.seen if each.path.endswith("/upload") and each.status == 503]
    assert {each.answer_headers["retry-after"] for each in refused} == {"10"}


def test_rounds_go_on_when_the_server_restarts_all_the_time(site: Site, phones: list[HttpPhone]) -> None:
    requests = 0

    def restarting(_: httpx.Request) -> bool:
        nonlocal requests
        requests += 1
        if requests == 60:
            site.restart()
        elif requests % 3 == 0:
            site.restart_workers()
        return requests % 7 == 0  # and is away for a moment

    site.wire.lose_request = restarting
    run(site, phones, until=lambda: versions(site) == 2)


@pytest.mark.parametrize("after", ["advertise", "share", "upload", "confirm"])
def test_phones_that_are_killed_come_back(site: Site, tmp_path: Path, after: str) -> None:
    site.restart()
    phones = [HttpPhone(site, tmp_path, number) for number in range(7)]
    killed: list[HttpPhone] = []

    def kill_one() -> bool:
        for phone in phones:
            sent = any(
                seen.path.endswith(f"/{after}") and seen.status == 204 and _device(seen) == phone.store.key.device_id
                for seen in site.wire.seen
            )
            if sent and not killed:
                phone.start()
                killed.append(phone)
        return versions(site) == 2

    run(site, phones, until=kill_one)
    (victim,) = killed
    record = next(each for each in victim.store.rounds() if each.round_id == 1)
    assert record.reason is DropReason.RESTARTED
    assert not record.contributed


def test_a_phone_in_use_leaves_and_the_rest_goes_on(site: Site, tmp_path: Path) -> None:
    phones = [HttpPhone(site, tmp_path, number) for number in range(7)]
    run(site, phones, until=lambda: phones[0].client.status.round_id is not None)
    phones[0].conditions = Conditions(idle=False, charging=True, unmetered=True)
    run(site, phones, until=lambda: versions(site) == 2)
    assert phones[0].store.rounds()[0].reason is DropReason.CONDITIONS


def test_a_clock_that_is_wrong_is_corrected(site: Site, tmp_path: Path, clock: Clock) -> None:
    phones = [HttpPhone(site, tmp_path, number) for number in range(5)]
    for number, phone in enumerate(phones):
        phone.connection._clock = lambda skew=(number - 2) * 86400: clock() + skew  # type: ignore[misc]
    run(site, phones, until=lambda: versions(site) == 2)


def test_a_plan_below_the_phones_policy_is_refused(site: Site, tmp_path: Path) -> None:
    strict = PhonePolicy(min_phones=50, min_noise_multiplier=0.0, max_clip=1.0, max_bits=8)
    phones = [HttpPhone(site, tmp_path, number) for number in range(5)]
    picky = HttpPhone(site, tmp_path, 99, policy=strict)
    run(site, [*phones, picky], until=lambda: versions(site) == 2)
    assert [record.reason for record in picky.store.rounds()] == [DropReason.POLICY]
    sent = [seen.path for seen in site.wire.seen if _is_of(seen, picky)]
    assert not any(path.endswith(("/advertise", "/upload")) for path in sent)


def test_a_reason_of_a_later_version_is_kept_as_unknown_and_free_text_is_refused(
    site: Site, phones: list[HttpPhone]
) -> None:
    run(site, phones, until=lambda: phones[0].client.status.round_id is not None)
    path = f"/v1/rounds/{phones[0].client.status.round_id}/events"
    with pytest.raises(ServerRefusedError, match="policy, budget"):
        phones[0].connection.post_json(path, {"event": "failed", "reason": "I am writing to my mother"}, what="report")
    phones[0].connection.post_json(path, {"event": "failed", "reason": "moon_phase"}, what="report")
    with site.installation.database.read() as session:
        (event,) = session.scalars(sql.select(EventRow).where(EventRow.kind == "failed"))
        assert event.detail == DropReason.UNKNOWN


def _is_of(seen: object, phone: HttpPhone) -> bool:
    return "fedkey-credential" in seen.headers and _device(seen) == phone.store.key.device_id  # type: ignore[attr-defined]


@pytest.mark.parametrize("what", ["/plan", "/v1/models/"])
def test_tampering_on_the_way_is_noticed(site: Site, phones: list[HttpPhone], what: str) -> None:
    def flip(request: httpx.Request, content: bytes) -> bytes:
        if what not in request.url.path or not content or request.url.path.endswith("current"):
            return content
        return content[:-1] + bytes([content[-1] ^ 1])

    site.wire.tamper = flip
    for phone in phones:
        phone.store.keep_model(b"", 0)
    with pytest.raises(AssertionError):
        run(site, phones, until=lambda: versions(site) == 2, seconds=300)
    assert versions(site) == 1
    assert not any(seen.path.endswith("/upload") for seen in site.wire.seen)


def test_another_server_key_than_before_is_refused(site: Site, phones: list[HttpPhone]) -> None:
    phone = phones[0]
    phone.client.step()

    def other_key(request: httpx.Request, content: bytes) -> bytes:
        if request.url.path != "/v1/server":
            return content
        return json.dumps(json.loads(content) | {"server_key": "00" * 32}).encode()

    site.wire.tamper = other_key
    phone.start()
    with pytest.raises(DistrustError, match="other keys"):
        phone.client.step()


def test_revoked_and_expired_devices_are_not_let_in(site: Site, phones: list[HttpPhone], clock: Clock) -> None:
    assert phones[1].client.step() >= 1
    site.authority.revoke(phones[0].store.key.device_id)
    phones[0].client.step()
    assert "revoked" in phones[0].client.status.reason
    clock.now += 366 * 86400
    expired, fresh = phones[1], phones[1].store.key.public_key
    expired.client.step()  # renews, under another name
    assert expired.store.key.public_key != fresh
    assert "no round is open" in expired.client.status.reason
    phones[0].client.step()
    assert "revoked: it is not enrolled again" in phones[0].client.status.reason
    assert versions(site) == 1


def test_when_the_server_is_away_phones_wait_longer_and_longer(site: Site, phones: list[HttpPhone]) -> None:
    site.wire.lose_request = lambda _: True
    waits = []
    for _ in range(8):
        waits.append(phones[0].client.step())
        site.clock.now += waits[-1]
    assert waits == sorted(waits)
    assert waits[-1] <= 75
    assert phones[0].client.status.activity == "resting"
    with pytest.raises(UnreachableError):
        phones[0].connection.facts()


def test_the_ledger_has_every_byte(site: Site, phones: list[HttpPhone]) -> None:
    run(site, phones, until=lambda: versions(site) == 2)
    phone = phones[0]
    sent = sum(len(seen.body) for seen in site.wire.seen if _is_of(seen, phone))
    answered = sum(len(seen.answer) for seen in site.wire.seen if _is_of(seen, phone))
    ledger = phone.store.ledger()
    server = [entry for entry in ledger if entry.what == "server"]
    requests = [seen for seen in site.wire.seen if _is_of(seen, phone)]
    assert len(ledger) == len(requests) + len(server)
    assert sum(entry.received for entry in ledger) == answered + sum(entry.received for entry in server)
    assert sum(entry.sent for entry in ledger) > sent
    record = phone.store.rounds()[0]
    assert record.sent > len(phone.update.delta)


def test_an_attacker_among_phones_spoils_its_group_and_no_more(tmp_path: Path, exported: Path, clock: Clock) -> None:
    defence = replace(GROUPS_OF_FOUR, group_phones=5, norm_factor=1.5)
    settings = replace(SETTINGS, goal=15, over_selection=1.0, clip=40.0, defence=defence)
    site = Site(tmp_path, exported, clock, settings)
    phones = [HttpPhone(site, tmp_path, number) for number in range(15)]
    for phone in phones:
        phone.update = replace(phone.update, delta=phones[0].update.delta)
    phones[4].update = replace(phones[4].update, delta=phones[0].update.delta * np.float32(-20))
    run(site, phones, until=lambda: versions(site) == 2)
    honest = phones[0].update.delta
    assert np.linalg.norm(difference(site, 2, 1) - honest) < 0.05 * np.linalg.norm(honest)
    assert "defended: group_rejected of group" in site.story
    assert site.installation.models.version(2).metrics["phones"] == 10
    assert all(phone.store.rounds()[-1].reason is DropReason.NONE for phone in phones)
