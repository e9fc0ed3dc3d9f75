"""Counting rounds: clients count the entries of a public list, and only the sum of their counts is learned.

A counting round has the plan, encoding, masks, noise and privacy account of a training round. Only its vector differs:
how often the client's messages hold each n-gram of the list, or its votes for words (`federation.rounds.voting`),
capped per entry and clipped in L2, so that one client moves the sum by a bounded length (as in federated analytics:
Zhu et al., "Federated Heavy Hitters Discovery with Differential Privacy", AISTATS 2020,
https://arxiv.org/abs/1902.08534, whose list is discovered instead of public). Counts of earlier rounds decay, so that
the sum follows the fleet. Encoding rotates the vector, which spreads the few large counts over all coordinates; its
rounding is a small fraction of a count.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

from federation.base.ranges import Natural, Positive, Range, Ranged, Share
from federation.privacy.mechanisms import NoiseScale, noised_encoding
from federation.protocol.plan import Mechanism, Privacy, RoundPlan
from federation.updates.encoding import Encoding, choose
from federation.updates.update import Tally, Update, clip
from model.counted_lists import CountedList

Counts = npt.NDArray[np.float32]  # [entries of the list]

_ROUNDING_THRESHOLD = 0.5
"""Sums below half an occurrence are rounding of the encoding."""


@dataclass(frozen=True, kw_only=True)
class CountingSettings(Ranged):
    """Settings of counting rounds.

    Attributes:
        every: Number of rounds of which one counts, the first one first; 0 is no counting.
        max_count: Maximum contribution of one client to one n-gram.
        clip: L2 bound of one client's counts.
        decay: Factor on the counts of earlier rounds when those of a new round are added, above 0 and at most 1.
    """

    every: Natural = 0
    max_count: Annotated[int, Range(1, 1 << 15)] = 8
    clip: Positive = 64.0
    decay: Share = 1.0

    def counts_in(self, round_id: int) -> bool:
        """Return whether a round, numbered from 1, counts instead of training."""
        return self.every > 0 and (round_id - 1) % self.every == 0

    def update(self, listed: CountedList, messages: Iterable[Sequence[int]]) -> Update:
        """Return one client's contribution.

        Args:
            listed: The public list.
            messages: Encoded messages of the client, without boundaries.

        Returns:
            The counts as a delta, float32 [entries], at most `clip` long; every client weighs the same.
        """
        return Update(clip(capped(listed, messages, self.max_count), self.clip), Tally(examples=1))

    def encoding(self, phones: int, minimum: int, privacy: Privacy, length: int) -> Encoding:
        """Return the encoding of a group's vectors: `phones` at most, `minimum` at least, of `length` n-grams.

        Raises:
            NoiseError: there is no room for the noise.
        """
        if privacy.mechanism is Mechanism.NONE:
            return choose(phones, self.clip, length)
        return noised_encoding(phones, minimum, privacy, self.clip, length)

    def added(self, before: Counts, total: Counts) -> Counts:
        """Return the counts after a round: those before it, decayed, and the round's sum."""
        result: Counts = (np.float32(self.decay) * before + total).astype(np.float32)
        return result


def capped(listed: CountedList, messages: Iterable[Sequence[int]], max_count: int) -> Counts:
    """Return what a list counts in encoded messages, at most `max_count` of each entry: float32 [entries]."""
    counts: Counts = np.minimum(listed.count(messages), max_count).astype(np.float32)
    return counts


def noise_variance(plan: RoundPlan, phones: int) -> float:
    """Return the variance of the noise on one counter of the sum of `phones` phones."""
    if plan.privacy.mechanism is Mechanism.NONE:
        return 0.0
    return NoiseScale.of(plan).phone_variance * phones * plan.encoding.step**2


def threshold(deviation: float, length: int) -> float:
    """Return the count below which an n-gram's sum is taken for noise.

    The universal threshold of Donoho and Johnstone (1994): of `length` counters that nobody contributed to, hardly any
    exceeds it.

    Args:
        deviation: Standard deviation of the noise on one counter; 0 for none.
        length: Number of n-grams in the list.
    """
    return max(_ROUNDING_THRESHOLD, deviation * math.sqrt(2 * math.log(max(length, 2))))
