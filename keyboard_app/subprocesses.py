"""What takes long runs apart: in a process of its own, with the lowest priority and one thread.

The typing process never shares its interpreter lock with training, and ends the other process whenever it likes, in the
middle of a batch too: that process holds nothing that is not here as well. What was typed goes to it through a pipe and
into no file. If this process dies, so does the other. It steps back before it imports what it needs, which takes longer
than some of its work.
"""

import contextlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar, TypeVarTuple

from federation.errors import FederationError

_LOWEST_PRIORITY = 19
_POLL_SECONDS = 0.05
_EXPECTED = (FederationError, ValueError, OSError)

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class InterruptedWorkError(FederationError):
    """The other process was ended before it was done."""


class FailedWorkError(FederationError):
    """The other process ended by itself before it was done."""


def run(should_stop: Callable[[], bool], work: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
    """Return what `work`, a function of a module, returns in another process.

    Args:
        should_stop: asked many times a second; once it says yes, the process is killed.
        work: what is done there.
        *arguments: for it.

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
    """Leave the processors to whoever else wants them."""
    os.nice(_LOWEST_PRIORITY)
    if sys.platform == "linux":  # the lowest priority still has slices beside a window that paints; this has none
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
