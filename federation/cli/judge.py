"""Evaluations on one corpus, wired for the commands and the benchmarks: the same users, words and n-grams for all."""

from collections.abc import Callable
from typing import Literal

from rich.progress import Progress

import data
from federation.simulation.prepare import flat, tokenised
from model.checkpoint import Checkpoint
from model.evaluation import Evaluation, WordModel
from model.evaluation import evaluate as measure
from model.network_words import NetworkWordModel
from model.ngram import NgramWordModel

NgramText = Literal["seed", "central"]


class Judge:
    """Measures models on the same users of a corpus.

    Args:
        corpus: `chitchat` or a path.
        part: of the split: `held_out`, `validation` or `test`.
        most_users: only the first so many users; None is all.
    """

    def __init__(self, corpus: str, *, part: str = "held_out", most_users: int | None = None) -> None:
        self._split = data.split(data.load(corpus))
        chosen = dict(list(getattr(self._split, part).items())[:most_users])
        self.users = tokenised(chosen)
        self._words = sum(token.is_word for messages in self.users.values() for m in messages for token in m)
        seed = flat(tokenised(self._split.seed))
        self.vocabulary = frozenset(token.symbol for message in seed for token in message if token.is_word)

    def network(self, checkpoint: Checkpoint, *, name: str) -> Evaluation:
        """Measure a trained network."""
        return self._measure(NetworkWordModel(checkpoint, name=name))

    def ngram(self, text: NgramText, *, order: int = 5) -> Evaluation:
        """Measure an n-gram trained on the public seed, or on that and all clients' training text."""
        messages = list(flat(tokenised(self._split.seed)))
        if text == "central":
            messages += flat(tokenised(self._split.train))
        return self._measure(NgramWordModel.train(messages, order=order, name=f"{order}-gram {text}"))

    def _measure(self, model: WordModel) -> Evaluation:
        with Progress(transient=True) as bar:
            task = bar.add_task(f"evaluating {model.name}", total=self._words)
            advance: Callable[[int], None] = lambda words: bar.advance(task, words)  # noqa: E731
            return measure(model, self.users, fixed_vocabulary=self.vocabulary, progress=advance)
