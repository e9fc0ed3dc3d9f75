"""Rounds of groups: the poisoning defence between what groups of clients send and the server.

The same `defend` runs in the round server; here groups are simulated and sums are in the clear.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from federation.robustness import MAX_ROWS, DefenceSettings, Group, Memory, Outcome, Reading, defend, phrases
from federation.secure_aggregation.groups import assign_min_size
from federation.simulation.fedavg import Cohort, Server, ServerState
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


class DefendedRounds:
    """Turns cohorts into states, group by group. Runs on the TFF context of the calling thread.

    Args:
        cohort: trains clients.
        server: steps along mean deltas.
        network: sizes.
        settings: of the defence.
        public: packed public text that the model is not trained on.
    """

    def __init__(
        self, cohort: Cohort, server: Server, network: NetworkConfig, settings: DefenceSettings, public: Rows
    ) -> None:
        self._cohort, self._server, self._settings = cohort, server, settings
        self._layout = Layout.of(network.layout)
        self._public = public[:MAX_ROWS]
        self._canaries = phrases(public)

    def round(
        self,
        state: ServerState,
        memory: Memory,
        clients: Sequence[Client],
        *,
        number: int,
        made_by: int,
        learning_rate: float,
        seed: bytes,
    ) -> tuple[Outcome[ServerState], Totals]:
        """Train a cohort in random groups and defend the server against them.

        Args:
            state: that is trained.
            memory: of the defence.
            clients: of the round.
            number: of the round.
            made_by: the round that made the state; 0 for the first.
            learning_rate: of the server.
            seed: 32 bytes that the groups follow from.
        """
        groups, totals = self._groups(state, clients, seed)

        def apply(before: ServerState, total: WeightedSum) -> ServerState:
            # The server's deltas are weights before minus after.
            mean = list(self._layout.unflatten(-total.mean).values())
            return self._server.apply(before, mean, learning_rate)

        outcome = defend(
            groups,
            memory,
            self._settings,
            round_number=number,
            current=state,
            current_round=made_by,
            step=apply,
            probe=lambda candidate: reading(candidate.weights, self._public, self._canaries),
        )
        return outcome, totals

    def _groups(self, state: ServerState, clients: Sequence[Client], seed: bytes) -> tuple[list[Group], Totals]:
        by_device = {client.number.to_bytes(16, "little"): client for client in clients}
        parts = assign_min_size(by_device, seed, self._settings.group_phones)
        most = max(map(len, parts), default=0)
        groups, totals = [], Totals(0.0, 0.0, 0.0)
        for part in parts:
            members = [by_device[device] for device in part]
            # TFF's worker grows when cohorts change their size: nobody's rows fill smaller groups up.
            nobody = [members[0].rows[:0]] * (most - len(members))
            result = self._cohort.train(state.weights, [member.rows for member in members] + nobody)
            total = result.weighted_sum(self._layout, len(members))
            groups.append(Group(total, tuple(member.pseudonym for member in members)))
            totals += result.training
        return groups, totals


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
