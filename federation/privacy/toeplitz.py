"""Noise that is correlated over rounds by a Toeplitz matrix: what it hides, and what it leaves on sums of rounds.

Round t releases x_t + (C^-1 z)_t, where C is lower triangular and constant along its diagonals, and z is independent
noise of deviation one. Nobody learns more from it than from C x + z, whatever model each round trained (Denisov et al.
2022, https://arxiv.org/abs/2202.08312), so that a phone moves it by the sum of the columns of its rounds.

A matrix is given by the first column, its coefficients. Fresh noise is the identity: one coefficient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from federation.privacy.errors import AssumptionError
from model.wording import in_words

Coefficients = npt.NDArray[np.float64]


def banded_square_root(rounds: int, bands: int) -> Coefficients:
    """Return float64[rounds]: the square root of the matrix of prefix sums, cut after `bands` diagonals.

    Kalinin and Lampert 2024, https://arxiv.org/abs/2405.13763.
    """
    index = np.arange(1, min(bands, rounds))
    coefficients = np.zeros(rounds)
    coefficients[: min(bands, rounds)] = np.cumprod(np.concatenate([[1.0], (2 * index - 1) / (2 * index)]))
    return coefficients


def squared_sensitivity(coefficients: Coefficients, times: Sequence[int]) -> float:
    """Return the squared length of the sum of the columns of these rounds, counted from 0."""
    moved = np.zeros_like(coefficients)
    for time in times:
        moved[time:] += coefficients[: len(moved) - time]
    return float(np.square(moved).sum())


def prefix_variances(coefficients: Coefficients) -> Coefficients:
    """Return float64[rounds], the variance of the noise on the sum of the first 1, 2, ... rounds."""
    inverse = np.zeros_like(coefficients)
    inverse[0] = 1 / coefficients[0]
    for index in range(1, len(coefficients)):
        inverse[index] = -np.dot(coefficients[1 : index + 1], inverse[:index][::-1]) / coefficients[0]
    return np.asarray(np.cumsum(np.square(np.cumsum(inverse))))


@dataclass(frozen=True)
class Buffers:
    """A buffered linear Toeplitz matrix (BLT): coefficients 1 and sum over j of scale_j decay_j^(i - 1), i from 1.

    Noise of it streams: what a round adds follows from as many vectors as there are buffers, whatever the number of
    rounds (Dvijotham et al. 2024, https://arxiv.org/abs/2404.16706; McMahan et al. 2024,
    https://arxiv.org/abs/2408.08868). Without buffers it is the identity: fresh noise.

    Attributes:
        decays: of each buffer, at least 0 and below 1, all different.
        scales: of each buffer, positive; their sum is at most 1, so that the coefficients fall.
    """

    decays: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "decays", tuple(self.decays))
        object.__setattr__(self, "scales", tuple(self.scales))
        if len(self.decays) != len(self.scales) or len(set(self.decays)) != len(self.decays):
            raise AssumptionError(f"each buffer has a decay of its own and a scale: {in_words(self)}")
        if not all(0 <= decay < 1 for decay in self.decays) or not all(scale > 0 for scale in self.scales):
            raise AssumptionError(f"decays are at least 0 and below 1, scales are positive: {in_words(self)}")
        if sum(self.scales) > 1:
            raise AssumptionError(f"scales of buffers add up to at most 1, not {sum(self.scales):g}")

    @property
    def count(self) -> int:
        """Of buffers."""
        return len(self.decays)

    @property
    def name(self) -> str:
        """In words."""
        return f"Gaussian, correlated over rounds by a BLT of {self.count} buffers" if self.count else "Gaussian"

    def coefficients(self, rounds: int) -> Coefficients:
        """Return the first column, float64[rounds]."""
        powers = np.array(self.decays) ** np.arange(rounds - 1)[:, None]  # [rounds - 1, buffers]
        return np.concatenate([[1.0], powers @ np.array(self.scales)])

    def squared_sensitivity(self, times: Sequence[int], rounds: int) -> float:
        """Return the squared length of the sum of the columns of some rounds, in closed form.

        For at most k rounds that are b apart or more it is largest at 0, b, 2 b, ..., since coefficients fall and are
        not negative (Kalinin and Lampert 2024, theorem 2).

        Args:
            times: of the rounds, from 0, each below `rounds`.
            rounds: of the run.
        """
        ordered = sorted(set(times))
        if ordered and not 0 <= ordered[0] <= ordered[-1] < rounds:
            raise AssumptionError(f"participations are in rounds 0 to {rounds - 1}, not {ordered[0]} to {ordered[-1]}")
        decays, scales = np.array(self.decays), np.array(self.scales)
        both = np.multiply.outer(decays, decays)
        held, squared = np.zeros(self.count), 0.0  # what the buffers hold of the phone before a row
        for time, following in pairwise([*ordered, rounds]):
            gap = following - time - 1
            squared += (1 + float(scales @ held)) ** 2
            held = decays * held + 1
            moved = scales * held
            squared += float(moved @ ((1 - both**gap) / (1 - both)) @ moved)
            held = held * decays**gap
        return squared

    def prefix_variances(self, rounds: int) -> Coefficients:
        """Return float64[rounds], the variance of the noise on the sum of the first 1, 2, ... rounds."""
        if not self.count:
            return np.arange(1.0, rounds + 1)
        # The inverse is a BLT too, of the eigenvalues of the state's map.
        root = np.sqrt(self.scales)
        decays, vectors = np.linalg.eigh(np.diag(self.decays) - np.outer(root, root))
        scales = np.square(vectors.T @ root)
        powers = np.power(decays, np.arange(rounds)[:, None])  # [rounds, buffers]
        left = 1 - (1 - powers) / (1 - decays) @ scales
        return np.asarray(np.cumsum(np.square(left)))
