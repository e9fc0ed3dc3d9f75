"""Federated averaging (McMahan et al. 2017) with adaptive server optimizers (Reddi et al. 2021), computed by TFF.

A round has two halves that know nothing of each other. `Cohort` broadcasts the model, trains on every simulated
client and returns the weighted *sum* of their deltas. `Server` turns a mean delta into the next model. What phones
send is a weighted sum as well, so it is added between the halves and enters the same server state.

A delta is weights after training minus before, as everywhere; that of TFF's server optimizers is the other way round
and is turned here.
"""

import functools
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_federated as tff

from federation.rounds.server_optimizers import OptimizerSettings
from federation.simulation.client_training import ClientTraining
from federation.simulation.local_training import evaluated, trained, trained_together
from federation.simulation.report import FederatedEvaluation
from federation.simulation.states import ServerState
from federation.simulation.workers import Over
from federation.updates.update import Tally, Update
from federation.updates.weighted_sum import WeightedSum
from model.batches import Rows
from model.evaluation import ACCURACY_BINS, Spread, Totals
from model.layout import FlatWeights, Layout, NetworkConfig

PART_CLIENTS = 10
"""Clients in one call of TFF, by one worker; in training, groups of them."""

GROUP_ROWS = 32
"""Below which clients come as one group, which TFF takes for a client: its own work on one takes as long as two rows.

Sums are those of groups and parts, so their rounding depends on both numbers, and on nothing else.
"""

_NOTHING = Totals(0.0, 0.0, 0.0)

_Group = tuple[Rows, npt.NDArray[np.int32]]
"""Rows of one client after those of another, and how many each has."""

_Sent = TypeVar("_Sent")


class CohortResult(NamedTuple):
    """What a cohort sends together.

    Attributes:
        delta_sum: Sum of the clients' deltas, weights after training minus before, times their weights.
        weight: Sum of the clients' weights.
        training: Totals of local training.
    """

    delta_sum: FlatWeights
    weight: float
    training: Totals

    def __add__(self, other: object) -> "CohortResult":
        if not isinstance(other, CohortResult):
            return NotImplemented
        delta_sum = [one + another for one, another in zip(self.delta_sum, other.delta_sum, strict=True)]
        return CohortResult(delta_sum, self.weight + other.weight, _added(self.training, other.training))

    def weighted_sum(self, layout: Layout, phones: int, *, epochs: int = 1) -> WeightedSum:
        """Return it as the sum of this many phones, whose rows count once however many epochs they were trained."""
        totals = self.training
        tally = Tally(round(self.weight / epochs), round(totals.targets), totals.loss, round(totals.hits))
        return WeightedSum(layout.flatten(self.delta_sum) / np.float32(epochs), tally, phones)


def build_server_optimizer(options: OptimizerSettings) -> tff.learning.optimizers.Optimizer:
    """Return TFF's optimizer for `options`."""
    build = tff.learning.optimizers
    if options.name == "sgd":
        return build.build_sgdm(options.learning_rate, options.momentum or None)
    if options.name == "adagrad":
        return build.build_adagrad(options.learning_rate, initial_preconditioner_value=0.0, epsilon=options.epsilon)
    adaptive = build.build_adam if options.name == "adam" else build.build_yogi
    return adaptive(options.learning_rate, options.momentum, options.second_moment, epsilon=options.epsilon)


