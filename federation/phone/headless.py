"""Phones without a screen: real device clients, each with a store of its own, that type somebody's messages.

For demonstrations, load and tests. They run in threads of one process and take turns at one trainer, since it is large;
everything else of a device is its own.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from federation.enrolment import Credential
from federation.phone.client import DeviceClient, Train
from federation.phone.connection import Connection
from federation.phone.errors import PhoneError
from federation.phone.store import PhoneStore, RoundRecord
from federation.phone.training import LocalTraining
from federation.plan import PhonePolicy
from federation.reasons import Reason
from federation.task import Conditions, DeviceClass, TrainingTask
from federation.update import Update
from model.engine import Export, Trainer

DEFAULT_POLICY = PhonePolicy(least_phones=5, least_noise_multiplier=0.0, largest_clip=100.0, most_bits=64.0)
READY = Conditions(idle=True, charging=True, unmetered=True)
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
        self._trainer: Trainer = export.trainer()
        self._lock = threading.Lock()

    def training(self, texts: Callable[[], Sequence[str]], device_class: DeviceClass) -> Train:
        """Return the training of one phone."""
        training = LocalTraining(self._trainer, self._vocabulary, texts, device_class=device_class)

        def in_turn(weights: bytes, task: TrainingTask) -> Update:
            with self._lock:
                return training(weights, task)

        return in_turn


@dataclass(frozen=True, kw_only=True)
class HeadlessSettings:
    """How headless phones behave.

    Attributes:
        flaky: probability that a phone is killed in a round, at a random step, and starts anew.
        policy: what they agree to.
        device_class: of each.
    """

    flaky: float = 0.0
    policy: PhonePolicy = DEFAULT_POLICY
    device_class: DeviceClass = "middle"


class HeadlessPhone:
    """One phone.

    Args:
        folder: of its store.
        url: of the round server.
        enrol: gives the store a credential, if it has none.
        typist: whose messages it learns from.
        pool: that trains.
        vocabulary: key of the vocabulary.
        settings: of its behaviour.
        seed: of what is random about it.
        transport: what carries requests; httpx's own if there is none.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        enrol: Callable[[PhoneStore], Credential | None],
        typist: Typist,
        pool: TrainerPool,
        vocabulary: str,
        settings: HeadlessSettings,
        seed: int,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.store = PhoneStore(folder)
        if self.store.credential is None:
            credential = enrol(self.store)
            if credential is not None:
                self.store.credential = credential
        self._url = url
        self._typist = typist
        self._train = pool.training(typist.texts, settings.device_class)
        self._vocabulary = vocabulary
        self._settings = settings
        self._random = random.Random(seed)  # noqa: S311 - behaviour, not secrets
        self._transport = transport
        self._connection, self._client = self._started()
        self._steps_to_live: int | None = None
        self._known = 0
        self.problem = ""

    @property
    def round_id(self) -> int | None:
        """Of the round that it is in."""
        return self._client.status.round_id

    def run(self, stop: threading.Event, show: Callable[[RoundRecord], None]) -> None:
        """Live until `stop`; show every round that ended."""
        while not stop.is_set():
            try:
                wait = self.step()
                self.problem = ""
            except PhoneError as error:
                self.problem, wait = str(error), _LONGEST_WAIT_SECONDS
            for record in self._ended():
                self._typist.type_on()
                show(record)
            stop.wait(min(wait, _LONGEST_WAIT_SECONDS))
        self._connection.close()
        self.store.close()

    def step(self) -> float:
        """Do one thing, or be killed; return in how many seconds there is another."""
        was = self._client.status.round_id
        wait = self._client.step()
        running = self._client.status.round_id
        if running is None:
            self._steps_to_live = None
        elif running != was and self._random.random() < self._settings.flaky:
            self._steps_to_live = self._random.randrange(12)
        elif self._steps_to_live is not None:
            self._steps_to_live -= 1
            if self._steps_to_live < 0:
                self._connection.close()
                self._connection, self._client = self._started()
                self._steps_to_live = None
        return wait

    def _started(self) -> tuple[Connection, DeviceClient]:
        """Return the device as a process that has just begun, with what lasts."""
        connection = Connection(self._url, self.store, transport=self._transport)
        client = DeviceClient(
            self.store,
            connection,
            policy=self._settings.policy,
            train=self._train,
            conditions=lambda: READY,
            vocabulary=self._vocabulary,
            clock=time.time,
        )
        return connection, client

    def _ended(self) -> list[RoundRecord]:
        ended = [record for record in self.store.rounds() if record.ended is not None]
        new = ended[: len(ended) - self._known]
        self._known = len(ended)
        return new


def outcome(record: RoundRecord) -> str:
    """Say how a round ended for a phone."""
    told = "took part" if record.reason is Reason.NONE else record.reason.value
    return f"round {record.round_id}: {told}, {record.sent:,} bytes up, {record.received:,} down"
