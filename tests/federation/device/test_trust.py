"""What a phone holds by itself, whatever its server says: keys, floors, limits, and how far models may move."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federation.device import DistrustError, PhoneStore
from federation.device.connection import Connection
from federation.fleet.headless import DEFAULT_POLICY
from federation.privacy.mechanisms import noised_encoding
from federation.protocol import model_codec
from federation.protocol.conditions import Conditions
from federation.protocol.drop_reasons import DropReason
from federation.protocol.log import Edge, LogEntry
from federation.protocol.plan import PLAN_BYTES, Deadlines, Mechanism, Privacy, RoundPlan
from federation.protocol.policy import PhonePolicy
from federation.protocol.task import ComputeBudget, CountingTask, TrainingTask, seed_of
from federation.protocol.trust import PROFILES, TRUSTED, UNTRUSTED, Anchors, TrustError, TrustProfile
from federation.updates.counts import COUNTS
from model.engine import Manifest
from model.engine.exported import MANIFEST, TRUST
from model.layout import NetworkConfig
from tests.federation.device.servers import (
    ANCHORS,
    DIMENSION,
    SHA256,
    TASK,
    URL,
    WEIGHTS,
    Scripted,
    ScriptedPhone,
    called,
    signed_plan,
)
from tests.federation.secure_aggregation.cohort import private_key
from tests.federation.server.phones import SERVER_KEY, Clock

MODEL = Manifest(1, "", NetworkConfig(100, embedding=4, hidden=4), "words", "int8", "2.0", {})
PUBLISHER = private_key("publisher")
NOISE = Privacy(Mechanism.SKELLAM, 0.1, 25)
NOISY = {
    "minimum": 50,
    "privacy": NOISE,
    "encoding": noised_encoding(60, 50, NOISE, 1.0, DIMENSION + COUNTS),
}


def joined(server: Scripted, phone: ScriptedPhone, round_id: int, plan: bytes) -> bool:
    """Whether a phone joins a round; it leaves it again."""
    server.round_id, server.plan = round_id, plan
    for _ in range(4):
        phone.step()
    phone.client.leave()
    phone.clock.now += 60
    return f"/v1/rounds/{round_id}/advertise" in server.paths


# Keys.


def written(folder: Path, anchors: Anchors = ANCHORS) -> Path:
    (folder / MANIFEST).write_text(json.dumps(MODEL.to_json()))
    anchors.write(folder / TRUST, folder / MANIFEST, PUBLISHER)
    return folder / TRUST


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_what_a_publisher_wrote_is_read(tmp_path: Path, profile: TrustProfile) -> None:
    written(tmp_path, replace(ANCHORS, profile=profile, enrolment_url="https://desk.example"))
    read = Anchors.read(tmp_path, MODEL)
    assert read.profile == profile
    assert (read.server_key, read.authority_key) == (ANCHORS.server_key, ANCHORS.authority_key)
    assert read.enrolment_url == "https://desk.example"
    assert read.publisher == PUBLISHER.public_key().public_bytes_raw()


def test_an_app_without_keys_says_how_to_write_them(tmp_path: Path) -> None:
    with pytest.raises(TrustError, match="fedkey export --sign"):
        Anchors.read(tmp_path, MODEL)


@pytest.mark.parametrize("old", [b"untrusted", b"server_key", b"50", b"signature", b"{", b"publisher"])
def test_keys_that_were_changed_on_the_way_are_refused(tmp_path: Path, old: bytes) -> None:
    path = written(tmp_path, replace(ANCHORS, profile=UNTRUSTED))
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, b"0" * len(old)))
    with pytest.raises(TrustError, match="get the app again"):
        Anchors.read(tmp_path, MODEL)


def test_keys_of_another_model_are_refused(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / MANIFEST).write_text("another")
    with pytest.raises(TrustError, match="another model"):
        Anchors.read(tmp_path, MODEL)


def test_a_phone_takes_no_key_from_a_server(tmp_path: Path) -> None:
    """The authority that certifies four Sybils and one victim would be the server's own."""
    store = PhoneStore(tmp_path)
    with pytest.raises(DistrustError, match="takes none from a server"):
        Connection(URL, store, transport=Scripted()).facts()
    assert store.pins is None


@pytest.mark.parametrize("key", ["server_key", "authority_key"])
def test_a_server_with_other_keys_than_the_apps_is_not_talked_to(tmp_path: Path, clock: Clock, key: str) -> None:
    phone = ScriptedPhone(tmp_path, Scripted(), clock, anchors=replace(ANCHORS, **{key: bytes(32)}))
    with pytest.raises(DistrustError, match="other keys"):
        phone.client.step()


@pytest.mark.parametrize("change", [{"server_key": bytes(32)}, {"publisher": bytes(32)}])
def test_another_apps_keys_do_not_take_a_phone_over(tmp_path: Path, change: dict[str, bytes]) -> None:
    store = PhoneStore(tmp_path)
    store.anchor(replace(ANCHORS, publisher=PUBLISHER.public_key().public_bytes_raw()))
    store.anchor(replace(ANCHORS, publisher=PUBLISHER.public_key().public_bytes_raw()))
    with pytest.raises(DistrustError, match="other keys"):
        store.anchor(replace(ANCHORS, **{"publisher": PUBLISHER.public_key().public_bytes_raw(), **change}))


