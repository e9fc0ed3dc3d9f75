"""A shared model with what its user typed before mixed in, message after message, as on a phone."""

from collections.abc import Iterable, Sequence
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from model.evaluation.strip import Lexicon
from model.evaluation.word_model import MessageScores, WordModel
from model.mixture import Mixture
from model.suggestions.personal import PersonalModel
from model.text import Token


class MixedWordModel(WordModel, Protocol):
    """A word model of several parts; its word scores are probabilities."""

    @property
    def mixture(self) -> Mixture:
        """The parts beside the network, and how much each says."""

    def with_mixture(self, mixture: Mixture) -> Self:
        """Return the same network with another mixture."""

    def encoded(self, message: Sequence[Token]) -> list[int]:
        """Return the pieces of a message."""

    def parts(self, messages: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """Return the probability of each piece of encoded messages, ends included, under each part."""


class OwnWordModel:
    """A shared model mixed with what one user typed; learns from every message once it has been judged.

    Args:
        base: the shared model.
        personal: what the user typed before.
        words: those of the user that the shared lexicon may lack; they count once the personal model knows them.
        name: for tables.
    """

    def __init__(self, base: MixedWordModel, personal: PersonalModel, words: Iterable[str], *, name: str) -> None:
        self.name = name
        self.words = sorted({*base.words, *words})
        self._base, self._personal = base, personal
        self._shipped = base.mixture.weights
        self._index = Lexicon(self.words).index
        self._shared = np.array([self._index[word] for word in base.words])
        self._lexicon = frozenset(base.words)

    def score(self, messages: Sequence[Sequence[Token]]) -> MessageScores:
        """See `WordModel.score`; messages come in the user's order, each once."""
        judged = [self._judged(message) for message in messages]
        losses, scores = ([own[part] for own in judged] for part in range(2))
        return MessageScores(
            np.concatenate([np.zeros(0, np.float32), *losses]),
            np.concatenate([np.zeros((0, len(self.words)), np.float32), *scores]),
        )

    def _judged(self, message: Sequence[Token]) -> MessageScores:
        """Judge one message and learn from it."""
        adaptation = self._personal.adaptation
        mixture = self._base.mixture
        base = self._base.with_mixture(mixture.with_weights(adaptation.weights(self._shipped)))
        shared = base.score([message])
        likely = np.exp(shared.log_probabilities.astype(np.float64))
        own, weights = self._personal.distributions(message)
        symbols = self._personal.symbols
        found = {symbol: i for i, symbol in enumerate(symbols)}
        typed = [found.get(token.symbol, -1) for token in message]
        shares = np.array([own[step, at] if at >= 0 else 0.0 for step, at in enumerate(typed)] + [0.0])
        if weights[-1]:
            shares[-1] = max(0.0, 1 - float(own[-1].sum()))
        at = np.array([i for i, symbol in enumerate(symbols) if self._shown(symbol)], np.int64)
        where = np.array([self._index[symbols[i]] for i in at], np.int64)
        steps = np.array([step for step, token in enumerate(message) if token.is_word], np.int64)
        scores = np.zeros((len(steps), len(self.words)), np.float32)
        scores[:, self._shared] = shared.word_scores * (1 - weights[steps, None])
        scores[:, where] += weights[steps, None] * own[np.ix_(steps, at)]
        mixed = (1 - weights) * likely + weights * shares
        adaptation.observe(base.parts([base.encoded(message)]), self._shipped)
        self._personal.observe(message, likely)
        self._personal.learn(" ".join(token.surface for token in message))
        return MessageScores(np.log(mixed).astype(np.float32), scores)

    def _shown(self, symbol: str) -> bool:
        return symbol in self._lexicon or (symbol in self._index and self._personal.knows(symbol))
