"""Fine-tuning on the phone: personal weights, kept only if they predict the user's own later text better.

Wang et al. 2019, "Federated evaluation of on-device personalization" (https://arxiv.org/abs/1910.10252), with the gate
that they call for: a user who would be harmed keeps the shared model.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model.batches import Rows
from model.engine import TRAINING_BATCH, Trainer
from model.evaluation import Totals
from model.evaluation.metrics import ratio_with_error
from model.layout import FlatVector


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """How a phone trains for its own user.

    Attributes:
        epochs: passes over the user's earlier text.
        learning_rate: of gradient descent.
        gradient_norm: L2 norm to which a longer gradient is cut.
        dropout: share of units set to zero.
        min_gain: nats a token by which the later text must be predicted better.
        certainty: standard errors, over rows of text, by which the gain must exceed zero.
    """

    epochs: int = 3
    learning_rate: float = 0.5
    gradient_norm: float = 1.0
    dropout: float = 0.25
    min_gain: float = 0.01
    certainty: float = 2.0


@dataclass(frozen=True, eq=False)
class FineTuned:
    """What came of it.

    Attributes:
        weights: the personal ones, float32 [parameters]; None if the shared ones are better.
        before: the later text under the shared weights.
        after: the same under the personal ones.
    """

    weights: FlatVector | None
    before: Totals
    after: Totals


def fine_tune(
    trainer: Trainer,
    shared: FlatVector,
    earlier: Rows,
    later: Rows,
    options: FineTuning,
    *,
    seed: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
) -> FineTuned:
    """Train on a user's earlier text and decide on the later one. The trainer ends with the weights that were better.

    Args:
        trainer: any weights; it gets the shared ones first.
        shared: float32 [parameters].
        earlier: rows to train on.
        later: rows to decide on, of text that came after; without any the shared weights are kept.
        options: how.
        seed: of the order and of dropout.
        should_stop: asked after every batch; once it says yes, the shared weights are kept.
    """
    random = np.random.default_rng(seed)
    trainer.set_weights(shared)
    before = _row_by_row(trainer, later)
    stopped = not len(earlier) or not len(later)
    for _ in range(options.epochs):
        order = random.permutation(len(earlier))
        for start in range(0, len(order), TRAINING_BATCH):
            stopped = stopped or should_stop()
            if stopped:
                break
            trainer.train(
                earlier[order[start : start + TRAINING_BATCH]],
                learning_rate=options.learning_rate,
                gradient_norm=options.gradient_norm,
                dropout=options.dropout,
                random=random,
            )
    after = before if stopped else _row_by_row(trainer, later)
    kept = not stopped and _is_better(before, after, options)
    if not kept:
        trainer.set_weights(shared)
    return FineTuned(trainer.weights() if kept else None, _sum(before), _sum(after))


def _row_by_row(trainer: Trainer, rows: Rows) -> list[Totals]:
    return [trainer.evaluate(rows[i : i + 1]) for i in range(len(rows))]


def _sum(totals: list[Totals]) -> Totals:
    return sum(totals, Totals(0.0, 0.0, 0.0))


def _is_better(before: list[Totals], after: list[Totals], options: FineTuning) -> bool:
    """Return whether the loss fell by enough, and by more than chance."""
    targets = np.array([totals.targets for totals in before])
    gains = np.array([old.loss - new.loss for old, new in zip(before, after, strict=True)])
    if not np.isfinite(gains).all():
        return False
    gain, error = ratio_with_error(gains, targets)
    return gain >= options.min_gain and gain > options.certainty * error  # never, where either is NaN
