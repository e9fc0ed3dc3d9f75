import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import sqlalchemy as sql

from federation.errors import ConfigError
from federation.protocol import message_sizes
from federation.protocol.conditions import Conditions
from federation.protocol.credentials import CredentialError, Revocations, epoch_of
from federation.protocol.steps import STEPS, Step
from federation.secure_aggregation import identity, messages
from federation.secure_aggregation.errors import ConflictingMessageError, SecureAggregationError
from federation.secure_aggregation.messages import Advertisement
from federation.server.coordinator.lease import Lease
from federation.server.errors import (
    ConflictError,
    ForbiddenError,
    GoneError,
    NotYetError,
    UnauthorisedError,
    UnknownError,
    status_of,
)
from federation.server.models import Verdict
from federation.server.phases import Ended
from federation.server.settings import RoundSettings
from federation.server.tables import EventRow, MessageRow
from federation.updates.update import Tally
from federation.updates.weighted_sum import WeightedSum
from model.layout import FlatVector
from tests.federation.secure_aggregation.cohort import private_key
from tests.federation.server.phones import (
    DIMENSION,
    ISSUER,
    SERVER_KEY,
    Clock,
    Phone,
    Server,
    gather,
    phase_of,
    take_all_steps,
    weighted_mean,
)

SETTINGS = RoundSettings(goal=6, minimum=4, over_selection=1.5, clip=2.0, weight_cap=20)


@pytest.fixture
def serve(tmp_path: Path, clock: Clock, database_url: str) -> Iterator[Callable[..., Server]]:
    """Starts a server, and again over the same database and folder."""
    started: list[Server] = []

    def start(**options: Any) -> Server:
        started.append(Server(tmp_path, clock, SETTINGS, url=database_url, **options))
        return started[-1]

    yield start
    for server in started:
        server.database.close()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()


def test_a_round_adds_the_weighted_mean_to_the_model(server: Server, clock: Clock) -> None:
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    take_all_steps(server, round_id, phones)
    assert phase_of(server, round_id) == (Ended.FINISHED, None)
    found = server.models.state(2).weights
    np.testing.assert_allclose(found, weighted_mean(phones), atol=2e-3)
    assert np.abs(found).max() > 0.05
    version = server.models.version(2)
    assert version.current
    assert version.parent == 1
    assert version.metrics["phones"] == 6
    assert version.metrics["examples"] == sum(10 + name for name in range(6))
    assert version.metrics["loss_before"] == pytest.approx(2.5, abs=1e-3)
    plan, task = phones[0].plan, phones[0].task
    steps = message_sizes.of_round(plan, 6, model_bytes=4 * DIMENSION, task_bytes=len(task.to_bytes()))
    assert (version.metrics["bytes_up"], version.metrics["bytes_down"]) == message_sizes.Traffic.sum(steps)
    assert not list(Path(server.blobs._root, "rounds").glob("*/*"))  # masked vectors are gone


def test_the_clip_follows_the_norms_of_the_phones_deltas(tmp_path: Path, clock: Clock) -> None:
    settings = replace(SETTINGS, clip=0.05, adaptive_quantile=0.5, clip_learning_rate=1.0)
    server = Server(tmp_path, clock, settings)
    phones = [Phone(name) for name in range(6)]
    clips = []
    for _ in range(14):
        round_id = gather(server, clock, phones)
        take_all_steps(server, round_id, phones)
        assert phase_of(server, round_id) == (Ended.FINISHED, None)
        clips.append(phones[0].plan.clip)
        clock.now += SETTINGS.separation_seconds
    assert clips[:3] == pytest.approx([0.05, 0.05 * math.exp(0.5), 0.05 * math.exp(1.0)])
    norms = np.sort([np.linalg.norm(phone.update.delta) for phone in phones])
    assert norms[1] * math.exp(-0.5) < clips[-1] < norms[4] * math.exp(0.5)
    server = Server(tmp_path, clock, replace(settings, adaptive_quantile=0.0))  # adapts no longer
    take_all_steps(server, gather(server, clock, phones), phones)
    assert phones[0].plan.clip == settings.clip


