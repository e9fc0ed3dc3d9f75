"""One distribution over pieces from several: the network, a public n-gram, and one counted by many phones.

Linear interpolation with weights that do not depend on the context (Jelinek and Mercer 1980), fitted by expectation
maximisation. What the owner of a phone typed is mixed in on top of it, word by word: `model.suggestions.personal`.
"""

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from model import files
from model.counts import COUNTS, CountedNgram
from model.ngram_table import FILES as NGRAM_FILES
from model.ngram_table import MAX_ORDER, NgramTable
from model.wording import DAMAGE, fault

Floats = npt.NDArray[np.float32]

CONTEXT = MAX_ORDER - 1
"""Pieces of context that n-grams look at."""

WEIGHTS = "mixture.json"
FILES = (WEIGHTS, *NGRAM_FILES, COUNTS)
"""What a mixture may consist of on disk, beside the network."""

NETWORK_ALONE = (1.0,)


class MixtureError(ValueError):
    """The parts of a mixture are missing, damaged, or do not fit together."""


@dataclass(frozen=True)
class Mixture:
    """N-grams that stand beside a network, and how much each says.

    Attributes:
        weights: of the network and of each of `tables`, in this order; they add up to 1.
        public: n-gram of public text.
        counted: n-gram of what phones counted together; its n-grams are some of those of `public`.

    Raises:
        ValueError: weights are negative, do not add up to 1, or are of another number.
    """

    weights: tuple[float, ...] = NETWORK_ALONE
    public: NgramTable | None = None
    counted: CountedNgram | None = None
    tables: tuple[NgramTable, ...] = field(init=False)

    def __post_init__(self) -> None:
        if self.counted is not None and self.public is None:
            raise ValueError("what phones counted is about n-grams of the public one, which is missing")
        counted = () if self.counted is None else (self.counted.table,)
        object.__setattr__(self, "tables", () if self.public is None else (self.public, *counted))
        if len(self.weights) != 1 + len(self.tables):
            raise ValueError(f"a mixture of {1 + len(self.tables)} parts has as many weights, not {len(self.weights)}")
        if not all(weight >= 0 for weight in self.weights) or not math.isclose(sum(self.weights), 1, abs_tol=1e-6):
            raise ValueError("the weights of a mixture must not be negative and must add up to 1")

    def of_size(self, size: int) -> bool:
        """Return whether all parts are about this many pieces."""
        return all(table.size == size for table in self.tables)

    def mixed(self, network: Floats, contexts: Sequence[Sequence[int]]) -> Floats:
        """Return the mixture's probabilities of every piece, float32 [positions, size].

        Args:
            network: float32 [positions, size], the network's; may be changed.
            contexts: the latest pieces before each position, oldest first: `CONTEXT` of them, or fewer where the
                message's opening boundary comes first.
        """
        if not self.tables:
            return network
        network *= np.float32(self.weights[0])
        for weight, table in zip(self.weights[1:], self.tables, strict=True):
            if weight:
                distributions = table.distributions(contexts)
                distributions *= np.float32(weight)
                network += distributions
        return network

    def with_weights(self, weights: Sequence[float]) -> Self:
        """Return the same parts with other weights."""
        return dataclasses.replace(self, weights=tuple(float(weight) for weight in weights))

    def beginning_with_counts(self, counted: CountedNgram) -> Self:
        """Return this mixture with other counts: weights to start fitting from.

        Counts where there were none say as much as the public n-gram; others take the place of those before them.

        Raises:
            ValueError: there is no public n-gram.
        """
        if self.counted is not None:
            return self.with_counts(counted, self.weights)
        beside = sum(self.weights[1:]) / 2
        return self.with_counts(counted, (self.weights[0], beside, beside))

    def with_counts(self, counted: CountedNgram, weights: Sequence[float]) -> Self:
        """Return this mixture with another counted part and weights for all parts."""
        return dataclasses.replace(self, counted=counted, weights=tuple(float(weight) for weight in weights))

    def save(self, directory: Path) -> None:
        """Write the parts that there are into an existing folder; nothing for a network alone."""
        if self.public is None:
            return
        self.public.save(directory)
        if self.counted is not None:
            self.counted.save(directory)
        (directory / WEIGHTS).write_text(json.dumps({"weights": self.weights}))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what `save` wrote; a folder without n-grams is a network alone.

        Raises:
            MixtureError: a part is damaged or missing.
        """
        if not any((directory / name).exists() for name in FILES):
            return cls()
        try:
            weights = tuple(float(weight) for weight in json.loads(files.read(directory / WEIGHTS))["weights"])
            public = NgramTable.load(directory)
            counted = CountedNgram.load(directory, public) if (directory / COUNTS).exists() else None
            return cls(weights, public, counted)
        except DAMAGE as error:
            raise MixtureError(
                f"the n-grams in {directory} cannot be used: export the model again ({fault(error)})"
            ) from error


def fit_weights(
    probabilities: npt.NDArray[np.floating[Any]], *, start: Sequence[float] | None = None, prior: float = 0.0
) -> tuple[float, ...]:
    """Return the interpolation weights under which what was typed is likeliest, by expectation maximisation.

    Args:
        probabilities: float [positions, parts], of what stood at each position under each part.
        start: weights to begin with, and what the prior expects; by default all alike.
        prior: how many positions `start` is worth (Gauvain and Lee 1994).

    Raises:
        ValueError: there is neither text nor a prior, or a position is impossible under all parts.
    """
    positions, parts = probabilities.shape
    believed = np.full(parts, 1 / parts) if start is None else np.array(start, np.float64)
    if not positions and not prior:
        raise ValueError("weights cannot be fitted without text")
    weights = believed
    for _ in range(200):
        joint = probabilities * weights
        total = joint.sum(axis=1, keepdims=True)
        if not (total > 0).all():
            raise ValueError("weights cannot be fitted to text that no part of a mixture expects")
        updated = ((joint / total).sum(axis=0) + prior * believed) / (positions + prior)
        moved = float(np.abs(updated - weights).max())
        weights = updated
        if moved < 1e-6:
            break
    return tuple(float(weight) for weight in weights / weights.sum())
