"""A round's defence from the groups' sums to the next model; see `docs/robustness.md` for what it cannot stop."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from federation.robustness.aggregation import Group, clipped, combined, concentrated, norms_of, piece_moves, screened
from federation.robustness.decisions import Action, Decision
from federation.robustness.gate import Reading, objection
from federation.robustness.memory import Memory
from federation.robustness.pieces import PieceRows
from federation.robustness.settings import DefenceSettings
from federation.updates.weighted_sum import WeightedSum

State = TypeVar("State")
"""The server's global state: weights and what its optimizer remembers."""


@dataclass(frozen=True, eq=False)
class Outcome(Generic[State]):
    """What became of a round.

    Attributes:
        state: the next one, or the current one if the round was refused.
        total: of the groups that count; its mean is what was applied. Nothing if the round was refused.
        memory: for the next round, to be stored together with the state.
        decisions: in the order in which they were taken.
        rollback_to: the round whose model becomes the current one, if the defence returns to it.
    """

    state: State
    total: WeightedSum | None
    memory: Memory
    decisions: tuple[Decision, ...]
    rollback_to: int | None = None


def defend(
    groups: Sequence[Group],
    memory: Memory,
    settings: DefenceSettings,
    *,
    round_number: int,
    current: State,
    current_round: int,
    step: Callable[[State, WeightedSum], State],
    probe: Callable[[State], Reading | None],
    clip: float = math.inf,
    pieces: PieceRows | None = None,
) -> Outcome[State]:
    """Turn a round's groups into the next state.

    Groups that are too long, move a single piece too far or point away from the others are rejected; the rest is
    clipped and averaged, or replaced by its median if any was rejected. If the gate objects to the model that this
    gives, each group is tried alone, those that the gate objects to are rejected too, and the median of the rest is
    the last attempt.

    Without attackers, and with no group beyond the clip, the result is that of the plain weighted mean.

    Args:
        groups: of the round.
        memory: of earlier rounds.
        settings: how strict.
        round_number: of this round.
        current: the global state.
        current_round: the round that made it; 0 for the first model.
        step: the server optimizer's step from a state along a sum's mean; it changes nothing.
        probe: measures a state; nothing if its weights are not finite.
        clip: L2 norm that no mean of honest phones exceeds; infinite where noise is in it.
        pieces: where the rows of pieces lie; without them nobody is rejected for one.
    """
    norm = memory.running_norm(settings)
    moves = piece_moves(groups, pieces)
    rejected = screened(groups, norm, settings, clip) | concentrated(moves, memory.piece_move, settings)
    accepted = {number: group for number, group in enumerate(groups) if number not in rejected}
    totals, clips = clipped(accepted, norm, settings)
    before = probe(current) if settings.reads_models else None
    if before is not None and memory.best is None:
        memory = memory.with_reading(current_round, before, settings)
    trial = _Trial(current, before, memory.canaries, settings, step, probe)
    attempt = trial.run(totals, rejected)
    decisions = [*_rejections(rejected), *clips, *attempt.decisions]
    rejected |= attempt.rejected
    if attempt.total is not None:
        memory = memory.with_norms([*norms_of(groups).values()], settings)
        memory = memory.with_piece_moves([move.length for move in moves.values()], settings)
        if attempt.reading is not None:
            memory = memory.with_reading(round_number, attempt.reading, settings)
    memory, quarantines = memory.judged(
        [group.members for number, group in enumerate(groups) if number not in rejected],
        [group.members for number, group in enumerate(groups) if number in rejected],
        round_number,
        settings,
    )
    decisions += quarantines
    rollback_to = _rollback(attempt.reading, memory, settings)
    if rollback_to is not None and attempt.reading is not None:
        why = f"the loss on public text is {attempt.reading.loss:.3f}: back to the model of round {rollback_to}"
        decisions.append(Decision(Action.ROLLED_BACK, why))
    return Outcome(attempt.state, attempt.total, memory, tuple(decisions), rollback_to)


class _Attempt(NamedTuple, Generic[State]):
    """The state that a round ends with, the total that led to it, its reading, and what was decided on the way."""

    state: State
    total: WeightedSum | None
    reading: Reading | None
    rejected: dict[int, str]
    decisions: list[Decision]


@dataclass(frozen=True)
class _Trial(Generic[State]):
    """Candidates of a round against the gate."""

    current: State
    before: Reading | None
    canaries: tuple[float, ...]
    settings: DefenceSettings
    step: Callable[[State, WeightedSum], State]
    probe: Callable[[State], Reading | None]

    def run(self, totals: dict[int, WeightedSum], rejected: dict[int, str]) -> _Attempt[State]:
        decisions: list[Decision] = []
        found: dict[int, str] = {}
        reason: str | None = "every group was rejected"
        for last in (False, True):
            left = {number: total for number, total in totals.items() if number not in found}
            if not left:
                break
            median = self._uses_median(alert=last or bool(rejected))
            if median:
                decisions.append(Decision(Action.MEDIAN_USED, f"over {len(left)} groups"))
            total = combined(list(left.values()), median=median)
            state = self.step(self.current, total)
            reading, reason = self._judged(state)
            if reason is None:
                return _Attempt(state, total, reading, found, decisions)
            if not last:
                decisions.append(Decision(Action.MEAN_REFUSED, reason))
                found = self._culprits(left)
                decisions += _rejections(found)
        decisions.append(Decision(Action.ROUND_REFUSED, reason or ""))
        return _Attempt(self.current, None, self.before, found, decisions)

    def _uses_median(self, *, alert: bool) -> bool:
        return self.settings.median == "always" or (alert and self.settings.median == "on alert")

    def _judged(self, state: State) -> tuple[Reading | None, str | None]:
        if self.before is None:
            return None, None
        after = self.probe(state)
        if after is None:
            return None, "the model is not finite"
        return after, objection(after, self.before, self.canaries, self.settings)

    def _culprits(self, totals: dict[int, WeightedSum]) -> dict[int, str]:
        alone = {number: self._judged(self.step(self.current, total))[1] for number, total in totals.items()}
        return {number: f"alone: {reason}" for number, reason in alone.items() if reason is not None}


def _rollback(reading: Reading | None, memory: Memory, settings: DefenceSettings) -> int | None:
    best = memory.best
    if best is None or reading is None or not settings.rollback_loss:
        return None
    return best.round_number if reading.loss > best.loss + settings.rollback_loss else None


def _rejections(reasons: dict[int, str]) -> list[Decision]:
    return [Decision(Action.GROUP_REJECTED, reason, str(number)) for number, reason in sorted(reasons.items())]
