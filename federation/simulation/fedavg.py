"""Federated averaging (McMahan et al. 2017) with adaptive server optimizers (Reddi et al. 2021), from TFF's templates.

A round has two halves that know nothing of each other. `Cohort` broadcasts the model, trains on every simulated
client and returns the weighted *sum* of their deltas. `Server` turns a mean delta into the next model. What phones
send is a weighted sum as well, so it is added between the halves and enters the same server state.

A delta is weights after training minus before, as everywhere; TFF's is the other way round and is turned here.
"""

import functools
import operator
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_federated as tff

from federation.rounds.server_optimizers import OptimizerSettings
from federation.simulation.client_training import ClientTraining
from federation.simulation.report import FederatedEvaluation
from federation.simulation.states import ServerState
from federation.simulation.workers import Over
from federation.updates.update import Tally, Update
from federation.updates.weighted_sum import WeightedSum
from model.batches import Rows
from model.evaluation import ACCURACY_BINS, Spread, Totals
from model.layout import FlatWeights, Layout, NetworkConfig
from model.network import dropout_noise, loss_and_hits

PART_CLIENTS = 10
"""Clients in one call of TFF, by one worker. Sums are those of parts, so their rounding depends on it."""


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
        """Return it as the sum of so many phones, whose rows count once however many epochs they were trained."""
        totals = self.training
        tally = Tally(round(self.weight / epochs), round(totals.targets), totals.loss, round(totals.hits))
        return WeightedSum(layout.flatten(self.delta_sum) / np.float32(epochs), tally, phones)


def _batch_spec(row_length: int) -> tuple[tf.TensorSpec, tf.TensorSpec]:
    return (tf.TensorSpec([None, row_length + 1], tf.int32), tf.TensorSpec([None, row_length], tf.int32))


def functional_model(
    network: NetworkConfig, row_length: int, dropout: float = 0.0
) -> tff.learning.models.FunctionalModel:
    """Return the network as TFF trains it: batches are (rows, targets); the loss is the mean over a batch's targets."""

    @tf.function
    def predict_on_batch(weights: Any, rows: tf.Tensor, training: bool) -> Any:  # noqa: ARG001, FBT001
        # A batch has no number here, so what is dropped follows from what it holds and from the weights it meets.
        seed = tf.stack([tf.reduce_sum(rows * tf.range(1, row_length + 2)), tf.bitcast(weights[0][1][0], tf.int32)])
        noise = dropout_noise(list(weights[0]), rows, dropout, seed)
        loss, hits, targets = loss_and_hits(list(weights[0]), rows, noise)
        # TFF counts examples by the first dimension of the first output.
        return rows[:, 0], loss, hits, targets

    def mean_loss(output: Any, label: Any, sample_weight: Any = None) -> tf.Tensor:  # noqa: ARG001
        return output[1] / tf.maximum(output[3], 1.0)

    def initial_totals() -> OrderedDict[str, tf.Tensor]:
        return OrderedDict((name, tf.constant(0.0)) for name in Totals._fields)

    def add_totals(state: Any, labels: Any, batch_output: Any, sample_weight: Any = None) -> Any:  # noqa: ARG001
        _, loss, hits, targets = batch_output.predictions
        return OrderedDict(loss=state["loss"] + loss, hits=state["hits"] + hits, targets=state["targets"] + targets)

    zeros = tuple(np.zeros(shape, np.float32) for shape in network.layout.values())
    return tff.learning.models.FunctionalModel(
        initial_weights=(zeros, ()),
        predict_on_batch_fn=predict_on_batch,
        loss_fn=mean_loss,
        metrics_fns=(initial_totals, add_totals, lambda state: state),
        input_spec=_batch_spec(row_length),
    )


