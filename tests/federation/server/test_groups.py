"""Rounds of several groups, and the poisoning defence over them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sql

from federation.errors import ConfigError
from federation.protocol.plan import RoundPlan
from federation.protocol.steps import STEPS, Step
from federation.robustness import DefenceSettings, Memory, PieceRows, Reading
from federation.secure_aggregation.vector import Vector
from federation.server.defence import remembered
from federation.server.errors import GoneError
from federation.server.models import Verdict
from federation.server.phases import Ended
from federation.server.round_state import RoundState
from federation.server.settings import RoundSettings
from federation.server.tables import EventRow, RoundRow
from federation.updates.update import Tally, Update
from federation.updates.weighted_sum import WeightedSum
from model.layout import FlatVector
from tests.federation.server.phones import (
    DIMENSION,
    GROUPS_OF_FOUR,
    Clock,
    Phone,
    Server,
    gather,
    phase_of,
    weighted_mean,
)

QUIET = GROUPS_OF_FOUR
FILTERED = replace(QUIET, norm_factor=1.5)
SETTINGS = RoundSettings(goal=12, minimum=3, over_selection=1.0, clip=40.0, weight_cap=64, separation_seconds=60)


@pytest.fixture
def serve(tmp_path: Path, clock: Clock, database_url: str) -> Iterator[Callable[..., Server]]:
    """Starts a server with a defence, and again over the same database and folder."""
    started: list[Server] = []

    def start(defence: DefenceSettings = QUIET, **options: Any) -> Server:
        settings = replace(SETTINGS, defence=defence)
        started.append(Server(tmp_path, clock, settings, url=database_url, **options))
        return started[-1]

    yield start
    for server in started:
        server.database.close()


def phones_for(count: int) -> list[Phone]:
    """Phones that all learned about the same, so that groups are alike."""
    common = np.random.default_rng(7).normal(0, 0.1, DIMENSION)
    phones = [Phone(name) for name in range(count)]
    for phone in phones:
        delta = common + np.random.default_rng(phone.update.tally.examples).normal(0, 0.01, DIMENSION)
        phone.update = Update(delta.astype(np.float32), phone.update.tally)
    return phones


def groups_of(server: Server, round_id: int, phones: Iterable[Phone]) -> list[list[Phone]]:
    """Return the round's groups, which only the server knows; keys are advertised."""
    by_id = {phone.key.device_id: phone for phone in phones}
    with server.database.read() as session:
        row = session.get(RoundRow, round_id)
        assert row is not None
        return [[by_id[member] for member in group.members] for group in RoundState.of(session, row).groups]


def begin(server: Server, clock: Clock, phones: list[Phone]) -> tuple[int, list[list[Phone]]]:
    """Open a round, let all advertise, and return its groups."""
    round_id = gather(server, clock, phones)
    for phone in phones:
        phone.take(server, round_id, Step.ADVERTISE)
    assert server.coordinator.tick()
    return round_id, groups_of(server, round_id, phones)


def go_on(server: Server, round_id: int, phones: list[Phone], steps: Iterable[Step] = STEPS[1:]) -> None:
    for step in steps:
        for phone in phones:
            phone.take(server, round_id, step)
        assert server.coordinator.tick()


def boost(phone: Phone, factor: float) -> None:
    phone.update = Update(phone.update.delta * np.float32(factor), phone.update.tally)


def decisions(server: Server, round_id: int) -> list[tuple[str, str]]:
    with server.database.read() as session:
        query = sql.select(EventRow).where(EventRow.round_id == round_id, EventRow.kind == "defended")
        return [(event.detail, event.device) for event in session.scalars(query.order_by(EventRow.id))]


def test_the_sum_over_groups_is_the_sum_over_phones(serve: Callable[..., Server], clock: Clock) -> None:
    server, phones = serve(), phones_for(12)
    round_id, groups = begin(server, clock, phones)
    assert [len(group) for group in groups] == [4, 4, 4]
    go_on(server, round_id, phones)
    assert phase_of(server, round_id) == (Ended.FINISHED, None)
    np.testing.assert_allclose(server.models.state(2).weights, weighted_mean(phones), atol=5e-3)
    metrics = server.models.version(2).metrics
    assert (metrics["groups"], metrics["phones"]) == (3, 12)
    assert metrics["group_rejected"] == 0


