"""What the defence decided, why, and how often."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_LOG = logging.getLogger("fedkey.defence")


class Action(StrEnum):
    """What may be decided; each is counted under its name in a round's metrics."""

    GROUP_REJECTED = "group_rejected"
    GROUP_CLIPPED = "group_clipped"
    MEDIAN_USED = "median_used"
    MEAN_REFUSED = "mean_refused"
    ROUND_REFUSED = "round_refused"
    QUARANTINED = "quarantined"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True)
class Decision:
    """One decision.

    Attributes:
        action: what.
        reason: why, with the figures that decided.
        subject: the group's number in the round, or the phone's pseudonym, or nothing.
    """

    action: Action
    reason: str
    subject: str = ""


def counts(decisions: Iterable[Decision]) -> dict[str, float]:
    """Return how often each action was taken, for a round's metrics; all actions are there, also with 0."""
    taken = [decision.action for decision in decisions]
    return {action.value: float(taken.count(action)) for action in Action}


def log(round_number: int, decisions: Iterable[Decision]) -> None:
    """Log each decision with its fields."""
    for decision in decisions:
        entry = {
            "round": round_number,
            "action": decision.action,
            "subject": decision.subject,
            "reason": decision.reason,
        }
        _LOG.warning(entry)
