"""Poisoning defence for a server that sees sums of groups of phones and never one phone's update.

`defend` takes a round's groups, a `Memory` of earlier rounds and the settings, and returns the next state, the next
memory and every decision with its reason. Nothing here keeps state, reads a clock or draws random numbers.
"""

from federation.robustness.aggregation import Group
from federation.robustness.canaries import phrases
from federation.robustness.decisions import Action, Decision, counts, log
from federation.robustness.defence import Outcome, defend
from federation.robustness.gate import MAX_ROWS, Reading
from federation.robustness.memory import Memory, RejectionCount
from federation.robustness.pieces import PieceRows
from federation.robustness.settings import DefenceSettings

__all__ = [
    "MAX_ROWS",
    "Action",
    "Decision",
    "DefenceSettings",
    "Group",
    "Memory",
    "Outcome",
    "PieceRows",
    "Reading",
    "RejectionCount",
    "counts",
    "defend",
    "log",
    "phrases",
]
