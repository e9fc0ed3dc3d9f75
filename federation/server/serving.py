"""Processes of a server: gunicorn's workers answer phones, and a process beside them coordinates."""

import logging
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from federation.errors import FederationError
from federation.server.app import Site, create_app
from federation.server.coordinator import Coordinator
from federation.server.installation import Installation
from federation.server.limits import Limits
from federation.server.metrics import Metrics

_LOG = logging.getLogger("fedkey.server")
_THREADS = 8
_TICK_SECONDS = 0.2
_RESTART_SECONDS = 1.0


def application(installation: Installation) -> Flask:
    """Return the WSGI application of one worker."""
    dimension = installation.models.state(installation.models.current_version()).weights.size
    site = Site(
        rounds=installation.rounds,
        models=installation.models,
        public_key=installation.public_key,
        about=installation.about(dimension),
        largest_upload=installation.largest_upload(dimension),
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
        _Gunicorn(folder, coordinator, bind=f"{host}:{port}", workers=workers).run()


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


class _Gunicorn(BaseApplication):  # type: ignore[misc]
    def __init__(self, folder: Path, coordinator: Sequence[str], **options: Any) -> None:
        self._folder, self._coordinator, self._options = folder, coordinator, options
        self._running: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        super().__init__()

    def load_config(self) -> None:
        settings = {
            **self._options,
            "worker_class": "gthread",
            "threads": _THREADS,
            "timeout": 120,
            "graceful_timeout": 10,
            "keepalive": 15,
            "when_ready": lambda _: threading.Thread(target=self._supervise, daemon=True).start(),
            "on_exit": lambda _: self._stop(),
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        # In the worker, after the fork: connections must not be shared between processes.
        return application(Installation.load(self._folder))

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            self._running = subprocess.Popen([*self._coordinator, "--parent", str(os.getpid())])  # noqa: S603
            self._running.wait()
            self._stopping.wait(_RESTART_SECONDS)

    def _stop(self) -> None:
        self._stopping.set()
        if self._running is not None:
            self._running.terminate()
