"""Phones of `benchmarks/attack_server.py`: real device clients, some of them the operator's, a process for each party.

python -m benchmarks.attack_phones PARTY.json
"""

import dataclasses
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from federation.base.child_processes import end_with_parent
from federation.device import running_round
from federation.device.records import RoundRecord
from federation.device.running_round import Train
from federation.device.store import PhoneStore
from federation.enrolment.authority import AuthorityFolder
from federation.fleet.enrolled_phones import enrol_at
from federation.fleet.headless import Fleet, HeadlessPhone, HeadlessSettings, TrainerPool, Typist
from federation.fleet.scenario import Device
from federation.protocol.drop_reasons import DropReason
from federation.protocol.trust import Anchors
from federation.updates.update import Tally, Update
from model import files
from model.engine import Export

_LOOK_SECONDS = 0.3
_NOT_TAKEN = "it was not taken"
"""What a phone says of a model that it refused, outside of rounds."""


@dataclass(frozen=True)
class Party:
    """Phones that live in one process.

    Attributes:
        name: of the party, and of its folder.
        texts: what the owner of each has typed.
        sybils: whether they are the operator's: they send zeros, and no noise.
    """

    name: str
    texts: Sequence[Sequence[str]]
    sybils: bool = False


@dataclass(frozen=True)
class World:
    """What all phones of a server have in common.

    Attributes:
        folder: of the parties' phones.
        export: folder of the exported model that they come with.
        trust: file that their app brings along.
        authority: folder of the authority that vouches for them.
    """

    folder: Path
    export: Path
    trust: Path
    authority: Path

    def enrolled(self, party: Party) -> list[bytes]:
        """Enrol all phones of a party; return their pseudonyms."""
        found = []
        for number in range(len(party.texts)):
            store = PhoneStore(self.folder / party.name / str(number))
            enrol_at(AuthorityFolder(self.authority), store)
            found.append(store.key.device_id)
            store.close()
        return found


class Living:
    """Parties that live side by side.

    Args:
        folder: where each writes down what it tells.
        parties: names of those that are not the operator's.
    """

    def __init__(self, folder: Path, parties: Sequence[str]) -> None:
        self._paths = [_told(folder, name) for name in parties]

    def refusals(self, round_id: int) -> Counter[str]:
        """Return why how many phones took no part in a round, as they wrote it down."""
        found: Counter[str] = Counter()
        for path in self._paths:
            told = json.loads(path.read_text()) if path.exists() else {"ended": [], "models": [], "problems": []}
            found.update(f"{reason}: {said}" for number, reason, said in told["ended"] if number == round_id and reason)
            found.update(f"model: {said}" for said in told["models"])
            found.update(f"distrust: {said}" for said in told["problems"])
        return found


@contextmanager
def living(world: World, url: str, parties: Sequence[Party]) -> Iterator[Living]:
    """Let parties live, each in a process, until the end of the block."""
    command, running = [sys.executable, "-m", "benchmarks.attack_phones"], []
    with (world.folder / "phones.log").open("ab") as log:
        for party in parties:
            _told(world.folder, party.name).unlink(missing_ok=True)
            spec = world.folder / f"{party.name}.party"
            paths = {name: str(path) for name, path in dataclasses.asdict(world).items()}
            spec.write_text(json.dumps({"world": paths, "url": url, "party": dataclasses.asdict(party)}))
            running.append(
                subprocess.Popen(
                    [*command, str(spec)],
                    stdout=log,
                    stderr=log,
                    preexec_fn=end_with_parent,  # noqa: PLW1509 - one system call
                )
            )
    try:
        yield Living(world.folder, [party.name for party in parties if not party.sybils])
    finally:
        for process in running:
            process.kill()
            process.wait()


def _told(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _live(world: World, url: str, party: Party) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    export = Export.load(world.export)
    if party.sybils:
        vars(running_round)["phone_noise"] = lambda plan, _: np.zeros(plan.codec.coordinates, np.int64)
    pool = _Zeros(export) if party.sybils else TrainerPool(export)
    anchors = Anchors.read(export.directory, export.manifest, world.trust)

    def enrol(store: PhoneStore) -> None:
        enrol_at(AuthorityFolder(world.authority), store)

    phones = [
        HeadlessPhone(
            world.folder / party.name / str(number),
            url,
            enrol=enrol,
            typist=Typist(texts, at_first=len(texts), a_round=0),
            pool=pool,
            anchors=anchors,
            settings=HeadlessSettings(),
            seed=1,
            index=number,
        )
        for number, texts in enumerate(party.texts)
    ]
    ended: list[tuple[int, str, str]] = []
    models: dict[int, str] = {}

    def show(number: int, record: RoundRecord) -> None:
        said = "" if record.reason is DropReason.NONE else phones[number].activity.removeprefix("wait: ")
        ended.append((record.round_id, record.reason.value, said))

    with Fleet(phones, show) as fleet:
        while not stop.wait(_LOOK_SECONDS):
            models |= {at: phone.activity for at, phone in enumerate(phones) if _NOT_TAKEN in phone.activity}
            said = [each.removeprefix("wait: ") for each in models.values()]
            told = {"ended": list(ended), "models": said, "problems": sorted(fleet.problems)}
            files.write(_told(world.folder, party.name), json.dumps(told))


class _Zeros(TrainerPool):
    """Trains nothing."""

    def training(self, texts: Callable[[], Sequence[str]], device: Device) -> Train:  # noqa: ARG002
        nothing = Update(np.zeros(len(self.shipped()), np.float32), Tally(1))
        return lambda *_: nothing


def awaited(done: Callable[[], bool], living: Living, round_id: int, patience: float) -> Counter[str]:
    """Wait until a round is done, or phones have refused it and a while is over; return why they did."""
    began, refused_at = time.monotonic(), 0.0
    while not done():
        refusals = living.refusals(round_id)
        if refusals and not refused_at:
            refused_at = time.monotonic()
        if refused_at and time.monotonic() - refused_at > patience:
            return living.refusals(round_id)
        seconds = time.monotonic() - began
        print(f"  round {round_id}: {seconds:.0f} s, {refusals.total()} phones refused", end="\r", flush=True)
        time.sleep(_LOOK_SECONDS)
    return living.refusals(round_id)


if __name__ == "__main__":
    spec = json.loads(Path(sys.argv[1]).read_text())
    _live(World(**{name: Path(path) for name, path in spec["world"].items()}), spec["url"], Party(**spec["party"]))
