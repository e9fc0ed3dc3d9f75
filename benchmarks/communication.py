"""Recall against bytes: federated training with float32 uploads, and with uploads a tenth of their size.

    uv run python -m benchmarks.communication

All ways of a seed see the same clients in the same rounds from the same start:

- float32: exact means of deltas, 4 bytes a weight;
- subset: what `RoundPlan.encode` sends under secure aggregation, of strata found from earlier means;
- uniform: the same without strata, every coordinate alike;
- slices: consecutive parts of the layers in turn, without rounding.

Masks cancel exactly, which tests show, so sums are added without them. The bytes of a phone are those of all messages
of the protocol. The network is the small one, and clients train on at most 640 pieces a round, on the engine of phones.
Recall is of whole words of people who took no part.
"""

import argparse
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from benchmarks.arguments import whole
from benchmarks.engine_rounds import Fleet, cosine_rate, recall_percent
from benchmarks.results import Figure, write
from federation.privacy.training import PrivateTraining
from federation.protocol import message_sizes as sizes
from federation.protocol.model_codec import delta, to_bytes
from federation.protocol.plan import Deadlines, RoundPlan
from federation.rounds.server_optimizers import SgdMomentum
from federation.simulation.aggregations import Clipped
from federation.simulation.evaluation import Evaluator
from federation.updates.encoding import choose
from federation.updates.sparsification import Energies, Subset, chunk_energies
from federation.updates.update import Update
from model.layout import FlatVector

CLIP = 3.0
WEIGHT_CAP = 32
SHARE = 0.39
MEMORY = 0.8
"""Of what earlier means say about where energy lies, against the latest one."""

EVALUATED = 200
"""Clients whose later messages are looked at during a run."""

EXACT = Clipped(PrivateTraining(clip=CLIP))

SLICES = 5
WAYS = ("float32", "subset", "uniform", "slices")


@dataclass
class Uploads:
    """How updates come together in one way.

    Attributes:
        way: of `WAYS`.
        cohort: phones in a round.
        rounds: that were averaged.
        energies: of earlier means.
        traffic: bytes of each phone of the last round, without the download of the model.
    """

    way: str
    cohort: int
    rounds: int = 0
    energies: Energies | None = None
    traffic: sizes.Traffic = field(default_factory=lambda: sizes.Traffic(0, 0))

    def mean(self, updates: list[Update]) -> FlatVector:
        """Return the mean of a round's updates, weighted by examples."""
        self.rounds += 1
        dimension = updates[0].delta.size
        if self.way in {"float32", "slices"}:
            total, _ = EXACT.apply(EXACT.initialize(), updates, self.rounds)
            exact = total.mean
            self.traffic = sizes.Traffic(4 * dimension, 0)
            return exact if self.way == "float32" else self._sliced(exact)
        plan = self._plan(dimension)
        summed = plan.session.vector.zeros()
        for update in updates:
            summed.add(plan.encode(update, os.urandom(32)))
        self.traffic = sizes.Traffic.sum(sizes.of_round(plan, self.cohort, model_bytes=0))
        decoded = plan.decode(summed, len(updates))
        if self.way == "subset":
            new = plan.codec.energies(decoded)
            self.energies = new if self.energies is None else MEMORY * self.energies + (1 - MEMORY) * new
        return decoded.mean

    def _sliced(self, exact: FlatVector) -> FlatVector:
        """Keep two fifths, two and a half times as large: others in every round, all in five."""
        parts = np.array_split(np.arange(exact.size), SLICES)
        kept = np.zeros_like(exact)
        for part in (2 * self.rounds, 2 * self.rounds + 1):
            chosen = parts[part % SLICES]
            kept[chosen] = exact[chosen] * np.float32(SLICES / 2)
        return kept

    def _plan(self, dimension: int) -> RoundPlan:
        subset = Subset.allocate(dimension, SHARE, self.energies)
        return RoundPlan(
            round_id=self.rounds,
            model_sha256=bytes(32),
            dimension=dimension,
            encoding=choose(self.cohort, CLIP, subset.kept, coarse=True),
            clip=CLIP,
            weight_cap=WEIGHT_CAP,
            rotation_seed=hashlib.sha256(self.rounds.to_bytes(8, "little")).digest(),
            minimum=3,
            deadlines=Deadlines(1, 2, 3, 4, 5),
            subset=subset,
        )


@dataclass(frozen=True)
class Outcome:
    """Of a training run.

    Attributes:
        recalls: in percent, by the number of rounds done.
        words: recall of the words of held-out users, in percent.
        up: bytes of a phone in a round.
        down: bytes of a phone in a round, with a delta of the model.
    """

    recalls: dict[int, float]
    words: float
    up: int
    down: int


