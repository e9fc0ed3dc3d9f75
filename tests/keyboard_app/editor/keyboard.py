"""A keyboard as people use it: the real editor and the real suggester with a small trained model, key by key."""

import functools
import math
import random
from collections.abc import Sequence

import numpy as np

from keyboard_app.editor.characters import is_letter
from keyboard_app.editor.editor import DOUBLE_SPACE_SECONDS, EditorState, Effect, Kept
from keyboard_app.typing.suggesting import answer
from model.languages import language
from model.ngram_words import NgramWordModel
from model.spellings import Floats
from model.suggestions import PersonalModel, Suggester
from model.text import Token, tokenise

SENTENCES = {
    "en": """
thank you so much for your help
how are you doing today
i am glad
i will be late
i am in the office all day
of course i will be there
see you on monday then
i do not think that he is right
kill your darlings
i have to go now
she said that it was good
what time do you want to meet
we are going to the beach
can you send me the file
he sent his resume to the company
that is a good idea
do you want to come with me
let me know when you are home
i love you
good morning my friend
it would be great to see you
a lot of people like the new one
hello there
hello my friend
the dogs are in the garden
this is the first time
""",
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

    def __init__(self, code: str) -> None:
        words = language(code).words
        common = sorted(words, key=lambda word: -words[word])[:_WORDS]
        chosen = random.Random(code).choices(common, [math.exp(words[word]) for word in common], k=_PHRASES * _LENGTH)
        phrases = [" ".join(chosen[i : i + _LENGTH]) for i in range(0, len(chosen), _LENGTH)]
        messages = [tokenise(text) for text in [*phrases, *SENTENCES[code].split("\n") * 20]]
        self._model = NgramWordModel({*common, "realky", "dont", "im", "1e12", "thankyou"}, order=3, unknown_weight=500)
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


@functools.cache
def model(code: str) -> Counted:
    return Counted(code)


@functools.cache
def base(code: str) -> Suggester:
    return Suggester(model(code), spoken=language(code))


class Keyboard:
    """One text field of one user, who types slowly enough for the model to answer after every key.

    Args:
        code: of the language.
    """

    def __init__(self, code: str = "en") -> None:
        self.suggester = base(code)
        self.suggester.personal = PersonalModel(self.suggester.personal.lexicon)
        self.suggester.personal_changed()
        self.state = EditorState(language=code)
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
