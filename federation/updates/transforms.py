"""What a phone does to its delta before it is encoded, as a list of steps applied in order.

The same list is applied on phones, in the simulation and in benchmarks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from federation.updates.frozen_rows import FrozenRows
from federation.updates.sparsification import Sampler
from federation.updates.update import Update, clip

Transform = Callable[[Update], Update]


@dataclass(frozen=True, eq=False)
class Freeze:
    """Zeroes what rounds may not change.

    Attributes:
        rows: Rows of rare pieces.
    """

    rows: FrozenRows

    def __call__(self, update: Update) -> Update:
        """Return the protected update."""
        return replace(update, delta=self.rows.protect(update.delta))


@dataclass(frozen=True, eq=False)
class Sparsify:
    """Keeps a random subset of the coordinates, scaled up so that its expectation is the whole.

    Attributes:
        sampler: Map of the round's subset.
    """

    sampler: Sampler

    def __call__(self, update: Update) -> Update:
        """Return the thinned update."""
        return replace(update, delta=self.sampler.apply(update.delta))


@dataclass(frozen=True)
class Clip:
    """Scales a longer delta down (McMahan et al. 2018, https://arxiv.org/abs/1710.06963).

    Attributes:
        norm: Largest L2 norm of a delta.
    """

    norm: float

    def __call__(self, update: Update) -> Update:
        """Return the clipped update, which says whether it was within the norm."""
        clipped = clip(update.delta, self.norm)
        # `clip` hands on what it need not shorten.
        return Update(clipped, replace(update.tally, unclipped=int(clipped is update.delta)))


@dataclass(frozen=True)
class Weigh:
    """Weighs a delta by its examples, as a share of the most that count.

    Attributes:
        cap: Number of examples that count at most; 1 weighs all phones alike.
    """

    cap: int

    def __call__(self, update: Update) -> Update:
        """Return the weighted update, whose examples are those that count."""
        examples = min(update.tally.examples, self.cap)
        weighted = update.delta * np.float32(examples / self.cap)
        return Update(weighted, replace(update.tally, examples=examples))


def transformed(update: Update, transforms: Iterable[Transform]) -> Update:
    """Return an update after all steps."""
    for transform in transforms:
        update = transform(update)
    return update
