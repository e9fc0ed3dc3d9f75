"""Simulated clients beside phones: TFF trains a cohort, or clients count, and their sum joins that of the phones."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from federation.rounds.counting import CountingSettings
from federation.simulation.client_training import ClientTraining
from federation.simulation.fedavg import Cohort
from federation.simulation.prepare import prepared
from federation.simulation.workers import Workers
from federation.updates.update import Tally
from federation.updates.weighted_sum import WeightedSum
from model.batches import ROW_LENGTH, pack
from model.counted_lists import CountedList
from model.engine import Export
from model.layout import FlatVector, Layout

Messages = Sequence[npt.NDArray[np.int32]]


class SimulatedCohort:
    """Clients of a corpus, a new draw of them in each round.

    Args:
        cohort: compiled for the network.
        layout: of the network's weights.
        clients: encoded messages of each.
        size: clients in a round of training.
        counting: clients in a counting round.
        weight_cap: examples that count at most.
        epochs: passes of a client over its rows.
    """

    def __init__(
        self,
        cohort: Cohort,
        layout: Layout,
        clients: Sequence[Messages],
        size: int,
        counting: int,
        weight_cap: int,
        epochs: int = 1,
    ) -> None:
        self._cohort = cohort
        self._layout = layout
        self._clients = clients
        self._size, self._counting = min(size, len(clients)), min(counting, len(clients))
        self._weight_cap = weight_cap
        self._epochs = epochs

    def train(self, round_id: int, weights: FlatVector) -> WeightedSum:
        """Return the sum of the cohort's updates; the same for the same round and weights."""
        drawn = self._drawn(round_id, self._size)
        rows = [np.tile(pack(client, ROW_LENGTH)[: self._weight_cap], (self._epochs, 1)) for client in drawn]
        result = self._cohort.train(list(self._layout.unflatten(weights).values()), rows)
        return result.weighted_sum(self._layout, self._size, epochs=self._epochs)

    def count(self, round_id: int, listed: CountedList, settings: CountingSettings) -> WeightedSum:
        """Return the sum of clients' counts; the same for the same round."""
        total = np.zeros(len(listed), np.float32)
        for client in self._drawn(round_id, self._counting):
            total += settings.update(listed, (message.tolist() for message in client)).delta
        return WeightedSum(total, Tally(self._counting), self._counting)

    def _drawn(self, round_id: int, size: int) -> Iterator[Messages]:
        for client in np.random.default_rng(round_id).choice(len(self._clients), size, replace=False):
            yield self._clients[client]


@contextmanager
def simulated_cohort(
    corpus: str,
    cache: Path,
    export: Export,
    training: ClientTraining,
    *,
    size: int,
    counting: int,
    weight_cap: int,
) -> Iterator[SimulatedCohort]:
    """Give a corpus's clients beside a server's phones.

    Args:
        corpus: whose clients.
        cache: folder for what can always be made again.
        export: of the network.
        training: as phones are told to.
        size: clients in a round of training.
        counting: clients in a counting round.
        weight_cap: examples that count at most.

    Raises:
        CorpusError: the corpus cannot be used.
    """
    tables = prepared(corpus, cache, vocabulary=export.vocabulary).tables["train"]
    clients = [messages for user in range(len(tables.users)) if len(messages := tables.messages(user))]
    network = export.manifest.network
    with Workers():
        cohort, layout = Cohort(network, ROW_LENGTH, training), Layout.of(network.layout)
        yield SimulatedCohort(cohort, layout, clients, size, counting, weight_cap, training.epochs)
