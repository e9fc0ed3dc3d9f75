"""Network and n-grams on the phone as a source of next words, keeping the network's state between key presses."""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from model.adaptation import Adaptation
from model.engine import Predictor, State
from model.mixture import CONTEXT, Mixture
from model.spellings import Floats, Ints, Spellings
from model.text import Token
from model.vocabulary import BOUNDARY, Vocabulary

_LEAST = 1e-30


class NextWords(Protocol):
    """What predicts words one position at a time."""

    @property
    def words(self) -> Sequence[str]:
        """The lexicon, sorted."""

    @property
    def accepted(self) -> frozenset[str]:
        """Words of the lexicon that phones voted for, which nobody means another word by."""

    def probabilities(self, tokens: Sequence[Token]) -> Floats:
        """Return the probability of each word [words] as the next one after a message's tokens so far."""

    def log_probability(self, tokens: Sequence[Token], symbol: str) -> float:
        """Return the natural log probability that the next token is `symbol`, in the lexicon or not."""

    def phrase_log_probability(self, words: Sequence[str]) -> float:
        """Return the natural log probability of words one after the other, whatever is before and behind them.

        It is that of public text, so that it is the same for everybody, and moves no state of the network. Minus
        infinity without such text.
        """

    def observe(self, tokens: Sequence[Token], adaptation: Adaptation) -> Floats:
        """Note in `adaptation` how well each part of the model expected a message, and predict accordingly.

        Returns:
            float32 [tokens + 1]: the probability that each token, and the end, had before.
        """

    def adapt(self, adaptation: Adaptation) -> None:
        """Predict with the weights of an owner from now on."""


class MixtureNextWords:
    """`NextWords` of a LiteRT network and the n-grams beside it.

    One text field's states are kept: a word more costs a step for each of its pieces, and going back costs nothing.
    A text field that is left and one that is entered share their beginning, if any.

    Args:
        predictor: the network; a `Trainer` serves as well.
        vocabulary: what it was trained with.
        mixture: the n-grams, and how much they say; by default nothing.
        spellings: of that vocabulary; give it when several networks share one.
    """

    def __init__(
        self,
        predictor: Predictor,
        vocabulary: Vocabulary,
        mixture: Mixture | None = None,
        spellings: Spellings | None = None,
    ) -> None:
        self.words, self.accepted = vocabulary.words, vocabulary.accepted
        self._predictor = predictor
        self._vocabulary = vocabulary
        self._shipped = self._mixture = mixture or Mixture()
        self._spellings = spellings or Spellings.of(vocabulary)
        self._pieces: list[int] = []
        self._states: list[State] = [predictor.start]  # before the first piece, and after each
        self._probabilities: Floats | None = None

    def probabilities(self, tokens: Sequence[Token]) -> Floats:
        """See `NextWords.probabilities`; the array is the caller's to read, not to change."""
        moved = self._read(tokens)
        if moved or self._probabilities is None:
            state, context = self._states[-1], self._context()

            def follow(_: Ints, pieces: Ints) -> Floats:
                network = np.exp(self._predictor.expand(state, pieces))
                return self._mixture.mixed(network, [(*context, int(piece)) for piece in pieces])

            self._probabilities = self._spellings.word_probabilities(self._following(state, context), follow)[0]
        return self._probabilities

    def log_probability(self, tokens: Sequence[Token], symbol: str) -> float:
        """See `NextWords.log_probability`."""
        self._read(tokens)
        pieces, states, read = self._vocabulary.encode_symbol(symbol), [self._states[-1]], self._context()
        contexts = [(*read, *pieces[:end]) for end in range(len(pieces) + 1)]
        for piece in pieces:
            states.append(self._predictor.step(states[-1], piece))
        following = self._mixture.mixed(np.exp(np.concatenate([state.following for state in states])), contexts)
        likely = [*following[np.arange(len(pieces)), pieces], following[-1, self._vocabulary.starts_token].sum()]
        return float(np.log(np.add(likely, _LEAST, dtype=np.float64)).sum())

    def phrase_log_probability(self, words: Sequence[str]) -> float:
        """See `NextWords.phrase_log_probability`."""
        table = self._mixture.public
        if table is None:
            return -math.inf
        pieces = [piece for word in words for piece in self._vocabulary.encode_symbol(word)]
        following = table.distributions([pieces[max(0, end - CONTEXT) : end] for end in range(len(pieces) + 1)])
        likely = [*following[np.arange(len(pieces)), pieces], following[-1, self._vocabulary.starts_token].sum()]
        return float(np.log(np.maximum(likely, _LEAST)).sum())

    def observe(self, tokens: Sequence[Token], adaptation: Adaptation) -> Floats:
        """See `NextWords.observe`."""
        parts = self.parts(tokens)
        pieces = np.maximum(parts @ np.array(self._mixture.weights, np.float32), _LEAST)
        starts = np.cumsum([0, *(len(self._vocabulary.encode_symbol(token.symbol)) for token in tokens)])
        adaptation.observe(parts, self._shipped.weights)
        self.adapt(adaptation)
        tokens_likely: Floats = np.multiply.reduceat(pieces, starts)
        return tokens_likely

    def adapt(self, adaptation: Adaptation) -> None:
        """See `NextWords.adapt`."""
        self._mixture = self._shipped.with_weights(adaptation.weights(self._shipped.weights))
        self._probabilities = None

    def parts(self, tokens: Sequence[Token]) -> Floats:
        """Return the probability of each piece of a message, its end included, under each part of the mixture.

        Returns:
            float32 [pieces, parts]: what `fit_weights` fits to.
        """
        self._read(tokens)
        sequence, targets = [BOUNDARY, *self._pieces], [*self._pieces, BOUNDARY]
        contexts = [sequence[max(0, end - CONTEXT) : end] for end in range(1, len(sequence) + 1)]
        at = np.arange(len(targets)), targets
        network = np.exp([state.following[0, piece] for state, piece in zip(self._states, targets, strict=True)])
        parts: Floats = np.column_stack([network, *(t.distributions(contexts)[at] for t in self._mixture.tables)])
        return parts.astype(np.float32)

    def piece_probabilities(self, tokens: Sequence[Token]) -> Floats:
        """Return the mixture's probability of each piece of a message, its end included, float32 [pieces]."""
        likely: Floats = np.maximum(self.parts(tokens) @ np.array(self._mixture.weights, np.float32), _LEAST)
        return likely

    def _context(self) -> tuple[int, ...]:
        return tuple([BOUNDARY, *self._pieces][-CONTEXT:])

    def _following(self, state: State, context: Sequence[int]) -> Floats:
        """Return the probability of each piece [1, size] in a state of the network after the latest pieces."""
        return self._mixture.mixed(np.exp(state.following), [context])

    def _read(self, tokens: Sequence[Token]) -> bool:
        """Bring the states to the end of `tokens`; return whether they changed."""
        pieces = self._vocabulary.encode(tokens)
        if pieces == self._pieces:
            return False
        shared = 0
        for known, wanted in zip(self._pieces, pieces, strict=False):
            if known != wanted:
                break
            shared += 1
        del self._states[shared + 1 :]
        for piece in pieces[shared:]:
            self._states.append(self._predictor.step(self._states[-1], piece))
        self._pieces, self._probabilities = pieces, None
        return True
