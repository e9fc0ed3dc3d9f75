"""Counting rounds of a server: the public lists, what a sum makes of counts and votes, and their gate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from federation.errors import ConfigError
from federation.protocol.task import CountingTask, TrainingTask
from federation.rounds.counting import CountingSettings, threshold
from federation.rounds.server_optimizers import ServerState
from federation.rounds.voting import Votes, VotingSettings
from federation.server.models import Models, Verdict
from federation.updates.weighted_sum import WeightedSum
from model.counted_lists import MAX_VOTES, CountedList, CountedLists
from model.counts import MAX_COUNTED_ORDER, CountedNgram
from model.engine import Export
from model.layout import FlatVector
from model.mixture import Mixture
from model.text import tokenise
from model.vocabulary import BOUNDARY

_MAX_POSITIONS = 2000
_MAX_SHARE = 1.5  # of phones, with the noise that a sum may have
_GATE_WEIGHTS = (0.0, 0.5, 0.5)  # public and counted n-gram alike; the network is not what changed


@dataclass(frozen=True)
class Question:
    """What a round counts.

    Attributes:
        listed: one of the app's lists.
        settings: of counting over it.
    """

    listed: CountedList
    settings: CountingSettings

    @property
    def task(self) -> CountingTask:
        """What phones are told."""
        return CountingTask(list_sha256=self.listed.sha256, max_count=self.settings.max_count)


class Counting:
    """Counting rounds; made of the lists that the server's own export pins.

    A version is one vector over both lists: counts of n-grams that may not be noise, and shares of phones that use each
    accepted word. The sums themselves, which decay, stay on the server.

    Args:
        settings: Settings of rounds that count n-grams.
        voting: Settings of rounds that vote for words.
        export: Exported model; its public n-gram and its candidates make the lists.
        models: Versions of the counts.
        texts: Public messages that the gate measures on.
        max_rise: Maximum relative rise of the loss on public text.

    Raises:
        ConfigError: the export has no public n-gram, or there is no public text.
    """

    def __init__(
        self,
        settings: CountingSettings,
        voting: VotingSettings,
        export: Export,
        models: Models,
        texts: Sequence[str],
        max_rise: float,
    ) -> None:
        public = export.mixture.public
        if public is None:
            raise ConfigError("there is nothing to count: see Installation.check_counting")
        self.models = models
        self.lists = CountedLists.of(public, export.vocabulary)
        self._voting = voting
        self._ngrams, self._words = Question(self.lists.ngrams, settings), Question(self.lists.words, voting.counting)
        self._mixture = Mixture((0.0, 1.0), public)
        self._max_rise = max_rise
        encoded = [export.vocabulary.encode(tokenise(text)) for text in texts]
        self._contexts, self._pieces = _positions(encoded)
        if not self._pieces:
            raise ConfigError("the gate has no public text: give a file with a message a line")

    def question(self, round_id: int) -> Question | None:
        """Return what a round asks, numbered from 1; None if it trains."""
        if self._ngrams.settings.counts_in(round_id):
            return self._ngrams
        return self._words if self._voting.votes_in(round_id) else None

    def asked(self, task: TrainingTask) -> Question:
        """Return what a round that counted asked."""
        asked = "" if task.counting is None else task.counting.list_sha256
        return self._words if asked == self._words.listed.sha256 else self._ngrams

    def begin(self, now: float) -> None:
        """Make counts of nothing the first version, if there is none."""
        nothing = np.zeros(len(self.lists), np.float32)
        slots = {"sums": nothing, "variance": np.zeros(1, np.float32), "votes": np.zeros(3, np.float32)}
        self.models.begin(ServerState(nothing, slots), now)

    def step(self, before: ServerState, total: WeightedSum, noise: float, asked: Question) -> ServerState:
        """Return the counts with those of a round.

        Args:
            before: the counts before it.
            total: sum of everybody's counts.
            noise: variance of the noise on one counter of the sum.
            asked: what was counted.
        """
        length, sums, released = len(self.lists.ngrams), before.slots["sums"].copy(), before.weights.copy()
        if asked is self._ngrams:
            decay = asked.settings.decay
            variance = decay**2 * before.slots["variance"] + noise
            sums[:length] = asked.settings.added(sums[:length], total.delta)
            least = threshold(math.sqrt(float(variance[0])), length)
            released[:length] = np.where(sums[:length] > least, sums[:length], np.float32(0))
            return ServerState(released, {**before.slots, "sums": sums, "variance": variance.astype(np.float32)})
        votes = Votes(sums[length:], *before.slots["votes"].tolist())
        votes = votes.added(total.delta, total.phones, noise, self._voting.decay)
        sums[length:], released[length:] = votes.sums, votes.shares(self._voting.min_votes)
        counted = np.array([votes.variance, votes.rounds, votes.clients], np.float32)
        return ServerState(released, {**before.slots, "sums": sums, "votes": counted})

    def judge(self, new: FlatVector, old: FlatVector) -> Verdict:
        """Compare two versions of the counts by the loss that public text has under them, and see that shares are such.

        The first counts pass: what people type is another text than the public one, and phones fit how much it says.
        No share of phones is above all of them, nor does the mean phone have more votes than there are.
        """
        length = len(self.lists.ngrams)
        after, before, shares = new[:length], old[:length], new[length:]
        loss = self._loss(after)
        rise = loss / max(self._loss(before), 1e-9) - 1 if before.any() else 0.0
        metrics = {"gate_loss": loss, "gate_loss_rise": rise, "gate_new_words": float(np.count_nonzero(shares))}
        possible = bool(shares.max(initial=0.0) <= _MAX_SHARE and shares.sum() <= _MAX_SHARE * MAX_VOTES)
        return Verdict(passed=rise <= self._max_rise and possible, metrics=metrics)

    def _loss(self, counts: FlatVector) -> float:
        """Return the mean loss of a piece of public text under counts of n-grams, in nats."""
        mixture = self._mixture
        if counts.any():
            mixture = mixture.with_counts(CountedNgram(counts, self.lists.ngrams), _GATE_WEIGHTS)
        size = self.lists.ngrams.size
        probabilities = mixture.mixed(np.zeros((len(self._pieces), size), np.float32), self._contexts)
        at = probabilities[np.arange(len(self._pieces)), self._pieces]
        return float(-np.log(np.maximum(at, 1e-12)).mean())


def _positions(messages: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[int]]:
    """Return contexts and the pieces after them."""
    contexts, pieces = [], []
    for message in messages:
        text = [BOUNDARY, *message, BOUNDARY]
        for end in range(1, len(text)):
            contexts.append(text[max(0, end - MAX_COUNTED_ORDER) : end])
            pieces.append(text[end])
        if len(pieces) >= _MAX_POSITIONS:
            break
    return contexts[:_MAX_POSITIONS], pieces[:_MAX_POSITIONS]
