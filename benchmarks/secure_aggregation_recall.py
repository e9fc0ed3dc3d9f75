"""What encodings cost a model: federated training with clear means and with encoded sums, from the same start.

    uv run python -m benchmarks.secure_aggregation_recall

All runs of a seed see the same clients in the same rounds with the same clip, and the server's rate falls along a
cosine. A change of the last bit grows to another model, the faster the hotter the training: clients train gently and
without dropout, and means over seeds are compared, with their standard error. Masks cancel exactly, which tests show,
so sums are added without them. Accuracy is over the pieces of all clients' later messages.
"""

import argparse
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.arguments import real, whole
from benchmarks.results import CORPUS, Figure, write
from federation.protocol.plan import Deadlines, RoundPlan
from federation.rounds.server_optimizers import OptimizerSettings
from federation.simulation import central
from federation.simulation.central_training import CentralTraining
from federation.simulation.client_training import ClientTraining
from federation.simulation.fedavg import Cohort, Server
from federation.simulation.prepare import prepared
from federation.simulation.workers import Workers
from federation.updates.encoding import NORM_GROWTH, Encoding, ModularEncoding, PackedEncoding
from federation.updates.update import Tally, Update, clip
from fedkey.paths import cache
from model.batches import Rows
from model.layout import FlatVector, FlatWeights, Layout, NetworkConfig

ROW_LENGTH = 20
WEIGHT_CAP = 200
MIN_RATE = 0.02


class Averages:
    """Means of updates, in the clear or by encoded sums.

    Args:
        name: `float32`, `lane4`, `lane5`, `wrap16` or `wrap8`.
        phones: in a cohort.
        dimension: of an update.
        bound: L2 norm that updates are clipped to.
    """

    def __init__(self, name: str, phones: int, dimension: int, bound: float) -> None:
        self._name = name
        self._phones = phones
        self._dimension = dimension
        self._bound = bound
        self._norm: float | None = None
        self._rounds = 0

    def mean(self, updates: list[Update]) -> FlatVector:
        """Return the mean of the updates of one round, weighted by their capped examples."""
        self._rounds += 1
        if self._name == "float32":
            weights = np.array([min(update.tally.examples, WEIGHT_CAP) for update in updates], np.float64)
            exact: FlatVector = np.zeros(self._dimension, np.float32)
            for weight, update in zip(weights / weights.sum(), updates, strict=True):
                exact += np.float32(weight) * clip(update.delta, self._bound)
            return exact
        plan = self._plan()
        vector = plan.session.vector.zeros()
        for update in updates:
            vector.add(plan.encode(update, os.urandom(32)))
        decoded = plan.decode(vector, len(updates))
        self._norm = plan.codec.encoded_norm(decoded)
        return decoded.mean

    def _plan(self) -> RoundPlan:
        return RoundPlan(
            round_id=self._rounds,
            model_sha256=bytes(32),
            dimension=self._dimension,
            encoding=self._encoding(),
            clip=self._bound,
            weight_cap=WEIGHT_CAP,
            rotation_seed=hashlib.sha256(self._rounds.to_bytes(8, "little")).digest(),
            minimum=3,
            deadlines=Deadlines(1, 2, 3, 4, 5),
        )

    def _encoding(self) -> Encoding:
        if self._name.startswith("lane"):
            return PackedEncoding.for_clip(int(self._name[4:]), self._phones, self._bound, self._dimension)
        if self._name == "wrap8" and self._norm is not None:
            return ModularEncoding.for_norm(
                8, self._phones, min(NORM_GROWTH * self._norm, self._bound), self._dimension
            )
        return ModularEncoding.for_norm(16, self._phones, self._bound, self._dimension)


def main() -> None:
    """Train once for each encoding and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=whole, default=50)
    parser.add_argument("--cohort", type=whole, default=20)
    parser.add_argument("--seeds", type=whole, default=3)
    parser.add_argument("--clip", type=real, default=5.0)
    parser.add_argument("--encodings", nargs="+", default=["lane4", "lane5", "wrap16", "wrap8"])
    arguments = parser.parse_args()
    ready = prepared(CORPUS, cache())
    rows = ready.rows(ROW_LENGTH)
    network = NetworkConfig.named("small", ready.vocabulary.size)
    start = central.train(network, rows.seed, CentralTraining(epochs=2), seed=1)
    layout = Layout.of(network.layout)
    names = ["float32", *arguments.encodings]
    accuracies: dict[str, list[float]] = {name: [] for name in names}
    with Workers() as worker:
        cohort = Cohort(network, ROW_LENGTH, ClientTraining(learning_rate=0.5, dropout=0.0))
        for seed in range(arguments.seeds):
            for name in names:
                averages = Averages(name, arguments.cohort, layout.dimension, arguments.clip)
                chosen = _Chosen(rows.train, seed, arguments.rounds, arguments.cohort)
                weights = _train(cohort, network, layout, start, chosen, averages)
                accuracies[name].append(cohort.evaluate(weights, rows.validation).totals.accuracy)
                print(f"seed {seed} {name}: {accuracies[name][-1]:.5f}", flush=True)
                worker.recycle_if_above(1500 << 20)
        figures = [Figure("accuracy_before_rounds", cohort.evaluate(start, rows.validation).totals.accuracy, "")]
    clear = np.array(accuracies["float32"])
    for name in arguments.encodings:
        encoded = np.array(accuracies[name])
        after = f"after_{arguments.rounds}_rounds_{name}"
        figures.append(Figure(f"accuracy_{after}", float(encoded.mean()), "", "float32", float(clear.mean())))
        if arguments.seeds > 1:
            error = float((encoded - clear).std(ddof=1) / np.sqrt(arguments.seeds))
            figures.append(Figure(f"standard_error_{after}", error, ""))
    measured = ("before_rounds", *arguments.encodings)
    write("secure_aggregation_recall", figures, keep=lambda figure: not figure.endswith(measured))


@dataclass(frozen=True)
class _Chosen:
    """The clients of each round."""

    clients: Sequence[Rows]
    seed: int
    rounds: int
    size: int

    def of_round(self, number: int) -> list[Rows]:
        chosen = np.random.default_rng([self.seed, number]).choice(len(self.clients), self.size, replace=False)
        return [self.clients[client] for client in chosen]


def _train(
    cohort: Cohort,
    network: NetworkConfig,
    layout: Layout,
    start: FlatWeights,
    chosen: _Chosen,
    averages: Averages,
) -> FlatWeights:
    server = Server(network, OptimizerSettings())
    state = server.initialize(start)
    for number in range(chosen.rounds):
        updates = []
        for client in chosen.of_round(number):
            result = cohort.train(state.weights, [client])
            delta = layout.flatten(result.delta_sum) / np.float32(max(result.weight, 1e-12))
            updates.append(Update(delta, Tally(round(result.weight))))
        mean = layout.unflatten(averages.mean(updates))
        state = server.apply(state, list(mean.values()), central.cosine((number + 1) / chosen.rounds, MIN_RATE))
    return state.weights


if __name__ == "__main__":
    main()
