"""The thread that takes part in rounds: one small step after another, and jobs that others put between them."""

import contextlib
import queue
import shutil
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from federation.base import child_processes
from keyboard_app.privacy import DELTA, MAX_PARTICIPATIONS
from keyboard_app.profile import DeviceConditions, Profile
from keyboard_app.settings import Settings
from keyboard_app.status import BudgetStatus, Snapshot
from keyboard_app.typing.learner import Learner
from keyboard_app.typing.vault import VaultError

if TYPE_CHECKING:
    import httpx

    from keyboard_app.participation import Participation

_CLOSING_SECONDS = 10.0


class RoundsThread:
    """The thread. Methods can be called from any thread and return at once, unless they say otherwise.

    Args:
        profile: Where things are.
        server: URL of the round server; empty for none.
        learner: The texts to train on, and the models.
        settings: Returns what the owner chose.
        conditions: How the device is.
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
        transport: "httpx.BaseTransport | None",
        clock: Callable[[], float],
        changed: Callable[[], None],
        run: child_processes.Runner,
    ) -> None:
        self._run_work = run
        self._profile, self._server, self._learner = profile, server, learner
        self._settings, self._conditions, self._changed = settings, conditions, changed
        self._transport, self._clock = transport, clock
        self._snapshot = Snapshot("Waiting", "", (), BudgetStatus(0.0, float("inf"), DELTA, 0, MAX_PARTICIPATIONS))
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._closing = False
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

    def delete(self) -> None:
        """Delete the device's identity and records, and the models that came to it."""

        def delete() -> None:
            if self._participation is not None:
                self._participation.delete()
            self._learner.use_model(0)
            shutil.rmtree(self._profile.models, ignore_errors=True)

        self._jobs.put(delete)

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
        self._participation = self._take_part()
        while not self._closing:
            wait = None
            if self._participation is not None:
                wait = self._participation.step()
            self.show()
            with contextlib.suppress(queue.Empty):
                job = self._jobs.get(timeout=wait)
                if job is None:
                    break
                job()
        if self._participation is not None:
            self._participation.end()

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
            self._learner,
            transport=self._transport,
            clock=self._clock,
            run=self._run_work,
        )
