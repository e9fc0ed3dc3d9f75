"""What a corpus is made ready for: the language that it is in."""

import json
from pathlib import Path

import pytest

from federation.simulation.prepare import prepared
from model.languages.detection import detect
from model.suggestions import Suggester, split_word
from model.text import tokenise
from model.vocabulary import Vocabulary
from tests.keyboard_app.editor.keyboard import Counted

MESSAGES = [
    "nos vemos mañana en la playa", "no me gusta el café por la mañana", "qué vas a hacer esta noche", "muchas gracias",
    "estoy en casa con mi madre", "cuándo vienes a casa", "mañana no puedo ir al trabajo", "te quiero mucho",
    "hola qué tal estás", "vamos a comer algo esta noche", "el tren sale a las ocho", "dónde está la estación",
]  # fmt: skip


@pytest.fixture(scope="module")
def spanish(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "spanish.jsonl"
    with path.open("w") as file:
        for user in range(30):
            for message in MESSAGES:
                file.write(json.dumps({"user": f"u{user}", "text": message}) + "\n")
    return path


def test_a_spanish_corpus_gives_spanish_words_and_suggestions(spanish: Path, tmp_path: Path) -> None:
    ready = prepared(str(spanish), tmp_path)
    assert (ready.language, ready.warning) == ("es", "")
    lexicon = ready.vocabulary.lexicon
    assert {"mañana", "ayuntamiento", "estación"} <= lexicon.keys()
    assert not {"tomorrow", "would", "yesterday"} & lexicon.keys()
    suggester = Suggester(Counted("es"))
    assert suggester.language.code == detect(dict.fromkeys(lexicon, 1)).code == "es"
    assert "mañana" in [suggestion.text for suggestion in suggester.suggest(*split_word("nos vemos ma"))]


def test_a_corpus_in_another_language_than_its_vocabulary_is_warned_of(spanish: Path, tmp_path: Path) -> None:
    english = Vocabulary.train(["see you at the office", "thank you so much"] * 20, word_list=["would", "the", "there"])
    ready = prepared(str(spanish), tmp_path, vocabulary=english)
    assert ready.language == "en"
    assert "say --language es" in ready.warning


def test_a_language_that_is_said_gives_its_words(spanish: Path, tmp_path: Path) -> None:
    ready = prepared(str(spanish), tmp_path, language="de")
    assert "übermorgen" in ready.vocabulary.lexicon
    assert "say --language es" in ready.warning
    assert tokenise("mañana")[0].symbol in ready.vocabulary.lexicon
