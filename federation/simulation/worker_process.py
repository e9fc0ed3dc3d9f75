"""A worker: TFF's own process behind one address, confined.

TFF's `worker_binary` listens on every address of its machine, asks nobody who they are and computes whatever graph it
is sent. It therefore runs in a network namespace of its own that has nothing but a loopback. This process opened its
one address before it went in there, and passes bytes between the two. It starts the binary again whenever that ends.

It imports neither TensorFlow nor TFF: it starts in a tenth of a second.
"""

import argparse
import asyncio
import contextlib
import ctypes
import fcntl
import importlib.util
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import psutil

from federation.base.child_processes import end_with_parent
from federation.errors import WorkerError

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_CHUNK_BYTES = 1 << 18
_LOOK_SECONDS = 0.05
_RESTART_SECONDS = 0.2
_STARTING_SECONDS = 60.0
_LIVED_SECONDS = 5.0
_MAX_FAILURES = 3


def start(listener: socket.socket, *, threads: int, limit_bytes: int = 0) -> "subprocess.Popen[bytes]":
    """Start a worker on a socket that listens; it ends when the pipe to its standard input is closed, so with us.

    Args:
        listener: not needed here any more.
        threads: client computations that run at once.
        limit_bytes: a worker that nobody is connected to begins anew if it holds more; 0 is no limit.
    """
    options = [f"--listener={listener.fileno()}", f"--threads={threads}", f"--limit-bytes={limit_bytes}"]
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", __spec__.name, *options], stdin=subprocess.PIPE, pass_fds=[listener.fileno()]
    )


def can_confine() -> bool:
    """Whether this system lets a process go into a network of its own; found out by one that does."""
    child = os.fork()
    if not child:
        try:
            _confine()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _confine() -> None:
    """Go into a network that has nothing but a loopback; sockets stay where they were opened.

    Raises:
        OSError: the system does not let it.
    """
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))


def _binary() -> Path:
    found = importlib.util.find_spec("tensorflow_federated")
    if found is None or not found.submodule_search_locations:
        raise WorkerError("TensorFlow Federated is missing: run `fedkey doctor`")
    return Path(found.submodule_search_locations[0]) / "data" / "worker_binary"


class _WorkerProcess:
    """TFF's binary, and those who are connected to it.

    Args: see `start`.
    """

    def __init__(self, listener: socket.socket, threads: int, limit_bytes: int) -> None:
        self._listener, self._threads, self._limit_bytes = listener, threads, limit_bytes
        self._binary: asyncio.subprocess.Process | None = None
        self._port = 0
        self._connections = 0
        self._relays: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until standard input is closed.

        Raises:
            WorkerError: the binary does not start.
        """
        closed = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), closed.set)  # nobody writes: it is the end
        keeping = asyncio.create_task(self._keep())
        stopping = asyncio.create_task(closed.wait())
        async with await asyncio.start_server(self._accept, sock=self._listener, limit=_CHUNK_BYTES):
            await asyncio.wait([keeping, stopping], return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            keeping.result()
        if self._binary is not None and self._binary.returncode is None:
            self._binary.kill()

    async def _keep(self) -> None:
        """Start the binary, and again when it has ended."""
        clock, failures = asyncio.get_running_loop(), 0
        environment = {
            **os.environ,
            # Parallelism comes from clients, which share nothing: one thread inside an operation, one a client.
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": str(self._threads),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        while failures < _MAX_FAILURES:
            self._port = _free_port()
            began = clock.time()
            self._binary = await asyncio.create_subprocess_exec(
                _binary(),
                f"--port={self._port}",
                f"--max_concurrent_computation_calls={self._threads}",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                preexec_fn=lambda: end_with_parent(signal.SIGKILL),
            )
            await self._binary.wait()
            failures = 0 if clock.time() - began > _LIVED_SECONDS else failures + 1
            await asyncio.sleep(_RESTART_SECONDS)
        raise WorkerError("TFF's worker_binary does not start: run `fedkey doctor`")

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay a connection in a task of our own: asyncio's reports one that ends with this process as a failure."""
        relay = asyncio.create_task(self._relay(reader, writer))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes between a connection and the binary until either side closes it."""
        self._connections += 1
        try:
            with contextlib.suppress(OSError):
                to, back = await self._connected()
                one_way, other_way = asyncio.create_task(_pump(reader, back)), asyncio.create_task(_pump(to, writer))
                await asyncio.wait([one_way, other_way], return_when=asyncio.FIRST_COMPLETED)
                one_way.cancel()
                other_way.cancel()
                back.transport.abort()
        finally:
            writer.transport.abort()
            self._connections -= 1
            self._renew_if_large()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection to the binary, which may be starting.

        Raises:
            OSError: it is not there in time.
        """
        clock = asyncio.get_running_loop()
        ends = clock.time() + _STARTING_SECONDS
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", self._port, limit=_CHUNK_BYTES)
            except OSError:
                if clock.time() > ends:
                    raise
            await asyncio.sleep(_LOOK_SECONDS)

    def _renew_if_large(self) -> None:
        binary = self._binary
        if self._connections or not self._limit_bytes or binary is None or binary.returncode is not None:
            return
        if psutil.Process(binary.pid).memory_info().rss > self._limit_bytes:
            binary.kill()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def main() -> None:
    """Be a worker, as `start` asks for it."""
    parser = argparse.ArgumentParser()
    for name in ("--listener", "--threads", "--limit-bytes"):
        parser.add_argument(name, type=int, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it, who closes the pipe
    if can_confine():
        _confine()
    else:
        sys.stderr.write(
            "this system has no network namespaces for TFF's worker, which listens on every address and knows nobody: "
            "let nobody reach this machine's ports\n"
        )
    worker = _WorkerProcess(socket.socket(fileno=options.listener), options.threads, options.limit_bytes)
    try:
        asyncio.run(worker.run())
    except WorkerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
