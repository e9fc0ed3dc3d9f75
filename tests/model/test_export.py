import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model.batches import pack
from model.checkpoint import Checkpoint
from model.engine import INFERENCE, MANIFEST, TRAINING, Export, ExportError, Predictor, Trainer
from model.export import export, inference_file, relative_perplexity
from model.layout import Layout, NetworkConfig, initial_weights
from model.network import log_probabilities, loss_and_hits, step
from model.vocabulary import BOUNDARY, PAD, Vocabulary

TEXT = ["hello there how are you", "i am fine and you", "see you tomorrow then", "what are you doing", "nothing much"]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    vocabulary = Vocabulary.train(TEXT * 20, size=120)
    network = NetworkConfig(vocabulary.size, embedding=32, hidden=48)
    return Checkpoint(network, initial_weights(network, 3), vocabulary)


@pytest.fixture(scope="module")
def exported(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return export(checkpoint, tmp_path_factory.mktemp("export") / "phone", version=7, inference="float32")


@pytest.fixture
def copy(exported: Export, tmp_path: Path) -> Path:
    for path in exported.directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def rows(count: int, size: int, *, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    """Few distinct ids, so that duplicates meet, and rows that end early."""
    random = np.random.default_rng(seed)
    made = random.integers(BOUNDARY, min(size, 12), (count, 21)).astype(np.int32)
    for row in made[::3]:
        row[random.integers(5, 20) :] = PAD
    return made


@tf.function(reduce_retracing=True)
def loss_and_gradients(values: list[tf.Tensor], batch: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss, _, targets = loss_and_hits(values, batch)
        mean = loss / targets
    return loss, tape.gradient(mean, values)


def tf_step(weights: list[tf.Variable], batch: np.ndarray, rate: float) -> float:  # type: ignore[type-arg]
    loss, gradients = loss_and_gradients([weight.read_value() for weight in weights], tf.constant(batch))
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.assign_sub(rate * gradient)
    return float(loss)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_training_agrees_with_tensorflow(checkpoint: Checkpoint, exported: Export, batch: int) -> None:
    trainer = exported.trainer()
    layout = Layout.of(checkpoint.network.layout)
    np.testing.assert_array_equal(trainer.weights(), layout.flatten(checkpoint.weights))
    weights = [tf.Variable(weight) for weight in checkpoint.weights]
    for number in range(50):
        own = rows(batch, checkpoint.network.vocabulary_size, seed=number)
        loss = tf_step(weights, own, 0.25)
        assert trainer.train(own, learning_rate=0.25).loss == pytest.approx(loss, rel=1e-5)
        if number == 0:
            once = np.abs(trainer.weights() - layout.flatten([weight.numpy() for weight in weights])).max()
            assert once < 1e-6
    after = layout.flatten([weight.numpy() for weight in weights])
    np.testing.assert_allclose(trainer.weights(), after, atol=2e-5)
    assert np.abs(after - layout.flatten(checkpoint.weights)).max() > 1e-2


def test_gradients_are_cut_to_their_norm(checkpoint: Checkpoint, exported: Export) -> None:
    trainer = exported.trainer()
    before = trainer.weights()
    trainer.train(rows(4, checkpoint.network.vocabulary_size), learning_rate=2.0, gradient_norm=0.01)
    assert np.linalg.norm(trainer.weights() - before) == pytest.approx(0.02, rel=1e-3)


def test_dropout_needs_random_numbers_and_changes_the_step(checkpoint: Checkpoint, exported: Export) -> None:
    own = rows(4, checkpoint.network.vocabulary_size)
    with pytest.raises(ValueError, match="random"):
        exported.trainer().train(own, learning_rate=0.1, dropout=0.5)
    losses = {
        seed: exported.trainer().train(own, learning_rate=0.1, dropout=0.5, random=np.random.default_rng(seed)).loss
        for seed in (1, 2)
    }
    assert losses[1] != losses[2]


def test_evaluation_counts_every_target_once(checkpoint: Checkpoint, exported: Export) -> None:
    own = rows(19, checkpoint.network.vocabulary_size)
    found = exported.trainer().evaluate(own)
    expected = loss_and_hits([tf.constant(weight) for weight in checkpoint.weights], tf.constant(own))
    np.testing.assert_allclose(found, [float(value) for value in expected], rtol=1e-5)


def test_a_vector_that_does_not_fit_changes_nothing(exported: Export) -> None:
    trainer = exported.trainer()
    before = trainer.weights()
    with pytest.raises(ValueError, match="shape"):
        trainer.set_weights(before[:-1])
    with pytest.raises(ValueError, match="finite"):
        trainer.set_weights(np.full_like(before, np.nan))
    np.testing.assert_array_equal(trainer.weights(), before)
    trainer.set_weights(before * 2)
    np.testing.assert_array_equal(trainer.weights(), before * 2)


@pytest.mark.parametrize("bad", [np.zeros((2, 20), np.int32), np.full((1, 21), 10_000, np.int32), np.zeros((1, 21))])
def test_rows_that_do_not_fit_are_refused(exported: Export, bad: np.ndarray) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match="must be"):
        exported.trainer().train(bad, learning_rate=0.1)


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


def test_a_trainer_predicts_with_its_new_weights(exported: Export) -> None:
    trainer = exported.trainer()
    before = trainer.start.following
    trainer.set_weights(trainer.weights() * 2)
    assert np.abs(trainer.start.following - before).max() > 1e-3


def test_eight_bits_are_smaller_and_nearly_as_good(checkpoint: Checkpoint) -> None:
    small = inference_file(checkpoint, "int8")
    assert len(small) < len(inference_file(checkpoint, "float32"))
    encoded = [list(checkpoint.vocabulary.encode_symbol("hello")), [4, 5, 6]]
    assert abs(relative_perplexity(checkpoint, small, encoded)) < 0.02
    with pytest.raises(ValueError, match="float32 or int8"):
        inference_file(checkpoint, "int4")


def test_the_manifest_tells_what_is_there(checkpoint: Checkpoint, exported: Export) -> None:
    assert exported.manifest.version == 7
    assert exported.manifest.network == checkpoint.network
    assert set(exported.manifest.files) == {TRAINING, INFERENCE, "sentencepiece.model", "lexicon.json"}
    assert exported.vocabulary.words == checkpoint.vocabulary.words


@pytest.mark.parametrize("name", [TRAINING, INFERENCE, "sentencepiece.model", "lexicon.json"])
@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_a_damaged_export_is_refused(copy: Path, name: str, damage: str) -> None:
    path = copy / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if damage == "truncated" else bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(ExportError, match=f"{name} is missing or not as the manifest says"):
        Export.load(copy)


def test_another_vocabulary_is_refused(copy: Path) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["vocabulary"] = "0" * 64
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ExportError, match="vocabulary of another model"):
        Export.load(copy)


def test_a_newer_runtime_is_asked_for(copy: Path) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(manifest | {"runtime": "99.0.0"}))
    with pytest.raises(ExportError, match=r"needs ai-edge-litert 99\.0\.0"):
        Export.load(copy)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 99}', '{"format": 1, "version": 1}'])
