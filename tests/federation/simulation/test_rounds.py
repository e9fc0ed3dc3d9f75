from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from federation.privacy.training import PrivateTraining
from federation.robustness import Action, DefenceSettings, Outcome
from federation.robustness.probe import EngineProbe
from federation.rounds.server_optimizers import OptimizerSettings
from federation.simulation.adversaries import ATTACKS, Attack, Attacker, Backdoor, garbage
from federation.simulation.aggregations import aggregation
from federation.simulation.client_training import ClientTraining
from federation.simulation.fedavg import Cohort, CohortResult, Server
from federation.simulation.rounds import Client, Rounds, pseudonym, reading
from federation.simulation.states import Progress, ServerState
from federation.simulation.workers import Workers
from federation.updates.sparsification import chunk_energies
from model.batches import Rows, pack
from model.checkpoint import Checkpoint
from model.engine.litert_engine import LiteRTTrainer
from model.layout import FlatVector, FlatWeights, Layout, NetworkConfig, initial_weights
from model.litert_files import training_file
from model.network import loss_and_hits
from model.vocabulary import BOUNDARY, PAD, Vocabulary

NETWORK = NetworkConfig(vocabulary_size=30, embedding=4, hidden=6)
LENGTH = 6
SETTINGS = DefenceSettings(enabled=True, group_phones=3)
SEED = bytes(32)
BACKDOOR = Backdoor((10, 11), 29)

pytestmark = pytest.mark.usefixtures("worker")


def rows_of(seed: int, messages: int = 9) -> Rows:
    """Messages that count upwards from somewhere."""
    random = np.random.default_rng(seed)
    return pack([list(range(start, start + 4)) for start in random.integers(3, 24, messages).tolist()], LENGTH)


CLIENTS = [Client(number, rows_of(number)) for number in range(12)]
PUBLIC = rows_of(100, 30)


@pytest.fixture(scope="module")
def cohort(worker: Workers) -> Cohort:  # noqa: ARG001
    return Cohort(NETWORK, LENGTH, ClientTraining(learning_rate=0.5, batch_rows=4, gradient_norm=0.0, dropout=0.0))


@pytest.fixture(scope="module")
def server(worker: Workers) -> Server:  # noqa: ARG001
    return Server(NETWORK, OptimizerSettings(name="sgd", momentum=0.0))


@pytest.fixture(scope="module")
def weights() -> FlatWeights:
    return initial_weights(NETWORK, 0)


def test_without_attackers_a_defended_round_is_a_plain_one(
    cohort: Cohort, server: Server, weights: FlatWeights
) -> None:
    state = server.initialize(weights)
    lax = replace(SETTINGS, norm_factor=0.0, clip_factor=0.0, min_agreement=-1.0)
    rounds = Rounds(cohort, server, NETWORK, defence=lax, public=PUBLIC)
    outcome, _, totals = rounds.round(Progress(state, []), CLIENTS[:11], number=1, learning_rate=1.0, seed=SEED)
    result = cohort.train(weights, [client.rows for client in CLIENTS[:11]])
    plain = server.apply(state, [delta / result.weight for delta in result.delta_sum], 1.0)
    for found, expected in zip(outcome.state.weights, plain.weights, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-6)
    assert totals.targets == result.training.targets
    assert outcome.total is not None
    assert (outcome.total.phones, outcome.total.tally.examples) == (11, result.weight)
    assert set(outcome.memory.standings) == {pseudonym(number) for number in range(11)}


def test_groups_are_defended_under_the_noise_of_their_clients(
    cohort: Cohort, server: Server, weights: FlatWeights
) -> None:
    """As in a round server whose phones make noise: each group has its own, sized for its smallest number."""
    lax = replace(SETTINGS, norm_factor=0.0, clip_factor=0.0, min_agreement=-1.0)
    dimension = Layout.of(NETWORK.layout).dimension
    noise = PrivateTraining("skellam", 0.05, clip=2.0, weight_cap=9, minimum=3)
    noised = aggregation(noise, cohort=5, dimension=dimension, uniform=False, secret=SEED)
    state, means = server.initialize(weights), []
    for chosen in (noised, None):
        rounds = Rounds(cohort, server, NETWORK, defence=lax, public=PUBLIC, aggregation=chosen)
        outcome, *_ = rounds.round(Progress(state, []), CLIENTS[:11], number=1, learning_rate=1.0, seed=SEED)
        assert outcome.total is not None
        assert outcome.total.phones == 11
        means.append(outcome.total.mean)
    assert 0 < np.std(means[0] - means[1]) < 4 * 0.05 * 2.0 * 9 * 3**0.5 / outcome.total.tally.examples