def test_a_phone_meets_its_group_and_nobody_else(serve: Callable[..., Server], clock: Clock) -> None:
    server, phones = serve(), phones_for(12)
    round_id, groups = begin(server, clock, phones)
    for group in groups:
        rosters = {server.rounds.roster(round_id, phone.key.device_id) for phone in group}
        (roster,) = rosters
        for phone in phones:
            assert (phone.key.device_id in roster) == (phone in group)
    with pytest.raises(GoneError, match="did not join"):
        server.rounds.roster(round_id, Phone(50).key.device_id)


def test_phones_cannot_tell_their_group_before_they_have_joined(serve: Callable[..., Server], clock: Clock) -> None:
    server, phones = serve(), phones_for(12)
    round_id = gather(server, clock, phones)
    with server.database.read() as session:
        row = session.get(RoundRow, round_id)
        assert row is not None
        seed = row.group_seed
    assert len(seed) == 32
    assert seed not in server.rounds.plan(round_id)
    orders = set()
    for _ in range(3):  # two rounds have the same groups once in 34,650 times
        for phone in phones:
            phone.take(server, round_id, Step.ADVERTISE)
        assert server.coordinator.tick()
        orders.add(
            tuple(tuple(phones.index(phone) for phone in group) for group in groups_of(server, round_id, phones))
        )
        clock.now += 1000
        assert server.coordinator.tick()  # nobody shared keys
        round_id = gather(server, clock, phones)
    assert len(orders) > 1


def test_a_group_without_enough_phones_is_lost_and_the_others_count(serve: Callable[..., Server], clock: Clock) -> None:
    server, phones = serve(), phones_for(12)
    round_id, groups = begin(server, clock, phones)
    first, *others = groups
    go_on(server, round_id, phones, [Step.SHARE])
    left = [*first[:2], *(phone for group in others for phone in group)]
    for phone in left:
        phone.take(server, round_id, Step.UPLOAD)
    assert not server.coordinator.tick()
    clock.now += 1000
    assert server.coordinator.tick()
    with pytest.raises(GoneError, match="too few phones of the device's group"):
        first[0].take(server, round_id, Step.CONFIRM)
    rest = left[2:]
    go_on(server, round_id, rest, STEPS[3:])
    assert phase_of(server, round_id) == (Ended.FINISHED, None)
    np.testing.assert_allclose(server.models.state(2).weights, weighted_mean(rest), atol=5e-3)
    with server.database.read() as session:
        (lost,) = session.scalars(sql.select(EventRow.detail).where(EventRow.kind == "group lost"))
    assert "upload: 2 phones, but 3 are needed" in lost


def test_a_round_is_abandoned_with_its_last_group(serve: Callable[..., Server], clock: Clock) -> None:
    server, phones = serve(), phones_for(12)
    round_id, groups = begin(server, clock, phones)
    for group in groups:
        for phone in group[:2]:
            phone.take(server, round_id, Step.SHARE)
    clock.now += 1000
    assert server.coordinator.tick()
    phase, reason = phase_of(server, round_id)
    assert phase == Ended.ABANDONED
    assert reason is not None
    assert "share: 2 phones, but 3 are needed" in reason


@pytest.mark.parametrize("defence", [FILTERED, replace(QUIET, enabled=False)], ids=["defended", "undefended"])
def test_a_boosted_update_costs_its_group_only_where_there_is_a_defence(
    serve: Callable[..., Server], clock: Clock, defence: DefenceSettings
) -> None:
    server, phones = serve(defence), phones_for(12)
    boost(phones[3], -15)
    round_id, groups = begin(server, clock, phones)
    go_on(server, round_id, phones)
    honest = weighted_mean(phone for phone in phones if phone is not phones[3])
    error = np.linalg.norm(server.models.state(2).weights - honest) / np.linalg.norm(honest)
    if not defence.enabled:
        assert len(groups) == 1
        assert error > 1
        return
    assert error < 0.1
    spoiled = next(number for number, group in enumerate(groups) if phones[3] in group)
    ((detail, device),) = decisions(server, round_id)
    assert detail.startswith(f"group_rejected of group {spoiled}: norm")
    assert device == ""
    metrics = server.models.version(2).metrics
    assert (metrics["group_rejected"], metrics["phones"]) == (1, 8)
    with server.database.read() as session:
        memory = remembered(session)
    assert sorted(standing.rejected for standing in memory.standings.values()) == [0] * 8 + [1] * 4


