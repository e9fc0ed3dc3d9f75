"""Phones without a screen: real device clients, each with a store of its own, that type somebody's messages.

For demonstrations, load and tests. They run in threads of one process and take turns at one trainer, since it is large;
everything else of a device is its own.
"""

import functools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx

from federation.device.client import DeviceClient
from federation.device.connection import Connection
from federation.device.counts import PinnedLists
from federation.device.errors import PhoneError
from federation.device.records import RoundRecord
from federation.device.running_round import Train
from federation.device.store import PhoneStore
from federation.device.training import LocalTraining
from federation.fleet.emulation import DAY_SECONDS, Hours, SlowNetwork, SlowTraining
from federation.fleet.scenario import Device, PhoneClass, Scenario
from federation.protocol.drop_reasons import DropReason
from federation.protocol.policy import PhonePolicy
from federation.protocol.steps import STEPS, Step
from federation.protocol.task import ComputeBudget, TrainingTask
from federation.protocol.trust import Anchors
from federation.updates.update import Update
from model.engine import Export, Trainer
from model.layout import FlatVector

DEFAULT_POLICY = PhonePolicy(min_phones=5, min_noise_multiplier=0.0, max_clip=100.0, max_bits=64.0)
AS_FAST_AS_THIS_MACHINE = PhoneClass(
    name="desktop",
    share=1.0,
    budget=ComputeBudget(steps=1 << 20, seconds=1 << 20),
    tokens_per_second=1e9,
    upload_bytes_per_second=1e12,
    download_bytes_per_second=1e12,
)
_LONGEST_WAIT_SECONDS = 5.0


class Typist:
    """Somebody's messages, of which more are typed as time goes on.

    Args:
        texts: all of them, oldest first.
        at_first: how many are there at the start.
        a_round: how many come with each round.
    """

    def __init__(self, texts: Sequence[str], *, at_first: int, a_round: int) -> None:
        self._texts = texts
        self._typed = at_first
        self._a_round = a_round

    def type_on(self) -> None:
        """Type some more."""
        self._typed += self._a_round

    def texts(self) -> Sequence[str]:
        """Return what was typed so far."""
        return self._texts[: self._typed]


class TrainerPool:
    """One trainer that several phones use in turn.

    Args:
        export: of the network.
    """

    def __init__(self, export: Export) -> None:
        self._vocabulary = export.vocabulary
        self._public = export.mixture.public
        self.counted = PinnedLists.of(self._public, self._vocabulary)
        self._trainer: Trainer = export.trainer()
        self._lock = threading.Lock()
        self._shipped = self._trainer.weights()

    def shipped(self) -> FlatVector:
        """Return the weights that the app came with."""
        return self._shipped

    def training(self, texts: Callable[[], Sequence[str]], device: Device) -> Train:
        """Return the training of one phone."""
        training = LocalTraining(
            self._trainer,
            self._vocabulary,
            texts,
            device_class=device.kind.device_class,
            max_steps=device.steps,
            public=self._public,
        )

        def in_turn(weights: bytes, task: TrainingTask) -> Update:
            with self._lock:
                return training(weights, task)

        return in_turn


@dataclass(frozen=True, kw_only=True)
class HeadlessSettings:
    """How headless phones behave.

    Attributes:
        scenario: which phones there are, when they are available, and where they are killed, to start again.
        policy: what they agree to.
        day_seconds: that a day of the scenario takes.
    """

    scenario: Scenario = field(default_factory=lambda: Scenario(classes=(AS_FAST_AS_THIS_MACHINE,)))
    policy: PhonePolicy = DEFAULT_POLICY
    day_seconds: float = DAY_SECONDS


