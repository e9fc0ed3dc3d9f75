from pathlib import Path

import pytest

from model.checkpoint import Checkpoint, CheckpointError
from model.layout import NetworkConfig, initial_weights
from model.vocabulary import Vocabulary

VOCABULARY = Vocabulary.train(["hello there you"] * 20, size=40)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    network = NetworkConfig(VOCABULARY.size, 4, 6)
    Checkpoint(network, initial_weights(network, 0), VOCABULARY).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("name", ["network.json", "weights.npz", "sentencepiece.model", "lexicon.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
def test_a_damaged_model_is_refused_in_one_sentence(saved: Path, name: str, damage: str) -> None:
    file = saved / name
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "empty" else file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=r"train (one with `fedkey simulate`|the model again)"):
        Checkpoint.load(saved)


def test_weights_of_another_vocabulary_are_refused(saved: Path) -> None:
    Vocabulary.train(["quite another text, with other pieces"] * 20, size=60).save(saved)
    with pytest.raises(CheckpointError, match="do not fit"):
        Checkpoint.load(saved)