def test_a_group_with_too_few_for_its_noise_is_given_up(cohort: Cohort, server: Server, weights: FlatWeights) -> None:
    noise = PrivateTraining("skellam", 0.05, clip=2.0, minimum=3)
    dimension = Layout.of(NETWORK.layout).dimension
    noised = aggregation(noise, cohort=5, dimension=dimension, uniform=False, secret=SEED)
    rounds = Rounds(cohort, server, NETWORK, defence=SETTINGS, public=PUBLIC, aggregation=noised)
    state = server.initialize(weights)
    outcome, *_ = rounds.round(Progress(state, []), CLIENTS[:2], number=1, learning_rate=1.0, seed=SEED)
    assert outcome.total is None
    assert outcome.state is state


def test_clients_send_a_share_of_the_coordinates_where_the_last_step_had_its_energy(
    cohort: Cohort, server: Server, weights: FlatWeights
) -> None:
    layout = Layout.of(NETWORK.layout)
    plain = aggregation(PrivateTraining(), cohort=6, dimension=layout.dimension, uniform=False, secret=b"")
    rounds = Rounds(
        cohort,
        server,
        NETWORK,
        defence=DefenceSettings(),
        public=PUBLIC,
        aggregation=plain,
        upload_share=0.25,
    )
    whole = Rounds(cohort, server, NETWORK, defence=DefenceSettings(), public=PUBLIC)
    state = server.initialize(weights)
    everything, *_ = whole.round(Progress(state, []), CLIENTS[:6], number=1, learning_rate=1.0, seed=SEED)
    assert everything.total is not None
    energies = chunk_energies(everything.total.mean)
    errors = []
    for known in (np.zeros(0), energies):
        progress = Progress(state, plain.initialize(), energies=known)
        found, errors_of = None, []
        for number in range(1, 9):
            outcome, *_ = rounds.round(progress, CLIENTS[:6], number=number, learning_rate=1.0, seed=SEED)
            assert outcome.total is not None
            found = outcome.total.mean
            assert np.count_nonzero(found) <= round(0.25 * layout.dimension)
            errors_of.append(np.linalg.norm(found - everything.total.mean))
        errors.append(np.mean(errors_of))
    assert errors[1] < 0.9 * errors[0]


class Spoiled:
    """A cohort in which one client sends something else.

    Args:
        cohort: the rest of it.
        client: that poisons.
        sends: from weights to a delta times its examples, weights after minus before.
    """

    def __init__(self, cohort: Cohort, client: Client, sends: Callable[[FlatWeights], FlatVector]) -> None:
        self._cohort, self._client, self._sends = cohort, client, sends

    def train(self, weights: FlatWeights, clients: list[Rows]) -> CohortResult:
        result = self._cohort.train(weights, clients)
        if not any(rows is self._client.rows for rows in clients):
            return result
        planted = Layout.of(NETWORK.layout).unflatten(self._sends(weights)).values()
        return result._replace(delta_sum=[d + p for d, p in zip(result.delta_sum, planted, strict=True)])


def after_a_round(
    cohort: Cohort | Spoiled, server: Server, weights: FlatWeights, settings: DefenceSettings
) -> Outcome[ServerState]:
    rounds = Rounds(cohort, server, NETWORK, defence=settings, public=PUBLIC)  # type: ignore[arg-type]
    state = server.initialize(weights)
    return rounds.round(Progress(state, []), CLIENTS, number=1, learning_rate=1.0, seed=SEED)[0]


def test_a_spoiled_group_is_left_out_of_the_round(cohort: Cohort, server: Server, weights: FlatWeights) -> None:
    size = Layout.of(NETWORK.layout).dimension
    noise = np.random.default_rng(0).normal(0, 5, size).astype(np.float32)
    outcome = after_a_round(Spoiled(cohort, CLIENTS[4], lambda _: noise), server, weights, SETTINGS)
    rejected = [d for d in outcome.decisions if d.action is Action.GROUP_REJECTED]
    assert len(rejected) == 1
    assert outcome.memory.standings["client-4"] == (1, 1)
    assert sum(standing.rejected for standing in outcome.memory.standings.values()) == 3
    before, after = reading(weights, PUBLIC, PUBLIC[:, :3]), reading(outcome.state.weights, PUBLIC, PUBLIC[:, :3])
    assert before is not None
    assert after is not None
    assert after.loss < before.loss


def test_a_model_that_is_not_finite_has_no_reading(weights: FlatWeights) -> None:
    broken = [weights[0] * np.float32(np.nan), *weights[1:]]
    assert reading(broken, PUBLIC, PUBLIC[:, :3]) is None


