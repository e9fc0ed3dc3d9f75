"""What a round of a run did, and the figures that are written of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from federation.fleet.virtual_clock import Played
from federation.protocol.message_sizes import Traffic
from federation.robustness import Decision, counts
from model.evaluation import QUANTILES, Spread, Totals


class FederatedEvaluation(NamedTuple):
    """What clients measured; both are sums, as phones could send them.

    Attributes:
        totals: Sums over clients.
        spread: How many clients have which accuracy.
    """

    totals: Totals
    spread: Spread


class RoundReport(NamedTuple):
    """What one round did.

    Attributes:
        number: Number of the round, from 1.
        training: Totals over the clients' local training.
        clients: Number of clients in the sum.
        seconds: Time that training took.
        traffic: Bytes of a client, with a download of the whole model.
        validation: Federated evaluation after the round, in the rounds that have one.
        played: What the scenario made of it, if there is one.
        decisions: Decisions of the defence; nothing if there is none.
        repeated: Calls of TFF that were done again because a worker was lost.
    """

    number: int
    training: Totals
    clients: int
    seconds: float
    traffic: Traffic
    validation: FederatedEvaluation | None
    played: Played | None = None
    decisions: tuple[Decision, ...] | None = None
    repeated: int = 0


@dataclass(frozen=True)
class Watcher:
    """Callbacks that show progress; each does nothing by default."""

    warm_start: Callable[[int, int, float], None] = lambda _step, _steps, _loss: None
    round_done: Callable[[RoundReport], None] = lambda _report: None


def figures(report: RoundReport) -> dict[str, float]:
    """Return the figures of a round, by name."""
    told = {
        "loss": report.training.mean_loss,
        "accuracy": report.training.accuracy,
        "clients": report.clients,
        "clients_per_s": report.clients / report.seconds,
        "bytes_up": report.traffic.up,
        "bytes_down": report.traffic.down,
        "calls_repeated": report.repeated,
    }
    if report.decisions is not None:
        told |= counts(report.decisions)
    if report.played is not None:
        told |= {
            "selected": len(report.played.selected),
            "completed": report.played.completed,
            "wasted": report.played.wasted,
            "virtual_hours": report.played.closed_seconds / 3600,
        }
    if report.validation is not None:
        told |= validation_figures(report.validation)
    return told


def validation_figures(validation: FederatedEvaluation) -> dict[str, float]:
    """Return the figures of a federated evaluation, by name."""
    return {
        "validation_loss": validation.totals.mean_loss,
        "validation_accuracy": validation.totals.accuracy,
    } | {f"validation_accuracy_q{percent}": validation.spread.quantile(percent) / 100 for percent in QUANTILES}
