import math

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from model.engine import State
from model.engine.litert_engine import LiteRTPredictor
from model.layout import NetworkConfig, initial_weights
from model.litert_files import inference_file
from model.mixture import Mixture
from model.network_words import NetworkWordModel
from model.next_words import MixtureNextWords
from model.ngram_building import Text, build
from model.spellings import Spellings
from model.text import Token, tokenise
from model.vocabulary import Vocabulary

TEXT = ["hello there how are you", "walking and walked and talks", "see you tomorrow then", "nothing much today"]


class Watched(LiteRTPredictor):
    """Counts steps."""

    steps = 0

    def step(self, state: State, piece: int) -> State:
        self.steps += 1
        return super().step(state, piece)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    vocabulary = Vocabulary.train(TEXT * 20, size=60, word_list=["walker", "hell"])
    network = NetworkConfig(vocabulary.size, embedding=16, hidden=24)
    return Checkpoint(network, [weight * 3 for weight in initial_weights(network, 5)], vocabulary)


@pytest.fixture(scope="module")
def file(checkpoint: Checkpoint) -> bytes:
    return inference_file(checkpoint, "float32")


def test_spellings_are_made_once_for_a_vocabulary_and_anew_for_another(checkpoint: Checkpoint) -> None:
    once = Spellings.of(checkpoint.vocabulary)
    assert Spellings.of(Vocabulary.train(TEXT * 20, size=60, word_list=["walker", "hell"])) is once
    other = Spellings.of(Vocabulary.train(TEXT * 20, size=60, word_list=["walker"]))
    assert other is not once
    assert len(other.first) == len(once.first) - 1


@pytest.fixture
def predictor(checkpoint: Checkpoint, file: bytes) -> Watched:
    return Watched(file, checkpoint.network)


def test_the_phone_scores_words_as_the_evaluation_does(checkpoint: Checkpoint, predictor: Watched) -> None:
    words = MixtureNextWords(predictor, checkpoint.vocabulary)
    model = NetworkWordModel(checkpoint, name="judge")
    for text in ("", "hello there", "see you tomorrow then nothing"):
        tokens = tokenise(text)
        expected = model.score([[*tokens, Token("you", "you", space_after=False)]])
        np.testing.assert_allclose(words.probabilities(tokens), expected.word_scores[-1], atol=1e-4)
        exact = words.log_probability(tokens, "you")
        assert exact <= 0
        # The judge's loss of a token leaves out that the word ends there.
        assert exact == pytest.approx(expected.log_probabilities[len(tokens)], abs=1.5)


def test_a_word_more_costs_its_pieces_and_going_back_nothing(checkpoint: Checkpoint, predictor: Watched) -> None:
    words = MixtureNextWords(predictor, checkpoint.vocabulary)
    text = tokenise("hello there how are")
    words.probabilities(text)
    before = predictor.steps
    words.probabilities(text)
    assert predictor.steps == before
    words.probabilities(text[:2])
    assert predictor.steps == before
    words.probabilities(text[:2] + tokenise("you"))
    assert predictor.steps == before + len(checkpoint.vocabulary.encode_symbol("you"))


def test_phrases_are_as_likely_as_in_public_text_and_move_no_state(checkpoint: Checkpoint, predictor: Watched) -> None:
    vocabulary = checkpoint.vocabulary
    ngram = build([Text([vocabulary.encode(tokenise(text)) for text in TEXT])], size=vocabulary.size)
    words = MixtureNextWords(predictor, vocabulary, Mixture((0.7, 0.3), ngram))
    words.probabilities(tokenise("hello there"))
    before = predictor.steps
    likely, other, nothing = (words.phrase_log_probability(phrase) for phrase in (("see", "you"), ("you", "see"), ()))
    assert other < likely - 1 < nothing <= 0
    assert likely < words.phrase_log_probability(["see"]) <= 0
    assert predictor.steps == before
    assert MixtureNextWords(predictor, vocabulary).phrase_log_probability(("see", "you")) == -math.inf


def test_states_after_deleting_are_those_of_typing(checkpoint: Checkpoint, predictor: Watched) -> None:
    wandering = MixtureNextWords(predictor, checkpoint.vocabulary)
    for text in ("hello there", "hello you", "see you", "hello there how"):
        wandering.probabilities(tokenise(text))
    straight = MixtureNextWords(predictor, checkpoint.vocabulary)
    text = tokenise("hello there how")
    np.testing.assert_array_equal(wandering.probabilities(text), straight.probabilities(text))
