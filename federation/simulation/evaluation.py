"""Evaluations on one corpus: the same users, words and n-grams for every model."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from data.corpus import Split
from federation.simulation.prepare import flat, tokenised
from model.checkpoint import Checkpoint
from model.evaluation import Evaluation, WordModel, evaluate, together
from model.evaluation.own_words import OwnWordModel
from model.network_words import NetworkWordModel
from model.ngram_words import NgramWordModel
from model.suggestions import PersonalModel

NgramText = Literal["seed", "central"]
Show = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Given what is done and how many words it will take, yields a callback for the number of words just done."""


@contextmanager
def _silent(_what: str, _words: int) -> Iterator[Callable[[int], None]]:
    yield lambda _: None


class Evaluator:
    """Measures models on the same users of a corpus.

    Args:
        split: the corpus's users by role.
        part: whom to judge on: `held_out`, `validation` or `test`.
        every: only every n-th user.
        max_users: at most this many of these; None is all.
        show: shows progress.
    """

    def __init__(
        self,
        split: Split,
        *,
        part: str = "held_out",
        every: int = 1,
        max_users: int | None = None,
        show: Show = _silent,
    ) -> None:
        self._split, self._show = split, show
        self.users = tokenised(dict(list(getattr(split, part).items())[::every][:max_users]))
        self._words = sum(token.is_word for messages in self.users.values() for m in messages for token in m)
        seed = flat(tokenised(split.seed))
        self._vocabulary = frozenset(token.symbol for message in seed for token in message if token.is_word)

    def network(self, checkpoint: Checkpoint, *, name: str) -> Evaluation:
        """Measure a trained network."""
        return self._measure(NetworkWordModel(checkpoint, name=name))

    def network_with_own_words(self, checkpoint: Checkpoint, *, name: str) -> Evaluation:
        """Measure a trained network on a phone that learns its user's words and n-grams, message after message."""
        shared, parts = NetworkWordModel(checkpoint, name=name), []
        with self._show(f"evaluating {name}", self._words) as advance:
            for user, messages in self.users.items():
                words = {token.symbol for message in messages for token in message if token.symbol[0].isalnum()}
                model = OwnWordModel(shared, PersonalModel(shared.words), words, name=name)
                own = {user: messages}
                parts.append(evaluate(model, own, fixed_vocabulary=self._vocabulary, progress=advance))
        return together(name, parts)

    def ngram(self, text: NgramText, *, order: int = 5) -> Evaluation:
        """Measure an n-gram trained on the public seed, or on that and all clients' training text."""
        messages = list(flat(tokenised(self._split.seed)))
        if text == "central":
            messages += flat(tokenised(self._split.train))
        return self._measure(NgramWordModel.train(messages, order=order, name=f"{order}-gram {text}"))

    def _measure(self, model: WordModel) -> Evaluation:
        with self._show(f"evaluating {model.name}", self._words) as advance:
            return evaluate(model, self.users, fixed_vocabulary=self._vocabulary, progress=advance)
