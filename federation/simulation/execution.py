"""Where TFF computes: one worker process, started, watched and stopped here.

TFF's own helper starts the same C++ worker but lets it outlive Python and hold its pipes open; and the worker's memory
grows over long runs. Here the worker dies with its parent, and is replaced when it has grown too large.
"""

import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import portpicker
import psutil
import tensorflow_federated as tff
from tensorflow_federated.python.core.environments.tensorflow_frontend import tensorflow_computation
from tensorflow_federated.python.core.impl.context_stack import runtime_error_context

from federation.base.child_processes import end_with_parent
from federation.errors import WorkerError

# Whatever computes outside a `Worker` fails at once instead of starting TFF's own worker, which nobody would stop.
tff.framework.set_default_context(runtime_error_context.RuntimeErrorContext())

_MESSAGE_BYTES = 2_000_000_000
_CHANNEL_OPTIONS = [
    ("grpc.max_message_length", _MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
]


def _die_with_parent() -> None:
    end_with_parent(signal.SIGKILL)
    # Ctrl-C is for Python, which stops the worker in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Worker:
    """A TFF execution context on a worker process of its own, used as a context manager.

    Inside the `with` block, TFF computations called from the same thread run on the worker. Once `recycle_if_above`
    finds it too large it is stopped and a fresh one takes its place; computations compile again there.

    Args:
        threads: client computations that run at once; by default one a core.
        start_seconds: how long the worker may take until it answers.
    """

    def __init__(self, *, threads: int | None = None, start_seconds: float = 60.0) -> None:
        self._threads = threads or os.cpu_count() or 1
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: grpc.Channel | None = None
        self._installed: Any = None

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """The worker's process id."""
        if self._process is None:
            raise WorkerError("the worker is not running: enter its context first")
        return self._process.pid

    @property
    def resident_bytes(self) -> int:
        """Memory that the worker holds now."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def recycle_if_above(self, limit_bytes: int) -> bool:
        """Replace the worker if it holds more than `limit_bytes`; return whether that happened."""
        if self.resident_bytes <= limit_bytes:
            return False
        self._stop()
        self._start()
        return True

    def _start(self) -> None:
        binary = Path(tff.__file__).parent / "data" / "worker_binary"
        port = portpicker.pick_unused_port()
        environment = {
            **os.environ,
            # Parallelism comes from clients, which share nothing: one thread inside an operation, one a client.
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": str(self._threads),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self._process = subprocess.Popen(  # noqa: S603
            [binary, f"--port={port}", f"--max_concurrent_computation_calls={self._threads}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            preexec_fn=_die_with_parent,  # noqa: PLW1509
        )
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", _CHANNEL_OPTIONS)
        stub = tff.framework.RemoteExecutorGrpcStub(self._channel)
        deadline = time.monotonic() + self._start_seconds
        while not stub.is_ready:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._stop()
                raise WorkerError("the TFF worker did not start: run `fedkey doctor`")
            time.sleep(0.05)

        def stack(cardinalities: dict[Any, int]) -> Any:
            cardinalities.setdefault(tff.CLIENTS, 0)
            executor = tff.framework.RemoteExecutor(stub)
            executor.set_cardinalities(cardinalities)
            return executor

        context = tff.framework.SyncExecutionContext(
            executor_fn=tff.framework.ResourceManagingExecutorFactory(executor_stack_fn=stack),
            compiler_fn=tff.backends.native.desugar_and_transform_to_native,
            transform_args=tensorflow_computation.transform_args,
            transform_result=tensorflow_computation.transform_result,
        )
        self._installed = tff.framework.get_context_stack().install(context)
        self._installed.__enter__()

    def _stop(self) -> None:
        if self._installed is not None:
            self._installed.__exit__(None, None, None)
            self._installed = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
