"""Several workers as one TFF context: each computes when it is free, and what a lost one was at is done again.

A cohort is a list of parts, and its sum adds the parts up in their order. So it is the same whichever worker computed
which part, and if one died over it.
"""

import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import tensorflow_federated as tff

from federation.base.addresses import Address
from federation.errors import WorkerError
from federation.simulation.execution import Worker, WorkerLostError
from federation.simulation.places import LOCAL

_MAX_TRIES = 4
_STARTING_SECONDS = 60.0
_ANSWER_SECONDS = 10.0
_RETURN_SECONDS = 1.0
_ABSENT_SECONDS = 30.0

_log = logging.getLogger("fedkey")

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")


class Over(Protocol):
    """What computes a function of every part and yields the results in order; `map` is one."""

    def __call__(self, compute: Callable[[_Part], _Result], parts: Sequence[_Part], /) -> Iterator[_Result]:
        """Yield them."""


class Workers(tff.framework.SyncContext):
    """A TFF context on workers, used as a context manager.

    Inside the `with` block, TFF computations called from the same thread run on whichever worker is free, and those
    of `map` on all of them.

    Args:
        places: of each worker, `local` or an address.
        threads: client computations that run at once in a local worker; by default they share the cores.
        answer_seconds: a worker that computes and does not answer three times for so long is lost.
    """

    def __init__(
        self, places: Sequence[str] = (LOCAL,), *, threads: int | None = None, answer_seconds: float = _ANSWER_SECONDS
    ) -> None:
        self._threads = threads or max(1, (os.cpu_count() or 1) // max(1, list(places).count(LOCAL)))
        self._answer_seconds = answer_seconds
        self._workers = [
            Worker(None if place == LOCAL else Address.parse(place), threads=self._threads) for place in places
        ]
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._busy: set[Worker] = set()
        self._absent: dict[Worker, float] = {}  # since when
        self._replacing = threading.Lock()
        self._closing = threading.Event()
        self._installed: Any = None
        self.repeated = 0
        """How many calls were done again because a worker was lost."""

    def __enter__(self) -> Self:
        try:
            for worker in self._workers:
                worker.open(_STARTING_SECONDS if worker.is_local else self._answer_seconds)
                self._idle.put(worker)
        except BaseException:
            self._close()
            raise
        threading.Thread(target=self._watch, daemon=True).start()
        self._installed = tff.framework.get_context_stack().install(self)
        self._installed.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._installed.__exit__(None, None, None)
        self._close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the local workers."""
        return [pid for worker in self._workers for pid in worker.pids]

    def recycle_if_above(self, limit_bytes: int) -> bool:
        """Replace every local worker that holds more than `limit_bytes`; return whether that happened.

        Called between computations: TFF's workers grow over long runs.
        """
        large = [worker for worker in self._workers if worker.is_local and worker.resident_bytes > limit_bytes]
        for worker in large:
            worker.close()
            worker.open(_STARTING_SECONDS)
        return bool(large)

    def invoke(self, comp: Any, arg: Any) -> Any:
        """Compute on a worker that is free, and on another one if that is lost; TFF calls this.

        Raises:
            WorkerError: several were lost over it.
        """
        for _ in range(_MAX_TRIES):
            worker = self._idle.get()
            self._busy.add(worker)
            try:
                result = worker.invoke(comp, arg)
            except WorkerLostError as error:
                self._busy.discard(worker)
                self.repeated += 1
                _log.warning("%s is lost, and what it was computing is done again: %s", worker, error)
                self._replace(worker)
            except BaseException:
                self._busy.discard(worker)
                self._idle.put(worker)
                raise
            else:
                self._busy.discard(worker)
                self._idle.put(worker)
                return result
        raise WorkerError(
            f"{_MAX_TRIES} workers were lost over the same clients: give them more memory, or fewer clients a part"
        )

    def map(self, compute: Callable[[_Part], _Result], parts: Sequence[_Part]) -> Iterator[_Result]:
        """Compute a function of every part on all workers; yield the results in order.

        No more than two parts a worker are ahead of the one that is yielded.
        """
        self._return_absent()
        if len(self._workers) == 1 or len(parts) == 1:
            yield from map(compute, parts)
            return

        def computed(part: _Part) -> _Result:
            with tff.framework.get_context_stack().install(self):
                return compute(part)

        ahead: deque[Future[_Result]] = deque()
        with ThreadPoolExecutor(len(self._workers)) as threads:
            try:
                for part in parts:
                    if len(ahead) == 2 * len(self._workers):
                        yield ahead.popleft().result()
                    ahead.append(threads.submit(computed, part))
                while ahead:
                    yield ahead.popleft().result()
            finally:
                threads.shutdown(wait=True, cancel_futures=True)

    def _replace(self, lost: Worker) -> None:
        """Bring a lost worker back, or go on without it; with none left, start one here."""
        lost.disconnect()
        try:
            lost.open(_STARTING_SECONDS if lost.is_local else self._answer_seconds)
        except WorkerError as error:
            if lost.is_local:
                raise
            _log.warning("%s", error)
        else:
            self._idle.put(lost)
            return
        with self._replacing:
            self._absent[lost] = time.monotonic()
            if len(self._absent) < len(self._workers):
                return
            _log.warning("no worker is left: one on this machine takes over")
            stand_in = Worker(threads=os.cpu_count())
            stand_in.open(_STARTING_SECONDS)
            self._workers.append(stand_in)
            self._idle.put(stand_in)

    def _return_absent(self) -> None:
        """Look whether workers that were lost are back."""
        for worker, since in list(self._absent.items()):
            if time.monotonic() - since < _ABSENT_SECONDS:
                continue
            try:
                worker.open(_RETURN_SECONDS)
            except WorkerError:
                self._absent[worker] = time.monotonic()
                continue
            del self._absent[worker]
            _log.warning("%s is back", worker)
            self._idle.put(worker)

    def _watch(self) -> None:
        """Lose workers that compute and do not answer: TFF alone would wait for them for ever."""
        silent: dict[Worker, int] = {}
        while not self._closing.wait(self._answer_seconds / 2):
            for worker in list(self._busy):
                silent[worker] = 0 if worker.answers(self._answer_seconds) else silent.get(worker, 0) + 1
                if silent[worker] == 3 and worker in self._busy:
                    silent[worker] = 0
                    worker.disconnect()

    def _close(self) -> None:
        self._closing.set()
        for worker in self._workers:
            worker.close()
