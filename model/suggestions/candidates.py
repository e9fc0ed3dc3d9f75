"""Every word's probability at one position: the shared model's and the user's own, mixed."""

import enum
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from model.evaluation import Lexicon
from model.next_words import NextWords
from model.suggestions.personal import PersonalModel
from model.text import Token

_LIKELY = 256  # words of the context that are looked at for corrections of unfinished words
_LEAST = 1e-9


class Origin(enum.Enum):
    """Where a suggestion comes from."""

    SHARED = "shared"
    PERSONAL = "personal"
    CORRECTION = "correction"
    EMOJI = "emoji"


Ranked = list[tuple[str, float, Origin]]
"""Words in lower case with their probabilities, best first."""


class OwnWords:
    """How the symbols of a personal model and the words of the shared lexicon go together.

    Attributes:
        personal: the model.
        learned: words that the lexicon lacks and the user has taught, sorted.
        index: where each of them is.
        shared_symbols, shared_words: which of the personal model's symbols are which words of the lexicon.
        own_symbols, own_words: which are which of `learned`.
    """

    def __init__(self, personal: PersonalModel, lexicon: Lexicon) -> None:
        self.personal = personal
        self.learned = sorted(word.word for word in personal.learned() if word.word not in lexicon.index)
        self.index = {word: i for i, word in enumerate(self.learned)}
        self.shared_symbols, self.shared_words = _places(personal.symbols, lexicon.index)
        self.own_symbols, self.own_words = _places(personal.symbols, self.index)


class Candidates:
    """Probabilities of all words at one position: the shared model's and the user's, mixed."""

    def __init__(
        self,
        model: NextWords,
        lexicon: Lexicon,
        own: OwnWords,
        context: Sequence[Token],
    ) -> None:
        self.context = context
        self._model = model
        self._lexicon = lexicon
        self._own_words, self._own_index = own.learned, own.index
        self._own = np.zeros(len(own.learned))
        self.probabilities = model.probabilities(context).copy()
        self._is_own = np.zeros(len(self.probabilities), np.bool_)
        distribution, weight = own.personal.distribution(context)
        if weight:
            self.probabilities *= 1 - weight
            shares = weight * distribution[own.shared_symbols]
            self.probabilities[own.shared_words] += shares
            self._is_own[own.shared_words] = shares * 2 > self.probabilities[own.shared_words]
            self._own[own.own_words] = weight * distribution[own.own_symbols]
        self._likely: npt.NDArray[np.int64] | None = None

    @property
    def likely(self) -> npt.NDArray[np.int64]:
        """Indices of the likeliest words of the lexicon."""
        if self._likely is None:
            count = min(_LIKELY, len(self.probabilities))
            self._likely = np.argpartition(-self.probabilities, count - 1)[:count]
        return self._likely

    def log_probabilities(self, words: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the natural logarithm of each word's probability, float64 [words]."""
        shared, own = self._lexicon.index, self._own_index
        places = np.array([shared.get(word, -1) for word in words], np.int64)
        found = self.probabilities[places].astype(np.float64)
        for i in np.flatnonzero(places < 0):
            found[i] = self._own[own[words[i]]] if words[i] in own else 0.0
        logarithms: npt.NDArray[np.float64] = np.log(found + _LEAST)
        return logarithms

    def log_probability_of(self, words: Sequence[str]) -> float:
        """Return the natural logarithm of the probability that words come here, one after the other."""
        context, found = list(self.context), float(self.log_probabilities(words[:1])[0])
        for one, other in itertools.pairwise(words):
            context.append(Token(one, one, space_after=True))
            found += self._model.log_probability(context, other)
        return found

    def mass(self, prefix: str) -> float:
        """Return the probability of all words that start with `prefix`."""
        low, high = self._lexicon.range(prefix)
        own = sum(p for word, p in zip(self._own_words, self._own, strict=True) if word.startswith(prefix))
        return float(self.probabilities[low:high].sum() + own)

    def best(self, prefix: str, count: int, blocked: frozenset[str]) -> Ranked:
        """Return the likeliest words that start with `prefix`, are longer, and may be shown."""
        wanted = count + 8
        while True:
            found = []
            top = self._lexicon.top(self.probabilities, prefix, wanted)
            for word in top:
                if word != prefix and word not in blocked:
                    index = self._lexicon.index[word]
                    origin = Origin.PERSONAL if self._is_own[index] else Origin.SHARED
                    found.append((word, float(self.probabilities[index]), origin))
            if len(found) >= count or len(top) < wanted:
                break
            wanted *= 4
        for word, probability in zip(self._own_words, self._own, strict=True):
            if word.startswith(prefix) and word != prefix and word not in blocked:
                found.append((word, float(probability), Origin.PERSONAL))
        found.sort(key=lambda candidate: -candidate[1])
        return found[:count]


def _places(symbols: Sequence[str], index: Mapping[str, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    found = [(i, index[symbol]) for i, symbol in enumerate(symbols) if symbol in index]
    at, where = np.array(found, np.int64).reshape(-1, 2).T
    return at, where
