import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from model.batches import pack
from model.layout import SIZES, NetworkConfig, initial_weights
from model.network import dropout_noise, log_probabilities, loss_and_hits, step
from model.vocabulary import PAD

CONFIG = NetworkConfig(vocabulary_size=40, embedding=6, hidden=10)
LENGTH = 7


def weights(seed: int = 0) -> list[tf.Tensor]:
    return [tf.constant(weight) for weight in initial_weights(CONFIG, seed)]


def plain_loss(values: list[tf.Tensor], rows: tf.Tensor) -> tf.Tensor:
    """The same loss, a step at a time, differentiated by TensorFlow."""
    cell, output = tf.zeros([rows.shape[0], CONFIG.hidden]), tf.zeros([rows.shape[0], CONFIG.embedding])
    loss = tf.constant(0.0)
    for t in range(rows.shape[1] - 1):
        cell, output = step(values, rows[:, t], cell, output)
        of_target = tf.gather(log_probabilities(values, output), rows[:, t + 1], batch_dims=1)
        loss -= tf.reduce_sum(tf.where(rows[:, t + 1] == PAD, 0.0, of_target))
    return loss


@given(st.lists(st.lists(st.integers(3, 39), min_size=1, max_size=15), min_size=1, max_size=6), st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_hand_written_gradients_are_those_of_autodiff(messages: list[list[int]], seed: int) -> None:
    rows = tf.constant(pack(messages, LENGTH))
    values = weights(seed)
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = loss_and_hits(values, rows)[0]
    with tf.GradientTape() as reference:
        reference.watch(values)
        expected_loss = plain_loss(values, rows)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    for found, expected in zip(tape.gradient(loss, values), reference.gradient(expected_loss, values), strict=True):
        np.testing.assert_allclose(found, tf.convert_to_tensor(expected), rtol=2e-4, atol=2e-5)


def test_a_message_does_not_see_its_neighbours_in_a_row() -> None:
    first, second = [5, 6], [7, 8, 9]
    together = loss_and_hits(weights(), tf.constant(pack([first, second], 8)))[0]
    apart = sum(loss_and_hits(weights(), tf.constant(pack([m], 8)))[0] for m in (first, second))
    np.testing.assert_allclose(together, apart, rtol=1e-6)


def test_padding_adds_nothing() -> None:
    rows = pack([[5, 6, 7]], LENGTH)
    padded = np.vstack([rows, np.full((3, LENGTH + 1), PAD, np.int32)])
    for found, expected in zip(loss_and_hits(weights(), padded), loss_and_hits(weights(), rows), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_hits_count_the_likeliest_piece() -> None:
    rows = pack([[5, 6, 7], [8]], LENGTH)
    values = weights()
    cell, output = tf.zeros([len(rows), CONFIG.hidden]), tf.zeros([len(rows), CONFIG.embedding])
    hits = 0
    for t in range(LENGTH):
        cell, output = step(values, rows[:, t], cell, output)
        best = tf.argmax(log_probabilities(values, output), axis=1).numpy()
        hits += int(np.sum((best == rows[:, t + 1]) & (rows[:, t + 1] != PAD)))
    assert loss_and_hits(values, tf.constant(rows))[1] == hits


def test_log_probabilities_sum_to_one() -> None:
    _, output = step(weights(), tf.constant([5, 9]), tf.zeros([2, CONFIG.hidden]), tf.zeros([2, CONFIG.embedding]))
    np.testing.assert_allclose(tf.reduce_sum(tf.exp(log_probabilities(weights(), output)), axis=1), [1, 1], rtol=1e-5)


def test_dropout_follows_its_seed_and_is_off_by_default() -> None:
    rows = tf.constant(pack([[5, 6, 7, 8, 9]] * 4, LENGTH))

    def dropped(seed: int) -> float:
        noise = dropout_noise(weights(), rows, 0.5, tf.constant([seed, 0]))
        assert noise is not None
        np.testing.assert_array_equal(np.unique(noise[0]), [0, 2])
        return float(loss_and_hits(weights(), rows, noise)[0])

    assert dropped(1) == dropped(1)
    assert dropped(1) != dropped(2)


@pytest.mark.parametrize("size", SIZES)
def test_layout_is_what_weights_are(size: str) -> None:
    config = NetworkConfig.named(size, 100)
    made = initial_weights(config, 0)
    assert [weight.shape for weight in made] == list(config.layout.values())
    assert sum(weight.size for weight in made) == config.parameters
    assert all(weight.dtype == np.float32 for weight in made)


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of small, gboard"):
        NetworkConfig.named("huge", 100)
