"""The thread that takes part in rounds: one small step after another, and jobs that others put between them."""

import contextlib
import logging
import queue
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from federation.base import child_processes
from federation.protocol.model_codec import KINDS
from keyboard_app.privacy import DELTA, MAX_PARTICIPATIONS
from keyboard_app.profile import DeviceConditions, Profile
from keyboard_app.settings import Settings
from keyboard_app.status import BudgetStatus, Snapshot
from keyboard_app.typing.learner import Learner
from keyboard_app.typing.training_texts import TrainingTexts
from keyboard_app.typing.vault import VaultError

if TYPE_CHECKING:
    import httpx

    from keyboard_app.participation import Participation

_CLOSING_SECONDS = 10.0
_AFTER_AN_ERROR_SECONDS = 5.0
_LOG = logging.getLogger("fedkey.keyboard")


class RoundsThread:
    """The thread. Methods can be called from any thread and return at once, unless they say otherwise.

    Args:
        profile: Where things are.
        server: URL of the round server; empty for none.
        learner: The texts to train on, and the models.
        settings: Returns what the owner chose.
        conditions: How the device is.
        trust: File of the keys that the app brings; None for that of the exported model.
        transport: What carries requests; httpx's own if there is none.
        clock: Returns seconds since 1970.
        changed: Called, in the thread, when there is something new to show.
        run: What trains and compares models.
    """

    def __init__(
        self,
        profile: Profile,
        server: str,
        learner: Learner,
        settings: Callable[[], Settings],
        conditions: DeviceConditions,
        *,
        trust: Path | None,
        transport: "httpx.BaseTransport | None",
        clock: Callable[[], float],
        changed: Callable[[], None],
        run: child_processes.Runner,
    ) -> None:
        self._run_work = run
        self._profile, self._server, self._learner = profile, server, learner
        self._settings, self._conditions, self._changed = settings, conditions, changed
        self._trust, self._transport, self._clock = trust, transport, clock
        self._snapshot = Snapshot("Waiting", "", (), BudgetStatus(0.0, float("inf"), DELTA, 0, MAX_PARTICIPATIONS))
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._closing = False
        self._wait: float | None = None
        self._participation: Participation | None = None
        self._thread = threading.Thread(target=self._run, name="participation", daemon=True)
        self._thread.start()

    @property
    def snapshot(self) -> Snapshot:
        """What the screens show of participation."""
        return self._snapshot

    @property
    def settings(self) -> Settings:
        """What the owner chose."""
        return self._settings()

    @property
    def conditions(self) -> DeviceConditions:
        """How the device is."""
        return self._conditions

    def wake(self) -> None:
        """Look at the settings again now."""
        self._jobs.put(lambda: None)

    def delete(self, then: Callable[[], None] = lambda: None) -> None:
        """Delete the device's identity and records, and the models that came to it; then call `then` in the thread."""

        def delete() -> None:
            if self._participation is not None:
                self._participation.delete()
            elif self._profile.device.exists():
                shutil.rmtree(self._profile.device)
            for kind in KINDS:
                self._learner.use_model(0, kind)
            if self._profile.models.exists():
                shutil.rmtree(self._profile.models)
            then()

        if self._thread.is_alive():
            self._jobs.put(delete)
        else:
            self._outliving(delete)

    def stop(self) -> None:
        """Stop training and leave the round; the thread ends soon."""
        self._closing = True
        if self._participation is not None:
            self._participation.close()
        self._jobs.put(None)

    def join(self) -> None:
        """Wait for the end of the thread after `stop`."""
        self._thread.join(_CLOSING_SECONDS)

    def show(self) -> None:
        """Have the screens show what participation says now; call it in the thread."""
        if self._participation is None:
            return
        with contextlib.suppress(VaultError):
            snapshot = self._participation.snapshot()
            if snapshot != self._snapshot:
                self._snapshot = snapshot
                self._changed()

    def _run(self) -> None:
        self._learner.opened.wait()
        self._outliving(self._begin)
        while not self._closing:
            self._wait = None if self._participation is None else _AFTER_AN_ERROR_SECONDS
            self._outliving(self._step)
            with contextlib.suppress(queue.Empty):
                job = self._jobs.get(timeout=self._wait)
                if job is None:
                    break
                self._outliving(job)
        if self._participation is not None:
            self._participation.end()

    def _begin(self) -> None:
        self._participation = self._take_part()

    def _step(self) -> None:
        if self._participation is not None:
            self._wait = self._participation.step()
        self.show()

    def _outliving(self, job: Callable[[], object]) -> None:
        """Do something, and go on after any error, which the screens show: a thread that has died deletes nothing."""
        try:
            job()
        except Exception as error:  # noqa: BLE001
            _LOG.exception("an error in the thread that takes part")
            problem = f"Something unexpected happened ({type(error).__name__}: {error}). The phone goes on."
            self._snapshot = replace(self._snapshot, problem=problem)
            self._changed()

    def _take_part(self) -> "Participation | None":
        models = self._learner.models
        if not self._server or models is None:
            why = "There is no model to train" if self._server else "There is no server to learn with"
            self._snapshot = Snapshot(why, "", (), self._snapshot.budget)
            self._changed()
            return None
        # Here, since a keyboard that learns by itself needs no HTTP, and the others need it after the first frame.
        from keyboard_app.participation import Participation  # noqa: PLC0415

        return Participation(
            self._server,
            self._profile.device,
            models,
            self,
            TrainingTexts(self._learner),
            trust=self._trust,
            transport=self._transport,
            clock=self._clock,
            run=self._run_work,
        )
