"""An operator who deviates: the round server's own parts over HTTP, which keep every sum and choose groups as told.

`benchmarks/attack_server.py` starts it, with FOLDER a server's folder:

    python -m benchmarks.attack_operator serve FOLDER PORT
    python -m benchmarks.attack_operator coordinate FOLDER
"""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmarks.served import until
from federation.base import logs
from federation.base.child_processes import end_with_parent
from federation.server import round_state
from federation.server.installation import Installation
from federation.server.models import Verdict
from federation.server.serving import coordinate, free_port, serve
from federation.server.tables import RoundRow
from federation.updates.codec import UpdateCodec
from federation.updates.counts import MAX_TOKENS, NoisedCounts
from federation.updates.weighted_sum import LevelSum, WeightedSum
from model.layout import FlatVector

SUMS, CHOSEN = "sums", "chosen.json"
"""In a server's folder: what rounds brought, and the pseudonyms that are to be in one group."""

_WORKERS = 1
_HITS = -2


@dataclass(frozen=True)
class Summed:
    """What an operator gets out of a round.

    Attributes:
        delta: sum of the phones' clipped and weighted deltas.
        hits: tokens that the model had first, as far as they can be known.
    """

    delta: FlatVector
    hits: float

    def keep(self, folder: Path) -> None:
        """Write it beside those before."""
        sums = folder / SUMS
        sums.mkdir(exist_ok=True)
        np.savez(sums / f"{len(list(sums.iterdir())) + 1}.npz", delta=self.delta, hits=self.hits)

    @classmethod
    def latest(cls, folder: Path) -> Self:
        """Read the newest sum."""
        with np.load(max((folder / SUMS).glob("*.npz"), key=lambda path: int(path.stem))) as kept:
            return cls(kept["delta"], float(kept["hits"]))


@contextmanager
def operating(folder: Path) -> Iterator[str]:
    """Run the server of a folder; yield its URL."""
    port = free_port("127.0.0.1")
    command = [sys.executable, "-m", "benchmarks.attack_operator"]
    with (folder.parent / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "serve", str(folder), str(port)],
            stdout=log,
            stderr=log,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - one system call
        )
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: _answers(url) or process.poll() is not None)
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/v1/server", timeout=60):
            return True
    except urllib.error.URLError:
        return False


@contextmanager
def whole_sums(keep: Callable[[Summed], None]) -> Iterator[None]:
    """Have what is decoded of every sum kept before anything is rounded away or forgotten."""
    restore, taken_off, hits = UpdateCodec.restore, NoisedCounts.taken_off, list[float]()

    def watched(self: NoisedCounts, summed: FlatVector) -> Any:
        hits.append(float(summed[_HITS]) / self._unit * MAX_TOKENS)
        return taken_off(self, summed)

    def kept(self: UpdateCodec, total: LevelSum, rotated: Any = None) -> WeightedSum:
        result = restore(self, total, rotated)
        keep(Summed(result.delta, hits.pop() if hits else result.tally.hits))
        return result

    NoisedCounts.taken_off = watched  # type: ignore[method-assign]
    UpdateCodec.restore = kept  # type: ignore[method-assign]
    try:
        yield
    finally:
        NoisedCounts.taken_off, UpdateCodec.restore = taken_off, restore  # type: ignore[method-assign]


def _choose_groups(folder: Path) -> None:
    """Put chosen phones into one group, whatever follows from the nonce."""
    if not (folder / CHOSEN).exists():
        return
    chosen = {bytes.fromhex(name) for name in json.loads((folder / CHOSEN).read_text())}
    drawn = round_state._groups  # noqa: SLF001

    def groups(row: RoundRow, joined: Mapping[bytes, bytes]) -> list[set[bytes]]:
        honest = drawn(row, joined)
        ordered = sorted(joined, key=lambda device_id: (device_id not in chosen, device_id))
        sizes = [len(group) for group in honest]
        return [set(ordered[sum(sizes[:place]) : sum(sizes[: place + 1])]) for place in range(len(sizes))]

    round_state._groups = groups  # noqa: SLF001


def _main(action: str, folder: Path, rest: list[str]) -> None:
    logs.to_stderr()
    _choose_groups(folder)
    if action == "serve":
        beside = [sys.executable, "-m", "benchmarks.attack_operator", "coordinate", str(folder)]
        serve(folder, host="127.0.0.1", port=int(rest[0]), workers=_WORKERS, beside=[beside])
        return
    parent = int(rest[rest.index("--parent") + 1]) if "--parent" in rest else None
    coordinator = Installation.load(folder).coordinator(lambda *_: Verdict(passed=True, metrics={}))
    with whole_sums(lambda found: found.keep(folder)):
        coordinate(coordinator, parent)


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
