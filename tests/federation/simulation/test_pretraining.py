import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from data import public_text
from federation.simulation import pretraining
from federation.simulation.central_training import CentralTraining, Pretraining
from federation.simulation.pretraining import Builder, PublicCorpus
from model import public_start
from model.checkpoint import Checkpoint, CheckpointError
from model.mixture import Mixture
from model.network_words import NetworkWordModel
from model.text import tokenise

USERS = [[f"i like {noun} a lot", "see you tomorrow", f"do you like {noun}"] for noun in ("tea", "rice", "rain") * 4]
OPTIONS = Pretraining(
    sizes=("small", "gboard"),
    vocabulary_size=90,
    min_occurrences=1,
    max_grams=200,
    training=CentralTraining(epochs=3, learning_rate=3e-3, batch_rows=4, dropout=0.0),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> PublicCorpus:
    path = tmp_path_factory.mktemp("text") / "text.jsonl"
    lines = [{"source": "talk", "text": text} for text in ("how are you today", "what do you like", "i like music")]
    path.write_text("\n".join(json.dumps(line) for line in lines * 8))
    return PublicCorpus(public_text.load([path]), USERS)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def built(corpus: PublicCorpus, kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "start"
    Builder(corpus, OPTIONS, kept).build(out)
    return out


def test_a_start_predicts_public_text_from_the_first_moment(built: Path) -> None:
    checkpoint = public_start.load("small", built)
    assert sum(checkpoint.mixture.weights) == pytest.approx(1)
    messages = [tokenise("i like rice a lot")]
    mixed, alone = (
        NetworkWordModel(checkpoint, name="x", mixture=mixture).score(messages).log_probabilities.mean()
        for mixture in (None, Mixture())
    )
    assert mixed > alone


def test_the_same_text_makes_the_same_start(built: Path, corpus: PublicCorpus, tmp_path: Path) -> None:
    Builder(corpus, OPTIONS, tmp_path / "kept").build(tmp_path / "again")
    names = sorted(path.name for path in built.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in names:
        assert (built / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_what_is_done_is_not_done_again(
    built: Path, corpus: PublicCorpus, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining.central, "train", None)
    Builder(corpus, OPTIONS, kept).build(tmp_path / "again")
    name = public_start.DESCRIPTION
    assert (tmp_path / "again" / name).read_bytes() == (built / name).read_bytes()


def test_other_text_is_not_taken_for_this(corpus: PublicCorpus, kept: Path) -> None:
    shown: list[str] = []
    for changed in (
        dataclasses.replace(corpus, users=USERS[:-1]),
        dataclasses.replace(corpus, text=dataclasses.replace(corpus.text, fingerprint="other")),
    ):
        Builder(changed, OPTIONS, kept, shown.append)
    Builder(corpus, dataclasses.replace(OPTIONS, seed=2), kept)
    assert len(list(kept.iterdir())) == 4


def test_a_folder_that_is_there_is_left_alone(built: Path, corpus: PublicCorpus, kept: Path) -> None:
    before = {path.name: path.read_bytes() for path in built.iterdir()}
    with pytest.raises(FileExistsError):
        Builder(corpus, OPTIONS, kept).build(built)
    assert {path.name: path.read_bytes() for path in built.iterdir()} == before


def test_eight_bits_lose_next_to_nothing(built: Path) -> None:
    figures = json.loads((built / public_start.DESCRIPTION).read_text())["made_from"]["networks"]["small"]
    assert abs(figures["perplexity_change_percent"]) < 1


@pytest.mark.parametrize("name", ["start.json", "small.weights", "lexicon.json", "ngram.json"])
def test_a_damaged_start_is_refused(built: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in built.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / name).write_bytes((copy / name).read_bytes()[:-4])
    with pytest.raises(CheckpointError, match="start"):
        public_start.load("small", copy)


def test_a_size_that_is_not_there_is_named(built: Path) -> None:
    with pytest.raises(CheckpointError, match="'huge', only small, gboard"):
        public_start.load("huge", built)


def test_a_larger_network_goes_on_from_what_the_smaller_one_knows(built: Path) -> None:
    figures = json.loads((built / public_start.DESCRIPTION).read_text())["made_from"]["networks"]
    assert figures["gboard"]["loss"] < figures["small"]["loss"] + 0.05
    assert public_start.load("gboard", built).network.hidden == 670


def test_the_checkpoint_keeps_its_n_grams(built: Path, tmp_path: Path) -> None:
    checkpoint = public_start.load("small", built)
    checkpoint.save(tmp_path / "model")
    read = Checkpoint.load(tmp_path / "model")
    assert read.mixture.weights == checkpoint.mixture.weights
    messages = [tokenise("do you like tea")]
    np.testing.assert_array_equal(*(NetworkWordModel(c, name="x").score(messages)[0] for c in (read, checkpoint)))
