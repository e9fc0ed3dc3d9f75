import json

import numpy as np
import pytest

from data.public_sources import SOURCES
from model import public_start
from model.checkpoint import Checkpoint
from model.counts import NgramList
from model.mixture import Mixture
from model.network_words import NetworkWordModel
from model.text import tokenise

FOLDER = public_start.shipped()
SIZES = list(json.loads((FOLDER / public_start.DESCRIPTION).read_text())["networks"])


@pytest.fixture(scope="module", params=SIZES)
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    return public_start.load(request.param)


def test_the_start_that_comes_with_fedkey_predicts_common_words(checkpoint: Checkpoint) -> None:
    model = NetworkWordModel(checkpoint, name="start")
    for text, expected in (("how are you", "you"), ("i don't know", "know"), ("nice to meet you", "you")):
        scores = model.score([tokenise(text)]).word_scores[-1]
        best = {model.words[i] for i in np.argsort(-scores)[:3]}
        assert expected in best


def test_its_n_gram_helps_the_network(checkpoint: Checkpoint) -> None:
    messages = [tokenise(text) for text in ("what do you want to do today", "i am not sure about that", "see you soon")]
    mixed, alone = (
        NetworkWordModel(checkpoint, name="x", mixture=mixture).score(messages).log_probabilities.sum()
        for mixture in (None, Mixture())
    )
    assert mixed > alone


def test_no_file_is_large() -> None:
    assert max(path.stat().st_size for path in FOLDER.iterdir()) < 2_000_000


def test_every_source_and_licence_is_named() -> None:
    notice = (FOLDER / "NOTICE").read_text()
    made_from = json.loads((FOLDER / public_start.DESCRIPTION).read_text())["made_from"]
    assert set(made_from["messages"]) == {source.name for source in SOURCES}
    for source in SOURCES:
        assert source.name in notice
        assert source.repository in notice


def test_a_list_to_count_can_be_taken_from_it(checkpoint: Checkpoint) -> None:
    assert checkpoint.mixture.public is not None
    listed = NgramList.of(checkpoint.mixture.public, 50_000)
    assert len(listed) == 50_000
    counts = listed.count([checkpoint.vocabulary.encode(tokenise("how are you today"))])
    assert counts.sum() > 8
