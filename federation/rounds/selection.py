"""How many phones a round lets in, from the drop-out that was seen: for the round server and for simulations.

Secure aggregation needs two thirds of a group's roster and one more phone to the end, so that letting in more phones
makes a round of one group only a little safer: the roster grows, and what it needs grows with it. Where a larger roster
is not enough, the round is split into groups, each a session of its own: it completes if one of them does.

Over-selection as in Bonawitz et al., Towards Federated Learning at Scale, MLSys 2019,
https://arxiv.org/abs/1902.01046, section 4.3, whose fixed 130 % this rule begins with.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from federation.protocol.steps import Step
from federation.secure_aggregation import MAX_COHORT, min_threshold
from federation.secure_aggregation.groups import count

UNSPLIT_PHONES = MAX_COHORT // 2
"""In a group at least, where nothing asks for smaller ones: cohorts of less than twice as many are one group."""

REMEMBERED_ROUNDS = 20
"""Latest rounds that drop-out is seen in."""

_COMPLETION = 0.97
"""Share of rounds that are to complete; stragglers that are cut off cost some of it."""

_TRIED = 50
"""Numbers of phones, and of sizes of groups, that are compared."""

_SPARE = 0.98
"""Certainty that those who uploaded are enough for the steps that follow."""


class Attendance(NamedTuple):
    """Of a step of a round that is closed.

    Attributes:
        came: phones that it was open to.
        took: phones that took it.
        late: phones that came after the server had stopped waiting for them: they did not drop out.
    """

    came: int
    took: int
    late: int = 0


@dataclass(frozen=True)
class Staying:
    """Shares of phones that stay: let in to roster, roster to upload, upload to the end."""

    join: float = 1.0
    upload: float = 1.0
    finish: float = 1.0

    @classmethod
    def seen(cls, rounds: Iterable[Mapping[Step, Attendance]]) -> "Staying | None":
        """Return what rounds that are over tell, rounded to percent; nothing if there was none."""
        took = dict.fromkeys(Step, 0)
        came = dict.fromkeys(Step, 0)
        for attended in rounds:
            for step, one in attended.items():
                came[step] += one.came
                took[step] += min(one.took + one.late, one.came)
        if not came[Step.ADVERTISE]:
            return None

        def share(*steps: Step) -> float:
            return round(math.prod(took[step] / came[step] for step in steps if came[step]), 2)

        return cls(share(Step.ADVERTISE), share(Step.SHARE, Step.UPLOAD), share(Step.CONFIRM, Step.UNMASK))


@dataclass(frozen=True)
class Selection:
    """Of a round.

    Attributes:
        max_phones: that are let in.
        group_phones: in a group, at least, if that many join.
    """

    max_phones: int
    group_phones: int = UNSPLIT_PHONES

    @property
    def max_group(self) -> int:
        """Phones in a group, at most."""
        return min(self.max_phones, 2 * self.group_phones - 1)


@lru_cache(maxsize=64)
def select(
    goal: int,
    minimum: int,
    staying: Staying | None,
    *,
    over_selection: float,
    max_over_selection: float,
    group_phones: int | None = None,
) -> Selection:
    """Return the fewest phones of which, as drop-out goes, a sum of about the goal comes in nearly every round.

    Args:
        goal: phones wanted in the sum.
        minimum: phones in the sum of a group, at least.
        staying: what was seen; nothing before the first round.
        over_selection: phones let in, as a multiple of the goal, at least, and while nothing was seen.
        max_over_selection: the same at most; if nothing up to it is enough, what is likeliest to complete.
        group_phones: in a group at least, if that is not for this rule to say.
    """
    first, last = (math.ceil(goal * factor) for factor in (over_selection, max(over_selection, max_over_selection)))
    whole = UNSPLIT_PHONES if group_phones is None else group_phones
    if staying is None or first == last:
        return Selection(first, whole)
    splits: range | list[int] = []
    if group_phones is None and goal < UNSPLIT_PHONES:
        splits = range(minimum, goal + 1, 1 + (goal - minimum) // _TRIED)
    likeliest, chance = Selection(first, whole), 0.0
    for phones in (*range(first, last, 1 + (last - first) // _TRIED), last):
        if phones * staying.join * staying.upload < goal and phones < last:
            continue
        for size in (whole, *(size for size in splits if 2 * size <= phones)):
            found = _completes(phones, size, minimum, staying)
            if found > chance + 1e-9:
                likeliest, chance = Selection(phones, size), found
        if chance >= _COMPLETION:
            break
    return likeliest


@lru_cache(maxsize=4096)
def enough_uploads(roster: int, minimum: int, finish: float) -> int:
    """Return how many of a group's phones have to upload so that those who stay afterwards are enough, nearly surely.

    Args:
        roster: phones that advertised keys.
        minimum: phones in the sum of a group, at least.
        finish: share of phones that stay to the end once they have uploaded.
    """
    threshold = min_threshold(roster)
    uploads = np.arange(roster + 1)
    sure = _at_least(uploads, threshold, finish) >= _SPARE
    return max(minimum, int(uploads[sure][0]) if sure.any() else roster)


def _completes(phones: int, size: int, minimum: int, staying: Staying) -> float:
    """Return the probability that at least one group of a round has a sum."""
    joined = np.arange(phones + 1)
    weights = _binomial(phones, staying.join)
    groups = np.array([count(each, size) for each in joined.tolist()])
    sizes, larger = np.divmod(joined, np.maximum(groups, 1))
    single = _group_completes(2 * max(size, phones // 2) + 1, minimum, staying.upload, staying.finish)
    fails = (1 - single[sizes]) ** (groups - larger) * (1 - single[sizes + 1]) ** larger
    return float(np.sum(weights * np.where(groups > 0, 1 - fails, 0.0)))


@lru_cache(maxsize=64)
def _group_completes(largest: int, minimum: int, upload: float, finish: float) -> npt.NDArray[np.float64]:
    """Return the probability that a group with a roster of 0, 1, ... `largest` has a sum."""
    found = np.zeros(largest + 2)
    for roster in range(1, min(largest, MAX_COHORT) + 1):
        threshold = min_threshold(roster)
        uploads = np.arange(max(threshold, minimum), roster + 1)
        found[roster] = np.sum(_binomial(roster, upload)[uploads] * _at_least(uploads, threshold, finish))
    found[MAX_COHORT + 1 :] = found[min(largest, MAX_COHORT)]  # there are none
    return found


def _at_least(trials: npt.NDArray[np.int64], wanted: int, share: float) -> npt.NDArray[np.float64]:
    """Return the probability of at least this many successes for each number of trials."""
    return np.array([np.sum(_binomial(each, share)[wanted:]) for each in trials.tolist()])


@lru_cache(maxsize=4096)
def _binomial(trials: int, share: float) -> npt.NDArray[np.float64]:
    """Return the probability of 0, 1, ... `trials` successes."""
    number = np.arange(trials + 1)
    if share in {0.0, 1.0}:
        return np.asarray(number == round(share * trials), np.float64)
    logs = np.array([math.lgamma(each + 1) for each in range(trials + 1)])
    ways = logs[trials] - logs[number] - logs[trials - number]
    logarithms = ways + number * math.log(share) + (trials - number) * math.log(1 - share)
    return np.asarray(np.exp(logarithms), np.float64)
