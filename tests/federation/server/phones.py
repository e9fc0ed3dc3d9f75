"""Phones that talk to a server's core in the same process, step by step."""

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from federation.privacy.mechanisms import phone_noise
from federation.protocol.conditions import Conditions
from federation.protocol.credentials import Credential, Issuer, Revocations, epoch_of
from federation.protocol.plan import PLAN_BYTES, RoundPlan
from federation.protocol.steps import STEPS, Step
from federation.protocol.task import TrainingTask
from federation.robustness import DefenceSettings, PieceRows
from federation.rounds.server_optimizers import ServerOptimizer, SgdMomentum
from federation.secure_aggregation import Device, DeviceKey, phone
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from federation.server.check_ins import CheckedIn, CheckIns
from federation.server.coordinator import Coordinator, SimulatedClients
from federation.server.defence import Probe
from federation.server.models import Gate, Models, Verdict
from federation.server.rounds import Rounds
from federation.server.settings import RoundSettings
from federation.server.store import Blobs, Database
from federation.server.tables import RoundRow
from federation.updates.update import Tally, Update
from tests.federation.secure_aggregation.cohort import digest, private_key

DIMENSION = 300
READY = Conditions(idle=True, charging=True, unmetered=True)
SERVER_KEY = private_key("round server")
ISSUER = Issuer(private_key("authority"))

GROUPS_OF_FOUR = replace(DefenceSettings.none(), enabled=True, group_phones=4)
"""And none of the defences."""


class Clock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Server:
    """One worker and coordinator over a folder; make another over the same folder and it is a restart."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        settings: RoundSettings,
        *,
        url: str | None = None,
        finalizer: ServerOptimizer | None = None,
        gate: Gate = lambda new, old: Verdict(passed=True, metrics={}),  # noqa: ARG005
        simulated_clients: SimulatedClients | None = None,
        probe: Probe | None = None,
        revocations: Callable[[], Revocations] = Revocations,
        pieces: PieceRows | None = None,
    ) -> None:
        self.clock = clock
        self.database = Database(url or f"sqlite:///{folder / 'server.sqlite'}")
        self.database.migrate()
        self.blobs = Blobs(str(folder / "blobs"))
        self.models = Models(self.database, self.blobs, SERVER_KEY)
        finalizer = finalizer or SgdMomentum(learning_rate=1.0, momentum=0.0)
        self.models.begin(finalizer.initialize(np.zeros(DIMENSION, np.float32)), clock())
        self.check_ins = CheckIns(self.database, SERVER_KEY, settings, clock)
        self.rounds = Rounds(self.database, self.blobs, SERVER_KEY, ISSUER.authority, clock, revocations=revocations)
        self.coordinator = Coordinator(
            self.database,
            self.blobs,
            self.models,
            SERVER_KEY,
            ISSUER.authority,
            settings,
            finalizer,
            gate,
            clock,
            folder / "noise.mark",
            simulated_clients,
            probe,
            revocations=revocations,
            pieces=pieces,
        )


class Phone:
    """A device and what it would contribute."""

    def __init__(self, name: int) -> None:
        self.key = DeviceKey(digest("device", name)[:16], private_key("device", name))
        self.renew(1_000_000)
        random = np.random.default_rng(name)
        self.update = Update(random.normal(0, 0.1, DIMENSION).astype(np.float32), Tally(10 + name, 100, 250.0, 12))
        self.plan: RoundPlan
        self.phase: Any

    def renew(self, now: float) -> None:
        """Get a certificate of another epoch; who rotates pseudonyms is `PhoneStore`, here the name stays."""
        self.credential: Credential = ISSUER.issue(self.key.enrolment_request(), epoch_of(now))
        self.device = Device(self.key, self.credential.certificate)

    def check_in(self, server: Server) -> int | None:
        if self.credential.epoch != epoch_of(server.clock()):
            self.renew(server.clock())
        server.rounds.admit(self.credential)
        return self.asked(server).round_id

    def asked(self, server: Server, conditions: Conditions = READY) -> CheckedIn:
        """Return the answer to a check-in, whatever it is."""
        return server.check_ins.check_in(self.credential, os.urandom(16), conditions)

    def take(self, server: Server, round_id: int, step: Step) -> bytes:
        """Take one step, and send its message."""
        message = self.make(server, round_id, step)
        self.send(server, round_id, step, message)
        return message

    def send(self, server: Server, round_id: int, step: Step, message: bytes) -> None:
        server.rounds.receive(round_id, step, message, sender=self.key.device_id)

    def make(self, server: Server, round_id: int, step: Step) -> bytes:
        """Take one step, and return its message."""
        rounds = server.rounds
        message: bytes
        if step is Step.ADVERTISE:
            data = rounds.plan(round_id)
            public = SERVER_KEY.public_key().public_bytes_raw()
            self.plan = RoundPlan.from_signed(data[: PLAN_BYTES + SIGNATURE_BYTES], public)
            self.task = TrainingTask.of_plan(data[PLAN_BYTES + SIGNATURE_BYTES :], self.plan)
            model = server.models.weights(self.plan.model_sha256.hex())
            assert hashlib.sha256(model).digest() == self.plan.model_sha256
            authority = ISSUER.authority.at(self.task.commitments.epoch)
            start = phone.AdvertiseKeys(self.plan.session, self.device, authority)
            message, self.phase = start.advertise()
        elif step is Step.SHARE:
            message, self.phase = self.phase.share(rounds.roster(round_id, self.key.device_id))
        elif step is Step.UPLOAD:
            masking = self.phase.open(rounds.inbox(round_id, self.key.device_id))
            noise = phone_noise(self.plan, digest("noise", self.key.device_id)) if self.plan.codec.noised else None
            vector = self.plan.encode(self.update, digest("rounding", self.key.device_id), noise)
            message, self.phase = masking.mask(vector)
        elif step is Step.CONFIRM:
            message, self.phase = self.phase.confirm(rounds.survivors(round_id, self.key.device_id))
        else:
            message = self.phase.unmask(rounds.signatures(round_id, self.key.device_id))
        return message


def gather(server: Server, clock: Clock, phones: Iterable[Phone]) -> int:
    """Let phones wait for a round, open it, and select them; return its id."""
    phones = list(phones)
    for each in phones:
        assert each.check_in(server) is None
    if not server.coordinator.tick():  # fewer than the goal: maybe a meeting brings more
        clock.now += 60
        for each in phones:
            assert each.check_in(server) is None
        assert server.coordinator.tick()
    joined = {each.check_in(server) for each in phones}
    assert len(joined) == 1
    (round_id,) = joined
    assert round_id is not None
    clock.now += 61
    return round_id


def phase_of(server: Server, round_id: int) -> tuple[str, str | None]:
    """Return a round's phase, and why it was abandoned."""
    with server.database.read() as session:
        row = session.get(RoundRow, round_id)
        assert row is not None
        return row.phase, row.reason


def take_all_steps(server: Server, round_id: int, phones: Iterable[Phone]) -> None:
    """Let phones take every step of a round, and the coordinator close each."""
    for step in STEPS:
        for each in phones:
            each.take(server, round_id, step)
        assert server.coordinator.tick()


def weighted_mean(phones: Iterable[Phone]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    phones = list(phones)
    weights = np.array([each.update.tally.examples for each in phones], np.float64)
    deltas = np.stack([each.update.delta for each in phones]).astype(np.float64)
    mean: np.ndarray[tuple[int], np.dtype[np.float64]] = weights @ deltas / weights.sum()
    return mean
