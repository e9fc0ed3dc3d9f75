"""Populations of phones under a virtual clock: whether rounds open, and fill."""

import hashlib
import heapq
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sql

from federation.protocol.credentials import Credential, epoch_of
from federation.protocol.plan import Deadlines
from federation.protocol.steps import Step
from federation.rounds import pace
from federation.server.settings import RoundSettings
from federation.server.tables import DeviceRow, EventRow, MessageRow
from tests.federation.server.phones import READY, Clock, Server

HOUR = 3600.0
SETTINGS = RoundSettings(goal=10, minimum=5, over_selection=1.3, deadlines=Deadlines(120, 150, 330, 360, 390))


@dataclass
class Outcome:
    """Phones in each round, and check-ins that brought nothing."""

    rounds: list[int]
    idle_check_ins: int


class Population:
    """Phones that come when they are told to if they are idle then, and in rounds deal shares but upload nothing.

    Args:
        folder: of the server.
        size: phones.
        away: part of the time in which a phone is in use; then it comes when that is over.
    """

    def __init__(self, folder: Path, size: int, *, away: float = 1 / 3) -> None:
        self.clock = Clock()
        self.server = Server(folder, self.clock, SETTINGS)
        self.random = np.random.default_rng(size)
        self.size = size
        self.idle_check_ins = 0
        self.due: list[tuple[float, int]] = []
        self.used_seconds = 3 * HOUR * away
        self.begins = self.random.uniform(0, 3 * HOUR, size)

    def come(self, at: float, phone: int) -> None:
        """Let a phone come at a time, or later if it is in use then."""
        used_for = (at + self.begins[phone]) % (3 * HOUR)
        heapq.heappush(self.due, (at + max(0.0, self.used_seconds - used_for), phone))

    def wait_already(self) -> None:
        """As if each phone had checked in before."""
        start = self.clock.now
        mean = self.size / (2 * SETTINGS.max_phones) * SETTINGS.deadlines.advertise_seconds
        # What is left at any time of waits between half and one and a half of the mean.
        left = self.random.uniform(0.5, 1.5, self.size) * self.random.uniform(0, 1, self.size) * mean
        rows = [
            {"device_id": _id(phone), "last_seen": start, "waiting_since": start, "due": start + float(left[phone])}
            for phone in range(self.size)
        ]
        with self.server.database.write() as session:
            session.execute(sql.insert(DeviceRow), rows)
        for row, phone in zip(rows, range(self.size), strict=True):
            self.come(row["due"], phone)

    def come_within(self, seconds: float) -> None:
        for phone in range(self.size):
            self.come(self.clock.now + self.random.uniform(0, seconds), phone)

    def live(self, seconds: float) -> Outcome:
        end = self.clock.now + seconds
        while self.clock.now < end:
            while self.due[0][0] <= self.clock.now:
                self._check_in(heapq.heappop(self.due)[1])
            self.server.coordinator.tick()
            self.clock.now += 10.0
        with self.server.database.read() as session:
            closed = session.scalars(sql.select(EventRow.detail).where(EventRow.kind == "closed").order_by(EventRow.id))
            rounds = [int(each.split()[1]) for each in closed if each.startswith(Step.ADVERTISE)]
        return Outcome(rounds, self.idle_check_ins)

    def _check_in(self, phone: int) -> None:
        now = self.clock.now
        answer = self.server.check_ins.check_in(_credential(phone, now), os.urandom(16), READY)
        if answer.round_id is None:
            self.idle_check_ins += 1
            self.come(now + answer.retry_after_seconds, phone)
            return
        with self.server.database.write() as session:
            for step in (Step.ADVERTISE, Step.SHARE):
                session.add(
                    MessageRow(
                        round_id=answer.round_id,
                        step=step,
                        device_id=_id(phone),
                        digest=hashlib.sha256(_id(phone)).digest(),
                        body=b"",
                        blob=None,
                        size_bytes=0,
                        received=now,
                    )
                )
            device = session.get(DeviceRow, _id(phone))
            assert device is not None
            device.joined = now
        self.come(now + SETTINGS.deadlines.upload_seconds + 10, phone)


def _credential(phone: int, now: float) -> Credential:
    return Credential(_id(phone), bytes(32), epoch_of(now), bytes(64))


def _id(phone: int) -> bytes:
    return phone.to_bytes(16, "little")


def test_fewer_phones_than_the_goal_meet_once_an_hour(tmp_path: Path) -> None:
    phones = Population(tmp_path, 8, away=0.0)
    phones.come_within(600)
    outcome = phones.live(3 * HOUR)
    assert len(outcome.rounds) >= 2
    assert min(outcome.rounds) >= SETTINGS.minimum


def test_fifteen_phones_meet(tmp_path: Path) -> None:
    phones = Population(tmp_path, 15)
    phones.come_within(HOUR / 2)
    outcome = phones.live(3.5 * HOUR)
    assert len(outcome.rounds) >= 3
    assert np.mean(outcome.rounds) >= 0.8 * SETTINGS.goal


@pytest.mark.slow
def test_two_hundred_phones_take_part_about_as_often_as_they_may(tmp_path: Path) -> None:
    phones = Population(tmp_path, 200)
    phones.come_within(HOUR / 4)
    outcome = phones.live(HOUR)
    assert len(outcome.rounds) >= 5
    assert np.mean(outcome.rounds) >= SETTINGS.goal


@pytest.mark.parametrize("size", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_large_populations_come_as_often_as_rounds_need_them(tmp_path: Path, size: int) -> None:
    phones = Population(tmp_path, size)
    phones.wait_already()
    outcome = phones.live(HOUR / 2)
    most = HOUR / 2 / SETTINGS.deadlines.upload_seconds
    assert len(outcome.rounds) >= 0.7 * most
    assert np.mean(outcome.rounds) >= SETTINGS.goal
    cohorts = HOUR / 2 / SETTINGS.deadlines.advertise_seconds * SETTINGS.max_phones
    assert outcome.idle_check_ins < 4 * cohorts


def test_phones_of_a_large_round_ask_seldom_and_soon_enough_for_what_is_left_of_the_step() -> None:
    assert pace.poll_seconds(phones=20, left_seconds=300) == 1
    assert pace.poll_seconds(phones=6500, left_seconds=300) == 65
    assert pace.poll_seconds(phones=6500, left_seconds=30) == 10
    assert pace.poll_seconds(phones=6500, left_seconds=-5) == 1
