"""What a model must be able to say to be evaluated."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from model.text import Token


class MessageScores(NamedTuple):
    """What a model says about a batch of messages, positions in order, message after message.

    Attributes:
        log_probabilities: float32 [tokens + messages]: natural log probability of each token, and of the end of each
            message after its last token, given what precedes it in the message. A token that the model does not know
            has the probability of an unknown one times that of its spelling.
        word_scores: float32 [word positions, words]: a score, higher is better, of each word of the lexicon as the
            next word, at the positions whose token is a word.
    """

    log_probabilities: npt.NDArray[np.float32]
    word_scores: npt.NDArray[np.float32]


class WordModel(Protocol):
    """A model that predicts the next word."""

    @property
    def name(self) -> str:
        """For tables and plots."""

    @property
    def words(self) -> Sequence[str]:
        """What the model can suggest, sorted; no marks, no classes."""

    def score(self, messages: Sequence[Sequence[Token]]) -> MessageScores:
        """Judge every position of `messages`, each read from its start."""
