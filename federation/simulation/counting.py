"""Counting rounds over simulated clients: the arithmetic of phones and round server, without masks, which cancel."""

import hashlib
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from federation.privacy.mechanisms import phone_noise
from federation.protocol.plan import Deadlines, Mechanism, Privacy, RoundPlan
from federation.rounds.counting import CountingSettings, Counts, noise_variance, threshold
from federation.rounds.voting import Votes, VotingSettings
from federation.secure_aggregation import MAX_COHORT, MIN_COHORT, min_threshold
from model.counted_lists import CountedList, WordList
from model.counts import CountedNgram, NgramList

Messages = Sequence[Sequence[int]]

_DEADLINES = Deadlines(1, 2, 3, 4, 5)  # nobody waits in a simulation


@dataclass(frozen=True)
class CountingResult:
    """What a counting round gave.

    Attributes:
        counts: Sums over clients with the noise, float32 [entries of the list].
        deviation: Standard deviation of the noise on one counter.
        groups: Number of groups, each a sum of its own under secure aggregation.
        upload_bytes: Size of one client's masked vector.
    """

    counts: Counts
    deviation: float
    groups: int
    upload_bytes: int

    def ngram(self, listed: NgramList) -> CountedNgram:
        """Return the n-gram that the counts make, without those that may be noise."""
        return CountedNgram(self.counts, listed, threshold=threshold(self.deviation, len(listed)))


def count(
    clients: Sequence[Messages],
    listed: CountedList,
    settings: CountingSettings,
    *,
    secret: bytes,
    privacy: Privacy | None = None,
    group_phones: int = MAX_COHORT,
    progress: Callable[[int], None] = lambda _: None,
) -> CountingResult:
    """Run one counting round in which every client takes part.

    Args:
        clients: Encoded messages of each client, without boundaries.
        listed: The public list.
        settings: Caps and clip of a client's counts.
        secret: 32 bytes that rounding and noise follow from; random where the noise has to protect somebody.
        privacy: Noise that each client adds; none by default.
        group_phones: Maximum number of clients in a group, unless one would be too small.
        progress: Called with the number of clients just counted.

    Raises:
        NoiseError: there is no room for the noise.
        ValueError: there are too few clients for a sum.
    """
    if len(clients) < MIN_COHORT:
        raise ValueError(f"a counting round needs at least {MIN_COHORT} clients, not {len(clients)}")
    noise = privacy or Privacy()
    total = np.zeros(len(listed), np.float32)
    variance, groups, upload = 0.0, 0, 0
    for number, (start, end) in enumerate(groups_of(len(clients), group_phones)):
        group = clients[start:end]
        plan = plan_of_group(number, len(group), listed, settings, noise)
        summed = plan.session.vector.zeros()
        for index, messages in enumerate(group):
            seed = hashlib.sha256(secret + np.array([number, index], "<u8").tobytes()).digest()
            levels = None if noise.mechanism is Mechanism.NONE else phone_noise(plan, hashlib.sha256(seed).digest())
            summed.add(plan.encode(settings.update(listed, messages), seed, levels))
            progress(1)
        total += plan.decode(summed, len(group)).delta
        variance += noise_variance(plan, len(group))
        groups, upload = groups + 1, plan.session.vector.nbytes
    return CountingResult(total, math.sqrt(variance), groups, upload)


def vote(
    clients: Sequence[Messages],
    words: WordList,
    settings: VotingSettings,
    *,
    secret: bytes,
    privacy: Privacy | None = None,
) -> dict[str, float]:
    """Run one round of votes in which every client takes part; return the share of clients that use each accepted word.

    Args:
        clients: Encoded messages of each client, without boundaries.
        words: The candidates.
        settings: When a word is accepted.
        secret: 32 bytes that rounding and noise follow from.
        privacy: Noise that each client adds; none by default.

    Raises:
        ConfigError: there are too few clients for anything to come of it.
    """
    settings.check(privacy or Privacy(), len(clients), len(words))
    result = count(clients, words, settings.counting, secret=secret, privacy=privacy)
    votes = Votes(np.zeros(len(words), np.float32))
    shares = votes.added(result.counts, len(clients), result.deviation**2, settings.decay).shares(settings.min_votes)
    return {words.words[place]: float(shares[place]) for place in np.flatnonzero(shares)}


def groups_of(clients: int, group_phones: int = MAX_COHORT) -> Sequence[tuple[int, int]]:
    """Return the first and one past the last client of each group: as few groups of nearly equal size as may be."""
    parts = max(1, min(-(-clients // group_phones), clients // MIN_COHORT))
    edges = np.linspace(0, clients, parts + 1).astype(int).tolist()
    return list(itertools.pairwise(edges))


def plan_of_group(
    number: int, phones: int, listed: CountedList, settings: CountingSettings, privacy: Privacy
) -> RoundPlan:
    """Return the plan of a group, numbered from 0."""
    minimum = max(min_threshold(phones), MIN_COHORT)
    return RoundPlan(
        round_id=number + 1,
        model_sha256=bytes.fromhex(listed.sha256),
        dimension=len(listed),
        encoding=settings.encoding(phones, minimum, privacy, len(listed)),
        clip=settings.clip,
        weight_cap=1,
        rotation_seed=hashlib.sha256(b"fedkey counting" + number.to_bytes(8, "little")).digest(),
        minimum=minimum,
        deadlines=_DEADLINES,
        privacy=privacy,
    )
