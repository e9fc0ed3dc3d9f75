"""The gate: what a candidate model is measured by before it may become the next one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from federation.robustness.settings import DefenceSettings

MAX_ROWS = 256
"""Of public text by which a model is read: a round may have to try every group alone."""


@dataclass(frozen=True)
class Reading:
    """A model measured by the server alone, on public text.

    Attributes:
        loss: on held-out public text, in nats a piece.
        certainties: probability of the likeliest next piece after each canary phrase.
    """

    loss: float
    certainties: tuple[float, ...]


def objection(after: Reading, before: Reading, running: Sequence[float], settings: DefenceSettings) -> str | None:
    """Return why a candidate may not become the next model, or nothing if it may.

    Args:
        after: the candidate.
        before: the current model.
        running: averages of the canaries' certainties over the latest versions; empty before the first.
        settings: how strict.
    """
    if not math.isfinite(after.loss):
        return "the loss on public text is not finite"
    if settings.max_gate_loss_nats and after.loss > before.loss + settings.max_gate_loss_nats:
        return f"the loss on public text rises from {before.loss:.3f} to {after.loss:.3f}"
    usual = running or before.certainties
    rises = [(new - old, number) for number, (new, old) in enumerate(zip(after.certainties, usual, strict=True))]
    rise, number = max(rises, default=(0.0, 0))
    if settings.canary_jump and rise > settings.canary_jump:
        return f"canary {number} becomes certain: {usual[number]:.2f} to {after.certainties[number]:.2f}"
    return None
