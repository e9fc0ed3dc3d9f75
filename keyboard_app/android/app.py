"""What Android starts: the application's process, and beside it the service that takes part in rounds.

A profile belongs to one process at a time. The application ends the service when it starts, and starts it when its
window is closed; what the service is in the middle of ends with it, as a phone's battery may end it at any time.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from keyboard_app.android.keys import SealedKeyStore
from keyboard_app.android.system import AndroidConditions, AndroidSealer, context, files_folder, java
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile, ProfileError

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "runs/server/export"
"""The exported model that `buildozer.spec` puts into the package."""

SERVER = ROOT / "server.txt"
"""URL of the round server, if the package is built with one."""

_SERVICE = "org.fedkey.fedkey.ServiceRounds"
_TAKING_OVER_SECONDS = 10.0
_POLL_SECONDS = 0.05
_LOOK_SECONDS = 60.0
_PATIENCE_SECONDS = 1800.0  # without the conditions to train, before the service ends by itself

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


def main() -> None:
    """Be the application, until its window is closed."""
    from keyboard_app.ui.app import run  # noqa: PLC0415 - the service has no window

    service = java(_SERVICE)
    service.stop(context())
    with _phone(at_once=False) as phone:
        run([phone])
    service.start(context(), "")


def serve() -> None:
    """Be the service, until the device was in use for a while."""
    with _phone(at_once=True):
        good = time.monotonic()
        while time.monotonic() - good < _PATIENCE_SECONDS:
            time.sleep(_LOOK_SECONDS)
            now = AndroidConditions().now()
            if now.idle and now.charging and now.unmetered:
                good = time.monotonic()


def run_here(
    should_stop: Callable[[], bool], work: Callable[[*_Arguments], _Result], /, *arguments: *_Arguments
) -> _Result:
    """Do long work in this process, and end the process if it is to stop: see `child_processes.Runner`.

    Android has no Python that another process could be. Whatever is kept survives the end of a process at any time.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_POLL_SECONDS):
            if should_stop():
                os._exit(0)

    threading.Thread(target=watch, name="watch", daemon=True).start()
    try:
        return work(*arguments)
    finally:
        done.set()


@contextlib.contextmanager
def _phone(*, at_once: bool) -> Iterator[Phone]:
    profile = Profile.named("phone", files_folder())
    with _taken_over(profile):
        phone = Phone(
            profile,
            model=MODEL if MODEL.exists() else None,
            server=SERVER.read_text().strip() if SERVER.exists() and at_once else "",  # rounds are the service's
            keys=SealedKeyStore(profile.key, AndroidSealer()),
            conditions=AndroidConditions(),
            at_once=at_once,
            run=run_here,
        )
        try:
            yield phone
        finally:
            phone.close()


@contextlib.contextmanager
def _taken_over(profile: Profile) -> Iterator[None]:
    """Hold the profile as soon as the other process lets go of it."""
    deadline = time.monotonic() + _TAKING_OVER_SECONDS
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(profile.held())
                break
            except ProfileError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)
        yield