class Cohort:
    """Simulated clients: the half of a round that sees data. Runs on the TFF context of the calling thread.

    TFF holds 10 MB a client that it computes in one call, so a large cohort is computed in parts of one size: memory
    does not grow with it.

    Args:
        network: sizes.
        row_length: targets in a row.
        training: of a client.
        over: computes parts; by default one after the other.
    """

    def __init__(self, network: NetworkConfig, row_length: int, training: ClientTraining, *, over: Over = map) -> None:
        self._over, self._layout = over, Layout.of(network.layout)
        weights_type = tff.types.to_type(
            tuple(tff.types.TensorType(np.float32, shape) for shape in network.layout.values())
        )
        rows_type = tff.types.TensorType(np.int32, [None, row_length + 1])
        of_server = tff.types.FederatedType(weights_type, tff.SERVER)
        of_clients = tff.types.FederatedType(rows_type, tff.CLIENTS)
        group_type = tff.types.to_type((rows_type, tff.types.TensorType(np.int32, [None])))
        of_groups = tff.types.FederatedType(group_type, tff.CLIENTS)

        @tff.tensorflow.computation(weights_type, group_type)
        @tf.function
        def train_group(weights: Any, group: Any) -> Any:
            rows, counts = group
            return tuple(trained_together(tuple(weights), rows, counts, training))

        @tff.tensorflow.computation(weights_type, rows_type)
        @tf.function
        def train_client(weights: Any, rows: tf.Tensor) -> Any:
            return tuple(trained(tuple(weights), rows, training))

        @tff.tensorflow.computation(weights_type, rows_type)
        @tf.function
        def evaluate_client(weights: Any, rows: tf.Tensor) -> Any:
            totals = evaluated(tuple(weights), rows)
            _, hits, targets = totals
            percent = tf.cast(tf.round(100 * hits / tf.maximum(targets, 1.0)), tf.int32)
            counted = tf.cast(targets > 0, tf.int64)  # no bin for a client without targets
            return totals, counted * tf.one_hot(percent, ACCURACY_BINS, dtype=tf.int64)

        @tff.federated_computation(of_server, of_groups)
        def train(weights: Any, groups: Any) -> Any:
            return tff.federated_sum(tff.federated_map(train_group, (tff.federated_broadcast(weights), groups)))

        @tff.federated_computation(of_server, of_clients)
        def train_each(weights: Any, rows: Any) -> Any:
            return tff.federated_map(train_client, (tff.federated_broadcast(weights), rows))

        @tff.federated_computation(of_server, of_clients)
        def evaluate(weights: Any, rows: Any) -> Any:
            return tff.federated_sum(tff.federated_map(evaluate_client, (tff.federated_broadcast(weights), rows)))

        self._train, self._train_each, self._evaluate = train, train_each, evaluate

    def train(self, weights: FlatWeights, clients: Sequence[Rows]) -> CohortResult:
        """Train every client on its rows, in order, from `weights`; a client without rows adds nothing."""

        def train_part(part: Sequence[_Group]) -> CohortResult:
            delta_sum, weight, totals = self._train(tuple(weights), list(part))
            return CohortResult([np.asarray(delta) for delta in delta_sum], float(weight), _totals(totals))

        return functools.reduce(operator.add, self._over(train_part, _parts(_groups(clients))))

    def updates(self, weights: FlatWeights, clients: Sequence[Rows]) -> tuple[list[Update], Totals]:
        """Train every client as `train` does and return each one's own update, in order, as a phone would have it.

        Its examples are the client's weight; a client whose training diverged has none and a delta of zero.
        """

        def train_part(part: Sequence[Rows]) -> list[tuple[Update, Totals]]:
            results = self._train_each(tuple(weights), list(part))
            return [(self._update(delta, weight), _totals(totals)) for delta, weight, totals in results]

        results = [each for part in self._over(train_part, _parts(clients)) for each in part]
        return [update for update, _ in results], functools.reduce(_added, (totals for _, totals in results), _NOTHING)

    def _update(self, delta: Sequence[Any], weight: Any) -> Update:
        return Update(self._layout.flatten([np.asarray(part) for part in delta]), Tally(round(float(weight))))

    def evaluate(self, weights: FlatWeights, clients: Sequence[Rows]) -> FederatedEvaluation:
        """Return the sums over all clients' rows, each computed on its client."""

        def evaluate_part(part: Sequence[Rows]) -> tuple[Totals, npt.NDArray[np.int64]]:
            totals, histogram = self._evaluate(tuple(weights), list(part))
            return _totals(totals), np.asarray(histogram)

        totals, histogram = _NOTHING, np.zeros(ACCURACY_BINS, np.int64)
        for some, counted in self._over(evaluate_part, _parts(clients)):
            totals, histogram = _added(totals, some), histogram + counted
        return FederatedEvaluation(totals, Spread(histogram))


def _groups(clients: Sequence[Rows]) -> list[_Group]:
    """Put clients together, in order, until a group has enough rows."""
    groups: list[list[Rows]] = []
    rows = GROUP_ROWS
    for client in clients:
        if rows >= GROUP_ROWS:
            groups.append([])
            rows = 0
        groups[-1].append(client)
        rows += len(client)
    return [(np.concatenate(group), np.array([len(client) for client in group], np.int32)) for group in groups]


def _parts(clients: Sequence[_Sent]) -> list[Sequence[_Sent]]:
    return [clients[start : start + PART_CLIENTS] for start in range(0, max(len(clients), 1), PART_CLIENTS)]


def _added(one: Totals, another: Totals) -> Totals:
    return Totals(*(a + b for a, b in zip(one, another, strict=True)))


def _totals(values: Any) -> Totals:
    return Totals(*(float(value) for value in values))


def _model_weights(weights: FlatWeights) -> tff.learning.models.ModelWeights:
    return tff.learning.models.ModelWeights(tuple(weights), ())


class Server:
    """The half of a round that sees only a mean delta. Runs on the TFF context of the calling thread."""

    def __init__(self, network: NetworkConfig, options: OptimizerSettings) -> None:
        self._options = options
        self._finalizer = tff.learning.templates.build_apply_optimizer_finalizer(
            build_server_optimizer(options),
            tff.types.to_type(
                tff.learning.models.ModelWeights(
                    tuple(tff.types.TensorType(np.float32, shape) for shape in network.layout.values()), ()
                )
            ),
        )
        self._template: Any = None

    def initialize(self, weights: FlatWeights) -> ServerState:
        """Return the state before the first round."""
        return ServerState(list(weights), [np.asarray(x) for x in tf.nest.flatten(self._structure())])

    def apply(self, state: ServerState, mean_delta: FlatWeights, learning_rate: float) -> ServerState:
        """Take one step of the server optimizer along `mean_delta`, weights after training minus before."""
        structure = tf.nest.pack_sequence_as(self._structure(), state.optimizer)
        structure[tff.learning.optimizers.LEARNING_RATE_KEY] = np.float32(learning_rate)
        output = self._finalizer.next(structure, _model_weights(state.weights), tuple(-delta for delta in mean_delta))
        return ServerState(
            [np.asarray(w) for w in output.result.trainable], [np.asarray(x) for x in tf.nest.flatten(output.state)]
        )

    def _structure(self) -> Any:
        if self._template is None:
            self._template = self._finalizer.initialize()
        return self._template