def test_a_manifest_that_is_none_is_refused(copy: Path, content: str) -> None:
    (copy / MANIFEST).write_text(content)
    with pytest.raises(ExportError, match="fedkey export"):
        Export.load(copy)


def test_what_is_no_model_is_refused(exported: Export) -> None:
    with pytest.raises(ExportError, match="cannot read"):
        Predictor(b"no model", exported.manifest.network)
    with pytest.raises(ExportError, match="lacks 'train'"):
        Trainer((exported.directory / INFERENCE).read_bytes(), exported.manifest.network)


def test_a_failed_export_leaves_the_one_before(checkpoint: Checkpoint, copy: Path) -> None:
    with pytest.raises(ValueError, match="int4"):
        export(checkpoint, copy, inference="int4")
    assert Export.load(copy).manifest.version == 7
    assert [path.name for path in copy.parent.iterdir() if path.name.startswith(f".{copy.name}-")] == []


def test_a_phone_runs_it_without_tensorflow(exported: Export) -> None:
    code = (
        "import sys\n"
        "sys.modules['tensorflow'] = None\n"
        "from pathlib import Path\n"
        "from model.engine import Export\n"
        "from model.next_words import NetworkNextWords\n"
        "from model.suggestions import Suggester\n"
        f"export = Export.load(Path({str(exported.directory)!r}))\n"
        "suggester = Suggester(NetworkNextWords(export.predictor(), export.vocabulary))\n"
        "assert len(suggester.suggest('how are ')) == 3\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_of_messages_can_be_trained_on(checkpoint: Checkpoint, exported: Export) -> None:
    vocabulary, trainer = checkpoint.vocabulary, exported.trainer()
    packed = pack([[piece for word in text.split() for piece in vocabulary.encode_symbol(word)] for text in TEXT])
    before = trainer.evaluate(packed).loss
    for _ in range(100):
        trainer.train(packed, learning_rate=0.5)
    assert trainer.evaluate(packed).loss < 0.8 * before
