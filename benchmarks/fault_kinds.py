"""Kinds of faults for `benchmarks/faults.py`: each is a context in which it lasts, and says what it did."""

import fcntl
import os
import random
import resource
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress

import psutil
import psycopg

from benchmarks.fault_site import Machine, Site
from federation.server.store import WRITERS_LOCK

Kind = Callable[[Site, random.Random], AbstractContextManager[str]]

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT)
_ENDING_SECONDS = 40
_JUMPS = (5.0, 30.0, 90.0, 600.0, 7200.0, 86400.0)
_LARGEST_FILE = 4096


def _one(site: Site, draw: random.Random) -> Machine:
    return draw.choice(site.machines)


@contextmanager
def signal_worker(site: Site, draw: random.Random) -> Iterator[str]:
    """Send a signal that ends or renews to one of gunicorn's workers."""
    machine, number = _one(site, draw), draw.choice(_SIGNALS)
    draw.choice(machine.workers).send_signal(number)
    yield f"{number.name} to a worker of {machine.name}"


@contextmanager
def signal_coordinator(site: Site, draw: random.Random) -> Iterator[str]:
    """Send one to the process that moves rounds on."""
    machine, number = _one(site, draw), draw.choice(_SIGNALS)
    for process in machine.coordinator:
        process.send_signal(number)
    yield f"{number.name} to the coordinator of {machine.name}"


@contextmanager
def signal_master(site: Site, draw: random.Random) -> Iterator[str]:
    """Send one to the master; where that ends it, it has to end in order."""
    machine, number = _one(site, draw), draw.choice(_SIGNALS)
    machine.process.send_signal(number)
    if number != signal.SIGHUP and (code := machine.process.wait(_ENDING_SECONDS)):
        raise RuntimeError(f"{number.name} ended the master with {code}")
    yield f"{number.name} to the master of {machine.name}"


@contextmanager
def kill_worker(site: Site, draw: random.Random) -> Iterator[str]:
    """Kill a worker."""
    machine = _one(site, draw)
    draw.choice(machine.workers).kill()
    yield f"kill -9 of a worker of {machine.name}"


@contextmanager
def kill_coordinator(site: Site, draw: random.Random) -> Iterator[str]:
    """Kill the process that moves rounds on."""
    machine = _one(site, draw)
    for process in machine.coordinator:
        process.kill()
    yield f"kill -9 of the coordinator of {machine.name}"


@contextmanager
def kill_master(site: Site, draw: random.Random) -> Iterator[str]:
    """Kill the master alone."""
    machine = _one(site, draw)
    machine.process.kill()
    machine.process.wait()
    yield f"kill -9 of the master of {machine.name}"


@contextmanager
def kill_all(site: Site, draw: random.Random) -> Iterator[str]:
    """Kill all of a machine's processes at once."""
    machine = _one(site, draw)
    machine.kill()
    yield f"kill -9 of all processes of {machine.name}"


@contextmanager
def pause(site: Site, draw: random.Random) -> Iterator[str]:
    """Stop a process for a while, as a machine does that is moved or out of memory."""
    machine = _one(site, draw)
    whom = draw.choice(["worker", "coordinator"])
    found = machine.workers[:1] if whom == "worker" else machine.coordinator
    for process in found:
        process.suspend()
    yield f"a {whom} of {machine.name} stands still"
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.resume()


@contextmanager
def full_disk(site: Site, _: random.Random) -> Iterator[str]:
    """Leave no byte on the disk that database and blobs are on."""
    site.fill_disk()
    yield f"the disk of {site.name} is full"
    site.empty_disk()


@contextmanager
def file_limit(site: Site, draw: random.Random) -> Iterator[str]:
    """Let no file of a machine's processes grow, as a quota does."""
    machine = _one(site, draw)
    _limit(machine, _LARGEST_FILE)
    yield f"no file of {machine.name} may be larger than {_LARGEST_FILE} bytes"
    _limit(machine, resource.RLIM_INFINITY)


