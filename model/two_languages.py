"""Next words of somebody who writes two languages: the mixture follows what is typed.

The model knows one of them. Of the other there are words by frequency alone, so that it is completed and corrected, and
what the owner writes in it is learned on the phone. How much each says is their posterior probability given the words
so far, each word's log odds bounded so that a name does not decide (naive Bayes), and before the first word what the
latest messages were in.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from model.adaptation import Adaptation
from model.languages import Language
from model.next_words import NextWords
from model.spellings import Floats
from model.text import CLASSES, Token

WORDS = 20_000
"""Of the other language, the commonest."""

_PRIOR = -1.5  # log odds of the other language before anything was typed
_BOUND = 2.5  # nats that one word says at most
_LOOKED_BACK = 12  # tokens
_FADING = 0.7  # of what earlier messages said, with each message
_UNKNOWN = math.log(1e-8)  # of a word that a language does not have


class TwoLanguages:
    """`NextWords` of a model of one language and of the words of another.

    Args:
        model: of the one.
        first: the one.
        second: the other.
    """

    def __init__(self, model: NextWords, first: Language, second: Language) -> None:
        self._model, self._first, self._second = model, first, second
        self.accepted = model.accepted
        common = sorted(second.words, key=lambda word: -second.words[word])[:WORDS]
        self.words: Sequence[str] = tuple(sorted({*model.words, *common}))
        index = {word: i for i, word in enumerate(self.words)}
        self._places = np.array([index[word] for word in model.words], np.int64)
        self._others = np.zeros(len(self.words), np.float32)
        for word in common:
            self._others[index[word]] = math.exp(second.words[word])
        self._others /= self._others.sum()
        self._index = index
        self._leaning = 0.0

    def share(self, tokens: Sequence[Token]) -> float:
        """Return how likely the other language is after a message's tokens so far, 0 to 1."""
        odds = _PRIOR + self._leaning + self._evidence(tokens[-_LOOKED_BACK:])
        return 1 / (1 + math.exp(-odds))

    def probabilities(self, tokens: Sequence[Token]) -> Floats:
        """See `NextWords.probabilities`."""
        share = self.share(tokens)
        mixed: Floats = share * self._others
        mixed[self._places] += (1 - share) * self._model.probabilities(tokens)
        return mixed

    def log_probability(self, tokens: Sequence[Token], symbol: str) -> float:
        """See `NextWords.log_probability`."""
        share = self.share(tokens)
        other = float(self._others[self._index[symbol]]) if symbol in self._index else 0.0
        one = math.exp(self._model.log_probability(tokens, symbol))
        return math.log((1 - share) * one + share * other + 1e-30)

    def phrase_log_probability(self, words: Sequence[str]) -> float:
        """See `NextWords.phrase_log_probability`: what is public is the one's."""
        return self._model.phrase_log_probability(words)

    def observe(self, tokens: Sequence[Token], adaptation: Adaptation) -> Floats:
        """See `NextWords.observe`; the next message begins in the language of this one."""
        self._leaning = _FADING * self._leaning + (1 - _FADING) * self._evidence(tokens)
        return self._model.observe(tokens, adaptation)

    def adapt(self, adaptation: Adaptation) -> None:
        """See `NextWords.adapt`."""
        self._model.adapt(adaptation)

    def _evidence(self, tokens: Iterable[Token]) -> float:
        """Return the log odds that words give to the other language."""
        return sum(
            max(-_BOUND, min(_BOUND, self._log_probability(token.symbol)))
            for token in tokens
            if token.is_word and token.symbol not in CLASSES
        )

    def _log_probability(self, word: str) -> float:
        found = (language.words.get(word, _UNKNOWN) for language in (self._second, self._first))
        second, first = (max(_UNKNOWN, log_probability) for log_probability in found)
        return second - first