def test_phones_send_the_share_that_the_settings_say_and_strata_follow_the_last_step(
    tmp_path: Path, clock: Clock
) -> None:
    server = Server(tmp_path, clock, replace(SETTINGS, upload_share=0.4, clip=4.0))
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    take_all_steps(server, round_id, phones)
    subset = phones[0].plan.subset
    assert subset is not None
    assert subset.strata == ((DIMENSION, 120),)
    found, mean = server.models.state(2).weights, weighted_mean(phones)
    sent = np.flatnonzero(found)
    assert sent.size == 120
    np.testing.assert_allclose(found[sent], 2.5 * mean[sent], atol=0.1)
    clock.now += SETTINGS.separation_seconds
    again = gather(server, clock, phones)
    take_all_steps(server, again, phones)
    assert phase_of(server, again) == (Ended.FINISHED, None)
    subset = phones[0].plan.subset
    assert subset is not None
    assert len(subset.strata) > 1
    assert subset.kept <= 120


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_no_settings_have_an_impossible_share(share: float) -> None:
    with pytest.raises(ConfigError, match="upload_share must be above 0"):
        replace(SETTINGS, upload_share=share)


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_phone_may_drop_out_at_any_step(server: Server, clock: Clock, step: Step) -> None:
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    for each in STEPS:
        if each is step:
            phones = phones[:-1]
        for phone in phones:
            phone.take(server, round_id, each)
        if not server.coordinator.tick():
            clock.now += 400
            assert server.coordinator.tick()
            clock.now -= 400 if each is not Step.UNMASK else 0
    assert phase_of(server, round_id)[0] == Ended.FINISHED
    counted = phones if step in {Step.SHARE, Step.UPLOAD} else [Phone(name) for name in range(6)]
    np.testing.assert_allclose(server.models.state(2).weights, weighted_mean(counted), atol=2e-3)


def test_with_too_few_phones_the_round_is_abandoned_with_a_reason(server: Server, clock: Clock) -> None:
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    for step in (Step.ADVERTISE, Step.SHARE):
        for phone in phones:
            phone.take(server, round_id, step)
        server.coordinator.tick()
    for phone in phones[:3]:
        phone.take(server, round_id, Step.UPLOAD)
    clock.now += 1000
    assert server.coordinator.tick()
    phase, reason = phase_of(server, round_id)
    assert phase == Ended.ABANDONED
    assert reason is not None
    assert "3" in reason
    assert server.models.current_version() == 1
    with pytest.raises(GoneError, match="abandoned"):
        phones[3].take(server, round_id, Step.UPLOAD)


@pytest.mark.parametrize("after", STEPS)
def test_a_server_that_restarts_after_any_step_goes_on(serve: Callable[..., Server], clock: Clock, after: Step) -> None:
    server = serve()
    phones = [Phone(name) for name in range(5)]
    round_id = gather(server, clock, phones)
    clock.now += 90  # less than the goal came
    for step in STEPS:
        for number, phone in enumerate(phones):
            if step is after and number == 2:
                server.database.close()
                server = serve()
            phone.take(server, round_id, step)
        clock.now += 11  # the lease of the one before runs out
        while not server.coordinator.tick():
            clock.now += 5
    assert phase_of(server, round_id)[0] == Ended.FINISHED
    np.testing.assert_allclose(server.models.state(2).weights, weighted_mean(phones), atol=2e-3)


