"""Noise on a binary tree over the rounds (DP-FTRL, Kairouz et al. 2021), to compare with: the project had it once.

https://arxiv.org/abs/2103.00039. A node over 2^level rounds has noise of its own; a model carries the noise of the
complete nodes that its rounds are made of.
"""

from functools import cache

import numpy as np

from federation.privacy.participation import Participation


def squared_sensitivity(participation: Participation) -> int:
    """Return the largest sum of squared participations over the complete nodes of one tree.

    It is exact. Nodes of at most `min_separation` rounds hold a phone once, so a participation may be moved to an
    earlier round within the same larger nodes without loss: each stands as early as its predecessor allows, or at the
    start of the smallest node that can hold a phone twice. The search takes long beyond a dozen participations.
    """
    rounds, separation = participation.rounds, participation.min_separation
    levels = rounds.bit_length()
    shared = min(separation.bit_length(), levels)  # the lowest level at which a node may hold a phone twice
    starts = range(0, rounds, 1 << shared)

    def complete(position: int, level: int) -> bool:
        return ((position >> level) + 1) << level <= rounds

    @cache
    def best(left: int, earliest: int, last: int, counts: tuple[int, ...]) -> int:
        if left == 0:
            return 0
        largest = 0
        for now in {earliest, *(start for start in starts if start >= earliest)}:
            if now >= rounds:
                continue
            gain = sum(complete(now, level) for level in range(shared))
            held = []
            for index, level in enumerate(range(shared, levels)):
                before = counts[index] if last >= 0 and last >> level == now >> level else 0
                held.append(before + 1)
                gain += (2 * before + 1) * complete(now, level)
            largest = max(largest, gain + best(left - 1, now + separation, now, tuple(held)))
        return largest

    return best(participation.max_participations, 0, -1, (0,) * (levels - shared))


def noise_on_models(participation: Participation) -> float:
    """Return the root mean square over rounds of the noise on the sum of the rounds so far, at unit sensitivity."""
    nodes = [number.bit_count() for number in range(1, participation.rounds + 1)]
    return float(np.sqrt(squared_sensitivity(participation) * np.mean(nodes)))


def averaged_noise_on_models(participation: Participation) -> float:
    """Return the same where each node is averaged with those below it (Honaker 2015)."""
    numbers = np.arange(1, participation.rounds + 1)
    levels = [1 / (2 - 2.0**-level) * (numbers >> level & 1) for level in range(participation.rounds.bit_length())]
    return float(np.sqrt(squared_sensitivity(participation) * np.mean(np.sum(levels, axis=0))))
