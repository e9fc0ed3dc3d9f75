"""Local training: what was typed on a device, in; a weighted delta of the model, out."""

import secrets
import time
from collections.abc import Callable, Sequence

import numpy as np

from federation.device.errors import TooLittleError
from federation.protocol import model_codec as codec
from federation.protocol.task import CountingTask, DeviceClass, TrainingTask
from federation.rounds.counting import capped
from federation.updates.frozen_rows import FrozenRows
from federation.updates.transforms import Freeze
from federation.updates.update import Tally, Update
from model.batches import Rows, pack, targets_in
from model.counted_lists import CountedLists
from model.engine import TRAINING_BATCH, Trainer
from model.evaluation import Totals
from model.ngram_table import NgramTable
from model.text import tokenise
from model.vocabulary import Vocabulary


class LocalTraining:
    """Trains as a round's task says, within the budget of the device's class.

    Args:
        trainer: of the network; its weights are replaced.
        vocabulary: of the network.
        texts: returns the messages to learn from, oldest first.
        device_class: whose budget holds.
        min_rows: with fewer rows of text the phone leaves the round.
        max_steps: batches that the device can do, whatever more the server allows, of this many batches and tokens.
        monotonic: seconds, for the budget.
        public: public n-gram, which the list of counting rounds follows from; candidates are the vocabulary's.
    """

    def __init__(
        self,
        trainer: Trainer,
        vocabulary: Vocabulary,
        texts: Callable[[], Sequence[str]],
        *,
        device_class: DeviceClass = "middle",
        min_rows: int = 1,
        max_steps: Callable[[int, int], int] = lambda batches, _: batches,
        monotonic: Callable[[], float] = time.monotonic,
        public: NgramTable | None = None,
    ) -> None:
        self._trainer = trainer
        self._vocabulary = vocabulary
        self._texts = texts
        self._device_class = device_class
        self._min_rows = min_rows
        self._max_steps = max_steps
        self._monotonic = monotonic
        self._public = public

    def __call__(self, weights: bytes, task: TrainingTask) -> Update:
        """Return what was learnt from `weights`, a whole number of little-endian float32, or what was counted.

        Raises:
            TooLittleError: too little was typed.
            ValueError: the weights are not the network's, training diverged, or there is no list to count.
        """
        if task.counting is not None:
            return self._counted(task.counting)
        rows = pack(self._vocabulary.encode(tokenise(text)) for text in self._texts())
        if len(rows) < self._min_rows:
            raise TooLittleError(f"{len(rows)} rows of text are too few to learn from: {self._min_rows} are needed")
        start = codec.from_bytes(weights)
        self._trainer.set_weights(start)
        random = np.random.default_rng(secrets.randbits(128))
        trained, before = self._train(rows, task, random)
        delta = self._trainer.weights() - start
        if not np.isfinite(delta).all():
            raise ValueError("training diverged: leave this round out")
        frozen = FrozenRows.of(self._trainer.network, self._vocabulary.piece_frequencies, task.min_frequency)
        tally = Tally(trained, int(before.targets), before.loss, int(before.hits))
        return Freeze(frozen)(Update(delta, tally))

    def _counted(self, counting: CountingTask) -> Update:
        """Return what a list of the app counts in what was typed, capped; the plan's codec clips it."""
        if self._public is None:
            raise ValueError("this app has no list of n-grams to count")
        listed = CountedLists.of(self._public, self._vocabulary).named(counting.list_sha256)
        if listed is None:
            raise ValueError("the server asks to count another list than this app's")
        texts = self._texts()
        if not texts:
            raise TooLittleError("nothing was typed that could be counted")
        messages = (self._vocabulary.encode(tokenise(text)) for text in texts)
        return Update(capped(listed, messages, counting.max_count), Tally(examples=1))

    def _train(self, rows: Rows, task: TrainingTask, random: np.random.Generator) -> tuple[int, Totals]:
        """Return how many different rows were trained on, and their totals before."""
        budget = task.budgets[self._device_class]
        ends = self._monotonic() + budget.seconds
        batches = task.training.epochs * -(-len(rows) // TRAINING_BATCH)
        most = min(budget.steps, self._max_steps(batches, task.training.epochs * targets_in(rows)))
        chosen = rows[random.permutation(len(rows))[: most * TRAINING_BATCH]]
        before = self._trainer.evaluate(chosen)
        steps = 0
        for _ in range(task.training.epochs):
            order = random.permutation(len(chosen))
            for first in range(0, len(order), TRAINING_BATCH):
                if steps == most or self._monotonic() >= ends:
                    return min(steps * TRAINING_BATCH, len(chosen)), before
                self._trainer.train(
                    chosen[order[first : first + TRAINING_BATCH]],
                    learning_rate=task.training.learning_rate,
                    gradient_norm=task.training.gradient_norm,
                    dropout=task.training.dropout,
                    random=random,
                )
                steps += 1
        return len(chosen), before
