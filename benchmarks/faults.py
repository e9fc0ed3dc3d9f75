"""Whether the round server survives what happens to servers, in rounds that are running.

    uv run python -m benchmarks.faults

Half of the faults hit `fedkey serve` over SQLite, half of them two machines that share a PostgreSQL server. At both
sites phones, which are real device clients that train and take part in secure aggregation over HTTP, go through one
round after another. Faults are drawn from `--seed` and come after a number of answers, so that they hit any step:
signals to workers, master and coordinator, kill -9 of each and of all, a process that stands still, a full disk (a
small tmpfs, if this user may mount one) and files that may not grow, clocks set forward and back by up to a day,
locks that somebody else holds, lines to phones and to PostgreSQL that are reset or hold what is under way, PostgreSQL
stopped in order or as by a crash.

Machines are processes and not hosts: their clocks are Python's `time.time`, which a module that is loaded first lets
jump, while the monotonic clock goes on; lines are TCP relays within this machine, since phones send plain HTTP nowhere
else.

A fault is survived if afterwards all machines answer and no process but those that were told to has ended for good, no
request was answered with an error that nobody foresaw (500), and every round that it touched ended: finished, or
abandoned with a reason. Every message that a phone was told is stored must be stored, and in the published sum of a
round every stored upload must count once and nothing else, which follows from the sum and from what phones trained. The
uploads of a group that was lost, since too few of its phones took a step, are in no sum: nobody can unmask them.
"""

import argparse
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.arguments import whole
from benchmarks.fault_kinds import ENDS_A_SERVER, Kind, kinds
from benchmarks.fault_records import checked, ended_after, running_round
from benchmarks.fault_site import ROUNDS, Site, site
from benchmarks.results import Figure, write
from benchmarks.served import export_of
from federation.errors import FederationError
from federation.server.phases import Ended

ANSWERS = range(5, 80)
"""That phones get before a fault; a round takes about a hundred."""

SECONDS = (0.5, 6.0)
_HIDDEN = 8
_RESTING_SECONDS = 180.0
_ROUND_SECONDS = ROUNDS.deadlines.unmask_seconds + 120.0
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Fault:
    """A fault, as it was drawn.

    Attributes:
        number: counts up at its site.
        kind: of `fault_kinds`.
        answers: that phones get before it.
        seconds: that it lasts.
        seed: of what else is random about it.
    """

    number: int
    kind: str
    answers: int
    seconds: float
    seed: str


@dataclass(frozen=True)
class Result:
    """What became of one.

    Attributes:
        kind: of it.
        problems: What was wrong afterwards.
        finished, abandoned: Number of rounds that ended since the one before.
        uploads: in the sums of rounds that finished.
    """

    kind: str
    problems: list[str]
    finished: int
    abandoned: int
    uploads: int