# Floors.


@pytest.mark.parametrize(
    ("changes", "joins"),
    [
        ({}, True),
        ({"minimum": 49, "privacy": replace(NOISE, corrupt=25)}, False),
        ({"privacy": replace(NOISE, noise_multiplier=0.09)}, False),
        ({"privacy": replace(NOISE, corrupt=24)}, False),
        ({"privacy": Privacy()}, False),
    ],
)
def test_an_untrusted_operator_gets_no_update_below_the_floor(
    tmp_path: Path, clock: Clock, changes: dict[str, object], joins: bool
) -> None:
    server = Scripted()
    phone = ScriptedPhone(tmp_path, server, clock, anchors=replace(ANCHORS, profile=UNTRUSTED))
    plan = signed_plan(5, **{**NOISY, **changes})
    assert joined(server, phone, 5, plan) is joins
    assert joins or [record.reason for record in phone.store.rounds()] == [DropReason.POLICY]


# Limits.


@pytest.mark.parametrize(
    "task",
    [
        replace(TASK, training=replace(TASK.training, epochs=10**9)),
        replace(TASK, training=replace(TASK.training, learning_rate=999.0)),
        replace(TASK, budgets=TASK.budgets | {"middle": ComputeBudget(steps=2**31 - 1, seconds=10)}),
        replace(TASK, budgets=TASK.budgets | {"middle": ComputeBudget(steps=10, seconds=2**31 - 1)}),
    ],
)
def test_a_task_that_asks_for_too_much_is_refused(tmp_path: Path, clock: Clock, task: TrainingTask) -> None:
    server = Scripted()
    phone = ScriptedPhone(tmp_path, server, clock)
    assert not joined(server, phone, 5, signed_plan(5, task))
    assert joined(server, phone, 6, signed_plan(6))


NUMBERS = ("1e400", "NaN", "-Infinity", "-1", "1e30", "9" * 400, "true", '"1"', "[]", "null")
PLACES = ("learning_rate", "epochs", "gradient_norm", "dropout", "steps", "seconds", "separation_seconds", "max_count")


@pytest.mark.parametrize("place", PLACES)
def test_a_signed_task_with_a_number_that_is_none_is_refused_or_harmless(
    tmp_path: Path, clock: Clock, place: str
) -> None:
    """Whatever is trained with is finite and below a ceiling; a large bound of gradients bounds nothing."""
    server, trained = Scripted(), []
    phone = ScriptedPhone(tmp_path, server, clock)
    text = replace(TASK, counting=CountingTask(list_sha256="00" * 32, max_count=3)).to_bytes().decode()
    for number, value in enumerate(NUMBERS):
        told = re.sub(f'"{place}":[^,}}]+', f'"{place}":{value}', text)
        assert told != text
        if place != "max_count":
            told = re.sub('"counting":{[^}]*}', '"counting":null', told)
        plan = RoundPlan.from_bytes(signed_plan(5 + number)[:PLAN_BYTES])
        plan = replace(plan, rotation_seed=seed_of(told.encode()))
        if joined(server, phone, 5 + number, plan.signed(SERVER_KEY) + told.encode()):
            trained.append(value)
    assert set(trained) <= ({"1e30"} if place == "gradient_norm" else set())
    assert joined(server, phone, 50, signed_plan(50))


def test_a_round_of_more_than_a_day_is_refused(tmp_path: Path, clock: Clock) -> None:
    server = Scripted()
    phone = ScriptedPhone(tmp_path, server, clock)
    deadlines = Deadlines(120, 86398, 86399, 86400, 86401)
    assert not joined(server, phone, 5, signed_plan(5, deadlines=deadlines))


def test_the_owners_conditions_hold_whatever_the_task_needs(tmp_path: Path, clock: Clock) -> None:
    task = replace(TASK, needed=Conditions())
    server = Scripted()
    phone = ScriptedPhone(tmp_path, server, clock, conditions=Conditions(idle=True))
    joined(server, phone, 5, signed_plan(5, task))
    assert phone.store.rounds()[0].reason is DropReason.CONDITIONS
    assert not any("advertise" in path for path in server.paths)


@pytest.mark.parametrize(
    ("policy", "then", "joins"),
    [
        ({"rounds_per_model": 1}, 86400 * 30, False),
        ({"rounds_per_model": 2}, 86400 * 30, True),
        ({"rounds_per_week": 1}, 86400, False),
        ({"rounds_per_week": 1}, 86400 * 8, True),
        ({"rounds_per_week": 1}, -86400 * 365, False),
        ({"min_separation_seconds": 3600.0}, 600, False),
        ({"min_separation_seconds": 3600.0}, 7200, True),
    ],
)
def test_a_phone_that_has_sent_an_update_stays_away_as_long_as_it_says(
    tmp_path: Path, clock: Clock, policy: dict[str, float], then: float, joins: bool
) -> None:
    server = Scripted()
    phone = ScriptedPhone(tmp_path, server, clock, policy=replace(DEFAULT_POLICY, **policy))  # type: ignore[arg-type]
    assert joined(server, phone, 5, signed_plan(5))
    assert joined(server, phone, 6, signed_plan(6))  # nothing was sent in the round before
    phone.store.upload_round(phone.store.rounds()[0].number, clock.now)
    clock.now += then
    assert joined(server, phone, 7, signed_plan(7)) is joins