def _limit(machine: Machine, size: int) -> None:
    for process in machine.processes:
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def clock_forward(site: Site, draw: random.Random) -> Iterator[str]:
    """Set a machine's clock forward, and right again."""
    with _clock(site, draw, 1) as told:
        yield told


@contextmanager
def clock_back(site: Site, draw: random.Random) -> Iterator[str]:
    """Set a machine's clock back, and right again."""
    with _clock(site, draw, -1) as told:
        yield told


@contextmanager
def _clock(site: Site, draw: random.Random, sign: int) -> Iterator[str]:
    machine, seconds = _one(site, draw), sign * draw.choice(_JUMPS)
    machine.set_clock(seconds)
    yield f"the clock of {machine.name} jumps by {seconds:+.0f} s, and back afterwards"
    machine.set_clock(0)


@contextmanager
def held_lock(site: Site, draw: random.Random) -> Iterator[str]:
    """Hold what the server needs for writing, from a connection or a process beside it."""
    if site.cluster is not None:
        told, statement = draw.choice(
            [
                ("the advisory lock", f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})"),
                ("the table of messages", "LOCK TABLE messages IN ACCESS EXCLUSIVE MODE"),
                ("the table of rounds", "LOCK TABLE rounds IN ACCESS EXCLUSIVE MODE"),
            ]
        )
        with psycopg.connect(site.own_url) as connection:
            connection.execute(statement.encode())
            yield f"another connection holds {told}"
        return
    path = site.machines[0].folder / "server.sqlite"
    if draw.random() < 0.5:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield "another connection holds SQLite's write lock"
        return
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield "another process holds the lock file"
    finally:
        os.close(descriptor)


@contextmanager
def line_broken(site: Site, draw: random.Random) -> Iterator[str]:
    """Reset what phones and a machine say to each other."""
    machine = _one(site, draw)
    machine.line.break_off()
    yield f"connections of phones to {machine.name} are reset"
    machine.line.mend()


@contextmanager
def line_silent(site: Site, draw: random.Random) -> Iterator[str]:
    """Let nothing arrive of what phones and a machine say to each other."""
    machine = _one(site, draw)
    machine.line.hold()
    yield f"nothing arrives between phones and {machine.name}"
    machine.line.mend()


@contextmanager
def database_line_broken(site: Site, _: random.Random) -> Iterator[str]:
    """Reset what servers and PostgreSQL say to each other."""
    assert site.database_line is not None
    site.database_line.break_off()
    yield "connections to PostgreSQL are reset"
    site.database_line.mend()


@contextmanager
def database_line_silent(site: Site, _: random.Random) -> Iterator[str]:
    """Let nothing arrive of what servers and PostgreSQL say to each other."""
    assert site.database_line is not None
    site.database_line.hold()
    yield "nothing arrives between servers and PostgreSQL"
    site.database_line.mend()


@contextmanager
def database_restart(site: Site, draw: random.Random) -> Iterator[str]:
    """Stop PostgreSQL, in order or as a crash does, and start it again."""
    assert site.cluster is not None
    mode = draw.choice(["fast", "immediate"])
    with suppress(subprocess.CalledProcessError):
        site.cluster.stop(mode)
    yield f"PostgreSQL stops ({mode}) and starts again"
    site.cluster.start()


ENDS_A_SERVER = frozenset({"signal_master", "kill_master", "kill_all"})
"""Kinds after which a machine may have to be started anew."""

_EVERYWHERE = (
    signal_worker,
    signal_coordinator,
    signal_master,
    kill_worker,
    kill_coordinator,
    kill_master,
    kill_all,
    pause,
    file_limit,
    held_lock,
    line_broken,
    line_silent,
    clock_forward,
    clock_back,
)
_WITH_POSTGRESQL = (database_line_broken, database_line_silent, database_restart)


def kinds(site: Site) -> Mapping[str, Kind]:
    """Return what can happen to a site, by name."""
    found: list[Kind] = [*_EVERYWHERE]
    found += [full_disk] if site.disk is not None else []
    found += _WITH_POSTGRESQL if site.cluster is not None else ()
    return {kind.__name__: kind for kind in found}
