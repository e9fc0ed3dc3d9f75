"""`fedkey worker`: compute clients for a simulation on another machine."""

import os
import signal
import subprocess
from typing import NoReturn

import click

from federation.base.addresses import Address, listen
from federation.errors import WorkerError
from federation.simulation import worker_process
from federation.simulation.places import check_listening
from fedkey.cli.output import say
from fedkey.cli.values import Whole


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=7070, show_default=True, type=Whole(0, 65535), help="Port; 0 for any.")
@click.option("--threads", type=Whole(1), help="Clients that are computed at once; by default one a core.")
@click.option(
    "--limit-mb",
    default=1500,
    show_default=True,
    type=Whole(0),
    help="Begin anew between runs when more memory is held; 0 is no limit.",
)
@click.option(
    "--allow-unauthenticated-network",
    is_flag=True,
    help="Listen on another address than loopback: anyone who reaches it can have this machine compute anything.",
)
def worker(host: str, port: int, threads: int | None, limit_mb: int, allow_unauthenticated_network: bool) -> None:
    """Compute clients for `fedkey simulate --workers HOST:PORT` until it is stopped."""
    address = Address(host, port)
    check_listening(address, allow_unauthenticated_network=allow_unauthenticated_network)
    with listen(address) as listener:
        told = Address(host, listener.getsockname()[1])
        process = worker_process.start(listener, threads=threads or os.cpu_count() or 1, limit_bytes=limit_mb << 20)
    signal.signal(signal.SIGTERM, _end)
    try:
        say(f"computing for who connects to {told}; Ctrl-C ends it")
        if process.wait():
            raise WorkerError("the worker ended: run `fedkey doctor`")
    except KeyboardInterrupt:
        say("ended")
    finally:
        _stop(process)


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.wait()
