"""The server's log of models, its head in every plan, and which instance of the database a plan names."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sql

from federation.privacy.mechanisms import NoiseScale
from federation.privacy.zcdp import round_rho
from federation.protocol import model_codec as codec
from federation.protocol.log import Edge, LogEntry, LogError, LogHead, unpack
from federation.protocol.plan import PLAN_BYTES, Mechanism, Privacy, RoundPlan
from federation.protocol.steps import Step
from federation.protocol.task import TrainingTask
from federation.rounds.server_optimizers import (
    Adagrad,
    Adam,
    OptimizerSettings,
    ServerOptimizer,
    ServerState,
    SgdMomentum,
    Yogi,
)
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from federation.server.errors import UnknownError
from federation.server.models import Kind, Models
from federation.server.settings import RoundSettings
from federation.server.tables import ModelRow
from tests.federation.server.phones import SERVER_KEY, Clock, Phone, Server, gather, phase_of, take_all_steps

SETTINGS = RoundSettings(goal=5, minimum=5, over_selection=1.0, clip=8.0, separation_seconds=0)


def opened(server: Server, clock: Clock, phones: list[Phone]) -> tuple[int, TrainingTask, RoundPlan]:
    """Open a round; return what phones are told."""
    round_id = gather(server, clock, phones)
    data = server.rounds.plan(round_id)
    plan = RoundPlan.from_bytes(data[:PLAN_BYTES])
    return round_id, TrainingTask.of_plan(data[PLAN_BYTES + SIGNATURE_BYTES :], plan), plan


def test_every_version_is_in_the_log_and_every_plan_has_its_head(tmp_path: Path, clock: Clock) -> None:
    server, phones = Server(tmp_path, clock, SETTINGS), [Phone(name) for name in range(5)]
    round_id, task, plan = opened(server, clock, phones)
    entries = unpack(server.models.log(0))
    assert (task.commitments.log_size, task.commitments.log_root) == (1, Edge.of(entries).root)
    take_all_steps(server, round_id, phones)
    assert phase_of(server, round_id)[0] == "finished"
    first, second = (LogEntry.from_bytes(entry) for entry in unpack(server.models.log(0)))
    assert (first.version, first.parent, first.plan) == (1, None, "")
    assert (second.version, second.parent, second.phones, second.clip) == (2, 1, 5, 8.0)
    assert second.plan == plan.hash.hex()
    assert second.sha256 == server.models.version(2).sha256
    _, task, plan = opened(server, clock, phones)
    after = Edge.of(entries).after(unpack(server.models.log(1)))
    assert (task.commitments.log_size, task.commitments.log_root) == (2, after.root)
    assert server.models.log(2) == b""


@pytest.mark.parametrize(
    "optimizer", [SgdMomentum(momentum=0.9), Adam(), Yogi(), Adagrad()], ids=lambda o: o.settings.name
)
def test_anyone_can_make_the_next_model_of_what_is_published(
    tmp_path: Path, clock: Clock, optimizer: ServerOptimizer
) -> None:
    server = Server(tmp_path, clock, SETTINGS, finalizer=optimizer)
    phones = [Phone(name) for name in range(5)]
    for _ in range(2):
        take_all_steps(server, opened(server, clock, phones)[0], phones)
    first, *made = (LogEntry.from_bytes(entry) for entry in unpack(server.models.log(0)))
    assert len(made) == 2
    state = ServerState.of(
        codec.from_bytes(server.models.weights(first.sha256)), server.models.optimizer_state(first.state)
    )
    for entry in made:
        assert entry.optimizer == vars(optimizer.settings)
        mean = codec.from_bytes(server.models.mean(entry.mean))
        state = OptimizerSettings(**entry.optimizer).optimizer.apply(state, mean)  # type: ignore[arg-type]
        assert codec.sha256(codec.to_bytes(state.weights)) == entry.sha256
        assert codec.sha256(state.slots_to_bytes()) == entry.state


def test_a_round_without_a_model_is_in_the_log_with_whoever_uploaded(tmp_path: Path, clock: Clock) -> None:
    server, phones = Server(tmp_path, clock, SETTINGS), [Phone(name) for name in range(5)]
    round_id, _, plan = opened(server, clock, phones)
    for step in (Step.ADVERTISE, Step.SHARE, Step.UPLOAD):
        for each in phones:
            each.take(server, round_id, step)
        assert server.coordinator.tick()
    clock.now += SETTINGS.deadlines.unmask_seconds  # nobody confirms
    while phase_of(server, round_id)[0] != "abandoned":
        assert server.coordinator.tick()
    first, last = (LogEntry.from_bytes(entry) for entry in unpack(server.models.log(0)))
    assert (last.version, last.parent, last.sha256, last.accepted) == (None, 1, first.sha256, False)
    assert (last.round_id, last.plan, last.uploads, last.phones) == (1, plan.hash.hex(), 5, 0)


def test_the_head_is_signed_and_says_what_all_rounds_cost(tmp_path: Path, clock: Clock) -> None:
    noise = Privacy(Mechanism.SKELLAM, 2.0)
    server = Server(tmp_path, clock, replace(SETTINGS, privacy=noise, weight_cap=1))
    phones = [Phone(name) for name in range(5)]
    public = SERVER_KEY.public_key().public_bytes_raw()
    before = LogHead.from_signed(server.models.log_head(), public)
    assert (before.size, before.rounds, before.rho) == (1, 0, 0.0)
    round_id, task, plan = opened(server, clock, phones)
    take_all_steps(server, round_id, phones)
    head = LogHead.from_signed(server.models.log_head(), public)
    assert (head.size, head.root) == (2, Edge.of(unpack(server.models.log(0))).root)
    assert (head.instance, head.rounds, head.unnoised) == (task.commitments.instance, 1, 0)
    assert head.rho == round_rho(NoiseScale.of(plan))
    other = server.models.log_head().replace(b'"rounds":1', b'"rounds":0')
    with pytest.raises(LogError, match="not signed"):
        LogHead.from_signed(other, public)


def test_sums_of_counts_are_published_to_nobody(tmp_path: Path, clock: Clock) -> None:
    server = Server(tmp_path, clock, SETTINGS)
    counts = Models(server.database, server.blobs, SERVER_KEY, Kind.COUNTS)
    nothing = np.zeros(3, np.float32)
    counts.begin(ServerState(nothing, {"sums": np.ones(3, np.float32)}), clock())
    entry = LogEntry.from_bytes(unpack(server.models.log(0))[-1])
    assert (entry.kind, entry.state, entry.mean) == ("counts", "", "")
    with server.database.read() as session:
        name = session.scalars(sql.select(ModelRow.optimizer).where(ModelRow.kind == Kind.COUNTS)).one()
    with pytest.raises(UnknownError):
        server.models.optimizer_state(name.rsplit("/", 1)[-1])


def test_a_database_that_was_put_back_or_lost_is_another_instance(tmp_path: Path, clock: Clock) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    phones = [Phone(name) for name in range(5)]
    server = Server(folder, clock, SETTINGS)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    round_id, task, _ = opened(server, clock, phones)
    take_all_steps(server, round_id, phones)
    instances = [task.commitments.instance]
    again = Server(folder, clock, SETTINGS)
    instances.append(opened(again, clock, phones)[1].commitments.instance)
    assert instances[0] == instances[1]
    for file in folder.glob("server.sqlite*"):
        file.unlink()
    for file in copy.glob("server.sqlite*"):
        shutil.copy(file, folder)
    lost = Server(folder, clock, SETTINGS)
    round_id, task, _ = opened(lost, clock, phones)
    assert round_id == 1
    assert task.commitments.instance not in instances
