import numpy as np
import pytest

from model.checkpoint import Checkpoint
from model.engine.numpy_engine import NumPyPredictor
from model.engine.weight_files import packed
from model.evaluation import compare, evaluate
from model.evaluation.own_words import OwnWordModel
from model.layout import NetworkConfig, initial_weights
from model.mixture import Mixture
from model.network_words import NetworkWordModel
from model.next_words import MixtureNextWords
from model.ngram_building import Text, build
from model.suggestions import PersonalModel, Suggester
from model.text import tokenise
from model.vocabulary import Vocabulary

TEXT = ["hello there how are you", "we are walking and talking", "see you tomorrow then", "nothing much today"]
OWN = ["the zorgon sees you today", "hello zorgon how are you"] * 8


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    vocabulary = Vocabulary.train(TEXT * 20, size=60, word_list=["the", "sees"])
    network = NetworkConfig(vocabulary.size, embedding=16, hidden=24)
    ngram = build([Text([vocabulary.encode(tokenise(text)) for text in TEXT])], size=vocabulary.size)
    return Checkpoint(network, initial_weights(network, 5), vocabulary, Mixture((0.7, 0.3), ngram))


def test_a_user_who_repeats_himself_is_predicted_better_and_his_words_are_learned(checkpoint: Checkpoint) -> None:
    base = NetworkWordModel(checkpoint, name="base")
    messages = {"u": [tokenise(text) for text in OWN]}
    shared = evaluate(base, messages, fixed_vocabulary=frozenset())
    own = OwnWordModel(base, PersonalModel(base.words), {"zorgon"}, name="own")
    personal = evaluate(own, messages, fixed_vocabulary=frozenset())
    assert compare(shared, personal, "top1").difference > 10
    assert personal.value("bits_per_character") < shared.value("bits_per_character")


def test_before_anything_is_learned_it_is_the_shared_model(checkpoint: Checkpoint) -> None:
    base = NetworkWordModel(checkpoint, name="base")
    message = tokenise(OWN[0])
    own = OwnWordModel(base, PersonalModel(base.words), (), name="own").score([message])
    shared = base.score([message])
    np.testing.assert_allclose(own.log_probabilities, shared.log_probabilities, rtol=1e-5)
    np.testing.assert_allclose(own.word_scores, shared.word_scores, rtol=1e-5)


def test_the_phone_learns_the_weights_that_evaluation_learns(checkpoint: Checkpoint) -> None:
    base = NetworkWordModel(checkpoint, name="base")
    judged = PersonalModel(base.words)
    own = OwnWordModel(base, judged, (), name="own")
    file = packed(checkpoint.weights, "float32")
    predictor = NumPyPredictor(file, checkpoint.network, "float32")
    suggester = Suggester(MixtureNextWords(predictor, checkpoint.vocabulary, checkpoint.mixture))
    for text in OWN:
        own.score([tokenise(text)])
        suggester.observe(text)
        suggester.personal.learn(text)
        suggester.personal_changed()
    typed = suggester.personal.adaptation
    assert typed.weights((0.7, 0.3))[1] > 0.3
    assert typed.weights((0.7, 0.3)) == pytest.approx(judged.adaptation.weights((0.7, 0.3)), rel=1e-3)
    assert typed.own_factor == pytest.approx(judged.adaptation.own_factor, rel=1e-3)
