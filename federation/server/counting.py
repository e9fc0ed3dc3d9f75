"""Counting rounds of a server: the public list, what a sum makes of the counts, and their gate."""

import math
from collections.abc import Sequence

import numpy as np

from federation.errors import ConfigError
from federation.protocol.task import CountingTask
from federation.rounds.counting import CountingSettings, threshold
from federation.rounds.server_optimizers import ServerState
from federation.server.models import Models, Verdict
from federation.updates.weighted_sum import WeightedSum
from model.counts import MAX_COUNTED_ORDER, CountedNgram, NgramList
from model.engine import Export
from model.layout import FlatVector
from model.mixture import Mixture
from model.text import tokenise
from model.vocabulary import BOUNDARY

_MAX_POSITIONS = 2000
_GATE_WEIGHTS = (0.0, 0.5, 0.5)  # public and counted n-gram alike; the network is not what changed


class Counting:
    """Counting rounds; made of the list that the server's own export pins.

    Args:
        settings: Settings of counting rounds.
        export: Exported model; its public n-gram makes the list.
        models: Versions of the counts.
        texts: Public messages that the gate measures on.
        max_rise: Maximum relative rise of the loss on public text.

    Raises:
        ConfigError: the export has no public n-gram, or there is no public text.
    """

    def __init__(
        self,
        settings: CountingSettings,
        export: Export,
        models: Models,
        texts: Sequence[str],
        max_rise: float,
    ) -> None:
        public = export.mixture.public
        if public is None:
            raise ConfigError("counting needs a public n-gram in the export: export a model from the public start")
        self.settings, self.models = settings, models
        self.listed = NgramList.pinned(public)
        self.task = CountingTask(list_sha256=self.listed.sha256, max_count=settings.max_count)
        self._mixture = Mixture((0.0, 1.0), public)
        self._max_rise = max_rise
        encoded = [export.vocabulary.encode(tokenise(text)) for text in texts]
        self._contexts, self._pieces = _positions(encoded)
        if not self._pieces:
            raise ConfigError("the gate has no public text: give a file with a message a line")

    def begin(self, now: float) -> None:
        """Make counts of nothing the first version, if there is none."""
        nothing = np.zeros(len(self.listed), np.float32)
        self.models.begin(ServerState(nothing, {"sums": nothing, "variance": np.zeros(1, np.float32)}), now)

    def step(self, before: ServerState, total: WeightedSum, noise: float) -> ServerState:
        """Return the counts with those of a round.

        What is released has no counts that may be noise; the sums themselves, which decay, stay on the server.

        Args:
            before: the counts before it.
            total: sum of everybody's counts.
            noise: variance of the noise on one counter of the sum.
        """
        sums = self.settings.added(before.slots["sums"], total.delta)
        variance = self.settings.decay**2 * before.slots["variance"] + noise
        least = threshold(math.sqrt(float(variance[0])), len(self.listed))
        released = np.where(sums > least, sums, np.float32(0))
        return ServerState(released, {"sums": sums, "variance": variance.astype(np.float32)})

    def judge(self, new: FlatVector, old: FlatVector) -> Verdict:
        """Compare two versions of the counts by the loss that public text has under them.

        The first counts pass: what people type is another text than the public one, and phones fit how much it says.
        """
        after = self._loss(new)
        rise = after / max(self._loss(old), 1e-9) - 1 if old.any() else 0.0
        return Verdict(passed=rise <= self._max_rise, metrics={"gate_loss": after, "gate_loss_rise": rise})

    def _loss(self, counts: FlatVector) -> float:
        """Return the mean loss of a piece of public text, in nats."""
        mixture = self._mixture
        if counts.any():
            mixture = mixture.with_counts(CountedNgram(counts, self.listed), _GATE_WEIGHTS)
        probabilities = mixture.mixed(np.zeros((len(self._pieces), self.listed.size), np.float32), self._contexts)
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
