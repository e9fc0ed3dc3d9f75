"""Rounds of simulated clients: from a cohort to the next state, by the rules that phones and the round server have.

The same `defend` runs in the round server; here groups are simulated and sums are in the clear.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from federation.robustness import MAX_ROWS, DefenceSettings, Group, Outcome, PieceRows, Reading, defend, phrases
from federation.secure_aggregation.groups import assign_min_size
from federation.simulation.aggregations import Aggregation, MeanState
from federation.simulation.fedavg import Cohort, Server
from federation.simulation.states import Progress, ServerState
from federation.updates.sparsification import Energies, Subset
from federation.updates.transforms import Transform, transformed
from federation.updates.update import Update
from federation.updates.weighted_sum import WeightedSum
from model.batches import Rows
from model.evaluation import Totals
from model.layout import FlatWeights, Layout, NetworkConfig
from model.network import log_probabilities, loss_and_hits, step


class Client(NamedTuple):
    """A client of a round.

    Attributes:
        number: among all clients.
        rows: that it trains on, in order.
    """

    number: int
    rows: Rows

    @property
    def pseudonym(self) -> str:
        """What the defence remembers it by."""
        return pseudonym(self.number)


def pseudonym(client: int) -> str:
    """Return what the defence remembers a client by."""
    return f"client-{client}"


class Rounds:
    """Turns cohorts into states. Runs on the TFF context of the calling thread.

    A round is one chain: clients train, updates are transformed and added up group by group, the defence decides about
    the groups, and the server steps along the mean of what is left. Without a defence the cohort is one group; without
    an aggregation TFF adds updates up, and no client's own leaves its worker.

    Args:
        cohort: trains clients.
        server: steps along mean deltas.
        network: sizes.
        defence: of rounds, or one that is not enabled.
        public: packed public text that the model is not trained on; only a defence reads it.
        pieces: where the rows of pieces lie in the network; only a defence reads it.
        freeze: keeps what rounds may not change out of updates that are added up here.
        aggregation: adds updates up with clips, subsets and noise; nothing for a plain sum.
        upload_share: Fraction of a delta's coordinates that clients send.
    """

    def __init__(
        self,
        cohort: Cohort,
        server: Server,
        network: NetworkConfig,
        *,
        defence: DefenceSettings,
        public: Rows,
        pieces: PieceRows | None = None,
        freeze: Transform | None = None,
        aggregation: Aggregation | None = None,
        upload_share: float = 1.0,
    ) -> None:
        self._cohort, self._server, self._defence = cohort, server, defence
        self._layout = Layout.of(network.layout)
        self._public, self._pieces = public[:MAX_ROWS], pieces
        self._canaries = phrases(public) if defence.enabled else public[:0]
        self._transforms, self._aggregation = [freeze] if freeze else [], aggregation
        self._upload_share = upload_share

    def round(
        self, progress: Progress, clients: Sequence[Client], *, number: int, learning_rate: float, seed: bytes
    ) -> tuple[Outcome[ServerState], MeanState, Totals]:
        """Train a cohort.

        Args:
            progress: where the run stands.
            clients: of the round, at least one.
            number: of the round.
            learning_rate: of the server.
            seed: 32 bytes that groups follow from.

        Returns:
            what the round makes of the state, what the aggregation remembers, and totals of local training.
        """
        groups, mean, totals = self._groups(progress, clients, number, seed)

        def step(before: ServerState, total: WeightedSum) -> ServerState:
            return self._server.apply(before, list(self._layout.unflatten(total.mean).values()), learning_rate)

        if not groups:
            return Outcome(progress.state, None, progress.memory, ()), mean, totals
        if not self._defence.enabled:
            (group,) = groups
            return Outcome(step(progress.state, group.total), group.total, progress.memory, ()), mean, totals
        outcome = defend(
            groups,
            progress.memory,
            self._defence,
            round_number=number,
            current=progress.state,
            current_round=progress.made_by,
            step=step,
            probe=lambda candidate: reading(candidate.weights, self._public, self._canaries),
            pieces=self._pieces,
        )
        return outcome, mean, totals

    def _groups(
        self, progress: Progress, clients: Sequence[Client], number: int, seed: bytes
    ) -> tuple[list[Group], MeanState, Totals]:
        parts = self._parts(clients, seed)
        size = max(map(len, parts))
        groups, mean, totals = [], progress.mean, Totals(0.0, 0.0, 0.0)
        subset = self._subset(progress.energies)
        for index, members in enumerate(parts):
            if self._aggregation is not None and len(members) < self._aggregation.minimum:
                continue  # too few for the noise that each was to make: secure aggregation gives the group up
            # TFF's worker grows when cohorts change their size: nobody's rows fill smaller groups up.
            rows = [member.rows for member in members] + [members[0].rows[:0]] * (size - len(members))
            weights = progress.state.weights
            total, mean, training = self._sum(weights, mean, rows, len(members), number, index, subset)
            groups.append(Group(total, tuple(member.pseudonym for member in members)))
            totals += training
        return groups, mean, totals

    def _parts(self, clients: Sequence[Client], seed: bytes) -> list[list[Client]]:
        if not self._defence.enabled:
            return [list(clients)]
        by_device = {client.number.to_bytes(16, "little"): client for client in clients}
        parts = assign_min_size(by_device, seed, self._defence.group_phones)
        return [[by_device[device] for device in part] for part in parts]

    def _subset(self, energies: Energies) -> Subset | None:
        if self._upload_share == 1:
            return None
        return Subset.allocate(self._layout.dimension, self._upload_share, energies if energies.size else None)

    def _sum(
        self,
        weights: FlatWeights,
        mean: MeanState,
        rows: Sequence[Rows],
        clients: int,
        number: int,
        group: int,
        subset: Subset | None,
    ) -> tuple[WeightedSum, MeanState, Totals]:
        """Return the sum of a group's updates, of which those after the first `clients` are nobody's."""
        if self._aggregation is None:
            result = self._cohort.train(weights, rows)
            return result.weighted_sum(self._layout, clients), mean, result.training
        updates, training = self._cohort.updates(weights, rows)
        sent = [transformed(update, self._transforms) for update in updates[:clients]]
        total, mean = self._aggregation.apply(mean, sent, number, group, subset=subset)
        # Noise is on every coordinate; on frozen ones there is nothing else.
        protected = transformed(Update(total.delta, total.tally), self._transforms)
        return replace(total, delta=protected.delta), mean, training


def reading(weights: FlatWeights, rows: Rows, canaries: Rows) -> Reading | None:
    """Measure a model for the gate; nothing if its weights are not finite."""
    if not all(np.isfinite(weight).all() for weight in weights):
        return None
    values = [tf.constant(weight) for weight in weights]
    loss, _, targets = loss_and_hits(values, tf.constant(rows))
    cell = tf.zeros([len(canaries), weights[-1].shape[0]])
    output = tf.zeros([len(canaries), weights[-1].shape[1]])
    for pieces in tf.unstack(tf.constant(canaries), axis=1):
        cell, output = step(values, pieces, cell, output)
    certainties = tf.exp(tf.reduce_max(log_probabilities(values, output), axis=1))
    return Reading(float(loss) / max(float(targets), 1.0), tuple(certainties.numpy().tolist()))
