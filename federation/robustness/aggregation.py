"""From the sums of groups to one sum: filters, clipping, and the median of means.

What is filtered and clipped is a random group, so that secure aggregation stays whole, as in SHARE (Velicheti et al.
2021, https://arxiv.org/abs/2110.02940). The price: one attacker spoils his group. The coordinate-wise median is that of
Yin et al. 2018 (https://arxiv.org/abs/1803.01498), over groups' means.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from federation.robustness.decisions import Action, Decision
from federation.robustness.memory import low_move
from federation.robustness.pieces import Move, PieceRows
from federation.robustness.settings import DefenceSettings
from federation.updates.codec import FLOAT_SLACK
from federation.updates.weighted_sum import WeightedSum
from model.layout import FlatVector

_MIN_FOR_MEDIAN = 3


@dataclass(frozen=True, eq=False)
class Group:
    """What the server knows of a group.

    Attributes:
        total: sum over the phones that stayed to the end.
        members: their pseudonyms.
    """

    total: WeightedSum
    members: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.members) != self.total.phones:
            raise ValueError(f"a sum of {self.total.phones} phones has as many members, not {len(self.members)}")


def norms_of(groups: Sequence[Group]) -> dict[int, float]:
    """Return the L2 norms of the groups' means, by number, without groups that are not finite."""
    finite = {number: group for number, group in enumerate(groups) if np.isfinite(group.total.delta).all()}
    return {number: float(np.linalg.norm(group.total.mean)) for number, group in finite.items()}


def screened(
    groups: Sequence[Group], running_norm: float, settings: DefenceSettings, clip: float = math.inf
) -> dict[int, str]:
    """Return which groups are rejected by what they are themselves, with the reason.

    Args:
        groups: of a round.
        running_norm: of groups' means in earlier rounds; 0 takes that of this round's.
        settings: how strict.
        clip: L2 norm that no mean of honest phones exceeds.
    """
    norms = norms_of(groups)
    rejected = {number: "not finite" for number in range(len(groups)) if number not in norms}
    means = {number: groups[number].total.mean for number in norms}
    usual = running_norm or (float(np.quantile([*norms.values()], settings.norm_quantile)) if norms else 0.0)
    limit = min(clip * (1 + FLOAT_SLACK), settings.max_norm or math.inf)
    for number, norm in norms.items():
        if norm > limit:
            rejected[number] = f"norm {norm:.3g} where {limit:.3g} is the most"
        elif settings.norm_factor and norm > settings.norm_factor * usual:
            rejected[number] = f"norm {norm:.3g} where {usual:.3g} is usual"
    left = {number: mean for number, mean in means.items() if number not in rejected}
    if settings.min_agreement == -1 or len(left) < _MIN_FOR_MEDIAN:
        return rejected
    middle = np.median(np.stack(list(left.values())), axis=0)
    for number, mean in left.items():
        lengths = norms[number] * float(np.linalg.norm(middle))
        agreement = float(np.vdot(mean, middle)) / lengths if lengths else 0.0
        if agreement < settings.min_agreement:
            rejected[number] = f"cosine {agreement:.2f} with the median of groups"
    return rejected


def piece_moves(groups: Sequence[Group], pieces: PieceRows | None) -> dict[int, Move]:
    """Return the farthest row of each finite group's mean, by the group's number; nothing without `pieces`."""
    return {} if pieces is None else {number: pieces.farthest(groups[number].total.mean) for number in norms_of(groups)}


def concentrated(moves: Mapping[int, Move], running_move: float, settings: DefenceSettings) -> dict[int, str]:
    """Return which groups are rejected for how far they move a single piece, with the reason.

    Args:
        moves: of `piece_moves`.
        running_move: of groups in earlier rounds; 0 takes that of this round's.
        settings: how strict.
    """
    if not settings.piece_factor or not moves:
        return {}
    lengths = [move.length for move in moves.values()]
    usual = running_move or low_move(lengths, settings)
    return {
        number: f"the row of piece {move.piece} moves {move.length:.3g} where {usual:.3g} is usual"
        for number, move in moves.items()
        if move.length > settings.piece_factor * usual
    }


def clipped(
    groups: dict[int, Group], running_norm: float, settings: DefenceSettings
) -> tuple[dict[int, WeightedSum], list[Decision]]:
    """Return the groups' sums with means no longer than allowed, and which were scaled down for it."""
    limit = settings.clip_factor * running_norm
    totals, decisions = {}, []
    for number, group in groups.items():
        total = group.total
        norm = float(np.linalg.norm(total.mean))
        if limit and norm > limit:
            total = replace(total, delta=total.delta * np.float32(limit / norm))
            decisions.append(Decision(Action.GROUP_CLIPPED, f"norm {norm:.3g} cut to {limit:.3g}", str(number)))
        totals[number] = total
    return totals, decisions


def combined(totals: Sequence[WeightedSum], *, median: bool) -> WeightedSum:
    """Return one sum; with `median` and three groups or more its mean is the coordinate-wise median of their means."""
    total = totals[0]
    for other in totals[1:]:
        total += other
    if not median or len(totals) < _MIN_FOR_MEDIAN:
        return total
    middle: FlatVector = np.median(np.stack([each.mean for each in totals]), axis=0)
    return replace(total, delta=middle * np.float32(max(total.tally.examples, 1)))
