"""What the server receives in a round, and what an attacker who has all of it can make of it."""

import itertools
import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from federation.protocol.plan import PLAN_BYTES, RoundPlan
from federation.protocol.steps import STEPS
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from federation.secure_aggregation.vector import Vector
from federation.updates.codec import COUNTERS
from tests.federation.server.http import HttpPhone, Seen, Site, run
from tests.federation.server.phones import Clock
from tests.federation.server.test_http import SETTINGS, _device, versions


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, exported: Path) -> tuple[Site, list[HttpPhone]]:
    """A round that went well, with all that went over the wire."""
    folder = tmp_path_factory.mktemp("wire")
    site = Site(folder, exported, Clock(), SETTINGS)
    phones = [HttpPhone(site, folder, number) for number in range(6)]
    run(site, phones, until=lambda: versions(site) == 2)
    return site, phones


def uploads(site: Site) -> dict[bytes, bytes]:
    return {_device(seen): seen.body for seen in site.wire.seen if seen.path.endswith("/upload")}


def plan_of(site: Site) -> RoundPlan:
    signed = next(seen.answer for seen in site.wire.seen if seen.path.endswith("/plan"))
    return RoundPlan.from_signed(signed[: PLAN_BYTES + SIGNATURE_BYTES], site.installation.public_key)


def vector_of(plan: RoundPlan, message: bytes) -> Vector:
    form = plan.session.vector
    return form.parse(message[-form.nbytes :])


def test_a_masked_update_says_nothing_of_the_update(finished: tuple[Site, list[HttpPhone]]) -> None:
    site, phones = finished
    plan = plan_of(site)
    sent = uploads(site)
    for phone in phones:
        masked = vector_of(plan, sent[phone.store.key.device_id])
        mine = plan.encode(phone.update, bytes(32))
        bits = np.unpackbits(masked.words.view(np.uint8))
        assert abs(bits.mean() - 0.5) < 6 * 0.5 / np.sqrt(bits.size)
        difference = np.unpackbits((masked.words ^ mine.words).view(np.uint8))
        assert abs(difference.mean() - 0.5) < 6 * 0.5 / np.sqrt(difference.size)


def test_no_example_count_can_be_read(finished: tuple[Site, list[HttpPhone]]) -> None:
    site, phones = finished
    plan = plan_of(site)
    sent = uploads(site)
    for phone in phones:
        counters = vector_of(plan, sent[phone.store.key.device_id]).counters
        assert len(counters) == COUNTERS
        assert phone.update.tally.examples not in counters.tolist()
        assert counters.min() > plan.weight_cap  # not one of them is plausible as a count
    sizes = {len(message) for message in sent.values()}
    assert len(sizes) == 1  # not even by its length


def test_no_two_uploads_differ_by_what_their_updates_differ(finished: tuple[Site, list[HttpPhone]]) -> None:
    site, phones = finished
    plan = plan_of(site)
    sent = uploads(site)
    for one, other in itertools.pairwise(phones):
        masked = [vector_of(plan, sent[phone.store.key.device_id]).words for phone in (one, other)]
        plain = [plan.encode(phone.update, bytes(32)).words for phone in (one, other)]
        same = (masked[0] - masked[1]) == (plain[0] - plain[1])
        assert not same.any()


def test_the_sum_of_some_is_noise_and_of_all_too(finished: tuple[Site, list[HttpPhone]]) -> None:
    """Pairwise masks of all phones cancel, but each phone's own mask stays until the cohort reveals its share."""
    site, phones = finished
    plan = plan_of(site)
    sent = list(uploads(site).values())
    plain = sum(plan.encode(phone.update, bytes(32)).words for phone in phones)
    for kept in (sent[:-1], sent):
        total = sum(vector_of(plan, message).words for message in kept)
        bits = np.unpackbits(np.asarray(total ^ plain).view(np.uint8))
        assert abs(bits.mean() - 0.5) < 6 * 0.5 / np.sqrt(bits.size)


def test_what_is_revealed_unmasks_survivors_only_and_once(finished: tuple[Site, list[HttpPhone]]) -> None:
    site, phones = finished
    answers = [seen for seen in site.wire.seen if seen.path.endswith("/unmask") and seen.status == 204]
    bodies: dict[bytes, set[bytes]] = {}
    for seen in answers:
        bodies.setdefault(_device(seen), set()).add(seen.body)
    assert len(bodies) == len(phones)
    assert all(len(different) == 1 for different in bodies.values())
    signed = {seen.answer for seen in site.wire.seen if seen.path.endswith("/survivors") and seen.status == 200}
    assert len(signed) == 1  # nobody was shown another set of survivors


def test_every_exchange_is_as_the_description_says(finished: tuple[Site, list[HttpPhone]]) -> None:
    site, _ = finished
    text = Path("federation/server/openapi.json").read_text(encoding="utf-8")
    described = json.loads(text)
    paths = {
        re.compile("^" + re.sub(r"\{[^}]+\}", "[^/]+", path) + "$"): item for path, item in described["paths"].items()
    }
    seen_operations = set()
    for seen in site.wire.seen:
        item = next(item for pattern, item in paths.items() if pattern.match(seen.path))
        operation = item[seen.method.lower()]
        seen_operations.add(operation["operationId"])
        _check(described, operation, seen)
    assert {
        "server",
        "checkIn",
        "plan",
        "roster",
        "inbox",
        "survivors",
        "signatures",
        "report",
        *STEPS,
    } <= seen_operations


def _check(described: dict[str, object], operation: dict[str, dict[str, object]], seen: Seen) -> None:
    answer = operation["responses"][str(seen.status)]
    while "$ref" in answer:  # type: ignore[operator]
        answer = _at(described, answer["$ref"])  # type: ignore[index]
    for media, part in (("application/json", answer.get("content", {})),):  # type: ignore[attr-defined]
        if media in part:
            _validate(described, part[media]["schema"], json.loads(seen.answer))
    asked = operation.get("requestBody", {}).get("content", {})
    if "application/json" in asked:
        _validate(described, asked["application/json"]["schema"], json.loads(seen.body))  # type: ignore[index]


def _validate(described: dict[str, object], schema: dict[str, object], value: object) -> None:
    jsonschema.Draft202012Validator({**schema, "components": described["components"]}).validate(value)


def _at(described: dict[str, object], reference: str) -> object:
    found: object = described
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]  # type: ignore[index]
    return found


def test_messages_that_come_twice_count_once_and_others_too_late_are_refused(
    finished: tuple[Site, list[HttpPhone]],
) -> None:
    site, phones = finished
    phone = phones[0]
    posted = (seen for seen in site.wire.seen if seen.method == "POST")
    own = {
        seen.path.rsplit("/", 1)[1]: seen.body
        for seen in posted
        if seen.method == "POST"
        and seen.path.startswith("/v1/rounds/1/")
        and _device(seen) == phone.store.key.device_id
    }
    before = site.story
    for step in STEPS:
        assert _status(phone, step, own[step]) == 204
        assert _status(phone, step, own[step][:-1] + bytes([own[step][-1] ^ 1])) in {409, 410, 412, 422}
    assert _status(phones[1], "upload", own["upload"]) in {401, 403, 409, 410, 422}
    assert _status(phone, "advertise", b"") in {410, 422}
    assert _status(phone, "advertise", bytes(10_000_000)) == 413
    assert site.story == before


def _status(phone: HttpPhone, step: str, body: bytes) -> int:
    request = phone.connection._signed("POST", f"/v1/rounds/1/{step}", body, {})
    return phone.connection._client.send(request).status_code