class _LocalSteps(tff.learning.optimizers.Optimizer):
    """SGD on clipped gradients, with FedProx's pull towards the weights that the client began with.

    The state is how far the weights have moved since, which is all that the pull depends on. TFF 0.87 has FedProx as a
    template of its own, but adds the proximal gradient with the wrong sign.
    """

    def __init__(self, training: ClientTraining) -> None:
        self._training = training

    def initialize(self, specs: Any) -> Any:
        if not self._training.proximal_strength:
            return ()
        return tf.nest.map_structure(lambda spec: tf.zeros(spec.shape, spec.dtype), specs)

    def next(self, state: Any, weights: Any, gradients: Any) -> Any:
        training = self._training
        if training.gradient_norm:
            clipped, _ = tf.clip_by_global_norm(tf.nest.flatten(gradients), training.gradient_norm)
            gradients = tf.nest.pack_sequence_as(gradients, clipped)
        if training.proximal_strength:
            gradients = tf.nest.map_structure(lambda g, moved: g + training.proximal_strength * moved, gradients, state)
            state = tf.nest.map_structure(lambda moved, g: moved - training.learning_rate * g, state, gradients)
        return state, tf.nest.map_structure(lambda w, g: w - training.learning_rate * g, weights, gradients)


def client_work(
    network: NetworkConfig, row_length: int, training: ClientTraining
) -> tff.learning.templates.ClientWorkProcess:
    """Return TFF's local training of the network."""
    return tff.learning.templates.build_functional_model_delta_client_work(
        model=functional_model(network, row_length, training.dropout),
        optimizer=_LocalSteps(training),
        client_weighting=(
            tff.learning.ClientWeighting.NUM_EXAMPLES
            if training.weighting == "examples"
            else tff.learning.ClientWeighting.UNIFORM
        ),
        loop_implementation=tff.learning.LoopImplementation.DATASET_ITERATOR,
    )


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
        self._over = over
        self._work = client_work(network, row_length, training)
        self._row_length = row_length
        work_state = self._work.initialize.type_signature.result.member
        weights_type = tff.types.to_type(
            tff.learning.models.ModelWeights(
                tuple(tff.types.TensorType(np.float32, shape) for shape in network.layout.values()), ()
            )
        )
        rows_type = tff.types.TensorType(np.int32, [None, row_length + 1])
        totals_work = self._work

        @tff.tensorflow.computation(rows_type)
        def to_batches(rows: tf.Tensor) -> tf.data.Dataset:
            dataset = tf.data.Dataset.from_tensor_slices(rows).batch(training.batch_rows)
            return dataset.map(lambda batch: (batch, batch[:, 1:]))

        @tff.tensorflow.computation
        def weigh(result: Any) -> Any:
            return tf.nest.map_structure(lambda delta: delta * result.update_weight, result.update)

        @tff.federated_computation(
            tff.types.FederatedType(work_state, tff.SERVER),
            tff.types.FederatedType(weights_type, tff.SERVER),
            tff.types.FederatedType(rows_type, tff.CLIENTS),
        )
        def train(state: Any, weights: Any, rows: Any) -> Any:
            output = totals_work.next(state, tff.federated_broadcast(weights), tff.federated_map(to_batches, rows))
            delta_sum = tff.federated_sum(tff.federated_map(weigh, output.result))
            weight = tff.federated_sum(output.result.update_weight)
            return delta_sum, weight, output.measurements

        @tff.federated_computation(
            tff.types.FederatedType(work_state, tff.SERVER),
            tff.types.FederatedType(weights_type, tff.SERVER),
            tff.types.FederatedType(rows_type, tff.CLIENTS),
        )
        def train_each(state: Any, weights: Any, rows: Any) -> Any:
            output = totals_work.next(state, tff.federated_broadcast(weights), tff.federated_map(to_batches, rows))
            return output.result, output.measurements

        @tff.tensorflow.computation(weights_type, rows_type)
        @tf.function
        def evaluate_client(weights: Any, rows: tf.Tensor) -> Any:
            totals = (tf.constant(0.0), tf.constant(0.0), tf.constant(0.0))
            for batch in tf.data.Dataset.from_tensor_slices(rows).batch(64):
                totals = tuple(a + b for a, b in zip(totals, loss_and_hits(list(weights[0]), batch), strict=True))
            _, hits, targets = totals
            percent = tf.cast(tf.round(100 * hits / tf.maximum(targets, 1.0)), tf.int32)
            counted = tf.cast(targets > 0, tf.int64)  # no bin for a client without targets
            return totals, counted * tf.one_hot(percent, ACCURACY_BINS, dtype=tf.int64)

        @tff.federated_computation(
            tff.types.FederatedType(weights_type, tff.SERVER), tff.types.FederatedType(rows_type, tff.CLIENTS)
        )
        def evaluate(weights: Any, rows: Any) -> Any:
            return tff.federated_sum(tff.federated_map(evaluate_client, (tff.federated_broadcast(weights), rows)))

        self._train, self._train_each, self._evaluate = train, train_each, evaluate
        self._layout = Layout.of(network.layout)
        self._work_state: Any = None

    def train(self, weights: FlatWeights, clients: Sequence[Rows]) -> CohortResult:
        """Train every client on its rows, in order, from `weights`; a client without rows adds nothing."""
        state = self._initial_state()

        def train_part(part: Sequence[Rows]) -> CohortResult:
            delta_sum, weight, measurements = self._train(state, _model_weights(weights), list(part))
            return CohortResult([-np.asarray(delta) for delta in delta_sum], float(weight), _totals(measurements))

        return functools.reduce(operator.add, self._over(train_part, _parts(clients)))

    def updates(self, weights: FlatWeights, clients: Sequence[Rows]) -> tuple[list[Update], Totals]:
        """Train every client as `train` does and return each one's own update, in order, as a phone would have it.

        Its examples are the client's weight; a client whose training diverged has none and a delta of zero.
        """
        state = self._initial_state()

        def train_part(part: Sequence[Rows]) -> tuple[list[Update], Totals]:
            results, measurements = self._train_each(state, _model_weights(weights), list(part))
            return [self._update(result) for result in results], _totals(measurements)

        updates, totals = [], Totals(0.0, 0.0, 0.0)
        for some, their_totals in self._over(train_part, _parts(clients)):
            updates += some
            totals = _added(totals, their_totals)
        return updates, totals

    def _update(self, result: Any) -> Update:
        delta = self._layout.flatten([np.asarray(part) for part in result.update])
        return Update(-delta, Tally(round(float(result.update_weight))))

    def evaluate(self, weights: FlatWeights, clients: Sequence[Rows]) -> FederatedEvaluation:
        """Return the sums over all clients' rows, each computed on its client."""

        def evaluate_part(part: Sequence[Rows]) -> tuple[Totals, npt.NDArray[np.int64]]:
            totals, histogram = self._evaluate(_model_weights(weights), list(part))
            return Totals(*(float(value) for value in totals)), np.asarray(histogram)

        totals, histogram = Totals(0.0, 0.0, 0.0), np.zeros(ACCURACY_BINS, np.int64)
        for some, counted in self._over(evaluate_part, _parts(clients)):
            totals, histogram = _added(totals, some), histogram + counted
        return FederatedEvaluation(totals, Spread(histogram))

    def _initial_state(self) -> Any:
        if self._work_state is None:
            self._work_state = self._work.initialize()
        return self._work_state


def _parts(clients: Sequence[Rows]) -> list[Sequence[Rows]]:
    return [clients[start : start + PART_CLIENTS] for start in range(0, max(len(clients), 1), PART_CLIENTS)]


def _added(one: Totals, another: Totals) -> Totals:
    return Totals(*(a + b for a, b in zip(one, another, strict=True)))


def _totals(measurements: Any) -> Totals:
    totals = measurements.get("train", measurements)
    return Totals(**{name: float(value) for name, value in totals.items()})


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
