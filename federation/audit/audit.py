"""The checks of an audit, over whatever a `Source` shows.

The log is hashed and held against its signed head, against the heads that the plans of its own rounds name, and against
heads that others saw; every model is made again from its round's mean; the cost of all rounds is added up from their
plans. What a log cannot show is said in `docs/audit.md`.
"""

import itertools
import math
from collections.abc import Callable, Sequence

from federation.audit import heads
from federation.audit.heads import SeenLog
from federation.audit.recomputing import Bounds, Recomputing
from federation.audit.report import AuditError, Report
from federation.audit.sources import Source
from federation.privacy.zcdp import RoundsCost
from federation.protocol.log import Edge, LogEntry, LogError, LogHead
from federation.protocol.plan import PLAN_BYTES, RoundPlan
from federation.protocol.task import TrainingTask
from federation.secure_aggregation.errors import PlanRefusedError
from federation.secure_aggregation.identity import SIGNATURE_BYTES

MAX_ENTRIES = 1_000_000
_SAME_COST = 1e-9  # relative: sums in another order


def audit(
    source: Source,
    server_key: bytes,
    *,
    seen: Sequence[SeenLog] = (),
    bounds: Bounds | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> tuple[Report, bytes]:
    """Check everything; return the report, and the signed head that it is of, for others to compare.

    Args:
        source: what is audited.
        server_key: raw Ed25519 public key of the server.
        seen: what others saw of its log.
        bounds: how far models may move, beside what their rounds' plans allow.
        progress: called with entries done and all of them.

    Raises:
        AuditError: the source does not answer, or shows no log.
    """
    report = Report(where=source.where, server_key=server_key.hex())
    signed = source.head()
    try:
        head = LogHead.from_signed(signed, server_key)
    except LogError as error:
        report.found("head", "log", f"{error}")
        return report, signed
    report.instance, report.entries = head.instance.hex(), head.size
    if head.size > MAX_ENTRIES:
        raise AuditError(
            f"{source.where} says that its log has {head.size} entries: more than {MAX_ENTRIES} are not read"
        )
    leaves = _leaves(source, head.size)
    roots = [edge.root for edge in itertools.accumulate(leaves, lambda edge, leaf: edge.after([leaf]), initial=Edge())]
    if (len(leaves), roots[-1]) != (head.size, head.root):
        report.found("chain", "log", f"its {len(leaves)} entries do not lead to the head of {head.size} that is signed")
    heads.compare(seen, head.instance, roots, report)
    plans = _Rounds(source, server_key, roots, report)
    models = Recomputing(source, bounds or Bounds(), report)
    entries = [_entry(leaf, number, report) for number, leaf in enumerate(leaves)]
    models.expect([entry for entry in entries if entry is not None])
    for number, entry in enumerate(entries):
        if entry is not None:
            models.add(entry, plans.add(number, entry))
        progress(number + 1, len(leaves))
    models.end()
    heads.compare_rounds(seen, head.instance, plans.entries, plans.last, report)
    _account(head, plans, report)
    return report, signed


def _leaves(source: Source, size: int) -> list[bytes]:
    leaves: list[bytes] = []
    while len(leaves) < size:
        more = source.entries(len(leaves))
        if not more:
            break
        leaves.extend(more)
    return leaves[:size]


def _entry(leaf: bytes, number: int, report: Report) -> LogEntry | None:
    try:
        return LogEntry.from_bytes(leaf)
    except LogError as error:
        report.found("entry", f"entry {number}", str(error))
        return None


class _Rounds:
    """The rounds of a log, each held against its signed plan.

    Args:
        source: what is audited.
        server_key: that signed plans.
        roots: heads of the log's first 0, 1, 2 and so on entries.
        report: of what does not hold.
    """

    def __init__(self, source: Source, server_key: bytes, roots: Sequence[bytes], report: Report) -> None:
        self._source, self._key, self._roots, self._report = source, server_key, roots, report
        self._sha256: dict[int, str] = {}  # of versions
        self.entries: dict[int, LogEntry] = {}
        self.uploaded: list[RoundPlan] = []
        self.last = 0

    def add(self, number: int, entry: LogEntry) -> tuple[RoundPlan, TrainingTask] | None:
        """Check the round that an entry is of; return its plan and task, if it has any that can be read."""
        if entry.version is not None:
            self._sha256[entry.version] = entry.sha256
        if not entry.round_id:
            return None
        self._in_order(entry)
        report, where = self._report, f"round {entry.round_id}"
        report.rounds += 1
        report.uploads += entry.uploads
        told = self._source.round(entry.round_id)
        if told is None:
            report.found("round", where, "the server does not show its plan")
            return None
        end = PLAN_BYTES + SIGNATURE_BYTES
        try:
            plan = RoundPlan.from_signed(told[:end], self._key)
            task = TrainingTask.of_plan(told[end:], plan)
        except PlanRefusedError as error:
            report.found("round", where, f"its plan cannot be that of phones: {error}")
            return None
        for problem in self._problems(number, entry, plan, task):
            report.found(*problem)
        if entry.uploads:
            self.uploaded.append(plan)
        return plan, task

    def _in_order(self, entry: LogEntry) -> None:
        for missing in range(self.last + 1, min(entry.round_id, self.last + 100)):
            self._report.found("account", f"round {missing}", "the log leaves it out, so no account can cover it")
        if entry.round_id <= self.last:
            self._report.found("entry", f"round {entry.round_id}", f"it comes after round {self.last} in the log")
        self.last = max(self.last, entry.round_id)
        self.entries[entry.round_id] = entry

    def _problems(
        self, number: int, entry: LogEntry, plan: RoundPlan, task: TrainingTask
    ) -> list[tuple[str, str, str]]:
        where, committed = f"round {entry.round_id}", task.commitments
        privacy = plan.privacy
        said = (entry.clip, entry.noise_multiplier, entry.corrupt, entry.minimum)
        holds = [
            ("round", plan.hash.hex() == entry.plan, "the plan that is shown is another than the one in the log"),
            ("round", plan.round_id == entry.round_id, "its plan is another round's"),
            (
                "entry",
                said == (plan.clip, privacy.noise_multiplier, privacy.corrupt, plan.minimum),
                "the log says another clip, noise or minimum than the plan",
            ),
            ("entry", entry.uploads >= entry.phones, "there are more phones in its sum than uploaded"),
            (
                "model",
                self._sha256.get(entry.parent or 0) == plan.model_sha256.hex(),
                f"it trained another model than version {entry.parent} of the log",
            ),
            (
                "chain",
                committed.log_size <= number and self._roots[min(committed.log_size, number)] == committed.log_root,
                f"its phones were shown another log of {committed.log_size} entries: an earlier entry was rewritten",
            ),
        ]
        return [(check, where, message) for check, is_so, message in holds if not is_so]


def _account(head: LogHead, plans: _Rounds, report: Report) -> None:
    """Add up what rounds cost, and compare it with what the server says."""
    cost = report.cost = RoundsCost.of(plans.uploaded)
    said = RoundsCost(head.rounds, head.unnoised, head.rho)
    if cost[:2] != said[:2] or not math.isclose(cost.rho, said.rho, rel_tol=_SAME_COST):
        message = (
            f"the server accounts for {said.rounds} rounds ({said.unnoised} without noise) at rho {said.rho:.6g}, and "
            f"the log has {cost.rounds} ({cost.unnoised}) that cost {cost.rho:.6g}"
        )
        report.found("account", "all rounds", message)
