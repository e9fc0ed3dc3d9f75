"""Processes beside this one: work that must not stop it, services that it needs, and one that is kept running.

None of them outlives this one, however it ends.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TypeVar, TypeVarTuple

from federation.errors import FederationError

_LOWEST_PRIORITY = 19
_POLL_SECONDS = 0.05
_EXPECTED = (FederationError, ValueError, OSError)

_PR_SET_PDEATHSIG = 1
_STARTING_SECONDS = 120.0
_STOPPING_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_RESTART_SECONDS = 1.0

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class InterruptedWorkError(FederationError):
    """The other process was ended before it was done."""


class FailedWorkError(FederationError):
    """The other process ended by itself before it was done."""


class StartError(FederationError):
    """A service does not start; the message says which file tells why."""


class Runner(Protocol):
    """What does long work, here or elsewhere, and breaks it off; `run` is one."""

    def __call__(
        self, should_stop: Callable[[], bool], work: Callable[[*_Arguments], _Result], /, *arguments: *_Arguments
    ) -> _Result:
        """Return what `work` returns; see `run`."""


def run(should_stop: Callable[[], bool], work: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
    """Return what `work`, a function of a module, returns in another process of the lowest priority.

    The calling process never shares its interpreter lock with the work, and ends the other process whenever it likes,
    in the middle of a batch too: that process holds nothing that is not here as well. Arguments go to it through a pipe
    and into no file. It steps back before it imports what it needs, which takes longer than some work.

    Args:
        should_stop: Asked many times a second; once it says yes, the process is killed.
        work: What is done there.
        *arguments: Its arguments.

    Raises:
        InterruptedWorkError: it was to stop.
        FailedWorkError: the process died.
        FederationError, ValueError, OSError: as `work` raised it.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_other_side, args=(there,), daemon=True)
    process.start()
    there.close()
    try:
        here.send((work, arguments))
        while not here.poll(_POLL_SECONDS):
            if should_stop():
                raise InterruptedWorkError("the phone is in use again")
        answer = here.recv()
    except (EOFError, ConnectionError) as error:
        raise FailedWorkError("the training process ended before it was done") from error
    finally:
        here.close()
        process.kill()
        process.join()
        process.close()
    if isinstance(answer, _EXPECTED):
        raise answer
    result: _Result = answer
    return result


@contextlib.contextmanager
def serving(*arguments: object, log: Path) -> Iterator[str]:
    """Run a `fedkey` command that takes `--port` on a free port of this machine; give its URL once it answers.

    Args:
        *arguments: Arguments of the command, without the port.
        log: File that what it prints is added to.

    Raises:
        StartError: it does not start.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fedkey", *map(str, arguments), "--port", str(port)]
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdout=output,
            stderr=output,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - one system call
        )
        try:
            _await(port, process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(_STOPPING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def end_with_parent(with_signal: signal.Signals = signal.SIGTERM) -> None:
    """Have Linux signal this process when its parent ends, however that ends; for `preexec_fn`."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, with_signal)


# `Popen` waits until nobody holds the writing end of a pipe of its own. A process that is forked meanwhile, such as a
# worker of gunicorn's, would hold it for as long as it lives, and what ends by then would never be started again.
_STARTING = threading.Lock()
os.register_at_fork(before=_STARTING.acquire, after_in_parent=_STARTING.release, after_in_child=_STARTING.release)


class Supervised:
    """A process that is started again whenever it ends.

    Args:
        command: Command line; `--parent` and the number of this process are added to it.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start it, from a thread that watches it."""
        threading.Thread(target=self._run, daemon=True).start()

    def renew(self) -> None:
        """End the process, so that it is started anew."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """End the process for good."""
        self._stopping.set()
        self.renew()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with _STARTING:
                self._process = subprocess.Popen([*self._command, "--parent", str(os.getpid())])  # noqa: S603
            self._process.wait()
            self._stopping.wait(_RESTART_SECONDS)


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _await(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    from http.client import HTTPConnection, HTTPException  # noqa: PLC0415 - `run` must start without it

    ends = time.monotonic() + _STARTING_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=_STARTING_SECONDS)
        with contextlib.closing(connection), contextlib.suppress(OSError, HTTPException):
            connection.request("GET", "/")
            connection.getresponse()
            return
        time.sleep(_LOOK_SECONDS)
    raise StartError(f"the server does not start: {log} says why")


def _other_side(there: "Connection[Any, Any]") -> None:
    _step_back()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    work, arguments = there.recv()  # imports what they need
    try:
        there.send(work(*arguments))
    except _EXPECTED as error:
        there.send(error)


def _step_back() -> None:
    """Leave the processors to what else wants them."""
    os.nice(_LOWEST_PRIORITY)
    if sys.platform == "linux":  # the lowest priority still has slices beside a window that paints; this has none
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