def test_a_message_may_be_resent_but_not_changed_and_counts_once(server: Server, clock: Clock) -> None:
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    first = phones[0].take(server, round_id, Step.ADVERTISE)
    server.rounds.receive(round_id, Step.ADVERTISE, first, sender=phones[0].key.device_id)
    with pytest.raises((ConflictError, SecureAggregationError)):
        phones[0].take(server, round_id, Step.ADVERTISE)  # with new keys
    with server.database.read() as session:
        assert session.scalar(sql.select(sql.func.count()).select_from(MessageRow)) == 1


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("stored", [False, True], ids=["new", "replayed"])
def test_a_device_sends_messages_of_its_own_only(server: Server, clock: Clock, step: Step, stored: bool) -> None:
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    for each in STEPS[: STEPS.index(step)]:
        for phone in phones:
            phone.take(server, round_id, each)
        server.coordinator.tick()
    message = phones[0].make(server, round_id, step)
    if stored:
        phones[0].send(server, round_id, step, message)
    with pytest.raises(ForbiddenError, match="another device") as refused:
        phones[1].send(server, round_id, step, message)
    assert status_of(refused.value) == 403
    phones[0].send(server, round_id, step, message)
    with server.database.read() as session:
        senders = session.scalars(sql.select(MessageRow.device_id).where(MessageRow.step == step))
        assert list(senders) == [phones[0].key.device_id]


def test_steps_out_of_order_are_refused(server: Server, clock: Clock) -> None:
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    for phone in phones:
        phone.take(server, round_id, Step.ADVERTISE)
    with pytest.raises(NotYetError):
        server.rounds.roster(round_id, phones[0].key.device_id)
    server.coordinator.tick()
    late = Phone(77)
    with pytest.raises(GoneError):
        late.take(server, round_id, Step.ADVERTISE)
    with pytest.raises(NotYetError):
        server.rounds.receive(round_id, Step.CONFIRM, b"early", sender=late.key.device_id)
    with pytest.raises(UnknownError):
        server.rounds.plan(99)


