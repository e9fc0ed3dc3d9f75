"""What the strip does not show: offensive words, sensitive continuations, misspellings, codes, and repetition."""

import functools
import itertools
import math
import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from model.languages import Language
from model.suggestions.corrections import Corrections, costs
from model.suggestions.splits import splits
from model.text import Token

_SENSITIVE_FOR = 4  # tokens
_COMMON = math.log(10**-5.0)  # of words that a form in no dictionary is taken for a slip of
_COMMON_JOINED = math.log(10**-3.2)  # of one of the words that are written together by mistake
_EXPRESSION = 2.0  # nats by which the first word of an expression makes the second likelier
_APART = 3.0  # by which it must be likelier in two words than in one
_ONE_EDIT = 6.9  # nats that one slip costs at most; a letter too many may be an ending
_LONG, _LONG_WITH_DOUBLED, _COMMON_LONG = 7, 8, math.log(10**-5.7)  # letters, and frequency of the word that is meant
_ONE_EDIT_WITHIN = 7.0
_DOUBLED = re.compile(r"(.)\1")
_AGAIN, _TWICE = 0.15, 0.02  # by which a word is damped that would repeat a pair, or itself


class Filters:
    """What is not shown, in one language.

    Args:
        language: whose words.
        corrections: of the lexicon.
        accepted: words that phones voted for.
        phrase_log_probability: of words one after the other, in public text.

    Attributes:
        accepted: these words, which are no misspellings whatever they are near to.
    """

    def __init__(
        self,
        language: Language,
        corrections: Corrections,
        accepted: frozenset[str],
        phrase_log_probability: Callable[[Sequence[str]], float],
    ) -> None:
        self._language = language
        self._corrections = corrections
        self.accepted = accepted
        self._phrase_log_probability = phrase_log_probability
        self.is_expression = functools.lru_cache(maxsize=10_000)(self._is_expression)
        self.is_misspelling = functools.lru_cache(maxsize=10_000)(self._is_misspelling)
        self.is_common_mistake = functools.lru_cache(maxsize=10_000)(self._is_common_mistake)

    @property
    def blocked(self) -> frozenset[str]:
        """Words that are shown nowhere."""
        return self._language.offensive | (self._language.contractions.keys() - self.accepted)

    def withheld(self, context: Sequence[Token]) -> frozenset[str]:
        """Return words that are not shown after some tokens."""
        found: frozenset[str] = frozenset()
        for token in context[-_SENSITIVE_FOR:]:
            found |= self._language.sensitive.get(token.symbol, frozenset())
        return found

    def is_junk(self, word: str) -> bool:
        """Return whether a word of the lexicon is none that people want to see."""
        if self._language.knows(word) and word not in self._language.misspellings:
            return False
        return any(map(str.isdigit, word)) or self.is_misspelling(word)

    def damping(self, word: str, context: Sequence[Token]) -> float:
        """Return by what a next word's probability is multiplied, since what was said once is not said again."""
        if not context:
            return 1.0
        last = context[-1].symbol
        if word == last:
            return _TWICE
        again = sum(one.symbol == last and other.symbol == word for one, other in itertools.pairwise(context))
        return float(_AGAIN**again)

    def _is_misspelling(self, word: str) -> bool:
        """Return whether a form that no dictionary has is one slip from a common word, or words in one.

        One of the words is common, or they are an expression that public text has mostly in two: icecream.
        """
        language = self._language
        if word in self.accepted:
            return False
        if word in language.contractions or word in language.misspellings:
            return True
        if language.knows(word):
            return False
        common = self._corrections.near(word, self._common)
        if len(word) > 2 and common and float(costs(word, common, whole=True).min()) <= _ONE_EDIT:
            return True
        if self.is_common_mistake(word) or self._has_slip_within(word):
            return True
        return self._is_joined(word)

    def _is_joined(self, word: str) -> bool:
        """Return whether a form is two words or three, one of them common, or two that text has mostly apart."""
        frequencies, phrase = self._language.words, self._phrase_log_probability
        joined = splits(word, self._word, self.is_expression, count=1)
        parts = joined[0].words if joined else ()
        if any(frequencies[part] >= _COMMON_JOINED for part in parts):
            return True
        return len(parts) == 2 and self.is_expression(*parts) and phrase(parts) - phrase((word,)) >= _APART

    def _word(self, letters: str) -> tuple[str, float] | None:
        found = self._language.words.get(letters)
        return None if found is None else (letters, found)

    def _is_expression(self, one: str, other: str) -> bool:
        """Return whether a word makes another one likely behind it in public text, beyond how frequent that is."""
        phrase = self._phrase_log_probability
        return phrase((one, other)) - phrase((one,)) - self._language.words[other] >= _EXPRESSION

    def _is_common_mistake(self, word: str) -> bool:
        """Return whether a long form is a word but for letters that are written once or twice: tommorow, accomodate."""
        if len(word) < _LONG_WITH_DOUBLED or word in self.accepted or self._language.knows(word):
            return False
        once = _DOUBLED.sub(r"\1", word)
        return any(_DOUBLED.sub(r"\1", other) == once for other in self._listed_near(word))

    def _has_slip_within(self, word: str) -> bool:
        """Return whether a long form is one slip from a word, not in its last letter: that makes another form."""
        near = [other for other in self._listed_near(word) if other[-1] == word[-1]] if len(word) >= _LONG else []
        return bool(near) and float(costs(word, near, whole=True).min()) <= _ONE_EDIT_WITHIN

    def _listed_near(self, word: str) -> list[str]:
        return self._corrections.near(word, self._listed)

    @functools.cached_property
    def _common(self) -> npt.NDArray[np.bool_]:
        """Which words of the lexicon are so common that a form near them is taken for a slip."""
        return self._corrections.which(self._language.words.at_least(_COMMON))

    @functools.cached_property
    def _listed(self) -> npt.NDArray[np.bool_]:
        """Which words of the lexicon are so common that a long form near them is."""
        return self._corrections.which(self._language.words.at_least(_COMMON_LONG))
