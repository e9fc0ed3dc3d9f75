"""Processes of a server: gunicorn's workers answer phones, and a process beside them coordinates."""

import logging
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from prometheus_client.multiprocess import mark_process_dead

from federation.enrolment.authority import AuthorityFolder
from federation.enrolment.service import create_desk
from federation.errors import FederationError
from federation.server.app import Site, create_app
from federation.server.coordinator import Coordinator
from federation.server.installation import Installation
from federation.server.limits import Limits, RateLimits
from federation.server.metrics import Metrics

_LOG = logging.getLogger("fedkey.server")
_THREADS = 8
_TICK_SECONDS = 0.2
_RESTART_SECONDS = 1.0


def application(installation: Installation) -> Flask:
    """Return the WSGI application of one worker."""
    site = Site(
        rounds=installation.rounds,
        models=installation.models,
        public_key=installation.public_key,
        about=installation.about,
        max_upload=installation.max_upload,
        limits=Limits(installation.settings.rates),
        metrics=Metrics(installation.database),
        clock=installation.clock,
    )
    return create_app(site)


def serve(folder: Path, *, host: str, port: int, workers: int, coordinator: Sequence[str]) -> None:
    """Answer phones until a signal ends it.

    Args:
        folder: of the server, with a first model.
        host: address to listen on.
        port: to listen on; 0 for any.
        workers: processes.
        coordinator: command that coordinates; it is started again whenever it ends.
    """
    with tempfile.TemporaryDirectory(prefix="fedkey-metrics-") as metrics:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
        running = _Supervised(coordinator)
        _Gunicorn(
            lambda: application(Installation.load(folder)),
            bind=f"{host}:{port}",
            workers=workers,
            when_ready=lambda _: running.start(),
            on_exit=lambda _: running.stop(),
            child_exit=lambda _, worker: mark_process_dead(worker.pid),  # type: ignore[no-untyped-call]
        ).run()


def serve_desk(authority: Path, *, host: str, port: int, days: int) -> None:
    """Enrol devices until a signal ends it.

    Args:
        authority: folder of the authority.
        host: address to listen on.
        port: to listen on; 0 for any.
        days: until credentials expire.
    """
    _Gunicorn(
        lambda: create_desk(AuthorityFolder(authority), days=days, rates=RateLimits()), bind=f"{host}:{port}", workers=1
    ).run()


def coordinate(coordinator: Coordinator, parent: int | None = None) -> None:
    """Move rounds on for ever.

    Args:
        coordinator: of the server.
        parent: process without which this one ends too.
    """
    while parent is None or os.getppid() == parent:
        try:
            busy = coordinator.tick()
        except FederationError as error:
            _LOG.warning("the coordinator tries again: %s", error)
            busy = False
        if not busy:
            time.sleep(_TICK_SECONDS)


class _Gunicorn(BaseApplication):
    """Gunicorn, set up from here instead of from a command line."""

    def __init__(self, load: Callable[[], Flask], **options: Any) -> None:
        self._load, self._options = load, options
        super().__init__()

    def load_config(self) -> None:
        """Take the options."""
        fixed = {
            "worker_class": "gthread",
            "threads": _THREADS,
            "timeout": 120,
            "graceful_timeout": 10,
            "keepalive": 15,
            "control_socket_disable": True,
        }
        for name, value in {**fixed, **self._options}.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Open everything in the worker: connections must not be shared between processes."""
        return self._load()


class _Supervised:
    """A process that is started again whenever it ends."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._process = subprocess.Popen([*self._command, "--parent", str(os.getpid())])  # noqa: S603
            self._process.wait()
            self._stopping.wait(_RESTART_SECONDS)
