"""The gate: a new model becomes current only if it predicts held-out public text about as well as the one before."""

from collections.abc import Mapping, Sequence

from federation.errors import ConfigError
from federation.robustness import MAX_ROWS, phrases
from federation.robustness.probe import EngineProbe
from federation.server.models import Verdict
from model.batches import Rows, pack
from model.engine import Export, Trainer
from model.layout import FlatVector
from model.text import tokenise

_MAX_ROWS = 2000


class PublicTextGate:
    """Measures models on text that anyone may see, with the engine that phones run.

    Args:
        export: of the network.
        texts: messages that nothing was trained on.
        max_rise: relative, of the mean loss.

    Raises:
        ConfigError: there is no text.
    """

    def __init__(self, export: Export, texts: Sequence[str], max_rise: float) -> None:
        encode = export.vocabulary.encode
        self._rows: Rows = pack(encode(tokenise(text)) for text in texts)[:_MAX_ROWS]
        if not len(self._rows):
            raise ConfigError("the gate has no public text: give a file with a message a line")
        self._trainer: Trainer = export.trainer()
        self._max_rise = max_rise

    @property
    def probe(self) -> EngineProbe:
        """What measures models for the poisoning defence, on the same text."""
        return EngineProbe(self._trainer, self._rows[:MAX_ROWS], phrases(self._rows))

    def __call__(self, new: FlatVector, old: FlatVector) -> Verdict:
        """Compare two models; the metrics are mean losses in nats and the shares of pieces that come first."""
        before, after = self._measure(old), self._measure(new)
        rise = after["gate_loss"] / max(before["gate_loss"], 1e-9) - 1
        return Verdict(passed=rise <= self._max_rise, metrics={**after, "gate_loss_rise": rise})

    def _measure(self, weights: FlatVector) -> Mapping[str, float]:
        self._trainer.set_weights(weights)
        totals = self._trainer.evaluate(self._rows)
        return {"gate_loss": totals.mean_loss, "gate_accuracy": totals.accuracy}
