"""Processes that are killed at every point, and full disks: nothing accepted is lost, nothing counts twice."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sql

from federation.protocol.steps import STEPS, Step
from federation.rounds.server_optimizers import ServerState
from federation.server.errors import UnknownError
from federation.server.phases import Ended
from federation.server.settings import RoundSettings
from federation.server.tables import EventRow, MessageRow, RoundRow
from tests.federation.server.killed import (
    coordinate,
    coordinate_without_room,
    in_process,
    send,
    send_without_room,
    start_in_process,
)
from tests.federation.server.phones import GROUPS_OF_FOUR, Clock, Phone, Server, gather, weighted_mean

SETTINGS = RoundSettings(goal=8, minimum=3, over_selection=1.0, clip=2.0, weight_cap=20, defence=GROUPS_OF_FOUR)


class Place:
    """Where a server's processes meet."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url, self.clock = folder, url, Clock()
        self.server = Server(folder, self.clock, SETTINGS, url=url)
        self.phones = [Phone(name) for name in range(8)]

    def run(self, job: Callable[..., None], kill_at: int, *more: Any) -> bool:
        return in_process(job, self.folder, self.url, self.clock.now, SETTINGS, kill_at, *more)

    def killed_at_every_point(self, job: Callable[..., None], *more: Any) -> int:
        """Run a job until it is past all points; return how many there were."""
        kill_at = 1
        while not self.run(job, kill_at, *more):
            kill_at += 1
        return kill_at - 1

    def phase(self, round_id: int) -> str:
        with self.server.database.read() as session:
            row = session.get(RoundRow, round_id)
            assert row is not None
            return row.phase

    def check_model(self) -> None:
        assert len(self.server.models.versions()) == 2
        np.testing.assert_allclose(self.server.models.state(2).weights, weighted_mean(self.phones), atol=2e-3)


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    place = Place(tmp_path, database_url)
    yield place
    place.server.database.close()


@pytest.mark.slow
def test_a_coordinator_that_is_killed_at_every_point_finishes_the_round_once(place: Place) -> None:
    for phone in place.phones:
        assert phone.check_in(place.server) is None
    points = place.killed_at_every_point(coordinate)
    rounds = {phone.check_in(place.server) for phone in place.phones}
    assert rounds == {1}
    place.clock.now += 61
    told: dict[Step, set[bytes]] = {Step.CONFIRM: set(), Step.UNMASK: set()}
    asks = {Step.CONFIRM: place.server.rounds.survivors, Step.UNMASK: place.server.rounds.signatures}
    for step in STEPS:
        for phone in place.phones:
            phone.take(place.server, 1, step)
        kill_at = 1
        while not place.run(coordinate, kill_at):
            kill_at += 1
            for asked, ask in asks.items():
                if place.phase(1) in {asked, *STEPS[STEPS.index(asked) + 1 :], Ended.FINISHED}:
                    told[asked].update(ask(1, phone.key.device_id) for phone in place.phones)
        points += kill_at - 1
    assert points > 25
    assert place.phase(1) == Ended.FINISHED
    place.check_model()
    assert [len(messages) for messages in told.values()] == [2, 2]  # one a group: no second unmasking is asked for
    assert place.server.blobs.list("rounds") == []
    with place.server.database.read() as session:
        kinds = list(session.scalars(sql.select(EventRow.kind).where(EventRow.device == "")))
    assert kinds == ["opened", "closed", "closed", "closed", "closed", "finished"]


@pytest.mark.slow
def test_a_worker_that_is_killed_at_every_point_of_a_message_takes_it_once(place: Place) -> None:
    round_id = gather(place.server, place.clock, place.phones)
    for step in STEPS:
        for number, phone in enumerate(place.phones):
            message = phone.make(place.server, round_id, step)
            if number == 0:
                points = place.killed_at_every_point(send, round_id, step, message, phone.key.device_id)
                assert points >= 3
            phone.send(place.server, round_id, step, message)  # as a phone does that had no answer
        assert place.server.coordinator.tick()
    place.check_model()
    with place.server.database.read() as session:
        assert session.scalar(sql.select(sql.func.count()).select_from(MessageRow)) == len(STEPS) * 8


@pytest.mark.slow
def test_two_coordinators_that_both_believe_in_their_lease_do_nothing_twice(place: Place) -> None:
    round_id = gather(place.server, place.clock, place.phones)
    for step in STEPS:
        for phone in place.phones:
            phone.take(place.server, round_id, step)
        processes = [
            start_in_process(coordinate, place.folder, place.url, place.clock.now, SETTINGS, 0) for _ in range(2)
        ]
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0, 0]
    place.check_model()
    with place.server.database.read() as session:
        kinds = list(session.scalars(sql.select(EventRow.kind).where(EventRow.device == "")))
    assert kinds == ["opened", "closed", "closed", "closed", "closed", "finished"]


def test_on_a_full_disk_nothing_is_accepted_and_nothing_is_lost(place: Place) -> None:
    round_id = gather(place.server, place.clock, place.phones)
    full_for = {Step.UPLOAD} if place.url.startswith("postgresql") else {Step.ADVERTISE, Step.UPLOAD}
    for step in STEPS:
        for number, phone in enumerate(place.phones):
            message = phone.make(place.server, round_id, step)
            if number == 1 and step in full_for:
                assert place.run(send_without_room, 1000, round_id, step, message, phone.key.device_id)
                with place.server.database.read() as session:
                    assert session.get(MessageRow, (round_id, step, phone.key.device_id)) is None
                left = [path.name for path in place.folder.glob("blobs/rounds/*/*")]
                assert len(left) == (step is Step.UPLOAD)
            phone.send(place.server, round_id, step, message)
        if step is Step.UNMASK:
            assert place.run(coordinate_without_room, 1000)
            assert place.phase(round_id) == Step.UNMASK
            assert len(place.server.models.versions()) == 1
        assert place.run(coordinate, 0)
    place.check_model()


def test_a_coordinator_finds_what_a_round_was_made_of_gone_once_another_has_finished_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, f"sqlite:///{tmp_path / 'server.sqlite'}")
    round_id = gather(place.server, place.clock, place.phones)
    for step in STEPS:
        for phone in place.phones:
            phone.take(place.server, round_id, step)
        if step is not Step.UNMASK:
            assert place.server.coordinator.tick()

    def gone(_: int) -> ServerState:
        raise UnknownError("its weights are no longer kept")

    def finished_meanwhile(version: int) -> ServerState:
        with monkeypatch.context() as patch:
            patch.setattr(place.server.models, "state", read)
            assert place.server.coordinator._advance()
        return gone(version)

    read = place.server.models.state
    monkeypatch.setattr(place.server.models, "state", gone)
    with pytest.raises(UnknownError, match="no longer kept"):  # nobody has finished it
        place.server.coordinator.tick()
    monkeypatch.setattr(place.server.models, "state", finished_meanwhile)
    assert place.server.coordinator.tick()
    monkeypatch.undo()
    place.check_model()
    place.server.database.close()
