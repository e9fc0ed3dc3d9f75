"""How much an owner's phone listens to each part of its mixture: expectation maximisation, a message at a time.

The shipped weights are a prior that what the owner types slowly outweighs (Gauvain and Lee 1994); what was typed long
ago counts less and less. A handful of numbers, kept with the owner's own words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

_PRIOR_PIECES = 1000.0  # that the shipped weights are worth
_PRIOR_OWN = 10.0  # tokens that the owner's n-grams explained, likewise
_HALF_LIFE = 10_000.0  # pieces, or tokens, until something counts half
_MAX_FACTOR = 4.0


@dataclass
class Adaptation:
    """What an owner's text has told about the parts of the mixture.

    Attributes:
        explained: pieces that each shared part explained: network, public n-gram, counted n-gram; nothing at first.
        own: tokens that the owner's n-grams explained.
        own_expected: tokens that they were expected to explain.
    """

    explained: tuple[float, ...] = ()
    own: float = 0.0
    own_expected: float = 0.0

    @property
    def own_factor(self) -> float:
        """By how much the owner's n-grams explain more, or less, than they are expected to for anybody."""
        return min(_MAX_FACTOR, (_PRIOR_OWN + self.own) / (_PRIOR_OWN + self.own_expected))

    def weights(self, shipped: Sequence[float]) -> tuple[float, ...]:
        """Return the shared parts' weights for this owner; the shipped ones while nothing is known.

        Where counts came, or were taken back, what the n-grams explained is shared out among those that there are now.
        """
        explained = self._explained_by(shipped)
        total = _PRIOR_PIECES + sum(explained)
        return tuple((_PRIOR_PIECES * prior + own) / total for prior, own in zip(shipped, explained, strict=True))

    def observe(self, probabilities: Floats, shipped: Sequence[float]) -> None:
        """Note how well each shared part expected a message.

        Args:
            probabilities: [pieces, parts]: of what was typed.
            shipped: weights of the parts.
        """
        joint = probabilities * np.array(self.weights(shipped))
        joint = joint[joint.sum(axis=1) > 0]
        before = self._explained_by(shipped)
        found = (joint / joint.sum(axis=1, keepdims=True)).sum(axis=0)
        fade = _fade(len(probabilities))
        self.explained = tuple(float(fade * old + new) for old, new in zip(before, found, strict=True))

    def observe_own(self, shared: Floats, own: Floats, weights: Floats) -> None:
        """Note how well the owner's n-grams expected a message.

        Args:
            shared: [tokens]: probability of each token under the shared mixture.
            own: [tokens]: under the owner's n-grams.
            weights: [tokens]: share of the owner's n-grams, `own_factor` included.
        """
        joint = weights * own
        total = joint + (1 - weights) * shared
        found = np.divide(joint, total, out=np.zeros_like(joint), where=total > 0)
        fade = _fade(len(shared))
        self.own = float(fade * self.own + found.sum())
        self.own_expected = float(fade * self.own_expected + weights.sum() / self.own_factor)

    def _explained_by(self, shipped: Sequence[float]) -> tuple[float, ...]:
        """Return the pieces that each of these parts explained: the network, and n-grams in the shipped proportions."""
        if len(self.explained) == len(shipped):
            return self.explained
        if not self.explained:
            return (0.0,) * len(shipped)
        network, beside = self.explained[0], sum(self.explained[1:])
        shares = sum(shipped[1:])
        return (network, *(beside * share / shares if shares else 0.0 for share in shipped[1:]))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"explained": list(self.explained), "own": self.own, "own_expected": self.own_expected}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read what `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        found = cls(tuple(float(n) for n in values["explained"]), float(values["own"]), float(values["own_expected"]))
        if not all(np.isfinite(n) and n >= 0 for n in (*found.explained, found.own, found.own_expected)):
            raise ValueError("an adaptation has finite counts")
        return found


def _fade(count: int) -> float:
    return float(2 ** (-count / _HALF_LIFE))
