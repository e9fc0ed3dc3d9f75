"""What an audit found, for people and for programs."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from federation.errors import FederationError
from federation.privacy.conversion import DEFAULT_DELTA, epsilon_of_rho
from federation.privacy.zcdp import RoundsCost


class AuditError(FederationError):
    """What was to be audited cannot be read at all; this says nothing about whether it is honest."""


NOTHING = RoundsCost(0, 0, 0.0)


@dataclass(frozen=True)
class Finding:
    """Something that does not hold.

    Attributes:
        check: that failed: `head`, `entry`, `chain`, `view`, `round`, `model`, `bound` or `account`.
        where: such as "model 7" or "round 3".
        message: a sentence.
    """

    check: str
    where: str
    message: str


@dataclass(kw_only=True)
class Report:
    """Of one audit.

    Attributes:
        where: URL or folder.
        server_key: hex, whose signatures were checked.
        instance: hex, of the server's database.
        entries: of the log.
        rounds: that ended.
        uploads: masked updates in all of them.
        models: versions in the log.
        recomputed: of those, made again from the mean of their round.
        unchecked: sentences about what could not be checked, and why.
        max_step: largest distance of a recomputed model from the one before, L2.
        max_drift: largest distance of one from the app's, or from the log's first.
        cost: of all rounds with uploads, as the log's entries have it.
        findings: what does not hold.
    """

    where: str
    server_key: str
    instance: str = ""
    entries: int = 0
    rounds: int = 0
    uploads: int = 0
    models: int = 0
    recomputed: int = 0
    unchecked: list[str] = field(default_factory=list)
    max_step: float = 0.0
    max_drift: float = 0.0
    cost: RoundsCost = NOTHING
    findings: list[Finding] = field(default_factory=list)

    def found(self, check: str, where: str, message: str) -> None:
        """Note something that does not hold."""
        self.findings.append(Finding(check, where, message))

    @property
    def epsilon(self) -> float:
        """What a phone that was in every round has spent against the operator, at `DEFAULT_DELTA`."""
        return math.inf if self.cost.unnoised else epsilon_of_rho(self.cost.rho, DEFAULT_DELTA, whole_orders=True)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; an epsilon that has no bound is None."""
        epsilon = self.epsilon if math.isfinite(self.epsilon) else None
        return asdict(self) | {"cost": self.cost._asdict(), "epsilon": epsilon, "delta": DEFAULT_DELTA}

    def lines(self) -> Iterator[str]:
        """Return the report for people."""
        yield f"{self.where}, signed by {self.server_key[:16]}, instance {self.instance[:16]}"
        yield f"log: {self.entries} entries; {self.rounds} rounds ended, with {self.uploads} masked updates"
        yield f"models: {self.recomputed} of {self.models} made again from the means of their rounds"
        yield f"steps: {self.max_step:.3g} at most between two versions, {self.max_drift:.3g} from the first"
        yield self._account()
        yield from (f"not checked: {each}" for each in self.unchecked)
        yield from (f"FOUND ({each.check}, {each.where}): {each.message}" for each in self.findings)
        yield "nothing was found" if not self.findings else f"{len(self.findings)} things do not hold"

    def _account(self) -> str:
        rounds, unnoised, rho = self.cost
        if unnoised:
            return f"account: {unnoised} of {rounds} rounds had no noise by phones: against the operator nothing holds"
        return (
            f"account: {rounds} rounds cost a phone that was in each rho {rho:.4g}, "
            f"epsilon {self.epsilon:.4g} at delta {DEFAULT_DELTA:g}"
        )
