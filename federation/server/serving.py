"""Processes of a server: gunicorn's workers answer phones, and a process beside them coordinates."""

import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from prometheus_client.multiprocess import mark_process_dead

from federation.base.addresses import Address, listen
from federation.base.child_processes import Supervised
from federation.base.logs import JsonFormatter
from federation.base.rate_limits import Limits, RateLimits
from federation.enrolment.authority import AuthorityFolder
from federation.enrolment.service import create_desk
from federation.errors import FederationError
from federation.server.app import Site, create_app
from federation.server.coordinator import Coordinator
from federation.server.dashboard import Access, create_dashboard
from federation.server.dashboard.runs import StoredRun
from federation.server.installation import Installation
from federation.server.metrics import Metrics

T = TypeVar("T")

_LOG = logging.getLogger("fedkey.server")
_THREADS = 8
_TICK_SECONDS = 0.2
_MEMORY = "/dev/shm"  # noqa: S108 - names in it are drawn


def application(installation: Installation) -> Flask:
    """Return the WSGI application of one worker."""
    site = Site(
        check_ins=installation.check_ins,
        rounds=installation.rounds,
        models=installation.models,
        counts=installation.counts,
        public_key=installation.public_key,
        about=installation.about,
        max_upload=installation.max_upload,
        limits=Limits(installation.settings.rates),
        metrics=Metrics(installation.database),
        clock=installation.clock,
    )
    return create_app(site)


def serve(folder: Path, *, host: str, port: int, workers: int, beside: Sequence[Sequence[str]]) -> None:
    """Answer phones until a signal ends it.

    Args:
        folder: of the server, with a first model.
        host: address to listen on.
        port: to listen on; 0 for any.
        workers: processes.
        beside: commands that coordinate and show; each is started again whenever it ends.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    check_address(host, port)
    # Not a context manager: a worker that ends unwinds the stack that it was forked with, and would remove the folder.
    metrics = Path(tempfile.mkdtemp(prefix="fedkey-metrics-", dir=_memory()))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
    running = [Supervised(command) for command in beside]

    def begun(arbiter: Arbiter) -> None:
        _end_in_order(arbiter)
        for process in running:
            process.start()

    def renewed(_: Arbiter) -> None:
        for process in running:
            process.renew()

    def ended(_: Arbiter) -> None:
        for process in running:
            process.stop()
        shutil.rmtree(metrics, ignore_errors=True)

    _Gunicorn(
        lambda: Installation.load(folder),
        application,
        bind=str(Address(host, port)),
        workers=workers,
        when_ready=begun,
        on_reload=renewed,
        on_exit=ended,
        child_exit=lambda _, worker: mark_process_dead(worker.pid),  # type: ignore[no-untyped-call]
    ).run()


def serve_dashboard(
    shown: Installation | Sequence[Path], access: Access, *, host: str, port: int, parent: int | None = None
) -> None:
    """Show a server or runs until a signal ends it.

    Args:
        shown: a server, or folders of runs.
        access: who may see it.
        host: address to listen on.
        port: to listen on.
        parent: process without which this one ends too.

    Raises:
        ConfigError: the address cannot be listened on, or there is no run in a folder.
    """
    if not isinstance(shown, Installation):
        for folder in shown:
            StoredRun.load(folder)
    check_address(host, port)

    def begun(_: Arbiter) -> None:
        if parent is not None:
            threading.Thread(target=_end_with, args=(parent,), daemon=True).start()

    _Gunicorn(
        lambda: shown,
        lambda seen: create_dashboard(seen, access),
        bind=str(Address(host, port)),
        workers=1,
        when_ready=begun,
        loglevel="warning",
    ).run()


def _memory() -> str | None:
    """Return a folder in memory, if there is one: what is mapped into memory from a full disk ends who writes there."""
    return _MEMORY if os.access(_MEMORY, os.W_OK) else None


def free_port(host: str) -> int:
    """Return a port that nobody listens on now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as free:
        found: int = free.getsockname()[1]
        return found


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


def serve_desk(authority: Path, *, host: str, port: int) -> None:
    """Enrol devices until a signal ends it.

    Args:
        authority: folder of the authority.
        host: address to listen on.
        port: to listen on; 0 for any.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    check_address(host, port)
    _Gunicorn(
        lambda: AuthorityFolder(authority),
        lambda folder: create_desk(folder, rates=RateLimits()),
        bind=str(Address(host, port)),
        workers=1,
    ).run()


def check_address(host: str, port: int) -> None:
    """Find out whether an address can be listened on, before anything else is started.

    Raises:
        ConfigError: it cannot; the message says why.
    """
    listen(Address(host, port)).close()


def _end_in_order(arbiter: Arbiter) -> None:
    """Have ABRT stop the master as QUIT does: by itself it would leave workers and the coordinator behind."""
    signal.signal(signal.SIGABRT, lambda *_: arbiter.signal(signal.SIGQUIT, None))


def coordinate(coordinator: Coordinator, parent: int | None = None) -> None:
    """Move rounds on for ever.

    Args:
        coordinator: of the server.
        parent: process without which this one ends too.
    """
    while parent is None or os.getppid() == parent:
        try:
            busy = coordinator.tick()
        except (FederationError, OSError) as error:
            _LOG.warning("the coordinator tries again: %s", error)
            busy = False
        if not busy:
            time.sleep(_TICK_SECONDS)


class _Logger(Logger):
    """Gunicorn's own lines, as JSON as well."""

    def setup(self, cfg: Any) -> None:
        """Set gunicorn's handlers up, and the way in which they write."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonFormatter())


class _Gunicorn(BaseApplication, Generic[T]):
    """Gunicorn, set up from here instead of from a command line.

    Args:
        configure: reads settings; called once, and again at HUP, in the master.
        build: makes the application of what was read last; called in each worker.
        options: of gunicorn.
    """

    def __init__(self, configure: Callable[[], T], build: Callable[[T], Flask], **options: Any) -> None:
        self._configure, self._build, self._options = configure, build, options
        self._configured = configure()
        super().__init__()

    def reload(self) -> None:
        """Read the settings anew, and go on with those from before if they cannot be used."""
        try:
            self._configured = self._configure()
        except FederationError as error:
            _LOG.error("the settings are not read anew: %s", error)
        super().reload()

    def load_config(self) -> None:
        """Take the options."""
        fixed = {
            "worker_class": "gthread",
            "threads": _THREADS,
            "timeout": 120,
            "graceful_timeout": 10,
            "keepalive": 15,
            "control_socket_disable": True,
            "logger_class": _Logger,
            "worker_tmp_dir": _memory(),
        }
        for name, value in {**fixed, **self._options}.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Open everything in the worker: connections must not be shared between processes."""
        return self._build(self._configured)