class HeadlessPhone:
    """One phone.

    Args:
        folder: of its store.
        url: of the round server.
        enrol: has the authority certify the device for the current epoch, and keeps the credential.
        typist: whose messages it learns from.
        pool: that trains.
        anchors: of the app.
        settings: of its behaviour.
        seed: of the fleet.
        index: of the phone in the scenario's fleet.
        transport: what carries requests; httpx's own if there is none.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        enrol: Callable[[PhoneStore], None],
        typist: Typist,
        pool: TrainerPool,
        anchors: Anchors,
        settings: HeadlessSettings,
        seed: int,
        index: int,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = PhoneStore(folder)
        self.store.anchor(anchors)
        self._enrol = enrol
        self._url = url
        self._typist = typist
        self._device = settings.scenario.device(seed, index)
        self._stop = threading.Event()
        self._train = SlowTraining(pool.training(typist.texts, self._device), self._device, self._stop.wait)
        self._conditions = Hours(self._device, settings.day_seconds, clock)
        self._anchors = anchors
        self._shipped = pool.shipped
        self._counted = pool.counted
        self._settings = settings
        self._transport, self._clock = transport, clock
        self._connection, self._client = self._started()
        self._known = 0
        self.problem = ""

    @property
    def round_id(self) -> int | None:
        """Of the round that it is in."""
        return self._client.status.round_id

    @property
    def activity(self) -> str:
        """What it does now, or waits for."""
        if self.problem:
            return f"wait: {self.problem}"
        status = self._client.status
        if status.round_id is not None:
            return f"in round {status.round_id}"
        return f"wait: {status.reason}" if status.reason else "wait for a round"

    def run(self, show: Callable[[RoundRecord], None]) -> None:
        """Live until `stop`; show every round that ended."""
        while not self._stop.is_set():
            try:
                wait = self.step()
                self.problem = ""
            except PhoneError as error:
                self.problem, wait = str(error), _LONGEST_WAIT_SECONDS
            for record in self._ended():
                self._typist.type_on()
                show(record)
            self._stop.wait(min(wait, _LONGEST_WAIT_SECONDS))
        self._connection.close()
        self.store.close()

    def stop(self) -> None:
        """Have `run` return soon, also if it is in the middle of training or of a slow request."""
        self._stop.set()

    def step(self) -> float:
        """Do one thing, or be killed before a message; return in how many seconds there is another."""
        sending, round_id = self._client.sending, self.round_id
        if sending is not None and round_id is not None and self._device.drops_out(round_id, _STEPS[sending]):
            self._connection.close()
            self._connection, self._client = self._started()
        return self._client.step()

    def _started(self) -> tuple[Connection, DeviceClient]:
        """Return the device as a process that has just begun, with what lasts."""
        network = SlowNetwork(self._transport or httpx.HTTPTransport(), self._device, self._stop.wait)
        connection = Connection(self._url, self.store, transport=network, clock=self._clock)
        client = DeviceClient(
            self.store,
            connection,
            policy=self._settings.policy,
            train=self._train,
            conditions=self._conditions,
            anchors=self._anchors,
            renew=lambda: self._enrol(self.store),
            shipped=self._shipped,
            counted=self._counted,
            clock=self._clock,
        )
        return connection, client

    def _ended(self) -> list[RoundRecord]:
        ended = [record for record in self.store.rounds() if record.ended is not None]
        new = ended[: len(ended) - self._known]
        self._known = len(ended)
        return new


class Fleet:
    """Headless phones that live side by side, as a context manager.

    Args:
        phones: of it.
        show: told of every round that ended for a phone, with the phone's number.
    """

    def __init__(self, phones: Sequence[HeadlessPhone], show: Callable[[int, RoundRecord], None]) -> None:
        self._phones = phones
        self._show = show
        self._rounds: set[int] = set()
        self._threads = [
            threading.Thread(target=phone.run, args=(functools.partial(self._ended, number),))
            for number, phone in enumerate(phones)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for phone in self._phones:
            phone.stop()
        for thread in self._threads:
            thread.join()

    @property
    def rounds(self) -> int:
        """Rounds that all of its phones are through with."""
        running = {phone.round_id for phone in self._phones}
        return len(self._rounds - running)

    @property
    def problems(self) -> set[str]:
        """What keeps phones from taking part."""
        return {phone.problem for phone in self._phones if phone.problem}

    def _ended(self, number: int, record: RoundRecord) -> None:
        self._rounds.add(record.round_id)
        self._show(number, record)


_STEPS: dict[str, Step] = {step: step for step in STEPS}


def outcome(record: RoundRecord) -> str:
    """Say how a round ended for a phone."""
    told = "took part" if record.reason is DropReason.NONE else record.reason.sentence
    return f"round {record.round_id}: {told}, {record.sent:,} bytes up, {record.received:,} down"
