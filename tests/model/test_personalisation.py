import numpy as np
import pytest

from model.batches import Rows, pack
from model.checkpoint import Checkpoint
from model.engine import Trainer
from model.export import export
from model.layout import FlatVector, Layout, NetworkConfig, initial_weights
from model.personalisation import FineTuning, fine_tune
from model.text import tokenise
from model.vocabulary import Vocabulary

OPTIONS = FineTuning(epochs=6, dropout=0.0)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    vocabulary = Vocabulary.train(["hello there how are you", "see you then my friend"] * 20, size=60)
    network = NetworkConfig(vocabulary.size, embedding=16, hidden=24)
    return Checkpoint(network, initial_weights(network, 5), vocabulary)


@pytest.fixture(scope="module")
def trainer(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    return export(checkpoint, tmp_path_factory.mktemp("phone") / "export").trainer()


@pytest.fixture
def shared(checkpoint: Checkpoint) -> FlatVector:
    return Layout.of(checkpoint.network.layout).flatten(checkpoint.weights)


def rows(checkpoint: Checkpoint, text: str, count: int) -> Rows:
    return pack([checkpoint.vocabulary.encode(tokenise(text))] * count)


def test_personal_weights_are_kept_if_later_text_gains(
    checkpoint: Checkpoint, trainer: Trainer, shared: FlatVector
) -> None:
    text = "hello there my friend"
    found = fine_tune(trainer, shared, rows(checkpoint, text, 40), rows(checkpoint, text, 4), OPTIONS)
    assert found.weights is not None
    assert found.after.loss < found.before.loss
    np.testing.assert_array_equal(trainer.weights(), found.weights)
    assert np.abs(found.weights - shared).max() > 0


def test_personal_weights_are_dropped_if_later_text_loses(
    checkpoint: Checkpoint, trainer: Trainer, shared: FlatVector
) -> None:
    earlier, later = rows(checkpoint, "hello hello hello hello", 40), rows(checkpoint, "see you then my friend", 4)
    found = fine_tune(trainer, shared, earlier, later, OPTIONS)
    assert found.weights is None
    np.testing.assert_array_equal(trainer.weights(), shared)


def test_diverging_training_is_dropped(checkpoint: Checkpoint, trainer: Trainer, shared: FlatVector) -> None:
    text = rows(checkpoint, "hello there my friend", 20)
    found = fine_tune(trainer, shared, text, text, FineTuning(learning_rate=1e30, gradient_norm=1e30, dropout=0.0))
    assert found.weights is None
    np.testing.assert_array_equal(trainer.weights(), shared)


@pytest.mark.parametrize("missing", ["earlier", "later"])
def test_without_text_the_shared_weights_stay(
    checkpoint: Checkpoint, trainer: Trainer, shared: FlatVector, missing: str
) -> None:
    some, none = rows(checkpoint, "hello there", 8), np.zeros((0, 21), np.int32)
    earlier, later = (none, some) if missing == "earlier" else (some, none)
    assert fine_tune(trainer, shared, earlier, later, OPTIONS).weights is None


def test_it_can_be_interrupted_between_batches(checkpoint: Checkpoint, trainer: Trainer, shared: FlatVector) -> None:
    asked = iter([False, False, True])
    text = rows(checkpoint, "hello there my friend", 200)
    found = fine_tune(trainer, shared, text, text, OPTIONS, should_stop=lambda: next(asked))
    assert found.weights is None
    assert next(asked, "all asked") == "all asked"
    np.testing.assert_array_equal(trainer.weights(), shared)


def test_the_same_seed_gives_the_same_weights(checkpoint: Checkpoint, trainer: Trainer, shared: FlatVector) -> None:
    text = rows(checkpoint, "hello there my friend", 40)
    options = FineTuning(epochs=2)
    first = fine_tune(trainer, shared, text, text, options, seed=4).weights
    again = fine_tune(trainer, shared, text, text, options, seed=4).weights
    other = fine_tune(trainer, shared, text, text, options, seed=5).weights
    assert first is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0
