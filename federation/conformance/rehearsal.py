"""A round of one foreign phone and several of this package, in memory, whose every answer can be tampered with."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.conformance.reference_update import reference_update
from federation.privacy.mechanisms import phone_noise
from federation.protocol import cohorts
from federation.protocol.commitments import Commitments
from federation.protocol.conditions import Conditions
from federation.protocol.credentials import Issuer, Revocations, epoch_of
from federation.protocol.log import Edge, LogEntry
from federation.protocol.model_codec import sha256, signed_part, to_bytes
from federation.protocol.plan import Deadlines, Mechanism, RoundPlan
from federation.protocol.steps import Step
from federation.protocol.task import DEVICE_CLASSES, ComputeBudget, TrainingTask
from federation.protocol.training_settings import TrainingSettings
from federation.secure_aggregation import Device, DeviceKey, Vector, phone
from federation.secure_aggregation.messages import Advertisement
from federation.secure_aggregation.server import Aggregate, CollectAdvertisements
from federation.secure_aggregation.shamir import Entropy
from federation.updates.encoding import PackedEncoding
from federation.updates.update import Update

COMPANIONS = 4
DIMENSION = 5000
"""Weights of the model of a trial: two blocks of the rotation, the second one not full."""

MIN_PHONES, MAX_PHONES = 4, 10
CLIP = 0.5
WEIGHT_CAP = 32


@dataclass
class World:
    """What a trial's server is: keys, companions, models and their log.

    Attributes:
        now: seconds since 1970 when it began.
        entropy: of everybody; anything but `os.urandom` is for known answers.
    """

    now: float
    entropy: Entropy = os.urandom

    def __post_init__(self) -> None:
        self.epoch = epoch_of(self.now)
        self.server_key, self.authority_key = self._key(), self._key()
        self.issuer = Issuer(self.authority_key)
        self.companions = [self.new_device() for _ in range(COMPANIONS)]
        self.instance = self.entropy(16)
        self.authority = self.issuer.authority.at(self.epoch)
        self._issued = int(self.now)
        self.revoke(frozenset())
        self.models: list[bytes] = []
        self.log: list[bytes] = []
        self.add_model()

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.entropy(32))

    def new_device(self) -> Device:
        """Return a device with a certificate of the present epoch."""
        key = DeviceKey(self.entropy(16), self._key())
        return Device(key, self.issuer.issue(key.enrolment_request(), self.epoch).certificate)

    @property
    def server_public(self) -> bytes:
        """Raw key of the server."""
        return self.server_key.public_key().public_bytes_raw()

    def revoke(self, devices: frozenset[bytes], signer: Ed25519PrivateKey | None = None) -> None:
        """Publish a new list of revoked devices; only the phone looks at it."""
        self._issued += 1
        self.revoked = Revocations(devices, self._issued).signed(signer or self.authority_key)
        self._is_honest = signer is None and not devices

    def mend(self) -> None:
        """Be an honest server again after a case that was not one."""
        if not self._is_honest:
            self.revoke(frozenset())
        if not self._is_logged:
            self.add_model()

    def add_model(self, *, logged: bool = True) -> None:
        """Make a version that moved a little from the one before."""
        before = np.frombuffer(self.models[-1], "<f4") if self.models else np.zeros(DIMENSION, np.float32)
        moved = np.random.default_rng(len(self.models)).normal(0, 1e-3, DIMENSION).astype(np.float32)
        self.models.append(to_bytes(before + moved))
        version = len(self.models)
        parent = version - 1 or None
        entry = LogEntry(version=version, parent=parent, sha256=sha256(self.models[-1]), accepted=True)
        self._is_logged = logged
        if logged:
            self.log.append(entry.to_bytes())

    @property
    def current(self) -> dict[str, Any]:
        """What `/v1/models/current` answers."""
        version, digest = len(self.models), sha256(self.models[-1])
        signature = self.server_key.sign(signed_part(version, digest)).hex()
        return {"version": version, "sha256": digest, "signature": signature}

    def commitments(self, nonce: bytes) -> Commitments:
        """Return those of a round whose groups follow from a nonce."""
        edge = Edge.of(self.log)
        return Commitments(
            instance=self.instance,
            log_size=edge.size,
            log_root=edge.root,
            epoch=self.epoch,
            groups=cohorts.commitment(nonce),
            group_phones=3 * MAX_PHONES,
            revoked=hashlib.sha256(self.revoked).digest(),
        )

    def task(self, nonce: bytes, **changes: Any) -> TrainingTask:
        """Return the task of a round."""
        task = TrainingTask(
            nonce=self.entropy(32),
            model_version=len(self.models),
            training=TrainingSettings(),
            budgets={name: ComputeBudget(steps=10, seconds=10) for name in DEVICE_CLASSES},
            needed=Conditions(idle=True, charging=True, unmetered=True),
            separation_seconds=0,
            commitments=self.commitments(nonce),
        )
        return replace(task, **changes)

    def plan(self, round_id: int, task: TrainingTask, **changes: Any) -> RoundPlan:
        """Return the plan of a round with a task."""
        plan = RoundPlan(
            round_id=round_id,
            model_sha256=hashlib.sha256(self.models[-1]).digest(),
            dimension=DIMENSION,
            encoding=PackedEncoding.for_clip(4, MAX_PHONES, CLIP, DIMENSION),
            clip=CLIP,
            weight_cap=WEIGHT_CAP,
            rotation_seed=task.rotation_seed,
            minimum=MIN_PHONES,
            deadlines=Deadlines(600, 1200, 1800, 2400, 3000),
        )
        return replace(plan, **changes)


@dataclass
class Rehearsal:
    """One round; the foreign phone's messages drive it.

    Attributes:
        world: of the trial.
        plan, task: as the phone gets them, if it gets them untampered.
        nonce: of the groups.
        drops: how many companions are gone when a step begins.
    """

    world: World
    plan: RoundPlan
    task: TrainingTask
    nonce: bytes
    drops: Mapping[Step, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.sent: dict[Step, bytes] = {}
        self.advertisements: list[bytes] = []
        self.aggregate: Aggregate | None = None
        self._vectors: list[Vector] = []
        self._companions: list[tuple[Device, Any]] = []
        self._server: Any = CollectAdvertisements(self.plan.session, self.world.authority)

    @property
    def own(self) -> Advertisement:
        """What the foreign phone advertised."""
        return Advertisement.parse(self.sent[Step.ADVERTISE], self.plan.hash)

    @property
    def index(self) -> int:
        """Of the foreign phone on the roster."""
        ids = [each.device_id for each in self.phones]
        return ids.index(self.own.device_id)

    @property
    def phones(self) -> Sequence[Advertisement]:
        """The roster."""
        phones: Sequence[Advertisement] = self._roster.phones
        return phones

    @property
    def sid(self) -> bytes:
        """Of the session."""
        sid: bytes = self._roster.sid
        return sid

    def take(self, step: Step, message: bytes) -> None:
        """Take the foreign phone's message of a step, then everybody else's.

        Raises:
            SecureAggregationError: the message is wrong.
        """
        self._server.receive(message)
        self.sent[step] = message
        getattr(self, f"_{step.value}")()

    def _advertise(self) -> None:
        self._companions = [
            (device, phone.AdvertiseKeys(self.plan.session, device, self.world.authority, self.world.entropy))
            for device in self.world.companions
        ]
        self.advertisements = [self.sent[Step.ADVERTISE]]
        self.advertisements += self._all_take(lambda _, phase: phase.advertise())
        self._roster = self._server.roster
        self.answers["roster"] = self._server.roster_message
        self.answers["cohort"] = cohorts.to_bytes(self.nonce, self.advertisements)

    def _share(self) -> None:
        self._drop(Step.SHARE)
        self._all_take(lambda _, phase: phase.share(self.answers["roster"]))
        self.answers["inbox"] = self._server.inbox_message(self.own.device_id)

    def _upload(self) -> None:
        self._drop(Step.UPLOAD)
        collecting = self._server

        def masked(device: Device, phase: Any) -> tuple[bytes, Any]:
            vector = self._vector(len(self._vectors))
            self._vectors.append(vector)
            opened = phase.open(collecting.inbox_message(device.key.device_id))
            taken: tuple[bytes, Any] = opened.mask(vector)
            return taken

        self._all_take(masked)
        self.answers["survivors"] = self._server.survivors_message

    def _vector(self, number: int) -> Vector:
        random = np.random.default_rng(number)
        update = Update(random.normal(0, 1e-3, DIMENSION).astype(np.float32), reference_update(1).tally)
        noise = (
            None if self.plan.privacy.mechanism is Mechanism.NONE else phone_noise(self.plan, self.world.entropy(32))
        )
        return self.plan.encode(update, self.world.entropy(32), noise)

    def _confirm(self) -> None:
        self._drop(Step.CONFIRM)
        self._all_take(lambda _, phase: phase.confirm(self.answers["survivors"]))
        self.answers["signatures"] = self._server.signatures_message

    def _unmask(self) -> None:
        self._all_take(lambda _, phase: (phase.unmask(self.answers["signatures"]), None))
        self.aggregate = self._server

    def _drop(self, step: Step) -> None:
        self._companions = self._companions[self.drops.get(step, 0) :]

    def _all_take(self, taken: Callable[[Device, Any], tuple[bytes, Any]]) -> list[bytes]:
        """Let every companion take its step, and close it; return their messages."""
        made = [(device, *taken(device, phase)) for device, phase in self._companions]
        for _, message, _ in made:
            self._server.receive(message)
        self._server = self._server.close()
        self._companions = [(device, phase) for device, _, phase in made]
        return [message for _, message, _ in made]

    @property
    def vector(self) -> Vector:
        """What the foreign phone masked: the sum without everybody else's."""
        assert self.aggregate is not None  # noqa: S101 - asked when the round is over
        own = self.aggregate.vector.copy()
        for other in self._vectors:
            np.subtract(own.counters, other.counters, out=own.counters)
            np.subtract(own.words, other.words, out=own.words)
        return own
