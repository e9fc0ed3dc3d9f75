"""What both engines promise, and that they agree with TensorFlow and with each other."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model.batches import Rows, pack
from model.checkpoint import Checkpoint
from model.engine import Engine, Export, Predictor, Trainer
from model.export import export
from model.layout import Layout
from model.network import log_probabilities, loss_and_hits, step
from model.text import tokenise
from model.vocabulary import BOUNDARY, PAD
from tests.model.engines import TEXT, random_rows, small_checkpoint


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return small_checkpoint()


@pytest.fixture(scope="module")
def folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(checkpoint, tmp_path_factory.mktemp("export") / "phone", inference="float32").directory


@pytest.fixture(scope="module")
def eight_bits(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(checkpoint, tmp_path_factory.mktemp("export") / "phone", inference="int8").directory


@pytest.fixture(params=Engine)
def exported(folder: Path, request: pytest.FixtureRequest) -> Export:
    return Export.load(folder, request.param)


@pytest.fixture
def trainer(exported: Export) -> Trainer:
    return exported.trainer()


@tf.function(reduce_retracing=True)
def loss_and_gradients(values: list[tf.Tensor], batch: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss, _, targets = loss_and_hits(values, batch)
        mean = loss / targets
    return loss, tape.gradient(mean, values)


def tf_step(weights: list[tf.Variable], batch: Rows, rate: float) -> float:
    loss, gradients = loss_and_gradients([weight.read_value() for weight in weights], tf.constant(batch))
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.assign_sub(rate * gradient)
    return float(loss)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_training_agrees_with_tensorflow(checkpoint: Checkpoint, trainer: Trainer, batch: int) -> None:
    layout = Layout.of(checkpoint.network.layout)
    np.testing.assert_array_equal(trainer.weights(), layout.flatten(checkpoint.weights))
    weights = [tf.Variable(weight) for weight in checkpoint.weights]
    for number in range(50):
        own = random_rows(batch, checkpoint.network.vocabulary_size, seed=number)
        loss = tf_step(weights, own, 0.25)
        assert trainer.train(own, learning_rate=0.25).loss == pytest.approx(loss, rel=1e-5)
        if number == 0:
            once = np.abs(trainer.weights() - layout.flatten([weight.numpy() for weight in weights])).max()
            assert once < 1e-6
    after = layout.flatten([weight.numpy() for weight in weights])
    np.testing.assert_allclose(trainer.weights(), after, atol=2e-5)
    assert np.abs(after - layout.flatten(checkpoint.weights)).max() > 1e-2


@pytest.mark.parametrize("steps", [1, 50])
def test_the_engines_learn_the_same_with_dropout_and_clipping(folder: Path, checkpoint: Checkpoint, steps: int) -> None:
    ends, sums = [], []
    for engine in Engine:
        trainer, random = Export.load(folder, engine).trainer(), np.random.default_rng(4)
        for number in range(steps):
            own = random_rows(1 + number % 8, checkpoint.network.vocabulary_size, seed=number)
            found = trainer.train(own, learning_rate=0.25, gradient_norm=0.5, dropout=0.25, random=random)
        ends.append(trainer.weights())
        sums.append(found)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6 if steps == 1 else 2e-5)
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-5)


def test_gradients_are_cut_to_their_norm(checkpoint: Checkpoint, trainer: Trainer) -> None:
    before = trainer.weights()
    trainer.train(random_rows(4, checkpoint.network.vocabulary_size), learning_rate=2.0, gradient_norm=0.01)
    assert np.linalg.norm(trainer.weights() - before) == pytest.approx(0.02, rel=1e-3)


def test_dropout_needs_random_numbers_and_changes_the_step(checkpoint: Checkpoint, exported: Export) -> None:
    own = random_rows(4, checkpoint.network.vocabulary_size)
    with pytest.raises(ValueError, match="random"):
        exported.trainer().train(own, learning_rate=0.1, dropout=0.5)
    losses = {
        seed: exported.trainer().train(own, learning_rate=0.1, dropout=0.5, random=np.random.default_rng(seed)).loss
        for seed in (1, 2)
    }
    assert losses[1] != losses[2]


def test_a_batch_without_a_target_changes_nothing(trainer: Trainer) -> None:
    before = trainer.weights()
    found = trainer.train(np.full((2, 21), PAD, np.int32), learning_rate=1.0, gradient_norm=1.0)
    assert found == (0.0, 0.0, 0.0)
    np.testing.assert_array_equal(trainer.weights(), before)


def test_evaluation_counts_every_target_once(checkpoint: Checkpoint, trainer: Trainer) -> None:
    own = random_rows(19, checkpoint.network.vocabulary_size)
    expected = loss_and_hits([tf.constant(weight) for weight in checkpoint.weights], tf.constant(own))
    np.testing.assert_allclose(trainer.evaluate(own), [float(value) for value in expected], rtol=1e-5)
    assert trainer.evaluate(own[:0]) == (0.0, 0.0, 0.0)


def test_a_vector_that_does_not_fit_changes_nothing(trainer: Trainer) -> None:
    before = trainer.weights()
    with pytest.raises(ValueError, match="shape"):
        trainer.set_weights(before[:-1])
    with pytest.raises(ValueError, match="finite"):
        trainer.set_weights(np.full_like(before, np.nan))
    np.testing.assert_array_equal(trainer.weights(), before)
    trainer.set_weights(before * 2)
    np.testing.assert_array_equal(trainer.weights(), before * 2)


def test_weights_that_were_given_and_taken_stay_as_they_are(checkpoint: Checkpoint, trainer: Trainer) -> None:
    given = trainer.weights() * 2
    trainer.set_weights(given)
    taken, before = trainer.weights(), given.copy()
    trainer.train(random_rows(2, checkpoint.network.vocabulary_size), learning_rate=1.0)
    np.testing.assert_array_equal(given, before)
    np.testing.assert_array_equal(taken, before)
    assert not np.array_equal(trainer.weights(), before)


@pytest.mark.parametrize("bad", [np.zeros((2, 20), np.int32), np.full((1, 21), 10_000, np.int32), np.zeros((1, 21))])
def test_rows_that_do_not_fit_are_refused(trainer: Trainer, bad: Rows) -> None:
    with pytest.raises(ValueError, match="must be"):
        trainer.train(bad, learning_rate=0.1)
    with pytest.raises(ValueError, match="must be"):
        trainer.evaluate(bad)


def test_a_batch_that_is_too_large_is_refused(trainer: Trainer) -> None:
    with pytest.raises(ValueError, match="at most 8 rows, not 9"):
        trainer.train(np.full((9, 21), 5, np.int32), learning_rate=0.1)


def test_prediction_agrees_with_tensorflow(checkpoint: Checkpoint, exported: Export) -> None:
    weights = [tf.constant(weight) for weight in checkpoint.weights]
    for predictor in (exported.predictor(), exported.trainer()):
        state = predictor.start
        cell, output = step(weights, tf.constant([BOUNDARY]), tf.zeros([1, 48]), tf.zeros([1, 32]))
        for piece in (5, 9, 4, BOUNDARY, 7):
            np.testing.assert_allclose(state.following, log_probabilities(weights, output), atol=1e-5)
            ahead = predictor.expand(state, np.array([3, 8]))
            _, next_outputs = step(weights, tf.constant([3, 8]), tf.repeat(cell, 2, 0), tf.repeat(output, 2, 0))
            np.testing.assert_allclose(ahead, log_probabilities(weights, next_outputs), atol=1e-5)
            state = predictor.step(state, piece)
            cell, output = step(weights, tf.constant([piece]), cell, output)


def test_a_step_leaves_the_state_it_came_from(exported: Export) -> None:
    predictor = exported.predictor()
    before = [part.copy() for part in predictor.start]
    predictor.step(predictor.start, 5)
    predictor.expand(predictor.start, np.array([5, 6]))
    for part, copy in zip(predictor.start, before, strict=True):
        np.testing.assert_array_equal(part, copy)


def test_a_trainer_predicts_with_its_new_weights(trainer: Trainer) -> None:
    before = trainer.start.following
    trainer.set_weights(trainer.weights() * 2)
    assert np.abs(trainer.start.following - before).max() > 1e-3


@pytest.mark.parametrize("engine", Engine)
def test_eight_bits_predict_nearly_as_well(
    checkpoint: Checkpoint, folder: Path, eight_bits: Path, engine: Engine
) -> None:
    small = eight_bits / engine.inference
    assert small.stat().st_size < 0.6 * (folder / engine.inference).stat().st_size
    exact, rounded = (Export.load(path, engine).predictor() for path in (folder, eight_bits))
    encoded = [checkpoint.vocabulary.encode(tokenise(text)) for text in TEXT]
    assert rounded.mean_loss(encoded) != exact.mean_loss(encoded)
    assert rounded.mean_loss(encoded) == pytest.approx(exact.mean_loss(encoded), abs=0.02)


def test_the_engines_round_to_eight_bits_alike(eight_bits: Path) -> None:
    first, second = (Export.load(eight_bits, engine).predictor() for engine in Engine)

    def walk(predictor: Predictor) -> np.ndarray:  # type: ignore[type-arg]
        state, found = predictor.start, [predictor.start.following]
        for piece in (5, 9, 4, 7, 5):
            state = predictor.step(state, piece)
            found.append(state.following)
        return np.concatenate(found)

    np.testing.assert_allclose(walk(first), walk(second), atol=0.05)


def test_rows_of_messages_can_be_trained_on(checkpoint: Checkpoint, trainer: Trainer) -> None:
    packed = pack(checkpoint.vocabulary.encode(tokenise(text)) for text in TEXT)
    before = trainer.evaluate(packed).loss
    for _ in range(100):
        trainer.train(packed, learning_rate=0.5)
    assert trainer.evaluate(packed).loss < 0.8 * before
