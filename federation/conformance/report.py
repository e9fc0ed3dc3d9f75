"""What was tried, and what came of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """Of a check."""

    CONFORMS = "conforms"
    DEVIATES = "deviates"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Check:
    """One thing that the protocol asks for.

    Attributes:
        name: short, and the same in every run.
        rule: what is asked for, as a sentence.
        outcome: whether it was so.
        found: what happened instead, or why it was not tried.
    """

    name: str
    rule: str
    outcome: Outcome
    found: str = ""

    @property
    def line(self) -> str:
        """The check for people."""
        return f"{self.outcome:<9}  {self.name}: {self.rule}" + (f" ({self.found})" if self.found else "")


class Report:
    """All checks of a trial, in the order in which they came.

    Args:
        show: told of each check as it comes.
    """

    def __init__(self, show: Callable[[Check], None] = lambda _: None) -> None:
        self.checks: list[Check] = []
        self._show = show

    def add(self, name: str, rule: str, *, holds: bool, found: str = "") -> bool:
        """Add a check that was tried; return whether it holds."""
        self._add(Check(name, rule, Outcome.CONFORMS if holds else Outcome.DEVIATES, "" if holds else found))
        return holds

    def leave_out(self, name: str, rule: str, why: str) -> None:
        """Add a check that could not be tried."""
        self._add(Check(name, rule, Outcome.NOT_TRIED, why))

    def _add(self, check: Check) -> None:
        self.checks.append(check)
        self._show(check)

    @property
    def counts(self) -> Counter[Outcome]:
        """How many checks had which outcome."""
        return Counter(check.outcome for check in self.checks)

    @property
    def exit_code(self) -> int:
        """0 if all conforms, 1 if something deviates, 3 if something could not be tried and nothing deviates."""
        if self.counts[Outcome.DEVIATES]:
            return 1
        return 3 if self.counts[Outcome.NOT_TRIED] or not self.checks else 0

    @property
    def summary(self) -> str:
        """How many checks had which outcome, in a sentence."""
        told = self.counts
        return ", ".join(f"{told[outcome]} {outcome.value}" for outcome in Outcome)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "conforms": self.exit_code == 0,
            "counts": {outcome.value: self.counts[outcome] for outcome in Outcome},
            "checks": [asdict(check) for check in self.checks],
        }