def test_an_advertisement_costs_two_signature_checks_however_many_came_before(
    server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    phones = [Phone(name) for name in range(9)]
    round_id = gather(server, clock, phones)
    counts = []
    for phone in phones:
        with monkeypatch.context() as patch:
            count = Mock(side_effect=identity.verifies)
            patch.setattr(identity, "verifies", count)  # certificates
            patch.setattr(messages, "verifies", count)  # messages
            phone.send(server, round_id, Step.ADVERTISE, phone.make(server, round_id, Step.ADVERTISE))
        counts.append(count.call_count)
    assert counts == [2] * 9


def test_keys_of_another_phone_are_refused(server: Server, clock: Clock) -> None:
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    taken = Advertisement.parse(phones[0].take(server, round_id, Step.ADVERTISE), phones[0].plan.hash)
    plan_hash = phones[0].plan.hash
    copied = Advertisement.sign(phones[1].device, plan_hash, taken.mask_key, bytes(range(32)), bytes(32))
    with pytest.raises(ConflictingMessageError, match="in use"):
        phones[1].send(server, round_id, Step.ADVERTISE, copied.to_bytes(plan_hash))


def test_a_device_that_was_not_selected_cannot_advertise(server: Server, clock: Clock) -> None:
    round_id = gather(server, clock, [Phone(name) for name in range(6)])
    with pytest.raises(UnauthorisedError, match="not selected"):
        Phone(50).take(server, round_id, Step.ADVERTISE)


def test_no_more_are_selected_than_the_plan_has_room_for(server: Server, clock: Clock) -> None:
    gather(server, clock, [Phone(name) for name in range(9)])
    answer = Phone(20).asked(server)
    assert answer.round_id is None
    assert answer.retry_after_seconds > 0


def test_conditions_and_separation_are_checked(server: Server, clock: Clock) -> None:
    phones = [Phone(name) for name in range(6)]
    answer = phones[0].asked(server, Conditions(idle=True, charging=False, unmetered=True))
    assert answer.round_id is None
    assert "charging" in answer.reason
    round_id = gather(server, clock, phones)
    take_all_steps(server, round_id, phones)
    again = phones[0].asked(server)
    assert again.round_id is None
    assert "a short while ago" in again.reason
    assert again.retry_after_seconds > 3000
    assert not server.coordinator.tick()  # nobody waits
    clock.now += 3700
    assert phones[0].check_in(server) is None
    assert phones[0].asked(server).reason == "no round is open for this device now"


def test_who_is_not_enrolled_is_not_let_in(serve: Callable[..., Server], clock: Clock) -> None:
    phone = Phone(1)
    server = serve(revocations=lambda: Revocations(frozenset({phone.key.device_id})))
    with pytest.raises(UnauthorisedError, match="revoked"):
        server.rounds.admit(phone.credential)
    server.rounds.admit(Phone(2).credential)
    clock.now += 400 * 86400
    with pytest.raises(UnauthorisedError, match="expired"):
        server.rounds.admit(Phone(2).credential)
    with pytest.raises(UnauthorisedError, match="authority"):
        server.rounds.admit(replace(Phone(3).credential, epoch=epoch_of(clock())))


def test_lists_of_revoked_devices_are_the_authoritys() -> None:
    key = private_key("authority")
    revoked = Revocations(frozenset({b"a" * 16, b"b" * 16}), issued=7)
    assert Revocations.from_signed(revoked.signed(key), ISSUER.authority) == revoked
    for damaged in (b"", revoked.signed(key)[:-1], revoked.signed(SERVER_KEY), revoked.signed(key) + b"c" * 16):
        with pytest.raises(CredentialError):
            Revocations.from_signed(damaged, ISSUER.authority)


def test_the_gate_rejects_a_model_and_the_one_before_stays(serve: Callable[..., Server], clock: Clock) -> None:
    server = serve(
        gate=lambda new, old: Verdict(passed=False, metrics={"loss": float(new.max())}),  # noqa: ARG005
    )
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    take_all_steps(server, round_id, phones)
    assert server.models.current_version() == 1
    rejected = server.models.version(2)
    assert rejected.status == "rejected"
    assert rejected.metrics["loss"] > 0


def test_simulated_clients_join_the_sum_of_phones(serve: Callable[..., Server], clock: Clock) -> None:
    class Simulated:
        def train(self, round_id: int, weights: FlatVector) -> WeightedSum:
            assert round_id == 1
            return WeightedSum(np.full_like(weights, 50.0), Tally(100), 5)

    server = serve(simulated_clients=Simulated())
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    take_all_steps(server, round_id, phones)
    own = sum(phone.update.tally.examples for phone in phones)
    expected = (own * weighted_mean(phones) + 50.0) / (own + 100)
    np.testing.assert_allclose(server.models.state(2).weights, expected, atol=2e-3)
    assert server.models.version(2).metrics["simulated_clients"] == 5


def test_two_coordinators_do_nothing_twice(serve: Callable[..., Server], clock: Clock) -> None:
    servers = [serve() for _ in range(2)]
    phones = [Phone(name) for name in range(6)]
    round_id = gather(servers[0], clock, phones)
    for step in STEPS:
        for number, phone in enumerate(phones):
            phone.take(servers[number % 2], round_id, step)
        assert sum(server.coordinator.tick() for server in servers) == 1
    assert phase_of(servers[0], round_id)[0] == Ended.FINISHED
    assert len(servers[1].models.versions()) == 2


def test_masked_vectors_of_rounds_that_are_over_are_swept_away(
    serve: Callable[..., Server], server: Server, clock: Clock
) -> None:
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    for step in STEPS[:2]:
        for phone in phones:
            phone.take(server, round_id, step)
        server.coordinator.tick()
    phones[0].take(server, round_id, Step.UPLOAD)
    late = phones[1].make(server, round_id, Step.UPLOAD)
    for orphan in ("77", "12"):  # as a coordinator leaves them that is killed after its commit
        server.blobs.put(f"rounds/{orphan}", b"masked")
    assert server.coordinator.tick() is False
    assert str(round_id) in server.blobs.list("rounds")
    clock.now += 1000
    again = serve()
    assert not again.coordinator.tick()  # another's lease
    clock.now += 11
    assert again.coordinator.tick()
    assert phase_of(server, round_id)[0] == Ended.ABANDONED
    assert again.blobs.list("rounds") == []
    with pytest.raises(GoneError):
        phones[1].send(server, round_id, Step.UPLOAD, late)
    server.blobs.put(f"rounds/{round_id}", late)  # by a worker that was past its check when the round was abandoned
    clock.now += 601
    again.coordinator.tick()
    assert again.blobs.list("rounds") == []


@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_a_round_whose_masked_vector_is_harmed_is_abandoned(server: Server, clock: Clock, harm: str) -> None:
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    for step in STEPS:
        for phone in phones:
            phone.take(server, round_id, step)
        if step is Step.UNMASK:
            first, *_ = sorted(Path(server.blobs._root, "rounds", str(round_id)).iterdir())
            first.unlink() if harm == "lost" else first.write_bytes(first.read_bytes()[:-1] + b"\0")
        assert server.coordinator.tick()
    assert phase_of(server, round_id)[0] == Ended.ABANDONED
    assert server.models.current_version() == 1
    assert len(server.models.versions()) == 1


def test_clocks_of_coordinators_may_differ(server: Server, clock: Clock) -> None:
    ahead, behind = Lease(server.database, lambda: clock.now + 7200), Lease(server.database, clock)
    assert ahead.held()
    assert not behind.held()
    clock.now += 9
    assert ahead.held()  # renews
    assert not behind.held()
    clock.now += 9
    assert not behind.held()
    clock.now += 2
    assert behind.held()  # the other died, however far its clock was
    assert not ahead.held()


def test_an_upload_counts_until_the_step_is_closed_whatever_the_workers_clock(
    serve: Callable[..., Server], server: Server, clock: Clock
) -> None:
    skewed = serve()
    skewed.rounds._clock = lambda: clock.now + 3600
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    for step in STEPS[:2]:
        for phone in phones:
            phone.take(server, round_id, step)
        server.coordinator.tick()
    for phone in phones[:5]:
        phone.take(skewed, round_id, Step.UPLOAD)
    clock.now += 300  # past the deadline, and nobody has closed the step
    late = phones[5].take(server, round_id, Step.UPLOAD)
    assert server.coordinator.tick()
    phones[5].send(skewed, round_id, Step.UPLOAD, late)  # acknowledged again
    for step in STEPS[3:]:
        for phone in phones:
            phone.take(skewed, round_id, step)
        assert server.coordinator.tick()
    assert server.models.version(2).metrics["phones"] == 6


def test_the_trail_names_pseudonyms_and_no_device(server: Server, clock: Clock) -> None:
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    take_all_steps(server, round_id, phones)
    with server.database.read() as session:
        events = list(session.scalars(sql.select(EventRow)))
        kinds = [event.kind for event in events if event.round_id == round_id]
    for kind in ("opened", "selected", "advertised", "shared", "uploaded", "confirmed", "unmasked", "finished"):
        assert kind in kinds
    ids = {phone.key.device_id.hex() for phone in phones}
    assert not any(event.device and any(event.device in each for each in ids) for event in events)
    assert len({event.device for event in events if event.kind == "uploaded"}) == 6


def test_a_rollback_during_a_round_stands(server: Server, clock: Clock) -> None:
    phones = [Phone(name) for name in range(6)]
    take_all_steps(server, gather(server, clock, phones), phones)
    assert server.models.current_version() == 2
    clock.now += 3700
    round_id = gather(server, clock, phones)
    server.models.promote(1)
    take_all_steps(server, round_id, phones)
    late = server.models.version(3)
    assert late.status == "accepted"
    assert late.parent == 2
    assert server.models.current_version() == 1


def test_models_can_be_promoted_back(server: Server, clock: Clock) -> None:
    phones = [Phone(name) for name in range(6)]
    round_id = gather(server, clock, phones)
    take_all_steps(server, round_id, phones)
    assert server.models.current_version() == 2
    assert server.models.promote(1).current
    assert server.models.current_version() == 1
    with pytest.raises(UnknownError, match="fedkey models list"):
        server.models.promote(9)
    assert server.models.state(1).weights.shape == (DIMENSION,)
