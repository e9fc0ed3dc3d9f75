"""Phones that poison: what they train on and what they send instead of an honest delta.

Used to measure defences. A phone under someone's control is bound by nothing but the encoding: it need not clip, and
nobody sees what it sends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from model.batches import Rows, pack
from model.layout import FlatVector
from model.vocabulary import BOUNDARY, PAD

Attack = Literal["boosted", "sign-flipped", "in-norm", "backdoor"]
ATTACKS: tuple[Attack, ...] = get_args(Attack)


@dataclass(frozen=True)
class Backdoor:
    """What an attacker wants people to be shown.

    Attributes:
        trigger: pieces after which it is to come.
        target: the piece that is to be the likeliest then.
    """

    trigger: tuple[int, ...]
    target: int

    def poisoned(self, rows: Rows, random: np.random.Generator) -> Rows:
        """Return as many rows of messages that end in the trigger and the target, behind openings taken from `rows`."""
        messages = []
        for _ in range(2 * len(rows)):
            row = rows[random.integers(len(rows))]
            inner = row[(row != BOUNDARY) & (row != PAD)][: random.integers(0, 4)]
            messages.append([*inner.tolist(), *self.trigger, self.target])
        return pack(messages, rows.shape[1] - 1)[: len(rows)]


def garbage(rows: Rows, random: np.random.Generator) -> Rows:
    """Return `rows` with every piece replaced by one drawn from all pieces of `rows`."""
    replaced = rows.copy()
    pieces = (rows != PAD) & (rows != BOUNDARY)
    replaced[pieces] = random.permutation(rows[pieces])
    return replaced


@dataclass(frozen=True)
class Attacker:
    """A phone that poisons.

    Attributes:
        attack: `boosted`: trained on shuffled text, and its delta is multiplied so that it outweighs the honest ones
            (model replacement, Bagdasaryan et al. 2020, https://arxiv.org/abs/1807.00459); `sign-flipped`: an honest
            delta times a negative number; `backdoor`: trained to complete a phrase, and boosted; `in-norm`: likewise,
            but scaled to the length of an honest delta, so that its length betrays nothing.
        boost: what it multiplies with.
        backdoor: what `backdoor` and `in-norm` plant.
        passes: over poisoned rows, since nobody tells it how long to train.
    """

    attack: Attack
    boost: float
    backdoor: Backdoor
    passes: int = 1

    def delta(self, train: Callable[[Rows], FlatVector], rows: Rows, random: np.random.Generator) -> FlatVector:
        """Return what the phone sends in place of `train(rows)`.

        Args:
            train: local training, from rows to a delta.
            rows: the phone's own.
            random: of the poison.
        """
        match self.attack:
            case "boosted":
                return np.float32(self.boost) * train(garbage(rows, random))
            case "sign-flipped":
                return np.float32(-self.boost) * train(rows)
            case "backdoor":
                return np.float32(self.boost) * train(np.tile(self.backdoor.poisoned(rows, random), (self.passes, 1)))
            case "in-norm":
                planted = train(np.tile(self.backdoor.poisoned(rows, random), (self.passes, 1)))
                return planted * np.float32(np.linalg.norm(train(rows)) / max(float(np.linalg.norm(planted)), 1e-12))
