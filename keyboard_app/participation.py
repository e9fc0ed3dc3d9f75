"""Learning together: the phone's part in rounds, only while its owner agrees, and what came of them.

One thread does it all, one small step at a time; without consent it makes no request at all. Training and comparing run
in another process, which is killed as soon as the phone is in use, the owner withdraws, or the app closes.
"""

import contextlib
import functools
import logging
import math
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import httpx
import numpy as np

from federation.base import child_processes
from federation.device import (
    Connection,
    DeviceClient,
    PhoneError,
    PhoneStore,
    TooLittleError,
    UnreachableError,
    enrol,
)
from federation.device.counts import PinnedLists
from federation.errors import FederationError
from federation.privacy.budget import PrivacyBudget
from federation.protocol.conditions import Conditions
from federation.protocol.model_codec import KINDS, SharedKind
from federation.protocol.policy import PhonePolicy
from federation.protocol.task import DeviceClass, TrainingTask
from federation.protocol.trust import Anchors, TrustError
from federation.updates.update import Update
from keyboard_app import long_work, model_admission
from keyboard_app.model_choice import ModelChoice
from keyboard_app.model_comparison import Measured
from keyboard_app.privacy import DELTA, MAX_BITS, MAX_CLIP, MAX_PARTICIPATIONS, epsilon, rho
from keyboard_app.profile import DeviceConditions
from keyboard_app.round_history import RoundHistory
from keyboard_app.settings import Settings
from keyboard_app.shared_models import SharedModels
from keyboard_app.status import BudgetStatus, Snapshot
from keyboard_app.typing.vault import Vault, VaultError
from model.engine import TRAINING_BATCH

_LOG = logging.getLogger("fedkey.keyboard")

_REST_SECONDS = 60.0  # after a problem that time alone may not mend
_LONGEST_WAIT_SECONDS = 5.0  # switches and settings are looked at so often
_DEVICE_CLASS: DeviceClass = "middle"


class Owner(Protocol):
    """Who decides: what the owner chose, how the device is, and the screens."""

    @property
    def settings(self) -> Settings:
        """What the owner chose."""

    @property
    def conditions(self) -> DeviceConditions:
        """How the device is."""

    def show(self) -> None:
        """Show what is new before a step is over."""


class Texts(Protocol):
    """What is learned from, and what becomes of it; `TrainingTexts`."""

    @property
    def vault(self) -> Vault:
        """Where the owner's things are."""

    @property
    def new_examples(self) -> int:
        """Number of messages since the last training."""

    def training_texts(self, max_messages: int, max_rounds: int) -> Sequence[str]:
        """Return messages to train on that were in fewer rounds than `max_rounds`: new ones first."""

    def count_round(self) -> None:
        """Count one more round for what `training_texts` returned last."""

    def held_out_texts(self) -> Sequence[str]:
        """Return messages that are never trained on."""

    def was_trained(self) -> None:
        """Count what `training_texts` returned last as old, after a round that the phone took part in."""

    def use_model(self, version: int, kind: SharedKind) -> None:
        """Predict with a version of the weights or counts from now on."""