def run(fleet: Fleet, evaluator: Evaluator, way: str, seed: int, rounds: int, cohort: int) -> Outcome:
    """Train in one way."""
    uploads = Uploads(way, cohort)
    state = SgdMomentum().initialize(fleet.start)
    recalls: dict[int, float] = {}
    for number in range(1, rounds + 1):
        chosen = np.random.default_rng([seed, number]).choice(len(fleet.train), cohort, replace=False)
        updates = [fleet.update(state.weights, int(client), [seed, number, int(client)]) for client in chosen]
        before = state.weights
        state = SgdMomentum(learning_rate=cosine_rate(number, rounds)).apply(state, uploads.mean(updates))
        if number % 50 == 0 or number == rounds:
            recalls[number] = recall_percent(fleet.evaluate(state.weights, EVALUATED))
            print(f"seed {seed} {way}: {recalls[number]:.3f} % of pieces after {number} rounds", flush=True)
    words = evaluator.network(fleet.checkpoint(state.weights), name=way).value("top1")
    print(f"seed {seed} {way}: {words:.3f} % of words", flush=True)
    down = uploads.traffic.down + len(delta(to_bytes(before), to_bytes(state.weights)))
    return Outcome(recalls, words, uploads.traffic.up, down)


def errors(fleet: Fleet, cohort: int) -> list[Figure]:
    """Return how wrong one mean of real deltas becomes, when strata are found from that of other clients."""
    exact, uploads = Uploads("float32", cohort), {way: Uploads(way, cohort) for way in WAYS[1:]}
    updates = [fleet.update(fleet.start, client, [0, client]) for client in range(2 * cohort)]
    earlier, mean = exact.mean(updates[:cohort]), exact.mean(updates[cohort:])
    uploads["subset"].energies = chunk_energies(earlier)
    found = {way: upload.mean(updates[cohort:]) for way, upload in uploads.items()}
    norm = float(np.sum(np.square(mean)))
    return [
        Figure(f"error_of_mean_{way}", float(np.sum((one - mean) ** 2)) / norm, "of its square")
        for way, one in found.items()
    ]


def compared(found: dict[str, list[Outcome]], dimension: int) -> Iterator[Figure]:
    """Compare what there is of every way with float32, seed by seed."""
    for way in WAYS[1:]:
        pairs = list(zip(found[way], found["float32"], strict=False))
        if not pairs:
            continue
        words, clear = (float(np.mean([pair[side].words for pair in pairs])) for side in (0, 1))
        loss = 100 * (1 - words / clear)
        yield Figure(f"recall_{way}", words, "% of words", "float32", clear)
        for number in pairs[0][0].recalls:
            mine, theirs = (float(np.mean([pair[side].recalls[number] for pair in pairs])) for side in (0, 1))
            yield Figure(f"pieces_recall_{way}_after_{number}_rounds", mine, "% of pieces", "float32", theirs)
        if way != "subset":
            yield Figure(f"loss_{way}", loss, "% of float32's recall")
            continue
        small, large = pairs[0]
        yield Figure("seeds", len(pairs), "")
        yield Figure("bytes_up", small.up, "bytes a phone and round", "float32", large.up)
        yield Figure("bytes_down", small.down, "bytes a phone and round", "whole model", 4 * dimension)
        yield Figure("upload_reduction", large.up / small.up, "x", "aim", 10.0)
        yield Figure("relative_loss_percent", loss, "%", "aim, at most", 4.0)


def main() -> None:
    """Train in every way and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=whole, default=200)
    parser.add_argument("--cohort", type=whole, default=10)
    parser.add_argument("--seeds", type=whole, default=1, help="of float32 and subset; the other ways run once")
    parser.add_argument("--users", type=whole, default=60, help="held-out users to evaluate on")
    arguments = parser.parse_args()
    fleet = Fleet.warmed_up()
    evaluator = Evaluator(fleet.ready.split, max_users=arguments.users)
    figures = errors(fleet, arguments.cohort)
    before = evaluator.network(fleet.checkpoint(fleet.start), name="start").value("top1")
    figures.append(Figure("recall_before_rounds", before, "% of words"))
    found: dict[str, list[Outcome]] = {way: [] for way in WAYS}
    for seed in range(arguments.seeds):
        for way in WAYS if seed == 0 else WAYS[:2]:
            found[way].append(run(fleet, evaluator, way, seed, arguments.rounds, arguments.cohort))
            # What is done is written, so that a run that is stopped was not for nothing.
            write("communication", [*figures, *compared(found, fleet.start.size)])


if __name__ == "__main__":
    main()
