"""What the round server does in a second, beside the cost of writing and adding the same bytes.

    uv run python -m benchmarks.server

For each number of workers `fedkey serve` starts over an empty folder, with SQLite and files as it comes. Enrolled
devices with real keys check in, and a cohort of phones goes through a whole round of secure aggregation over HTTP, with
masked vectors of 1.4 million parameters. Requests are made and signed before the clock starts, and sent by 16
connections, which share the machine with the server. p99 is over single requests.

The reference of uploads is the same bytes written to the same disk, each made to last, and added up, by one process; of
check-ins, one SQLite transaction for each; of a close, the masked vectors read and added. A close is the time from the
last upload's answer to the new model: two more steps of every phone, unmasking, the gate on a few messages, storing.
With `--postgresql URL` the same is measured again over that server's database, which must be empty.

The step in which keys are advertised is measured in one process, without HTTP: processor time a phone in rounds of
several sizes. `--fleet` phones then go through a whole round over HTTP with vectors of 64 thousand coordinates, the
phones' own cryptography included; 0 leaves it out. Before, each asks once for a step that has not begun: a poll.
"""

import argparse
import os
import secrets
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arguments import whole
from benchmarks.results import Figure, write
from benchmarks.served import (
    LONGEST_SECONDS,
    READY,
    TEXTS,
    Connections,
    Phone,
    enrolled,
    export_of,
    play,
    selected,
    serving,
    until,
)
from federation.enrolment.authority import AuthorityFolder
from federation.protocol.plan import PLAN_BYTES, RoundPlan
from federation.protocol.request_signing import NONCE_BYTES
from federation.protocol.steps import Step
from federation.secure_aggregation import Device, phone
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from federation.server.installation import Installation
from federation.server.models import Verdict
from federation.server.preparation import prepare
from federation.server.settings import RoundSettings, ServerSettings

FLEET_HIDDEN = 27
"""Cells of a network of 64 thousand parameters."""

ADVERTISE = "advertise_cpu_ms_per_phone_"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=whole, nargs="+", default=[1, 2, 4])
    parser.add_argument("--phones", type=whole, default=100)
    parser.add_argument("--check-ins", type=whole, default=1500)
    parser.add_argument(
        "--hidden", type=whole, default=2037, help="cells of the network; 2037 make 1.4 million parameters"
    )
    parser.add_argument("--advertise", type=whole, nargs="+", default=[100, 1000, 6500], help="phones of a round")
    parser.add_argument("--fleet", type=whole, default=6500, help="phones of a whole round; 0 for none")
    parser.add_argument("--postgresql", default="", help="URL of an empty database to measure as well")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedkey-benchmark-") as name:
        folder = Path(name)
        export = export_of(folder, arguments.hidden)
        authority = AuthorityFolder.create(folder / "authority")
        devices = [enrolled(authority) for _ in range(arguments.phones + arguments.check_ins)]
        cohort, crowd = devices[: arguments.phones], devices[arguments.phones :]
        figures: list[Figure] = []
        for workers in arguments.workers:
            figures += measured(folder / str(workers), export, workers, cohort, crowd)
        if arguments.postgresql:
            last = arguments.workers[-1]
            figures += measured(folder / "postgresql", export, last, cohort, crowd, arguments.postgresql)
        write("server", figures, keep=lambda figure: figure.startswith(ADVERTISE))
        advertised = advertising(folder, export, authority, arguments.advertise)
        write("server", advertised, keep=lambda figure: not figure.startswith(ADVERTISE))
        if arguments.fleet:
            small = export_of(folder / "small", FLEET_HIDDEN)
            fleet = [enrolled(authority) for _ in range(arguments.fleet)]
            figures = whole_round(folder / "fleet", small, arguments.workers[-1], fleet)
            write("server-fleet", figures, keep=lambda figure: not figure.startswith(_round_of(arguments.fleet)))


def measured(
    folder: Path, export: Path, workers: int, cohort: Sequence[Phone], crowd: Sequence[Phone], database: str = ""
) -> list[Figure]:
    """Return check-ins and uploads a second, and the close of a round."""
    phones = len(cohort)
    named = f"{workers}_worker" + "s" * (workers > 1) + "_postgresql" * bool(database)
    with serving(folder, export, workers, phones, database) as server:
        connections = Connections(server.port)
        # The cohort's round is opened first and does not fill meanwhile, so that the crowd only checks in.
        until(lambda: selected(connections, server, cohort))
        _, latencies, seconds = connections.send([device.check_in(server) for device in crowd])
        figures = [
            Figure(
                f"check_ins_per_s_{named}",
                len(crowd) / seconds,
                "1/s",
                "SQLite transactions of one row, one process",
                _transactions_per_second(folder),
            ),
            Figure(f"check_in_p99_s_{named}", statistics.quantiles(latencies, n=100)[-1], "s"),
        ]
        played = play(connections, server, cohort)
        floor_write, floor_read = _floor(folder, played.uploads)
        figures += [
            Figure(
                f"uploads_per_s_{named}",
                phones / played.upload_seconds,
                "1/s",
                "write and add the same bytes, one process",
                phones / floor_write,
            ),
            Figure(f"upload_p99_s_{named}", statistics.quantiles(played.latencies, n=100)[-1], "s"),
        ]
        if workers == 2:
            figures += [
                Figure(
                    f"close_{phones}_phones_s", played.close_seconds, "s", "read and add the same bytes", floor_read
                ),
                Figure("rss_mb", server.rss_bytes() / 1e6, "MB"),
                Figure("upload_mb", len(played.uploads[0]) / 1e6, "MB"),
            ]
    return figures


