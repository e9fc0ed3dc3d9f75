"""Other `fedkey` commands on this machine that answer HTTP, as processes that end when this one does."""

import contextlib
import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import httpx

_PR_SET_PDEATHSIG = 1
_STARTING_SECONDS = 120.0
_STOPPING_SECONDS = 30.0
_LOOK_SECONDS = 0.1


@contextlib.contextmanager
def running(*arguments: object, log: Path) -> Iterator[str]:
    """Run a `fedkey` command that takes `--port` on a free port; give its URL once it answers.

    Args:
        *arguments: of the command, without the port.
        log: file that what it prints is added to.

    Raises:
        click.ClickException: it does not start.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "fedkey", *map(str, arguments), "--port", str(port)]
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdout=output,
            stderr=output,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call
        )
        try:
            _await(url, process, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(_STOPPING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    ends = time.monotonic() + _STARTING_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(url)
            return
        time.sleep(_LOOK_SECONDS)
    raise click.ClickException(f"the round server does not start: {log} says why")


def _end_with_parent() -> None:
    """Have Linux end this process when its parent does, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
