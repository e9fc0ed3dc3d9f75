from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from federation.errors import ConfigError
from federation.rounds.server_optimizers import OptimizerSettings
from federation.simulation import fedavg
from federation.simulation.client_training import ClientTraining
from federation.simulation.fedavg import Cohort, Server, build_server_optimizer
from federation.simulation.workers import Workers
from model.batches import Rows
from model.evaluation import Spread
from model.layout import FlatWeights, Layout, NetworkConfig, initial_weights
from model.network import loss_and_hits
from tests.federation.simulation.tff_template import batches, client_work

NETWORK = NetworkConfig(vocabulary_size=30, embedding=4, hidden=6)
LENGTH = 5
PLAIN = OptimizerSettings(name="sgd", learning_rate=1.0, momentum=0.0)
TRAINING = ClientTraining(learning_rate=0.5, batch_rows=2, gradient_norm=0.0, dropout=0.0)

pytestmark = pytest.mark.usefixtures("worker")


def client(seed: int, rows: int) -> Rows:
    return np.random.default_rng(seed).integers(2, 30, (rows, LENGTH + 1)).astype(np.int32)


CLIENTS = [client(1, 4), client(2, 7), client(3, 1)]


@pytest.fixture(scope="module")
def weights() -> FlatWeights:
    return initial_weights(NETWORK, 0)


@pytest.fixture(scope="module")
def cohort(worker: Workers) -> Cohort:  # noqa: ARG001
    return Cohort(NETWORK, LENGTH, TRAINING)


def loss(weights: FlatWeights, rows: Rows) -> float:
    total, _, targets = loss_and_hits([tf.constant(w) for w in weights], tf.constant(rows))
    return float(total / targets)


def trained_by_hand(weights: FlatWeights, rows: Rows) -> FlatWeights:
    """A client's local training as McMahan et al. write it."""
    values = [tf.constant(w) for w in weights]
    for at in range(0, len(rows), TRAINING.batch_rows):
        with tf.GradientTape() as tape:
            tape.watch(values)
            total, _, targets = loss_and_hits(values, tf.constant(rows[at : at + TRAINING.batch_rows]))
            mean = total / targets
        values = [v - TRAINING.learning_rate * g for v, g in zip(values, tape.gradient(mean, values), strict=True)]
    return [v.numpy() for v in values]


def close(found: FlatWeights, expected: FlatWeights, tolerance: float = 2e-6) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=1e-5)


def mean(delta_sum: FlatWeights, weight: float) -> FlatWeights:
    return [delta / weight for delta in delta_sum]


