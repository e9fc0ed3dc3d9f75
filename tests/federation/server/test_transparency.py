"""The server's log of models, its head in every plan, and which instance of the database a plan names."""

import shutil
from pathlib import Path

from federation.protocol.log import Edge, LoggedModel, unpack
from federation.protocol.plan import PLAN_BYTES, RoundPlan
from federation.protocol.task import TrainingTask
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from federation.server.settings import RoundSettings
from tests.federation.server.phones import Clock, Phone, Server, gather, phase_of, take_all_steps

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
    first, second = (LoggedModel.from_bytes(entry) for entry in unpack(server.models.log(0)))
    assert (first.version, first.parent, first.plan) == (1, None, "")
    assert (second.version, second.parent, second.phones, second.clip) == (2, 1, 5, 8.0)
    assert second.plan == plan.hash.hex()
    assert second.sha256 == server.models.version(2).sha256
    _, task, plan = opened(server, clock, phones)
    after = Edge.of(entries).after(unpack(server.models.log(1)))
    assert (task.commitments.log_size, task.commitments.log_root) == (2, after.root)
    assert server.models.log(2) == b""


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