def advertising(folder: Path, export: Path, authority: AuthorityFolder, sizes: Sequence[int]) -> list[Figure]:
    """Return the processor time of a phone's advertisement in rounds of several sizes, beside the first."""
    figures: list[Figure] = []
    for size in sizes:
        installation = prepare(
            folder / f"advertise{size}",
            model=export,
            settings=ServerSettings(
                rounds=RoundSettings(
                    goal=size, minimum=min(size, 100), over_selection=1.0, slot_seconds=LONGEST_SECONDS
                )
            ),
            public_text=lambda: TEXTS,
            authority=folder / "authority",
        )
        messages = _advertisements(installation, [enrolled(authority) for _ in range(size)])
        began = time.process_time()
        for device, message in messages:
            installation.rounds.receive(1, Step.ADVERTISE, message, sender=device)
        each = 1e3 * (time.process_time() - began) / size
        reference = figures[0].value if figures else None
        name = f"{ADVERTISE}{size}"
        figures.append(Figure(name, each, "ms", f"with {sizes[0]} phones" if figures else "", reference))
        installation.database.close()
    return figures


def _advertisements(installation: Installation, phones: Sequence[Phone]) -> list[tuple[bytes, bytes]]:
    """Let phones be selected for a round; return device ids and what they send then."""
    coordinator = installation.coordinator(lambda *_: Verdict(passed=True, metrics={}))

    def all_selected() -> bool:
        checked_in = [
            installation.check_ins.check_in(each.credential, secrets.token_bytes(NONCE_BYTES), READY) for each in phones
        ]
        coordinator.tick()
        return all(each.round_id is not None for each in checked_in)

    until(all_selected)
    signed = installation.rounds.plan(1)[: PLAN_BYTES + SIGNATURE_BYTES]
    plan = RoundPlan.from_signed(signed, installation.public_key)
    found = []
    for each in phones:
        device = Device(each.key, each.credential.certificate)
        authority = installation.authority.at(each.credential.epoch)
        message, _ = phone.AdvertiseKeys(plan.session, device, authority).advertise()
        found.append((each.key.device_id, message))
    return found


def _round_of(phones: int) -> str:
    return f"round_{phones}_"


def whole_round(folder: Path, export: Path, workers: int, fleet: Sequence[Phone]) -> list[Figure]:
    """Return what a round of a large fleet takes."""
    size, of = len(fleet), _round_of(len(fleet))
    with serving(folder, export, workers, size) as server:
        connections = Connections(server.port)
        until(lambda: selected(connections, server, fleet))
        before = server.cpu_seconds()
        polls = [device.ask(server, "GET", "/rounds/1/roster") for device in fleet]
        connections.send(polls, once=True)
        poll_seconds = (server.cpu_seconds() - before) / size
        before, began = server.cpu_seconds(), time.perf_counter()
        played = play(connections, server, fleet)
        seconds = time.perf_counter() - began
        return [
            Figure(f"{of}phones_s", seconds, "s"),
            Figure(f"{of}server_cpu_ms_per_phone", 1e3 * (server.cpu_seconds() - before) / size, "ms"),
            Figure(f"{of}poll_cpu_ms", 1e3 * poll_seconds, "ms"),
            Figure(f"{of}uploads_per_s", size / played.upload_seconds, "1/s"),
            Figure(f"{of}close_s", played.close_seconds, "s"),
            Figure(f"{of}rss_mb", server.rss_bytes() / 1e6, "MB"),
        ]


def _transactions_per_second(folder: Path, count: int = 500) -> float:
    with closing(sqlite3.connect(folder / "floor.sqlite", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, content BLOB)")
        began = time.perf_counter()
        for _ in range(count):
            database.execute("INSERT INTO rows (content) VALUES (?)", (bytes(100),))
        return count / (time.perf_counter() - began)


def _floor(folder: Path, uploads: Sequence[bytes]) -> tuple[float, float]:
    """Return the seconds of writing and adding the uploads, and of reading and adding them."""
    words = len(uploads[0]) // 8

    def add(total: Any, data: bytes) -> None:
        np.add(total, np.frombuffer(data, "<u8", words), out=total)

    total = np.zeros(words, "<u8")
    began = time.perf_counter()
    for number, upload in enumerate(uploads):
        with (folder / f"floor{number}").open("xb") as file:
            file.write(upload)
            file.flush()
            os.fsync(file.fileno())
        add(total, upload)
    written = time.perf_counter() - began
    began = time.perf_counter()
    for number in range(len(uploads)):
        add(total, (folder / f"floor{number}").read_bytes())
    return written, time.perf_counter() - began


if __name__ == "__main__":
    main()