@pytest.mark.parametrize("factor", [1.6, 0.0])
def test_an_update_of_usual_length_that_is_all_about_one_piece_costs_its_group(
    serve: Callable[..., Server], clock: Clock, factor: float
) -> None:
    usual = np.ones(DIMENSION // 5)
    usual[2] = 0.3  # rare
    pieces = PieceRows(embedding=4, usual=usual)
    server, phones = serve(replace(QUIET, piece_factor=factor), pieces=pieces), phones_for(12)
    before = phones[3].update
    delta = np.zeros_like(before.delta)
    delta[8:12] = np.linalg.norm(before.delta) / 2  # all in the row of piece 2
    phones[3].update = Update(delta, before.tally)
    round_id, groups = begin(server, clock, phones)
    go_on(server, round_id, phones)
    spoiled = next(number for number, group in enumerate(groups) if phones[3] in group)
    expected = [f"group_rejected of group {spoiled}: the row of piece 2"] if factor else []
    assert [detail.partition(" moves")[0] for detail, _ in decisions(server, round_id)] == expected
    with server.database.read() as session:
        assert 0 < remembered(session).piece_move < 1.5


@pytest.mark.parametrize("defence", [QUIET, replace(QUIET, enabled=False)], ids=["defended", "undefended"])
def test_masked_garbage_costs_its_group_only(
    serve: Callable[..., Server], clock: Clock, defence: DefenceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, phones = serve(defence), phones_for(12)
    monkeypatch.setattr(phones[5], "update", Update(phones[5].update.delta, Tally(1 << 39, 1 << 39, 0.0, 0)))
    encode = RoundPlan.encode

    def garble(plan: RoundPlan, update: Update, *rest: Any) -> Vector:
        vector = encode(plan, update, *rest)
        if update is phones[5].update:
            vector.counters[0] = 1 << 50
        return vector

    monkeypatch.setattr(RoundPlan, "encode", garble)
    round_id, groups = begin(server, clock, phones)
    go_on(server, round_id, phones)
    phase, reason = phase_of(server, round_id)
    if not defence.enabled:  # one group
        assert phase == Ended.ABANDONED
        assert reason is not None
        assert "some phone masked garbage" in reason
        return
    assert phase == Ended.FINISHED
    kept = [phone for group in groups if phones[5] not in group for phone in group]
    np.testing.assert_allclose(server.models.state(2).weights, weighted_mean(kept), atol=5e-3)
    assert "not finite" in decisions(server, round_id)[0][0]


def test_a_quarantined_phone_is_not_selected_until_its_time_is_over(serve: Callable[..., Server], clock: Clock) -> None:
    server, phones = serve(replace(FILTERED, quarantine_chance=0.5, quarantine_rounds=1)), phones_for(12)
    boost(phones[3], -15)
    round_id, groups = begin(server, clock, phones)
    go_on(server, round_id, phones)
    (spoiled,) = [group for group in groups if phones[3] in group]
    named = [device for detail, device in decisions(server, round_id) if detail.startswith("quarantined")]
    assert len(set(named)) == 4
    assert not {phone.key.device_id.hex()[:16] for phone in phones} & set(named)
    clock.now += 61
    for phone in spoiled:
        answer = phone.asked(server)
        assert answer.round_id is None
        assert answer.reason == "the device stays away until round 3"
    boost(phones[3], 0)
    others = [phone for phone in phones if phone not in spoiled]
    round_id = gather(server, clock, others)
    assert all(phone.check_in(server) is None for phone in spoiled)
    for phone in others:
        phone.take(server, round_id, Step.ADVERTISE)
    clock.now += 120
    assert server.coordinator.tick()
    go_on(server, round_id, others)
    clock.now += 61
    assert gather(server, clock, phones) == 3


def losses(*seen: float) -> Callable[[FlatVector], Reading]:
    """A probe that reads these losses one after the other."""
    left = list(seen)
    return lambda _: Reading(left.pop(0), ())


def test_a_refused_round_leaves_the_model_and_remembers_who_was_in_it(
    serve: Callable[..., Server], clock: Clock
) -> None:
    # The current model, the candidate, each group alone: all of them are worse, so nobody is left.
    server = serve(replace(QUIET, max_gate_loss_nats=0.3), probe=losses(2.0, 9.0, 9.0, 9.0, 9.0))
    phones = phones_for(12)
    round_id, _ = begin(server, clock, phones)
    go_on(server, round_id, phones)
    phase, reason = phase_of(server, round_id)
    assert phase == Ended.ABANDONED
    assert reason is not None
    assert reason.startswith("the defence refused the round: the loss on public text rises from 2.000 to 9.000")
    assert len(server.models.versions()) == 1
    with server.database.read() as session:
        memory = remembered(session)
    assert len(memory.standings) == 12
    assert server.blobs.list("rounds") == []


def test_a_model_that_became_too_bad_gives_way_to_the_best_one(serve: Callable[..., Server], clock: Clock) -> None:
    server = serve(replace(QUIET, rollback_loss=0.5), probe=losses(2.0, 1.8, 1.8, 2.4))
    phones = phones_for(12)
    for current in (2, 2):  # the first round's model is the best; the second's is worse by more than half a nat
        round_id, _ = begin(server, clock, phones)
        go_on(server, round_id, phones)
        assert server.models.current_version() == current
        clock.now += 61
    versions = server.models.versions()
    assert [version.status for version in versions] == ["accepted"] * 3
    assert versions[2].metrics["rolled_back"] == 1
    assert "back to the model of round 1" in decisions(server, 2)[-1][0]


def test_what_was_read_of_a_model_that_the_gate_rejects_is_forgotten(
    serve: Callable[..., Server], clock: Clock
) -> None:
    server = serve(
        replace(QUIET, max_gate_loss_nats=0.3),
        probe=losses(2.0, 1.0),
        gate=lambda new, old: Verdict(passed=False, metrics={}),  # noqa: ARG005
    )
    phones = phones_for(12)
    round_id, _ = begin(server, clock, phones)
    go_on(server, round_id, phones)
    assert server.models.version(2).status == "rejected"
    with server.database.read() as session:
        memory = remembered(session)
    assert replace(memory, standings={}) == Memory()
    assert len(memory.standings) == 12


def test_simulated_clients_are_beside_every_candidate(serve: Callable[..., Server], clock: Clock) -> None:
    class Simulated:
        def train(self, round_id: int, weights: FlatVector) -> Any:  # noqa: ARG002
            return WeightedSum(np.full_like(weights, 50.0), Tally(100), 5)

    server, phones = serve(FILTERED, simulated_clients=Simulated()), phones_for(12)
    boost(phones[3], -15)
    round_id, groups = begin(server, clock, phones)
    go_on(server, round_id, phones)
    kept = [phone for group in groups if phones[3] not in group for phone in group]
    own = sum(phone.update.tally.examples for phone in kept)
    expected = (own * weighted_mean(kept) + 50.0) / (own + 100)
    np.testing.assert_allclose(server.models.state(2).weights, expected, atol=5e-3)


def test_a_restart_after_any_step_keeps_the_groups(serve: Callable[..., Server], clock: Clock) -> None:
    server, phones = serve(FILTERED), phones_for(12)
    boost(phones[3], -15)
    round_id, groups = begin(server, clock, phones)
    for step in STEPS[1:]:
        for number, phone in enumerate(phones):
            if number == 6:
                server.database.close()
                server = serve(FILTERED)
            phone.take(server, round_id, step)
        assert groups_of(server, round_id, phones) == groups
        clock.now += 11  # the lease of the one before runs out
        while not server.coordinator.tick():
            clock.now += 5
    assert server.models.version(2).metrics["group_rejected"] == 1


def test_impossible_groups_are_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match="a group has at least the minimum of 5"):
        replace(SETTINGS, minimum=5, defence=QUIET)
    with pytest.raises(ConfigError, match="at most 128 phones"):
        replace(SETTINGS, defence=replace(QUIET, group_phones=129))


def test_a_defence_that_reads_models_needs_public_text(serve: Callable[..., Server]) -> None:
    with pytest.raises(ConfigError, match="give it some"):
        serve(DefenceSettings(enabled=True, group_phones=4))