class Participation:
    """A phone's part in the rounds of one server. Call `step` from one thread, and everything else from any.

    Args:
        url: URL of the server.
        folder: Folder of the device's store.
        models: The shared models, and the network that they are weights of.
        owner: Who decides.
        texts: What is learned from.
        trust: File of the keys that the app brings; by default that of the exported model.
        transport: What carries requests; httpx's own if there is none.
        clock: Returns seconds since 1970.
        run: What trains and compares.
    """

    def __init__(
        self,
        url: str,
        folder: Path,
        models: SharedModels,
        owner: Owner,
        texts: Texts,
        *,
        trust: Path | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
        run: child_processes.Runner = child_processes.run,
    ) -> None:
        self._run = run
        self._trust = trust
        self._anchors: Anchors | None = None
        self._url, self._folder, self._transport, self._clock = url, folder, transport, clock
        self._export, self._models, self._owner, self._texts = models.export, models, owner, texts
        self._closing = threading.Event()
        self._store: PhoneStore | None = None
        self._connection: Connection | None = None
        self._client: DeviceClient | None = None
        self._policy: PhonePolicy | None = None
        self._history = RoundHistory(lambda: texts.vault)
        self._choice = ModelChoice(
            models,
            held_out_texts=texts.held_out_texts,
            use=texts.use_model,
            say=self._do,
            note=self._note_accuracy,
            should_stop=lambda: not self._wanted,
            run=run,
        )
        self.activity = "Waiting"
        self.problem = self.unreachable = ""

    def step(self) -> float:
        """Do the next small thing; return in how many seconds there is another."""
        if not self._wanted:
            self._leave()
            self.activity, self.problem, self.unreachable = "Off", "", ""
            return _LONGEST_WAIT_SECONDS
        try:
            client = self._begun()
            self._limit_budget()
            spent = self._spent()
            wait = client.step()
            self._look_at_rounds(client, spent)
            for kind in KINDS:
                self._choice.look_at(kind, self._opened())
        except UnreachableError as error:
            self.activity, wait = f"Waiting: {error}", _LONGEST_WAIT_SECONDS
            self.unreachable = str(error)
        except (FederationError, VaultError, OSError) as error:
            self._stopped(str(error))
            wait = _REST_SECONDS
        except Exception as error:  # noqa: BLE001 - the thread outlives what nobody thought of
            _LOG.exception("an error in taking part")
            self._stopped(f"Something unexpected happened ({type(error).__name__}): the phone tries again soon.")
            wait = _REST_SECONDS
        else:
            waiting = client.status.round_id is None and self._waits_for_text and not client.unreachable
            self.activity = "Waiting: too little new text to train on" if waiting else _sentence(client)
            self.problem, self.unreachable = "", client.unreachable
        return min(wait, _LONGEST_WAIT_SECONDS)

    def close(self) -> None:
        """Leave the round, if there is one, and let go of everything; training ends at once."""
        self._closing.set()

    def end(self) -> None:
        """Do what `close` asked for; in the thread of `step`."""
        self._hang_up()

    def _stopped(self, problem: str) -> None:
        self.activity, self.problem = "Stopped", problem
        self._hang_up()

    def delete(self) -> None:
        """Delete the device's identity and records; in the thread of `step`. The server knows no more of it.

        Raises:
            OSError: something of it cannot be deleted.
        """
        self._hang_up()
        if self._folder.exists():
            shutil.rmtree(self._folder)
        self.activity, self.problem = "Off", ""

    def snapshot(self) -> Snapshot:
        """Return what the screens show of it, in the thread of `step`."""
        settings = self._owner.settings
        budget, records = None, []
        if self._folder.exists():
            try:
                budget, records = self._opened().budget, self._opened().rounds()
            except PhoneError as error:
                self.problem = str(error)
        budget = budget or PrivacyBudget(math.inf, MAX_PARTICIPATIONS)
        meter = BudgetStatus(
            epsilon(budget.spent_rho), settings.epsilon_limit, DELTA, budget.participations, budget.max_participations
        )
        entries = self._history.entries(records)
        return Snapshot(self.activity, self.problem, entries, meter, self._says(), self.unreachable)

    def _says(self) -> str:
        """Say how far the app trusts the server's operator."""
        try:
            profile = self._anchored().profile
        except TrustError as error:
            return str(error)
        return f"{profile.name.capitalize()}. {profile.says}"

    def _begun(self) -> DeviceClient:
        """Return the client, which holds to what the owner chose and enrols the device in every epoch."""
        chosen = self._owner.settings
        policy = PhonePolicy(chosen.min_phones, 0.0, MAX_CLIP, MAX_BITS, rounds_per_week=chosen.max_rounds_per_week)
        if self._client is not None and policy != self._policy and self._client.status.round_id is None:
            self._leave()
        if self._client is None:
            self._policy = policy
            anchors, store = self._anchored(), self._opened()
            self._connection = Connection(self._url, store, transport=self._transport, clock=self._clock)
            store.anchor(anchors)
            self._client = DeviceClient(
                store,
                self._connection,
                policy=policy,
                train=self._train,
                conditions=self._conditions,
                anchors=anchors,
                renew=lambda: enrol(anchors.enrolment_url or self._url, store, transport=self._transport),
                needed=Conditions(idle=True, charging=True, unmetered=True),
                shipped=lambda: self._export.trainer().weights(),
                admits=self._admit,
                counted=self._lists,
                budget=PrivacyBudget(rho(chosen.epsilon_limit), MAX_PARTICIPATIONS),
                clock=self._clock,
            )
        return self._client

    @functools.cached_property
    def _lists(self) -> PinnedLists:
        """The only lists that this phone counts over; they take a second to make."""
        return PinnedLists.of(self._export.mixture.public, self._export.vocabulary)

    def _anchored(self) -> Anchors:
        """Return what the app brings along."""
        if self._anchors is None:
            self._anchors = Anchors.read(self._export.directory, self._export.manifest, self._trust)
        return self._anchors

    def _opened(self) -> PhoneStore:
        if self._store is None:
            self._store = PhoneStore(self._folder)
        return self._store

    def _conditions(self) -> Conditions:
        """Say how the device is. Outside a round, one that has too little to train on says that it is not ready."""
        in_round = self._client is not None and self._client.status.round_id is not None
        if not self._wanted or (not in_round and self._waits_for_text):
            return Conditions()
        return self._owner.conditions.now()

    @property
    def _wanted(self) -> bool:
        return self._owner.settings.consent is True and not self._closing.is_set()

    @property
    def _waits_for_text(self) -> bool:
        """Whether the phone stays away; under noise it comes whatever was typed, and sends zeros if it is nothing."""
        return self._too_little and self._anchored().profile.min_noise_multiplier == 0

    @property
    def _too_little(self) -> bool:
        return self._texts.new_examples < self._owner.settings.min_examples

    def _train(self, weights: bytes, task: TrainingTask) -> Update:
        def should_stop() -> bool:
            return not self._wanted or not self._owner.conditions.now().meet(task.needed)

        number, doing, done = self._opened().rounds()[0].number, "Training", ""
        asked = None if task.counting is None else self._lists.asked(task.counting)
        if asked is not None:
            doing, done = ("Voting", "voted") if asked == self._lists.words else ("Counting", "counted")
            self._history.note(number, **{done: [0, asked.length]})
        if self._too_little:
            raise TooLittleError("too little was typed since the last training")
        max_messages = task.budgets[_DEVICE_CLASS].steps * TRAINING_BATCH  # a message has a row at least
        texts = self._texts.training_texts(max_messages, self._owner.settings.max_rounds_per_message)
        round_id = self._client.status.round_id if self._client else None
        self._do(f"{doing} for round {round_id}")
        try:
            arguments = (self._export.directory, weights, task, texts, _DEVICE_CLASS)
            update: Update = self._run(should_stop, long_work.train, *arguments)
        except child_processes.InterruptedWorkError as error:
            self._history.note(number, reason=f"{doing} was broken off: {error}.")
            raise
        if asked is not None:
            self._history.note(number, **{done: [int(np.count_nonzero(update.delta)), asked.length]})
        self._texts.count_round()  # before anything of it leaves, whatever becomes of the round
        return update

    def _admit(self, weights: bytes) -> None:
        """See `model_admission.admit`."""
        texts = self._texts.held_out_texts()
        if texts:
            self._do("Comparing the new shared model with the app's own")
            model_admission.admit(weights, self._export.directory, texts, self._run, lambda: not self._wanted)

    def _do(self, activity: str) -> None:
        """Say what takes the rest of this step."""
        self.activity = activity
        self._owner.show()

    def _limit_budget(self) -> None:
        """Hold the device to the limit that its owner chose last."""
        store = self._opened()
        limit = rho(min(self._owner.settings.epsilon_limit, self._anchored().profile.epsilon_limit))
        if store.budget is not None and store.budget.limit_rho != limit:
            store.budget = replace(store.budget, limit_rho=limit)

    def _spent(self) -> float:
        budget = self._opened().budget
        return budget.spent_rho if budget else 0.0

    def _look_at_rounds(self, client: DeviceClient, spent_before: float) -> None:
        """Keep why a round was refused, what one cost, and what left in it."""
        store = self._opened()
        self._history.note_refusal(store, client.status.reason)
        self._history.note_cost(store, self._spent() - spent_before)
        sealed = self._history.seal(store)
        if sealed is not None and not self._history.was_counting(sealed):
            self._texts.was_trained()  # what was only counted is still new to the network

    def _note_accuracy(self, measured: Measured) -> None:
        """Keep how well what came of a round predicts."""
        joined = next((record for record in self._opened().rounds() if record.contributed), None)
        if joined is not None:
            self._history.note(joined.number, accuracy=measured.top1)

    def _leave(self) -> None:
        with contextlib.suppress(PhoneError):
            if self._client is not None:
                self._client.leave()
        self._client = None
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _hang_up(self) -> None:
        """Leave the round, and close what is open, whatever state it is in."""
        for let_go in (self._leave, lambda: self._store.close() if self._store else None):
            try:
                let_go()
            except Exception:  # noqa: BLE001
                _LOG.exception("an error in letting go")
        self._client = self._connection = self._store = None


def _sentence(client: DeviceClient) -> str:
    """Say what a device does."""
    status = client.status
    if status.round_id is None:
        return f"Waiting: {status.reason}" if status.reason else "Waiting"
    return f"{status.activity.capitalize()} for round {status.round_id}"
