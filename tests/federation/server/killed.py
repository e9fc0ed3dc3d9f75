"""Servers in processes of their own that are killed at a given point: nothing of them ends in order."""

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from federation.protocol.steps import Step
from federation.server.errors import UnavailableError
from federation.server.settings import RoundSettings
from model import files
from tests.federation.server.phones import Clock, Server

LONGEST_SECONDS = 120

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.federation.server.killed"])


class Points:
    """Places where a process may be killed: before and after each transaction, in its middle, and around each file.

    Args:
        server: whose writes are watched.
        last: number of the point at which the process is killed; 0 for none.
    """

    def __init__(self, server: Server, last: int) -> None:
        self._left = last
        self._write = server.database.write
        self._write_file = files.write
        server.database.write = self._watched_write  # type: ignore[method-assign]
        if last:  # half a file is shown there, which no process beside this one may see
            files.write = self._watched_file

    def point(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def _watched_write(self, *, lasting: bool = True) -> Iterator[Session]:
        self.point()
        with self._write(lasting=lasting) as session:
            yield session
            session.flush()
            self.point()
        self.point()

    def _watched_file(self, path: Path, content: bytes | str, *, private: bool = False) -> None:
        self.point()
        path.write_bytes(content[: len(content) // 2] if isinstance(content, bytes) else content[:1].encode())
        self.point()
        path.unlink()
        self._write_file(path, content, private=private)
        self.point()


def in_process(job: Callable[..., None], *arguments: Any) -> bool:
    """Run `job` in a process; return whether it came to its end and was not killed."""
    process = _PROCESSES.Process(target=job, args=arguments)
    process.start()
    process.join(LONGEST_SECONDS)
    assert process.exitcode in {0, -signal.SIGKILL}, process.exitcode
    return process.exitcode == 0


def start_in_process(job: Callable[..., None], *arguments: Any) -> Any:
    """Start `job` in a process and return it."""
    process = _PROCESSES.Process(target=job, args=arguments)
    process.start()
    return process


def coordinate(folder: Path, url: str, now: float, settings: RoundSettings, kill_at: int) -> None:
    """Do what is due, once the lease of anyone who came before has run out."""
    server = _server(folder, url, now, settings)
    points = Points(server, kill_at)
    _coordinate(server, points.point)


def send(
    folder: Path, url: str, now: float, settings: RoundSettings, kill_at: int, round_id: int, *message: Any
) -> None:
    """Take a message as a worker does; `message` is its step, its bytes and the sender."""
    server = _server(folder, url, now, settings)
    Points(server, kill_at)
    _send(server, round_id, *message)


def coordinate_without_room(folder: Path, url: str, now: float, settings: RoundSettings, largest: int) -> None:
    """Do what is due where no file may grow beyond a size, which the operating system sees to, and be refused."""
    server = _server(folder, url, now, settings)
    with _full(largest):
        _coordinate(server, lambda: None)


def send_without_room(
    folder: Path, url: str, now: float, settings: RoundSettings, largest: int, round_id: int, *message: Any
) -> None:
    """Take a message likewise."""
    server = _server(folder, url, now, settings)
    with _full(largest):
        _send(server, round_id, *message)


@contextmanager
def _full(largest: int) -> Iterator[None]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    with pytest.raises(UnavailableError, match="no room"):
        yield


def _server(folder: Path, url: str, now: float, settings: RoundSettings) -> Server:
    clock = Clock()
    clock.now = now
    return Server(folder, clock, settings, url=url)


def _coordinate(server: Server, between: Callable[[], None]) -> None:
    server.coordinator._lease.held()
    server.coordinator._lease._seen_at -= 11
    while server.coordinator.tick():
        between()


def _send(server: Server, round_id: int, step: Step, message: bytes, sender: bytes) -> None:
    server.rounds.receive(round_id, step, message, sender=sender)
