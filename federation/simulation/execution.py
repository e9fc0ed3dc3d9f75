"""Where TFF computes: a context on one worker, which is started here or runs on another machine.

TFF's own helper starts the same C++ worker but lets it outlive Python and hold its pipes open, and TFF asks a worker
that is gone for ever. Here the worker ends with us, and is lost as soon as it does not answer.
"""

import contextlib
import functools
import os
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import psutil
import tensorflow_federated as tff
from tensorflow_federated.proto.v0 import executor_pb2, executor_pb2_grpc
from tensorflow_federated.python.core.environments.tensorflow_frontend import tensorflow_computation
from tensorflow_federated.python.core.impl.context_stack import runtime_error_context

from federation.base.addresses import Address, listen
from federation.errors import WorkerError
from federation.simulation import worker_process

# Whatever computes outside of `Workers` fails at once instead of starting TFF's own worker, which nobody would stop.
tff.framework.set_default_context(runtime_error_context.RuntimeErrorContext())

_MESSAGE_BYTES = 2_000_000_000
_CHANNEL_OPTIONS = [
    ("grpc.max_message_length", _MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection
    ("grpc.max_reconnect_backoff_ms", 1000),
]
_LOST_CODES = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,  # we closed the channel
    grpc.StatusCode.FAILED_PRECONDITION,  # another process answers at the address, which does not know our values
    grpc.StatusCode.NOT_FOUND,
}
_STOPPING_SECONDS = 10.0


class WorkerLostError(WorkerError):
    """A worker does not answer any more; what it was computing can be done by another."""


class Worker:
    """One worker and a TFF context on it; computes one call at a time.

    Args:
        address: of a worker that runs already; nothing for one that is started here, with us to end.
        threads: client computations that run at once in one that is started here; by default one a core.
    """

    def __init__(self, address: Address | None = None, *, threads: int | None = None) -> None:
        self._given, self._threads = address, threads or os.cpu_count() or 1
        self._process: subprocess.Popen[bytes] | None = None
        self._address: Address | None = address
        self._channel: grpc.Channel | None = None
        self._context: Any = None

    def __str__(self) -> str:
        return "the local worker" if self._given is None else f"the worker at {self._given}"

    @property
    def is_local(self) -> bool:
        """Whether it is started here."""
        return self._given is None

    @property
    def pids(self) -> list[int]:
        """Process ids of a worker that was started here: ours and TFF's."""
        if self._process is None:
            return []
        return [self._process.pid, *(child.pid for child in psutil.Process(self._process.pid).children(recursive=True))]

    @property
    def resident_bytes(self) -> int:
        """Memory that a worker that was started here holds now."""
        total = 0
        for pid in self.pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += int(psutil.Process(pid).memory_info().rss)
        return total

    def open(self, seconds: float) -> None:
        """Start the worker if it is one of ours and does not answer; connect, and wait until it does.

        Raises:
            WorkerError: it does not answer in time.
        """
        ends = time.monotonic() + seconds
        if self._given is None:
            self._have_process()
        while not self.answers(min(1.0, seconds)):
            if self._process is not None and self._process.poll() is not None:
                raise WorkerError("the TFF worker did not start: run `fedkey doctor`")
            if time.monotonic() > ends:
                raise WorkerError(f"{self} does not answer: start one there with `fedkey worker`, or leave it out")
        self._channel = grpc.insecure_channel(str(self._address), _CHANNEL_OPTIONS)
        self._context = _context_on(_Stub(self._channel))

    def _have_process(self) -> None:
        if self._process is not None and (self._process.poll() is not None or not self.answers(_STOPPING_SECONDS)):
            self.close()
        if self._process is None:
            with listen(Address("127.0.0.1", 0)) as listener:
                self._address = Address("127.0.0.1", listener.getsockname()[1])
                self._process = worker_process.start(listener, threads=self._threads)

    def answers(self, seconds: float) -> bool:
        """Whether TFF's executor service answers at the address, on a connection of its own."""
        with grpc.insecure_channel(str(self._address), _CHANNEL_OPTIONS) as channel:
            asked = executor_pb2_grpc.ExecutorGroupStub(channel).GetExecutor
            try:
                asked(executor_pb2.GetExecutorRequest(), timeout=seconds, wait_for_ready=True)
            except grpc.RpcError as error:
                # It wants to know how many clients there are: so it is one, and it is there.
                return bool(error.code() is grpc.StatusCode.NOT_FOUND)
            return True

    def invoke(self, computation: Any, argument: Any) -> Any:
        """Return what a computation returns.

        Raises:
            WorkerLostError: the worker is gone.
        """
        if self._context is None:
            raise WorkerLostError(f"{self} is not connected")
        return self._context.invoke(computation, argument)

    def disconnect(self) -> None:
        """End the connection; a call that waits for an answer finds the worker lost."""
        channel, self._channel, self._context = self._channel, None, None
        if channel is not None:
            channel.close()

    def close(self) -> None:
        """End the connection, and the worker if it was started here."""
        self.disconnect()
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(_STOPPING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Stub(tff.framework.RemoteExecutorGrpcStub):
    """Says at once that a worker is lost."""

    def get_executor(self, request: Any) -> Any:
        return _asked(super().get_executor, request)

    def create_value(self, request: Any) -> Any:
        return _asked(super().create_value, request)

    def create_struct(self, request: Any) -> Any:
        return _asked(super().create_struct, request)

    def create_call(self, request: Any) -> Any:
        return _asked(super().create_call, request)

    def create_selection(self, request: Any) -> Any:
        return _asked(super().create_selection, request)

    def compute(self, request: Any) -> Any:
        return _asked(super().compute, request)

    def dispose(self, request: Any) -> Any:
        with contextlib.suppress(WorkerLostError):  # with all that it held
            _asked(super().dispose, request)

    def dispose_executor(self, request: Any) -> Any:
        with contextlib.suppress(WorkerLostError):
            _asked(super().dispose_executor, request)


def _asked(ask: Callable[[Any], Any], request: Any) -> Any:
    try:
        return ask(request)
    except grpc.RpcError as error:
        if error.code() in _LOST_CODES:
            raise WorkerLostError(f"a worker is lost: {error.details()}") from error
        raise
    except ValueError as error:  # gRPC's word for a channel that was closed
        raise WorkerLostError(f"a worker is lost: {error}") from error


def _context_on(stub: _Stub) -> Any:
    def stack(cardinalities: dict[Any, int]) -> Any:
        cardinalities.setdefault(tff.CLIENTS, 0)
        executor = tff.framework.RemoteExecutor(stub)
        executor.set_cardinalities(cardinalities)
        return executor

    return tff.framework.SyncExecutionContext(
        executor_fn=tff.framework.ResourceManagingExecutorFactory(executor_stack_fn=stack),
        compiler_fn=_compiled,
        transform_args=tensorflow_computation.transform_args,
        transform_result=tensorflow_computation.transform_result,
    )


_compiling = threading.Lock()


def _compiled(computation: Any) -> Any:
    """Compile once for all workers, however many there are and come."""
    with _compiling:
        return _compile(computation)


@functools.lru_cache(maxsize=32)
def _compile(computation: Any) -> Any:
    return tff.backends.native.desugar_and_transform_to_native(computation)
