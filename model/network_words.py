"""A network and its mixture as a `WordModel` on TensorFlow, many messages at once: what judges a trained model."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from model.checkpoint import Checkpoint
from model.evaluation import MessageScores
from model.layout import FlatWeights
from model.mixture import CONTEXT, Mixture
from model.network import log_probabilities, step
from model.spellings import Floats, Ints, Spellings
from model.text import Token
from model.vocabulary import BOUNDARY, UNKNOWN, Vocabulary

_UNKNOWN_PIECE = -math.log(65536)
_LEAST = 1e-30


class NetworkWordModel:
    """A trained network, with the n-grams beside it, as a `WordModel`; scores are probabilities of whole words.

    Args:
        checkpoint: the network, its vocabulary and its mixture.
        name: for tables.
        mixture: another one than the checkpoint's.
    """

    def __init__(self, checkpoint: Checkpoint, *, name: str, mixture: Mixture | None = None) -> None:
        vocabulary = checkpoint.vocabulary
        self.name = name
        self._mixture = checkpoint.mixture if mixture is None else mixture
        self.words = vocabulary.words
        self._vocabulary = vocabulary
        self._config = checkpoint.network
        self._weights = [tf.constant(w) for w in checkpoint.weights]
        self._spellings = Spellings.of(vocabulary)
        weights = [tf.TensorSpec(weight.shape) for weight in checkpoint.weights]
        cell, output = tf.TensorSpec([None, self._config.hidden]), tf.TensorSpec([None, self._config.embedding])
        tokens = tf.TensorSpec([None], tf.int32)
        self._step = tf.function(step, input_signature=[weights, tokens, cell, output])
        self._all_states = tf.function(_all_states, input_signature=[weights, tokens, tokens])
        self._probabilities = tf.function(_probabilities, input_signature=[weights, output])

    def with_weights(self, weights: FlatWeights) -> "NetworkWordModel":
        """Return the same model with other weights, in layout order."""
        other = copy.copy(self)
        other._weights = [tf.constant(weight) for weight in weights]  # noqa: SLF001 - its own class
        return other

    @property
    def mixture(self) -> Mixture:
        """The n-grams beside the network, and how much each says."""
        return self._mixture

    def with_mixture(self, mixture: Mixture) -> "NetworkWordModel":
        """Return the same network with another mixture."""
        other = copy.copy(self)
        other._mixture = mixture  # noqa: SLF001 - its own class
        return other

    def encoded(self, message: Sequence[Token]) -> list[int]:
        """Return the pieces of a message, as `parts` takes them."""
        return self._vocabulary.encode(message)

    def score(self, messages: Sequence[Sequence[Token]]) -> MessageScores:
        """See `WordModel.score`."""
        read = _Read(messages, self._vocabulary)
        if not read.targets:
            return MessageScores(np.zeros(0, np.float32), np.zeros((0, len(self.words)), np.float32))
        cells, outputs = self._states(read.sequences)
        contexts = _contexts(read.sequences)
        following = self._mixture.mixed(self._following(outputs), contexts)
        losses = np.log(np.maximum(following[np.arange(len(read.targets)), read.targets], _LEAST))
        losses[np.array(read.targets) == UNKNOWN] += _UNKNOWN_PIECE
        at = np.array(read.word_starts, np.int64)
        cells, outputs = cells[at], outputs[at]

        def follow(which: Ints, pieces: Ints) -> Floats:
            _, output = self._step(self._weights, pieces.astype(np.int32), cells[which], outputs[which])
            longer = [(*contexts[at[i]], int(piece)) for i, piece in zip(which, pieces, strict=True)]
            return self._mixture.mixed(self._following(output), longer)

        words = self._spellings.word_probabilities(following[at], follow)
        return MessageScores(np.add.reduceat(losses, read.token_starts), words)

    def parts(self, messages: Sequence[Sequence[int]]) -> Floats:
        """Return the probability of each piece of encoded messages, ends included, under each part of the mixture.

        Returns:
            float32 [pieces, parts]: what `fit_weights` fits to.
        """
        if not messages:
            return np.zeros((0, len(self._mixture.weights)), np.float32)
        sequences = [[BOUNDARY, *message] for message in messages]
        targets = [piece for message in messages for piece in (*message, BOUNDARY)]
        _, outputs = self._states(sequences)
        at, contexts = (np.arange(len(targets)), targets), _contexts(sequences)
        tables = [table.distributions(contexts)[at] for table in self._mixture.tables]
        return np.column_stack([self._following(outputs)[at], *tables])

    def _following(self, outputs: Floats) -> Floats:
        """Return the network's probabilities of the next piece, [states, size], after states' outputs."""
        following: Floats = self._probabilities(self._weights, outputs).numpy()
        return following

    def _states(self, sequences: Sequence[Sequence[int]]) -> tuple[Floats, Floats]:
        """Return the state after every piece of every sequence, one sequence after the other."""
        lengths = np.array([len(sequence) for sequence in sequences])
        starts = np.cumsum(lengths) - lengths
        by_length = np.argsort(-lengths, kind="stable")
        alive = [by_length[: np.count_nonzero(lengths > t)] for t in range(lengths.max(initial=0))]
        tokens = [sequences[i][t] for t, own in enumerate(alive) for i in own]
        read = self._all_states(
            self._weights, np.array(tokens, np.int32), np.array([len(own) for own in alive], np.int32)
        )
        at = np.concatenate([starts[own] + t for t, own in enumerate(alive)])
        cells, outputs = (np.empty(found.shape, np.float32) for found in read)
        cells[at], outputs[at] = read
        return cells, outputs


def _all_states(weights: Sequence[tf.Tensor], tokens: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the state after every piece of sequences, in the order of `tokens`.

    Args:
        weights: of the network.
        tokens: int32 [pieces]: the first piece of every sequence, then the second of those that have one, and so on.
        counts: int32 [steps]: how many have as many pieces; longer sequences come first.
    """
    hidden, embedding = weights[-1].shape

    def read(t: tf.Tensor, begin: tf.Tensor, cell: tf.Tensor, output: tf.Tensor, *kept: Any) -> tuple[Any, ...]:
        end = begin + counts[t]
        state = step(weights, tokens[begin:end], cell[: counts[t]], output[: counts[t]])
        return t + 1, end, *state, *(array.write(t, own) for array, own in zip(kept, state, strict=True))

    first = [tf.zeros([counts[0], size]) for size in (hidden, embedding)]
    kept = [tf.TensorArray(tf.float32, tf.size(counts), infer_shape=False) for _ in first]
    *_, cells, outputs = tf.while_loop(
        lambda t, *_: t < tf.size(counts),
        read,
        (0, 0, *first, *kept),
        (*[tf.TensorShape([])] * 2, *(tf.TensorShape([None, size]) for size in (hidden, embedding)), *[None] * 2),
    )
    return cells.concat(), outputs.concat()