def test_a_large_cohort_is_summed_in_parts_to_the_same(
    cohort: Cohort, weights: FlatWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [client(number, 1 + number % 4) for number in range(7)]
    whole, (updates, totals) = cohort.train(weights, clients), cohort.updates(weights, clients)
    asked = []
    train = cohort._train
    monkeypatch.setattr(fedavg, "PART_CLIENTS", 2)
    monkeypatch.setattr(fedavg, "GROUP_ROWS", 4)
    monkeypatch.setattr(
        cohort, "_train", lambda sent, part: asked.append([list(counts) for _, counts in part]) or train(sent, part)
    )
    parts, (again, totals_again) = cohort.train(weights, clients), cohort.updates(weights, clients)
    assert asked == [[[1, 2, 3], [4]], [[1, 2, 3]]]
    close(parts.delta_sum, whole.delta_sum)
    assert parts.weight == whole.weight
    np.testing.assert_allclose(parts.training, whole.training, rtol=1e-6)
    np.testing.assert_allclose(totals_again, totals, rtol=1e-6)
    for one, another in zip(again, updates, strict=True):
        np.testing.assert_array_equal(one.delta, another.delta)


@pytest.mark.parametrize(
    "changes",
    [
        {"dropout": 0.3},
        {"gradient_norm": 0.1, "batch_rows": 16},
        {"dropout": 0.2, "gradient_norm": 0.5, "weighting": "uniform", "proximal_strength": 0.1},
    ],
)
def test_a_client_trains_as_tffs_own_template_does(weights: FlatWeights, changes: dict[str, Any]) -> None:
    training = replace(TRAINING, **changes)
    cohort = Cohort(NETWORK, LENGTH, training)
    clients = [*CLIENTS, np.zeros((0, LENGTH + 1), np.int32)]
    diverged = [w * np.float32(np.nan) for w in weights]
    for begins in (weights, diverged):
        work = client_work(NETWORK, LENGTH, training, begins)
        broadcast = tff.learning.models.ModelWeights(tuple(begins), ())
        data = [batches(rows, training.batch_rows) for rows in clients]
        theirs = work.next(work.initialize(), [broadcast] * len(clients), data)
        updates, totals = cohort.updates(begins, clients)
        for update, other in zip(updates, theirs.result, strict=True):
            delta = Layout.of(NETWORK.layout).flatten([-np.asarray(part) for part in other.update])
            np.testing.assert_allclose(update.delta, delta, rtol=1e-4, atol=1e-6)
            assert update.tally.examples == other.update_weight
        measured = theirs.measurements["train"]
        np.testing.assert_allclose(totals, [measured[name] for name in totals._fields], rtol=1e-5)
    assert not any(update.delta.any() or update.tally.examples for update in updates[:3])


def test_a_client_alone_lowers_its_own_loss(cohort: Cohort, weights: FlatWeights) -> None:
    """Pins the sign: a delta is final minus initial."""
    rows = CLIENTS[0]
    result = cohort.train(weights, [rows])
    server = Server(NETWORK, PLAIN)
    state = server.apply(server.initialize(weights), mean(result.delta_sum, result.weight), 1.0)
    assert loss(state.weights, rows) < loss(weights, rows)
    close(state.weights, trained_by_hand(weights, rows))


def test_a_round_is_the_average_weighted_by_rows(cohort: Cohort, weights: FlatWeights) -> None:
    result = cohort.train(weights, CLIENTS)
    trained = [trained_by_hand(weights, rows) for rows in CLIENTS]
    share = np.array([len(rows) for rows in CLIENTS]) / sum(len(rows) for rows in CLIENTS)
    expected = [sum(s * t for s, t in zip(share, parts, strict=True)) for parts in zip(*trained, strict=True)]
    server = Server(NETWORK, PLAIN)
    close(server.apply(server.initialize(weights), mean(result.delta_sum, result.weight), 1.0).weights, expected)
    assert result.weight == sum(len(rows) for rows in CLIENTS)


def test_the_two_halves_are_tffs_own_process(cohort: Cohort, weights: FlatWeights) -> None:
    work = client_work(NETWORK, LENGTH, TRAINING, weights)
    values = tff.learning.models.ModelWeights(tuple(weights), ())

    @tff.tensorflow.computation
    def initial() -> tff.learning.models.ModelWeights:
        return tf.nest.map_structure(tf.constant, values)

    weights_type = initial.type_signature.result
    process = tff.learning.templates.compose_learning_process(
        initial,
        tff.learning.templates.build_broadcast_process(weights_type),
        work,
        tff.aggregators.MeanFactory().create(
            work.next.type_signature.result.result.member.update, tff.types.TensorType(np.float32)
        ),
        tff.learning.templates.build_apply_optimizer_finalizer(
            build_server_optimizer(OptimizerSettings(name="adam", learning_rate=0.1)), weights_type
        ),
    )
    state = process.initialize()
    server = Server(NETWORK, OptimizerSettings(name="adam", learning_rate=0.1))
    own = server.initialize(weights)
    for _ in range(2):
        state = process.next(state, [batches(rows, TRAINING.batch_rows) for rows in CLIENTS]).state
        result = cohort.train(own.weights, CLIENTS)
        own = server.apply(own, mean(result.delta_sum, result.weight), 0.1)
    close(own.weights, [np.asarray(w) for w in state.global_model_weights.trainable])


def test_a_sum_from_elsewhere_joins_as_if_its_clients_had_been_here(cohort: Cohort, weights: FlatWeights) -> None:
    here, elsewhere = cohort.train(weights, CLIENTS[:2]), cohort.train(weights, CLIENTS[2:])
    together = cohort.train(weights, CLIENTS)
    joined = [a + b for a, b in zip(here.delta_sum, elsewhere.delta_sum, strict=True)]
    close(mean(joined, here.weight + elsewhere.weight), mean(together.delta_sum, together.weight), 1e-6)


def test_a_client_without_rows_adds_nothing(cohort: Cohort, weights: FlatWeights) -> None:
    empty = np.zeros((0, LENGTH + 1), np.int32)
    found, expected = cohort.train(weights, [*CLIENTS, empty]), cohort.train(weights, CLIENTS)
    close(found.delta_sum, expected.delta_sum)
    assert found.weight == expected.weight
    assert found.training.targets == expected.training.targets


def test_a_client_that_diverges_adds_nothing_to_those_that_train_beside_it(weights: FlatWeights) -> None:
    cohort, large = Cohort(NETWORK, LENGTH, replace(TRAINING, learning_rate=1000.0)), [1e18 * each for each in weights]
    found, expected = cohort.train(large, CLIENTS), cohort.train(large, CLIENTS[2:])  # which take more steps, and one
    close(found.delta_sum, expected.delta_sum)
    assert (found.weight, found.training) == (1, expected.training)
    assert np.isfinite(np.concatenate([part.ravel() for part in found.delta_sum])).all()
    assert found.delta_sum[0].any()


def test_nobody_simulated_is_a_sum_of_nothing(cohort: Cohort, weights: FlatWeights) -> None:
    result = cohort.train(weights, [])
    assert result.weight == 0
    assert all(not delta.any() for delta in result.delta_sum)


def test_uniform_weighting_counts_clients_alike(weights: FlatWeights) -> None:
    result = Cohort(NETWORK, LENGTH, replace(TRAINING, weighting="uniform")).train(weights, CLIENTS)
    assert result.weight == len(CLIENTS)
    trained = [trained_by_hand(weights, rows) for rows in CLIENTS]
    expected = [sum(parts) / len(parts) - w for w, *parts in zip(weights, *trained, strict=True)]
    close(mean(result.delta_sum, result.weight), expected)


def test_the_proximal_term_keeps_clients_near(weights: FlatWeights) -> None:
    def length(strength: float) -> float:
        result = Cohort(NETWORK, LENGTH, replace(TRAINING, proximal_strength=strength)).train(weights, CLIENTS[1:2])
        return float(np.sqrt(sum(np.sum(np.square(d)) for d in result.delta_sum)))

    assert length(1.0) < 0.9 * length(0.0)


def test_clipped_gradients_bound_every_step(weights: FlatWeights) -> None:
    norm, steps = 0.01, -(-len(CLIENTS[1]) // TRAINING.batch_rows)
    result = Cohort(NETWORK, LENGTH, replace(TRAINING, gradient_norm=norm, weighting="uniform")).train(
        weights, CLIENTS[1:2]
    )
    moved = float(np.sqrt(sum(np.sum(np.square(d)) for d in result.delta_sum)))
    assert 0 < moved <= TRAINING.learning_rate * norm * steps * (1 + 1e-5)


def test_evaluation_is_the_loss_of_the_rows(cohort: Cohort, weights: FlatWeights) -> None:
    totals, _ = cohort.evaluate(weights, CLIENTS)
    everything = np.concatenate(CLIENTS)
    assert totals.targets == everything[:, 1:].size
    np.testing.assert_allclose(totals.mean_loss, loss(weights, everything), rtol=1e-5)


def test_evaluation_counts_clients_by_their_accuracy(cohort: Cohort, weights: FlatWeights) -> None:
    empty = np.zeros((0, LENGTH + 1), np.int32)
    alone = [cohort.evaluate(weights, [rows]).totals for rows in CLIENTS]
    spread = cohort.evaluate(weights, [*CLIENTS, empty]).spread
    assert np.array_equal(spread.clients, Spread.of(alone).clients)
    assert spread.clients.sum() == len(CLIENTS)


@pytest.mark.parametrize("name", ["sgd", "adam", "yogi", "adagrad"])
def test_every_server_optimizer_follows_the_delta_and_its_rate(name: str, weights: FlatWeights) -> None:
    server = Server(NETWORK, OptimizerSettings(name=name))  # type: ignore[arg-type]
    delta = [np.ones_like(w) for w in weights]
    state = server.initialize(weights)
    assert all(np.all(new > old) for new, old in zip(server.apply(state, delta, 0.1).weights, weights, strict=True))
    close(server.apply(state, delta, 0.0).weights, weights)


def test_an_unknown_server_optimizer_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of sgd, adam, yogi, adagrad"):
        OptimizerSettings(name="lion")  # type: ignore[arg-type]
