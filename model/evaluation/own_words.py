"""A shared word model with what its user typed before mixed in, message after message, as on a phone."""

from collections.abc import Iterable, Sequence

import numpy as np

from model.evaluation.strip import Lexicon
from model.evaluation.word_model import MessageScores, WordModel
from model.suggestions.personal import PersonalModel
from model.text import Token


class OwnWordModel:
    """A shared word model mixed with what one user typed; learns from every message once it has been judged.

    Args:
        base: the shared model; its word scores are probabilities.
        personal: what the user typed before.
        words: those of the user that the shared lexicon may lack; they count once the personal model knows them.
        name: for tables.
    """

    def __init__(self, base: WordModel, personal: PersonalModel, words: Iterable[str], *, name: str) -> None:
        self.name = name
        self.words = sorted({*base.words, *words})
        self._base, self._personal = base, personal
        self._index = Lexicon(self.words).index
        self._shared = np.array([self._index[word] for word in base.words])
        self._lexicon = frozenset(base.words)

    def score(self, messages: Sequence[Sequence[Token]]) -> MessageScores:
        """See `WordModel.score`; messages come in the user's order, each once."""
        shared = self._base.score(messages)
        scores = np.zeros((len(shared.word_scores), len(self.words)), np.float32)
        scores[:, self._shared] = shared.word_scores
        losses = np.exp(shared.log_probabilities.astype(np.float64))
        word = position = 0
        for message in messages:
            own, weights = self._personal.distributions(message)
            symbols = self._personal.symbols
            found = {symbol: i for i, symbol in enumerate(symbols)}
            at = np.array([i for i, s in enumerate(symbols) if self._shown(s)], np.int64)
            where = np.array([self._index[symbols[i]] for i in at], np.int64)
            for step, token in enumerate(message):
                share = float(own[step, found[token.symbol]]) if token.symbol in found else 0.0
                losses[position] = (1 - weights[step]) * losses[position] + weights[step] * share
                position += 1
                if token.is_word:
                    scores[word] *= 1 - weights[step]
                    scores[word, where] += weights[step] * own[step, at]
                    word += 1
            end = max(0.0, 1 - float(own[-1].sum())) if weights[-1] else 0.0
            losses[position] = (1 - weights[-1]) * losses[position] + weights[-1] * end
            position += 1
            self._personal.learn(" ".join(token.surface for token in message))
        return MessageScores(np.log(losses).astype(np.float32), scores)

    def _shown(self, symbol: str) -> bool:
        return symbol in self._lexicon or (symbol in self._index and self._personal.knows(symbol))
