"""From pieces to words: the network as a `WordModel`, judging whole words of the lexicon at once.

A word's probability is that of its first piece times that of the rest. The first factor is exact for every word. The
rest is computed by the network for the likeliest unfinished first pieces; for the others, how often the public text
goes on that way stands in. Nothing is searched letter by letter: a prefix is a range of the sorted lexicon.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.checkpoint import Checkpoint
from model.evaluation import MessageScores
from model.network import log_probabilities, step
from model.text import Token
from model.vocabulary import BOUNDARY, PAD, UNKNOWN, Vocabulary

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_EXPANDED = 8  # unfinished first pieces that the network follows at each position
_LEAST = math.log(0.005)  # below this a first piece is not worth following
_UNSEEN_COUNT = 0.1  # of words that only the word list has
_UNKNOWN_PIECE = -math.log(65536)
_STEPS_AT_ONCE = 2048


class Spellings:
    """How the words of a lexicon are put together from pieces.

    Attributes:
        first: int [words]: first piece of each word.
        rest: float32 [words]: log share, in the public text, of this continuation and end among all of its first piece.
        unfinished: int [unfinished]: first pieces that also go on to longer words, sorted.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        pieces = [vocabulary.encode_symbol(word) for word in vocabulary.words]
        counts = np.array([vocabulary.lexicon[word] or _UNSEEN_COUNT for word in vocabulary.words])
        pairs: dict[tuple[int, ...], float] = {}
        for ids, count in zip(pieces, counts, strict=True):
            pairs[ids[:2]] = pairs.get(ids[:2], 0.0) + count
        self.first = np.array([ids[0] for ids in pieces])
        self.rest = np.log(counts / np.bincount(self.first, counts)[self.first]).astype(np.float32)
        self._second = np.array([ids[1] if len(ids) > 1 else PAD for ids in pieces])
        after_pair = [math.log(count / pairs[ids[:2]]) for ids, count in zip(pieces, counts, strict=True)]
        self._after_second = np.array(after_pair, np.float32)
        self.unfinished = np.unique(self.first[self._second != PAD])
        members = [np.flatnonzero(self.first == piece) for piece in self.unfinished]
        self._members = np.concatenate([*members, np.zeros(0, np.int64)])
        self._ends = np.cumsum([len(words) for words in members])

    def continuations(self, unfinished: Ints, after: Floats, ends: Floats) -> tuple[Ints, Ints, Floats]:
        """Score the words that begin with each of N unfinished pieces.

        Args:
            unfinished: [N] indices into `self.unfinished`.
            after: [N, size] log probabilities of the next piece after each.
            ends: [N] log probability that the word ends there.

        Returns:
            for every such word: which of the N it belongs to, the word, and the log probability of its rest.
        """
        sizes = np.diff(self._ends, prepend=0)[unfinished]
        which = np.repeat(np.arange(len(unfinished)), sizes)
        within = np.arange(len(which)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        words = self._members[np.repeat(self._ends[unfinished] - sizes, sizes) + within]
        second = self._second[words]
        rest = np.where(second == PAD, ends[which], after[which, second] + self._after_second[words])
        return which, words, rest


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
        return MessageScores(
            np.add.reduceat(losses, token_starts), self._word_scores(following[at], cells[at], outputs[at])
        )

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

    def _word_scores(self, following: Floats, cells: Floats, outputs: Floats) -> Floats:
        """Return log probabilities [positions, words] from those of the next piece and the states before it."""
        spellings = self._spellings
        scores = np.take(following, spellings.first, axis=1)
        scores += spellings.rest
        candidates = following[:, spellings.unfinished]
        likeliest = np.argsort(-candidates, axis=1)[:, :_EXPANDED]
        position = np.repeat(np.arange(len(following)), likeliest.shape[1])
        unfinished = likeliest.ravel()
        worth = candidates[position, unfinished] > _LEAST
        position, unfinished = position[worth], unfinished[worth]
        for start in range(0, len(position), _STEPS_AT_ONCE):
            at, index = position[start : start + _STEPS_AT_ONCE], unfinished[start : start + _STEPS_AT_ONCE]
            pieces = spellings.unfinished[index].astype(np.int32)
            _, output = self._step(self._weights, pieces, cells[at], outputs[at])
            after = self._log_probabilities(self._weights, output).numpy()
            ends = np.log(np.exp(after[:, self._vocabulary.starts_token]).sum(axis=1))
            which, words, rest = spellings.continuations(index, after, ends)
            scores[at[which], words] = candidates[at, index][which] + rest
        return scores