def _probabilities(weights: Sequence[tf.Tensor], output: tf.Tensor) -> tf.Tensor:
    return tf.exp(log_probabilities(weights, output))


class _Read:
    """Messages as pieces.

    Attributes:
        sequences: the pieces of each message, its opening boundary first.
        targets: what follows each of them, the closing boundary last, message after message.
        token_starts: which target is a token's first piece, or a message's end.
        word_starts: which is a word's first piece.
    """

    def __init__(self, messages: Sequence[Sequence[Token]], vocabulary: Vocabulary) -> None:
        self.sequences: list[list[int]] = []
        self.targets: list[int] = []
        self.token_starts: list[int] = []
        self.word_starts: list[int] = []
        for message in messages:
            sequence = [BOUNDARY]
            for token in message:
                self.token_starts.append(len(self.targets))
                if token.is_word:
                    self.word_starts.append(len(self.targets))
                pieces = vocabulary.encode_symbol(token.symbol)
                self.targets.extend(pieces)
                sequence.extend(pieces)
            self.token_starts.append(len(self.targets))
            self.targets.append(BOUNDARY)
            self.sequences.append(sequence)


def _contexts(sequences: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Return the latest pieces up to each piece of every sequence."""
    return [tuple(own[max(0, end - CONTEXT) : end]) for own in sequences for end in range(1, len(own) + 1)]
