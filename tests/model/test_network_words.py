import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model.batches import pack
from model.checkpoint import Checkpoint
from model.evaluation import evaluate
from model.layout import NetworkConfig, initial_weights
from model.network import log_probabilities, loss_and_hits, step
from model.network_words import NetworkWordModel
from model.text import tokenise
from model.vocabulary import BOUNDARY, Vocabulary
from model.word_list import common_words

MESSAGES = ["hello there, how are you?", "i am going to the library", "walking and talking", "you are walking"] * 30


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    vocabulary = Vocabulary.train(MESSAGES, size=60, word_list=["hell", "walked", "zoo"])
    network = NetworkConfig(vocabulary.size, 8, 12)
    return Checkpoint(network, [5 * w for w in initial_weights(network, 0)], vocabulary)


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint) -> NetworkWordModel:
    return NetworkWordModel(checkpoint, name="network")


def next_piece(checkpoint: Checkpoint, pieces: list[int]) -> np.ndarray:
    """Log probabilities after BOUNDARY and `pieces`, a step at a time."""
    weights = [tf.constant(w) for w in checkpoint.weights]
    cell, output = tf.zeros([1, checkpoint.network.hidden]), tf.zeros([1, checkpoint.network.embedding])
    for piece in [BOUNDARY, *pieces]:
        cell, output = step(weights, tf.constant([piece]), cell, output)
    return log_probabilities(weights, output).numpy()[0]


def test_log_probabilities_are_the_training_loss(checkpoint: Checkpoint, model: NetworkWordModel) -> None:
    for text in ("hello there", "you, walking?", "library"):
        tokens = tokenise(text)
        scores = model.score([tokens])
        assert len(scores.log_probabilities) == len(tokens) + 1
        rows = pack([checkpoint.vocabulary.encode(tokens)], 40)
        loss = loss_and_hits([tf.constant(w) for w in checkpoint.weights], tf.constant(rows))[0]
        assert float(scores.log_probabilities.sum()) == pytest.approx(-float(loss), rel=1e-4)


def test_words_of_followed_pieces_have_their_exact_probability(checkpoint: Checkpoint, model: NetworkWordModel) -> None:
    """Words of at most two pieces, where the first is among the likeliest: nothing is approximated."""
    vocabulary = checkpoint.vocabulary
    context = vocabulary.encode(tokenise("you are"))
    scores = model.score([tokenise("you are walking")]).word_scores[-1]
    following = next_piece(checkpoint, context)
    pieces = {word: list(vocabulary.encode_symbol(word)) for word in vocabulary.words}
    unfinished = {ids[0] for ids in pieces.values() if len(ids) > 1}
    followed = [p for p in sorted(unfinished, key=lambda p: -following[p])[:8] if following[p] > math.log(0.005)]
    seen = set()
    for word, ids in pieces.items():
        if ids[0] not in followed or len(ids) > 2:
            continue
        longer = sum(other[:2] == ids and len(other) > 2 for other in pieces.values())
        after = next_piece(checkpoint, [*context, ids[0]])
        rest = after[ids[1]] if len(ids) > 1 else math.log(np.exp(after[vocabulary.starts_token]).sum())
        if not (len(ids) > 1 and longer):
            assert scores[vocabulary.words.index(word)] == pytest.approx(math.exp(following[ids[0]] + rest), rel=1e-3)
            seen.add(len(ids))
    assert seen


def test_batches_do_not_change_scores(model: NetworkWordModel) -> None:
    messages = [tokenise(text) for text in ("hello", "you are walking there", "i am")]
    together = model.score(messages)
    apart = [model.score([message]) for message in messages]
    np.testing.assert_allclose(
        together.log_probabilities, np.concatenate([s.log_probabilities for s in apart]), atol=1e-4
    )
    np.testing.assert_allclose(together.word_scores, np.concatenate([s.word_scores for s in apart]), atol=1e-3)


def test_what_no_vocabulary_has_is_scored_finitely(model: NetworkWordModel) -> None:
    users = {"u": [tokenise("猫 😀 12345 https://x.org"), tokenise("hello")]}
    evaluation = evaluate(model, users, fixed_vocabulary=frozenset({"hello"}))
    assert math.isfinite(evaluation.value("bits_per_character"))


def test_nothing_is_scored_as_nothing(model: NetworkWordModel) -> None:
    scores = model.score([])
    assert scores.log_probabilities.shape == (0,)
    assert scores.word_scores.shape == (0, len(model.words))


def test_a_checkpoint_loads_as_it_was_saved(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "model")
    checkpoint.save(tmp_path / "model")
    loaded = Checkpoint.load(tmp_path / "model")
    assert loaded.network == checkpoint.network
    assert loaded.vocabulary.key == checkpoint.vocabulary.key
    for a, b in zip(loaded.weights, checkpoint.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_common_words_are_common() -> None:
    words = common_words(count=1000)
    assert len(words) == len(set(words)) == 1000
    assert {"the", "and", "because"} <= set(words)