def main() -> None:
    """Inject and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--injections", type=whole, default=200, help="at both sites together")
    parser.add_argument("--seed", type=whole, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/faults"), help="keeps what was done, to go on from")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    counts = {"SQLite": arguments.injections - arguments.injections // 2, "PostgreSQL": arguments.injections // 2}
    paths = {called: arguments.out / f"{called.lower()}-{arguments.seed}.jsonl" for called in counts}
    if any(len(_kept(path)) < counts[called] for called, path in paths.items()):
        _go_on(counts, paths, arguments.seed)
    write("faults", _figures([each for called, path in paths.items() for each in _kept(path)[: counts[called]]]))


def _go_on(counts: Mapping[str, int], paths: Mapping[str, Path], seed: int) -> None:
    """Inject what is missing, at both sites at once."""
    fallen: list[str] = []
    stop = threading.Event()
    threading.excepthook = lambda told: fallen.append(f"{told.exc_type.__name__}: {told.exc_value}")
    with tempfile.TemporaryDirectory(prefix="fedkey-faults-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL runs as a user of its own
        export = export_of(folder, _HIDDEN)

        def at_site(called: str) -> None:
            done, place = len(_kept(paths[called])), folder / called.lower()
            if done >= counts[called]:
                return
            with (
                site(called, place, export, postgresql=called == "PostgreSQL") as running,
                paths[called].open("a") as kept,
            ):
                for result in _injected(running, seed, done, counts[called], fallen):
                    kept.write(json.dumps(asdict(result)) + "\n")
                    kept.flush()
                    if stop.is_set():
                        return

        with ThreadPoolExecutor(2) as pool:
            try:
                list(pool.map(at_site, counts))
            except BaseException:  # also an interruption: both sites end after the fault that they are at
                stop.set()
                raise


def _kept(path: Path) -> list[Result]:
    return [Result(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def drawn(names: Collection[str], place: str, seed: int, number: int) -> Fault:
    """Return a fault of a site; all kinds come equally often, in any order."""
    again, which = divmod(number - 1, len(names))
    kind = random.Random(f"{seed} {place} {again}").sample(sorted(names), len(names))[which]
    own = f"{seed} {place} fault {number}"
    draw = random.Random(own)
    return Fault(number, kind, draw.choice(ANSWERS), draw.uniform(*SECONDS), own)


def _injected(running: Site, seed: int, done: int, count: int, fallen: list[str]) -> Iterator[Result]:
    """Inject faults one after the other; yield what became of each."""
    possible = kinds(running)
    last = 0
    for number in range(done + 1, count + 1):
        fault, began = drawn(possible.keys(), running.name, seed, number), time.monotonic()
        problems, told = _hit(running, possible[fault.kind], fault)
        problems += [f"500 at {path}" for path in running.ledger.crashes]
        problems += [f"a phone's thread ended: {why}" for why in fallen]
        running.ledger.crashes.clear()
        fallen.clear()
        rounds = [
            checked(running.installation, running.ledger, each) for each in ended_after(running.installation, last)
        ]
        last = max([last, *(each.round_id for each in rounds)])
        problems += [f"round {each.round_id}: {problem}" for each in rounds for problem in each.problems]
        ends = ", ".join(f"round {each.round_id} {each.outcome} with {each.uploads} uploads" for each in rounds)
        line = f"{running.name} {number}/{count}: {told or fault.kind}, {fault.seconds:.1f} s; {ends or 'no round'}"
        print(f"{line} ({time.monotonic() - began:.0f} s)", *problems, sep="\n    PROBLEM: ", flush=True)
        finished = [each for each in rounds if each.outcome == Ended.FINISHED]
        uploads = sum(each.uploads for each in finished)
        yield Result(fault.kind, problems, len(finished), len(rounds) - len(finished), uploads)


def _hit(running: Site, kind: Kind, fault: Fault) -> tuple[list[str], str]:
    """Let a fault happen and pass; return what is wrong before rounds are looked at, and what happened."""
    told = ""
    try:
        due = running.ledger.answers + fault.answers
        _until(lambda: running.ledger.answers >= due, _RESTING_SECONDS, "phones do not go on")
        hit = running_round(running.installation)
        with kind(running, random.Random(fault.seed)) as told:
            time.sleep(fault.seconds)
        fallen = [each.name for each in running.machines if each.process.poll() is not None]
        running.start()
        if hit is not None:
            _until(lambda: running_round(running.installation) != hit, _ROUND_SECONDS, f"round {hit} does not end")
    except (FederationError, OSError, RuntimeError) as error:
        return [f"{type(error).__name__}: {error}"], told
    return [f"{name} has ended by itself" for name in fallen if fault.kind not in ENDS_A_SERVER], told


def _until(holds: Callable[[], bool], seconds: float, otherwise: str) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            raise TimeoutError(otherwise)
        time.sleep(_LOOK_SECONDS)


def _figures(results: list[Result]) -> list[Figure]:
    hit = Counter(result.kind for result in results)
    survived = Counter(result.kind for result in results if not result.problems)
    finished, abandoned = (sum(getattr(result, name) for result in results) for name in ("finished", "abandoned"))
    return [
        Figure("faults_survived_percent", 100 * survived.total() / hit.total(), "%"),
        *(Figure(f"survived_{kind}", survived[kind], "faults", "injected", hit[kind]) for kind in sorted(hit)),
        Figure("rounds_finished", finished, "rounds"),
        Figure("rounds_abandoned", abandoned, "rounds"),
        Figure("uploads_counted_once", sum(result.uploads for result in results if not result.problems), "uploads"),
    ]


if __name__ == "__main__":
    main()