# Models.

BOUNDED = replace(TRUSTED, max_step=1.0, max_drift=3.0)
WEIGHTS_OF_APP = np.frombuffer(WEIGHTS, np.float32)


def serving(weights: np.ndarray, version: int) -> Callable[[str], bytes | None]:  # type: ignore[type-arg]
    """Return what a server answers that trains a model."""
    data = weights.astype(np.float32).tobytes()
    sha256 = model_codec.sha256(data)
    signature = SERVER_KEY.sign(model_codec.signed_part(version, sha256)).hex()
    answers = {
        "/v1/models/current": json.dumps({"version": version, "sha256": sha256, "signature": signature}).encode(),
        f"/v1/models/{sha256}": data,
    }
    return answers.get


def moved(by: float) -> np.ndarray:  # type: ignore[type-arg]
    return WEIGHTS_OF_APP + np.float32(by / np.sqrt(DIMENSION))


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        ([(0.9, 2)], True),
        ([(1.1, 2)], False),
        ([(2.5, 4)], True),
        ([(50.0, 1000)], False),  # a version number is the server's word; the distance from the app's model is not
        ([(0.9, 2), (1.8, 3)], True),
        ([(0.9, 2), (-0.9, 3)], False),
    ],
)
def test_a_model_that_rounds_cannot_have_made_is_neither_kept_nor_fetched_again(
    tmp_path: Path, clock: Clock, steps: list[tuple[float, int]], kept: bool
) -> None:
    server = Scripted()
    phone = ScriptedPhone(tmp_path, server, clock, anchors=replace(ANCHORS, profile=BOUNDED))
    for by, version in steps:
        server.instead = serving(moved(by), version)
        for _ in range(3):
            phone.step()
    last = moved(steps[-1][0]).astype(np.float32).tobytes()
    assert (phone.store.model() == last) is kept
    fetched = [path for path in server.paths if path == f"/v1/models/{model_codec.sha256(last)}"]
    assert len(fetched) == 1
    assert kept or "not taken" in phone.client.status.reason


def test_a_phone_that_refuses_a_model_comes_as_often_as_the_server_says_and_says_why(
    tmp_path: Path, clock: Clock
) -> None:
    model = serving(moved(50.0), 2)
    content = json.dumps({"round_id": None, "retry_after_seconds": 5000, "reason": "no round"}).encode()
    server = Scripted(instead=lambda path: content if path == "/v1/check-in" else model(path))
    phone = ScriptedPhone(tmp_path, server, clock, anchors=replace(ANCHORS, profile=BOUNDED))
    for _ in range(3):
        assert phone.step() == 5000
        assert "away from the app's own" in phone.client.status.reason
    server.instead = lambda path: called(None) if path == "/v1/check-in" else model(path)
    assert 5 < phone.step() < 60  # at once makes no sense: the model is the same


def test_a_crafted_model_is_never_trained_on(tmp_path: Path, clock: Clock) -> None:
    """A model made from nothing: zeros but for a few large weights that spell what somebody types."""
    crafted = np.zeros(DIMENSION, np.float32)
    crafted[:3] = 20.0
    server = Scripted(instead=serving(crafted, 2))
    phone = ScriptedPhone(tmp_path, server, clock, anchors=replace(ANCHORS, profile=BOUNDED))
    sha256 = bytes.fromhex(model_codec.sha256(crafted.tobytes()))
    server.log.append(LogEntry(version=2, parent=1, sha256=sha256.hex(), accepted=True).to_bytes())
    edge = Edge.of(server.log)  # the log has it: that alone makes no model of it
    task = replace(TASK, model_version=2, commitments=replace(TASK.commitments, log_size=edge.size, log_root=edge.root))
    assert not joined(server, phone, 5, signed_plan(5, task, model_sha256=sha256))
    assert phone.store.rounds()[0].reason is DropReason.POLICY
    server.instead = lambda _: None
    assert joined(server, phone, 6, signed_plan(6, replace(task, model_version=1)))
    assert phone.store.model() == WEIGHTS


def test_a_policy_with_bounds_needs_the_apps_model() -> None:
    policy = PhonePolicy(5, 0.0, 1.0, 64.0).within(UNTRUSTED)
    assert policy.bounds_models
    assert (policy.min_phones, policy.min_noise_multiplier, policy.rounds_per_model) == (50, 0.1, 1)
    assert model_codec.sha256(WEIGHTS) == SHA256


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_profile_says_what_it_does_not_cover(profile: TrustProfile) -> None:
    assert str(profile.min_phones) in profile.says
    assert "not cover" in profile.says or "could read" in profile.says
