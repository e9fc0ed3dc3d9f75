"""Local training by TFF's own template, which our client's function is held against."""

from collections import OrderedDict
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federation.simulation.client_training import ClientTraining
from federation.simulation.local_training import dropout_seed
from model.batches import Rows
from model.evaluation import Totals
from model.layout import FlatWeights, NetworkConfig
from model.network import dropout_noise, loss_and_hits


def batches(rows: Rows, batch_rows: int) -> tf.data.Dataset:
    """Return a client's rows as TFF's template takes them."""
    numbered = tf.data.Dataset.from_tensor_slices(rows).batch(batch_rows).enumerate()
    return numbered.map(lambda number, batch: ((batch, tf.cast(number, tf.int32) * batch_rows), batch[:, 1:]))


def _batch_spec(row_length: int) -> tuple[tuple[tf.TensorSpec, tf.TensorSpec], tf.TensorSpec]:
    rows, targets = (tf.TensorSpec([None, row_length + more], tf.int32) for more in (1, 0))
    return (rows, tf.TensorSpec([], tf.int32)), targets


def functional_model(
    network: NetworkConfig, row_length: int, initial: FlatWeights, dropout: float
) -> tff.learning.models.FunctionalModel:
    """Return the network as TFF trains it: batches are ((rows, number of the first), targets).

    The loss is the mean over a batch's targets. What is dropped depends on the `initial` weights, which TFF does not
    show to a step.
    """

    @tf.function
    def predict_on_batch(weights: Any, batch: tuple[tf.Tensor, tf.Tensor], training: bool) -> Any:  # noqa: ARG001
        rows, first = batch
        noise = dropout_noise(list(weights[0]), rows, dropout, dropout_seed(tuple(initial), rows, first))
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
    network: NetworkConfig, row_length: int, training: ClientTraining, initial: FlatWeights
) -> tff.learning.templates.ClientWorkProcess:
    """Return TFF's local training of the network from its `initial` weights."""
    return tff.learning.templates.build_functional_model_delta_client_work(
        model=functional_model(network, row_length, initial, training.dropout),
        optimizer=_LocalSteps(training),
        client_weighting=(
            tff.learning.ClientWeighting.NUM_EXAMPLES
            if training.weighting == "examples"
            else tff.learning.ClientWeighting.UNIFORM
        ),
        loop_implementation=tff.learning.LoopImplementation.DATASET_ITERATOR,
    )
