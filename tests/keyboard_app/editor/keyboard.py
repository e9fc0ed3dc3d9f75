"""A keyboard as people use it: the real editor and the real suggester with trained models, key by key.

English has the public start that comes with fedkey; the others, n-grams of a small text and of the word list.
"""

import functools
import math
import random
from collections.abc import Sequence

import numpy as np

from keyboard_app.editor.characters import is_letter
from keyboard_app.editor.editor import DOUBLE_SPACE_SECONDS, EditorState, Effect, Kept
from keyboard_app.typing.suggesting import answer
from model import public_start
from model.engine.numpy_engine import NumPyPredictor
from model.languages import language
from model.languages.together import together
from model.next_words import MixtureNextWords
from model.ngram_words import NgramWordModel
from model.spellings import Floats
from model.suggestions import PersonalModel, Suggester
from model.text import Token, tokenise
from model.two_languages import TwoLanguages

SENTENCES = {
    "es": """
nos vemos mañana entonces
no creo que sea verdad
qué vas a hacer esta noche
también me gusta el café
cómo estás hoy
""",
    "de": """
wir sehen uns dann morgen
ich gehe jetzt nach hause
das ist ein schönes haus
was machst du heute abend
""",
    "fr": """
on se voit demain alors
je ne crois pas que ce soit vrai
tu fais quoi ce soir
c'est la même chose pour moi
""",
    "hi": """
कल मिलते हैं फिर
मुझे नहीं लगता कि वह आता है
आज शाम को क्या कर रहे हो
नमस्ते आप कैसे हैं
""",
}
"""A message a line."""
_WORDS, _PHRASES, _LENGTH = 20_000, 6000, 8


class Counted:
    """N-grams one position at a time."""

    accepted: frozenset[str] = frozenset()

    def __init__(self, code: str) -> None:
        words = language(code).words
        common = sorted(words, key=lambda word: -words[word])[:_WORDS]
        chosen = random.Random(code).choices(common, [math.exp(words[word]) for word in common], k=_PHRASES * _LENGTH)
        phrases = [" ".join(chosen[i : i + _LENGTH]) for i in range(0, len(chosen), _LENGTH)]
        messages = [tokenise(text) for text in [*phrases, *SENTENCES[code].split("\n") * 20]]
        self._model = NgramWordModel(common, order=3, unknown_weight=500)
        self._model.add(messages)
        self.words = self._model.words
        self._index = {word: i for i, word in enumerate(self.words)}
        self._spelled: dict[str, float] = {}

    def probabilities(self, tokens: Sequence[Token]) -> Floats:
        return self._model.distribution(token.symbol for token in tokens)

    def log_probability(self, tokens: Sequence[Token], symbol: str) -> float:
        if symbol in self._index:
            return float(np.log(self.probabilities(tokens)[self._index[symbol]]))
        if symbol not in self._spelled:
            found = self._model.score([[Token(symbol, symbol, space_after=False)]])
            self._spelled[symbol] = float(found.log_probabilities[0])
        return self._spelled[symbol]

    def phrase_log_probability(self, words: Sequence[str]) -> float:
        tokens = [Token(word, word, space_after=True) for word in words]
        return sum(self.log_probability(tokens[:end], token.symbol) for end, token in enumerate(tokens))


@functools.cache
def model(code: str) -> Counted:
    return Counted(code)


@functools.cache
def public() -> MixtureNextWords:
    checkpoint = public_start.load("small")
    weights = (public_start.shipped() / "small.weights").read_bytes()
    predictor = NumPyPredictor(weights, checkpoint.network, "int8")
    return MixtureNextWords(predictor, checkpoint.vocabulary, checkpoint.mixture)


@functools.cache
def base(code: str) -> Suggester:
    if code == "en":
        return Suggester(public(), spoken=language(code))
    if code.startswith("en+"):
        both = language("en"), language(code.removeprefix("en+"))
        return Suggester(TwoLanguages(public(), *both), spoken=together(*both))
    return Suggester(model(code), spoken=language(code))


class Keyboard:
    """One text field of one user, who types slowly enough for the model to answer after every key.

    Args:
        code: of the language; `en+es` for two.
    """

    def __init__(self, code: str = "en") -> None:
        self.suggester = base(code)
        self.suggester.personal = PersonalModel(self.suggester.personal.lexicon)
        self.suggester.personal_changed()
        self.state = EditorState(language=self.suggester.language.code)
        self._at = 0.0

    def type(self, text: str) -> "Keyboard":
        """Press a key for every character; letters as they are. The strip is looked at when a word ends."""
        for character in text:
            if not is_letter(character):
                self.ask()
            self._at += 2 * DOUBLE_SPACE_SECONDS
            self._follow(self.state.type(character, self._at))
        self.ask()
        return self

    def backspace(self, times: int = 1) -> "Keyboard":
        for _ in range(times):
            self._follow(self.state.backspace())
        self.ask()
        return self

    def tap(self, place: int) -> "Keyboard":
        self._follow(self.state.accept(place))
        self.ask()
        return self

    def tap_word(self, word: str) -> "Keyboard":
        assert word in self.strip, self.strip
        return self.tap([slot.text if slot else None for slot in self.state.slots].index(word))

    def learn(self, *messages: str) -> "Keyboard":
        self.suggester.personal.learn_all(messages)
        self.suggester.personal_changed()
        self.ask()
        return self

    def at(self, text: str) -> "Keyboard":
        """Have a field with a text in it, the cursor at its end."""
        self.state = EditorState(language=self.state.language).type(text, 0).state
        self.ask()
        return self

    def ask(self) -> None:
        if self.state.request is not None:
            self.state = self.state.take(answer(self.suggester, self.state.request))

    @property
    def text(self) -> str:
        return self.state.text

    @property
    def strip(self) -> list[str]:
        return [slot.text for slot in self.state.slots if slot]

    def _follow(self, after: tuple[EditorState, Sequence[Effect]]) -> None:
        self.state, effects = after
        for effect in effects:
            if isinstance(effect, Kept):
                self.suggester.personal.keep(effect.word)
                self.suggester.personal_changed()
