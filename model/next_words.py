"""The network on the phone as a source of next words, keeping its state between key presses."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from model.engine import Predictor, State
from model.spellings import Floats, Ints, Spellings
from model.text import Token
from model.vocabulary import Vocabulary


class NextWords(Protocol):
    """What predicts words one position at a time."""

    @property
    def words(self) -> Sequence[str]:
        """The lexicon, sorted."""

    def scores(self, tokens: Sequence[Token]) -> Floats:
        """Return natural log probabilities [words] of the next word after a message's tokens so far."""

    def log_probability(self, tokens: Sequence[Token], symbol: str) -> float:
        """Return the natural log probability that the next token is `symbol`, in the lexicon or not."""


class NetworkNextWords:
    """`NextWords` of the network.

    One text field's states are kept: a word more costs a step for each of its pieces, and going back costs nothing.
    A text field that is left and one that is entered share their beginning, if any.

    Args:
        predictor: the network; a `Trainer` serves as well.
        vocabulary: what it was trained with.
        spellings: of that vocabulary; give it when several networks share one.
    """

    def __init__(self, predictor: Predictor, vocabulary: Vocabulary, spellings: Spellings | None = None) -> None:
        self.words = vocabulary.words
        self._predictor = predictor
        self._vocabulary = vocabulary
        self._spellings = spellings or Spellings(vocabulary)
        self._pieces: list[int] = []
        self._states: list[State] = [predictor.start]  # before the first piece, and after each
        self._scores: Floats | None = None

    def reset(self) -> None:
        """Forget all states: the predictor has other weights now."""
        self._pieces, self._states, self._scores = [], [self._predictor.start], None

    def scores(self, tokens: Sequence[Token]) -> Floats:
        """See `NextWords.scores`; the array is the caller's to read, not to change."""
        moved = self._read(tokens)
        if moved or self._scores is None:
            state = self._states[-1]

            def follow(_: Ints, pieces: Ints) -> Floats:
                return self._predictor.expand(state, pieces)

            self._scores = self._spellings.word_scores(state.following, follow)[0]
        return self._scores

    def log_probability(self, tokens: Sequence[Token], symbol: str) -> float:
        """See `NextWords.log_probability`."""
        self._read(tokens)
        state, total = self._states[-1], 0.0
        for piece in self._vocabulary.encode_symbol(symbol):
            total += float(state.following[0, piece])
            state = self._predictor.step(state, piece)
        return total + float(np.log(np.exp(state.following[0, self._vocabulary.starts_token]).sum()))

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
        self._pieces, self._scores = pieces, None
        return True
