"""How well shared models predict the user's own text, by the project's one definition of every metric."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.engine import Predictor
from model.evaluation import Evaluation, MessageScores, compare, evaluate
from model.mixture import Mixture
from model.next_words import MixtureNextWords
from model.spellings import Spellings
from model.text import Token, tokenise
from model.vocabulary import Vocabulary

MIN_WORDS = 20
"""Fewer words of text say nothing."""

MAX_LOSS_RISE = 0.1
"""Of the app's own model, relative: one that costs its owner more bits a character than this was not made by rounds."""

_STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class Measured:
    """How well a model did.

    Attributes:
        top1, top3: share of words that stood first, or among three, before a letter was typed; 0 to 1.
        words: that this was measured on.
    """

    top1: float
    top3: float
    words: int


@dataclass(frozen=True)
class Verdict:
    """Two models on the same text.

    Attributes:
        old, new: how each did.
        clearly_worse: whether the new one costs more bits a character or saves fewer keystrokes, by more than chance
            explains.
    """

    old: Measured
    new: Measured
    clearly_worse: bool


class EngineWordModel:
    """The phone's network, with the n-grams beside it, as a `model.evaluation.WordModel`.

    Args:
        predictor: the network.
        vocabulary: of it.
        spellings: of the vocabulary.
        mixture: the n-grams, and how much they say; by default nothing.
        name: for messages.
    """

    def __init__(
        self,
        predictor: Predictor,
        vocabulary: Vocabulary,
        spellings: Spellings,
        mixture: Mixture | None = None,
        *,
        name: str,
    ) -> None:
        self.name = name
        self.words = vocabulary.words
        self._vocabulary = vocabulary
        self._next = MixtureNextWords(predictor, vocabulary, mixture, spellings)

    def score(self, messages: Sequence[Sequence[Token]]) -> MessageScores:
        """See `WordModel.score`; what an unknown piece stands for costs nothing, for every model alike."""
        losses: list[float] = []
        scores = []
        for message in messages:
            for position, token in enumerate(message):
                if token.is_word:
                    scores.append(self._next.probabilities(message[:position]))
            pieces = [len(self._vocabulary.encode_symbol(token.symbol)) for token in message]
            starts = np.cumsum([0, *pieces])
            losses.extend(np.add.reduceat(np.log(self._next.piece_probabilities(message)), starts).tolist())
        words = np.stack(scores) if scores else np.zeros((0, len(self.words)), np.float32)
        return MessageScores(np.array(losses, np.float32), words)


def measure(model: EngineWordModel, texts: Sequence[str]) -> Evaluation:
    """Evaluate a model on messages, each by itself: they are the units of the standard error."""
    messages = {f"{number}": [tokenise(text)] for number, text in enumerate(texts)}
    return evaluate(model, messages, fixed_vocabulary=frozenset())


def judge(old: Evaluation, new: Evaluation) -> Verdict | None:
    """Compare two models on the same messages; None if these have fewer than `MIN_WORDS` words."""
    words = int(new.counts["words"].sum())
    if words < MIN_WORDS:
        return None
    bits, saved = compare(old, new, "bits_per_character"), compare(old, new, "ksr")
    dearer = bits.difference > _STANDARD_ERRORS * bits.standard_error
    in_the_way = -saved.difference > _STANDARD_ERRORS * saved.standard_error  # words alone change no bits
    return Verdict(_measured(old, words), _measured(new, words), clearly_worse=dearer or in_the_way)


def loss_rise(shipped: Evaluation, new: Evaluation) -> float | None:
    """Return by how much a model costs more bits a character than the app's own, relative, less what chance explains.

    None if the messages have fewer than `MIN_WORDS` words; nan or infinite if the model cannot be measured.
    """
    if int(new.counts["words"].sum()) < MIN_WORDS:
        return None
    found = compare(shipped, new, "bits_per_character")
    return (found.difference - _STANDARD_ERRORS * found.standard_error) / shipped.value("bits_per_character")


def _measured(evaluation: Evaluation, words: int) -> Measured:
    return Measured(evaluation.value("top1") / 100, evaluation.value("top3") / 100, words)