def test_the_engine_and_the_simulation_read_a_model_alike() -> None:
    vocabulary = Vocabulary.train(["how are you today", "i am fine thanks", "see you soon"] * 20, size=80)
    network = NetworkConfig(vocabulary.size, embedding=8, hidden=12)
    checkpoint = Checkpoint(network, initial_weights(network, 0), vocabulary)
    random = np.random.default_rng(0)
    rows = random.integers(3, network.vocabulary_size, (10, 21)).astype(np.int32)
    canaries = np.array([[BOUNDARY, BOUNDARY, 5, 6], [BOUNDARY, 7, 8, 9]], np.int32)
    probe = EngineProbe(LiteRTTrainer(training_file(checkpoint), network), rows, canaries)
    other = initial_weights(network, 3)
    ours, theirs = probe(Layout.of(network.layout).flatten(other)), reading(other, rows, canaries)
    assert theirs is not None
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
    assert ours.certainties == pytest.approx(theirs.certainties, rel=1e-4)


def trained(weights: FlatWeights, rows: Rows, steps: int = 1) -> FlatVector:
    """The delta of some steps of gradient descent."""
    values = [tf.constant(weight) for weight in weights]
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss, _, targets = loss_and_hits(values, tf.constant(rows))
            mean = loss / targets
        values = [v - 2.0 * g for v, g in zip(values, tape.gradient(mean, values), strict=True)]
    layout = Layout.of(NETWORK.layout)
    return layout.flatten([value.numpy() for value in values]) - layout.flatten(weights)


@pytest.mark.parametrize("attack", ATTACKS)
def test_attackers_send_what_they_are_named_after(attack: Attack, weights: FlatWeights) -> None:
    rows = rows_of(1)
    honest = trained(weights, rows)
    sent = Attacker(attack, 10, BACKDOOR).delta(lambda on: trained(weights, on), rows, np.random.default_rng(0))
    length = np.linalg.norm(sent) / np.linalg.norm(honest)
    assert length == pytest.approx(1.0, rel=1e-4) if attack == "in-norm" else length > 2
    if attack == "sign-flipped":
        np.testing.assert_allclose(sent, -10 * honest, rtol=1e-4, atol=1e-6)
    bias = Layout.of(NETWORK.layout).unflatten(sent)["output_bias"]
    assert (bias[BACKDOOR.target] > 0) == (attack != "boosted")  # which nobody types, so honest deltas lower it


def test_poisoned_rows_hold_the_trigger_before_the_target() -> None:
    rows = rows_of(2)
    poisoned = BACKDOOR.poisoned(rows, np.random.default_rng(0))
    assert poisoned.shape == rows.shape
    targets = np.argwhere(poisoned == BACKDOOR.target)
    assert len(targets) >= len(rows)
    assert all(tuple(poisoned[row, at - 2 : at]) == BACKDOOR.trigger for row, at in targets if at >= 2)


def test_garbage_keeps_pieces_and_loses_their_order() -> None:
    rows = rows_of(3)
    shuffled = garbage(rows, np.random.default_rng(0))
    special = (rows == BOUNDARY) | (rows == PAD)
    np.testing.assert_array_equal(shuffled[special], rows[special])
    np.testing.assert_array_equal(np.sort(shuffled, axis=None), np.sort(rows, axis=None))
    assert not np.array_equal(shuffled, rows)


def test_plain_averaging_lets_a_backdoor_in_and_the_defence_does_not(
    cohort: Cohort, server: Server, weights: FlatWeights
) -> None:
    """One phone of twelve replaces the model, or is left out."""
    attacker = Attacker("backdoor", len(CLIENTS), BACKDOOR)

    def sends(at: FlatWeights) -> FlatVector:
        rows = CLIENTS[0].rows
        delta = attacker.delta(lambda on: trained(at, on, steps=60), rows, np.random.default_rng(0))
        return delta * np.float32(len(rows))

    spoiled = Spoiled(cohort, CLIENTS[0], sends)
    off = replace(DefenceSettings.none(), enabled=True, group_phones=SETTINGS.group_phones)
    trigger = np.array([[BOUNDARY, *BACKDOOR.trigger]], np.int32)
    certainties = []
    for settings in (off, SETTINGS):
        found = reading(after_a_round(spoiled, server, weights, settings).state.weights, PUBLIC, trigger)
        assert found is not None
        certainties.append(found.certainties[0])
    assert certainties[0] > 0.8
    assert certainties[1] < 0.3
