"""Simulated clients beside phones: TFF trains a cohort, and its sum joins that of the phones in one round."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

import data
from federation.simulation.client_training import ClientTraining
from federation.simulation.execution import Worker
from federation.simulation.fedavg import Cohort
from federation.updates.weighted_sum import WeightedSum
from model.batches import ROW_LENGTH, Rows, pack
from model.engine import Export
from model.layout import FlatVector, Layout
from model.text import tokenise


class SimulatedCohort:
    """A cohort that TFF trains, a new draw of clients in each round.

    Args:
        cohort: compiled for the network.
        layout: of the network's weights.
        clients: rows of each.
        size: clients in a round.
        weight_cap: examples that count at most.
        epochs: passes of a client over its rows.
    """

    def __init__(
        self, cohort: Cohort, layout: Layout, clients: Sequence[Rows], size: int, weight_cap: int, epochs: int = 1
    ) -> None:
        self._cohort = cohort
        self._layout = layout
        self._clients = clients
        self._size = min(size, len(clients))
        self._weight_cap = weight_cap
        self._epochs = epochs

    def train(self, round_id: int, weights: FlatVector) -> WeightedSum:
        """Return the sum of the cohort's updates; the same for the same round and weights."""
        drawn = np.random.default_rng(round_id).choice(len(self._clients), self._size, replace=False)
        rows = [np.tile(self._clients[client][: self._weight_cap], (self._epochs, 1)) for client in drawn]
        result = self._cohort.train(list(self._layout.unflatten(weights).values()), rows)
        return result.weighted_sum(self._layout, self._size, epochs=self._epochs)


@contextmanager
def simulated_cohort(
    corpus: str, export: Export, training: ClientTraining, *, size: int, weight_cap: int
) -> Iterator[SimulatedCohort]:
    """Give `size` of a corpus's clients in each round as the partner of a server's phones.

    Args:
        corpus: whose clients.
        export: of the network.
        training: as phones are told to.
        size: clients in a round.
        weight_cap: examples that count at most.
    """
    split = data.select(corpus).split
    encode = export.vocabulary.encode
    clients = [pack(encode(tokenise(text)) for text in texts) for texts in split.train.values()]
    network = export.manifest.network
    with Worker():
        cohort = Cohort(network, ROW_LENGTH, training)
        yield SimulatedCohort(cohort, Layout.of(network.layout), clients, size, weight_cap, training.epochs)
