"""The network as a `WordModel` on TensorFlow, many messages at once: what judges a trained model."""

import copy
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from model.checkpoint import Checkpoint
from model.evaluation import MessageScores
from model.layout import FlatWeights
from model.network import log_probabilities, step
from model.spellings import Floats, Ints, Spellings
from model.text import Token
from model.vocabulary import BOUNDARY, UNKNOWN

_UNKNOWN_PIECE = -math.log(65536)


class NetworkWordModel:
    """A trained network as a `WordModel`; scores are log probabilities of whole words.

    Args:
        checkpoint: the network and its vocabulary.
        name: for tables.
    """

    def __init__(self, checkpoint: Checkpoint, *, name: str) -> None:
        vocabulary = checkpoint.vocabulary
        self.name = name
        self.words = vocabulary.words
        self._vocabulary = vocabulary
        self._config = checkpoint.network
        self._weights = [tf.constant(w) for w in checkpoint.weights]
        self._spellings = Spellings(vocabulary)
        weights = [tf.TensorSpec(weight.shape) for weight in checkpoint.weights]
        cell, output = tf.TensorSpec([None, self._config.hidden]), tf.TensorSpec([None, self._config.embedding])
        tokens = tf.TensorSpec([None], tf.int32)
        self._step = tf.function(step, input_signature=[weights, tokens, cell, output])
        self._log_probabilities = tf.function(log_probabilities, input_signature=[weights, output])

    def with_weights(self, weights: FlatWeights) -> "NetworkWordModel":
        """Return the same model with other weights, in layout order."""
        other = copy.copy(self)
        other._weights = [tf.constant(weight) for weight in weights]  # noqa: SLF001 - its own class
        return other

    def score(self, messages: Sequence[Sequence[Token]]) -> MessageScores:
        """See `WordModel.score`."""
        targets: list[int] = []  # of every state, message after message
        token_starts: list[int] = []  # which state predicts a token's first piece, or a message's end
        word_starts: list[int] = []
        sequences: list[list[int]] = []
        for message in messages:
            sequence = [BOUNDARY]
            for token in message:
                token_starts.append(len(targets))
                if token.is_word:
                    word_starts.append(len(targets))
                pieces = self._vocabulary.encode_symbol(token.symbol)
                targets.extend(pieces)
                sequence.extend(pieces)
            token_starts.append(len(targets))
            targets.append(BOUNDARY)
            sequences.append(sequence)
        if not targets:
            return MessageScores(np.zeros(0, np.float32), np.zeros((0, len(self.words)), np.float32))
        cells, outputs = self._states(sequences)
        following = self._log_probabilities(self._weights, outputs).numpy()  # [states, size]
        losses = following[np.arange(len(targets)), targets]
        losses[np.array(targets) == UNKNOWN] += _UNKNOWN_PIECE
        at = np.array(word_starts, np.int64)
        cells, outputs = cells[at], outputs[at]

        def follow(which: Ints, pieces: Ints) -> Floats:
            _, output = self._step(self._weights, pieces.astype(np.int32), cells[which], outputs[which])
            after: Floats = self._log_probabilities(self._weights, output).numpy()
            return after

        return MessageScores(np.add.reduceat(losses, token_starts), self._spellings.word_scores(following[at], follow))

    def _states(self, sequences: Sequence[Sequence[int]]) -> tuple[Floats, Floats]:
        """Return the state after every piece of every sequence, one sequence after the other."""
        lengths = np.array([len(sequence) for sequence in sequences])
        starts = np.cumsum(lengths) - lengths
        by_length = np.argsort(-lengths, kind="stable")
        cells = np.zeros((lengths.sum(), self._config.hidden), np.float32)
        outputs = np.zeros((lengths.sum(), self._config.embedding), np.float32)
        cell = np.zeros((len(lengths), self._config.hidden), np.float32)
        output = np.zeros((len(lengths), self._config.embedding), np.float32)
        for t in range(lengths.max(initial=0)):
            alive = by_length[lengths[by_length] > t]
            tokens = np.array([sequences[i][t] for i in alive], np.int32)
            new = self._step(self._weights, tokens, cell[: len(alive)], output[: len(alive)])
            cell, output = (x.numpy() for x in new)
            cells[starts[alive] + t], outputs[starts[alive] + t] = cell, output
        return cells, outputs
