"""Votes for new words: clients name words of a public list of candidates that they use and the lexicon lacks.

A round of votes is a counting round over the list of candidates: a client gives one vote to each of the few candidates
that it uses most, so that its vector is as long as the root of their number at most. A word that enough clients use
joins the lexicon of all, with the share of clients that use it; earlier votes decay, and with them words that nobody
uses any more. What counts as enough follows the noise.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from federation.base.ranges import Natural, Range, Ranged, Share
from federation.errors import ConfigError
from federation.privacy.conversion import DEFAULT_DELTA, epsilon_of_rho
from federation.protocol.plan import Mechanism, Privacy
from federation.rounds.counting import CountingSettings, Counts, threshold
from federation.rounds.counting_plans import CountingPlan
from model.counted_lists import MAX_VOTES

CLIP = math.sqrt(MAX_VOTES)
"""L2 bound of one client's votes."""


@dataclass(frozen=True, kw_only=True)
class VotingSettings(Ranged):
    """Settings of rounds of votes.

    Attributes:
        every: Number of rounds of which one votes, the second one first, unless it counts; 0 is no voting.
        min_votes: Clients in each round, on average, that must use a word before others get it.
        decay: Factor on the votes of earlier rounds when those of a new round are added, above 0 and at most 1.
    """

    every: Natural = 0
    min_votes: Annotated[int, Range(2, 1 << 15)] = 3
    decay: Share = 1.0

    def votes_in(self, round_id: int) -> bool:
        """Return whether a round, numbered from 1, votes unless it counts."""
        return self.counting.counts_in(round_id - 1)

    @property
    def counting(self) -> CountingSettings:
        """The counting round that a vote is."""
        return CountingSettings(every=self.every, max_count=1, clip=CLIP, decay=self.decay)

    def check(self, privacy: Privacy, clients: int, length: int) -> None:
        """Refuse to vote where nothing could come of it.

        Args:
            privacy: Noise that each client adds.
            clients: Number of them in a round.
            length: Number of candidates.

        Raises:
            ConfigError: there are too few clients for the noise, or for `min_votes`.
        """
        if not length:
            raise ConfigError("there are no candidates to vote for: begin with a public start that has some")
        if clients < self.min_votes:
            raise ConfigError(f"{clients} clients never give a word its {self.min_votes} votes: lower min_votes")
        if privacy.mechanism is Mechanism.NONE:
            return
        rho = 1 / (2 * privacy.noise_multiplier**2)
        plan = CountingPlan(rho, clients, CLIP, length)
        if not plan.enough:
            raise ConfigError(plan.refusal("words", epsilon_of_rho(rho, DEFAULT_DELTA)))


@dataclass(frozen=True, eq=False)
class Votes:
    """The votes of all rounds so far, earlier ones decayed.

    Attributes:
        sums: With the noise, float32 [candidates].
        variance: Of the noise on each.
        rounds: Number of rounds.
        clients: Number of clients that voted, in all rounds together.
    """

    sums: Counts
    variance: float = 0.0
    rounds: float = 0.0
    clients: float = 0.0

    def added(self, total: Counts, clients: int, variance: float, decay: float) -> "Votes":
        """Return the votes after a round.

        Args:
            total: Sum of the round's votes, float32 [candidates].
            clients: Number of clients in it.
            variance: Of the noise on each candidate's sum.
            decay: Factor on what was before.
        """
        sums: Counts = (np.float32(decay) * self.sums + total).astype(np.float32)
        return Votes(sums, decay**2 * self.variance + variance, decay * self.rounds + 1, decay * self.clients + clients)

    def shares(self, min_votes: int) -> Counts:
        """Return the share of clients that use each word, float32 [candidates]; 0 for what too few use to be told.

        One client that votes in every round has as many votes as there were rounds, however they decay.
        """
        least = max((min_votes - 0.5) * self.rounds, threshold(math.sqrt(self.variance), len(self.sums)))
        shares: Counts = np.where(self.sums > least, self.sums / max(self.clients, 1), 0).astype(np.float32)
        return shares
