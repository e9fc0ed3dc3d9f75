"""What the defence remembers from round to round: plain numbers under pseudonyms, to be stored beside the model."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np

from federation.robustness.decisions import Action, Decision
from federation.robustness.gate import Reading
from federation.robustness.settings import DefenceSettings


class RejectionCount(NamedTuple):
    """How often a phone stood in a group.

    Attributes:
        groups: that were judged.
        rejected: of them.
    """

    groups: int = 0
    rejected: int = 0


class Best(NamedTuple):
    """The version that a rollback returns to.

    Attributes:
        round_number: that made it; 0 for the first model.
        loss: on held-out public text, in nats a piece.
    """

    round_number: int
    loss: float


@dataclass(frozen=True)
class Memory:
    """The defence's state; `DefenceSettings` says how it is used.

    Attributes:
        norm: that groups are held to; 0 before the first round.
        standings: of phones, by pseudonym.
        quarantined: by pseudonym, the first round in which a phone may take part again.
        canaries: running averages of the canaries' certainties; empty before the first reading.
        best: the version with the lowest loss so far.
        piece_move: that the farthest rows of groups are held to; 0 before the first round. See `PieceRows`.
    """

    norm: float = 0.0
    standings: Mapping[str, RejectionCount] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    canaries: tuple[float, ...] = ()
    best: Best | None = None
    piece_move: float = 0.0

    def running_norm(self, settings: DefenceSettings) -> float:
        """Return the norm that groups are held to; 0 if there is none yet."""
        return self.norm or settings.initial_norm

    def may_take_part(self, phone: str, round_number: int) -> bool:
        """Whether a phone is not in quarantine."""
        return self.quarantined.get(phone, 0) <= round_number

    def with_norms(self, norms: Sequence[float], settings: DefenceSettings) -> Self:
        """Return the memory after a round whose groups' means had these norms, also those of rejected groups.

        A low quantile decides, and it raises the running norm slowly and lowers it fast: who spoils most groups and
        keeps them just below what is rejected does not widen what is accepted.
        """
        if not norms:
            return self
        low = float(np.quantile(norms, settings.norm_quantile))
        return replace(self, norm=_followed(self.running_norm(settings), low, settings))

    def with_piece_moves(self, moves: Sequence[float], settings: DefenceSettings) -> Self:
        """Return the memory after a round whose groups moved single pieces so far, by the rule of `with_norms`."""
        return (
            replace(self, piece_move=_followed(self.piece_move, low_move(moves, settings), settings)) if moves else self
        )

    def with_reading(self, round_number: int, reading: Reading, settings: DefenceSettings) -> Self:
        """Return the memory after the model that a round made was accepted."""
        rate = 1 / settings.memory_rounds
        before = self.canaries or reading.certainties
        canaries = tuple(old + rate * (new - old) for old, new in zip(before, reading.certainties, strict=True))
        best = self.best if self.best and self.best.loss <= reading.loss else Best(round_number, reading.loss)
        return replace(self, canaries=canaries, best=best)

    def with_standings_of(self, other: "Memory") -> Self:
        """Return this memory with another's standings and quarantine."""
        return replace(self, standings=other.standings, quarantined=other.quarantined)

    def judged(
        self,
        accepted: Iterable[Collection[str]],
        rejected: Iterable[Collection[str]],
        round_number: int,
        settings: DefenceSettings,
    ) -> tuple[Self, list[Decision]]:
        """Count a round's groups for their members, and quarantine whom chance no longer explains.

        An honest phone is in a rejected group as often as its peers are: the share of all standings that were in one,
        which attackers only raise. So a phone of a rejected group is quarantined if that many rejections or more have
        less than `quarantine_chance` under a binomial distribution with that share.

        Args:
            accepted: members of each accepted group.
            rejected: members of each rejected group.
            round_number: of this round.
            settings: how strict.
        """
        standings = dict(self.standings)
        rejected = list(rejected)
        for groups, were_rejected in ((accepted, 0), (rejected, 1)):
            for phone in (member for members in groups for member in members):
                before = standings.get(phone, RejectionCount())
                standings[phone] = RejectionCount(before.groups + 1, before.rejected + were_rejected)
        total = sum(standing.groups for standing in standings.values())
        base = sum(standing.rejected for standing in standings.values()) / max(total, 1)
        quarantined = {phone: until for phone, until in self.quarantined.items() if until > round_number}
        decisions = []
        for phone in sorted({member for members in rejected for member in members}):
            standing = standings[phone]
            chance = binomial_tail(standing, base)
            if chance < settings.quarantine_chance:
                quarantined[phone] = round_number + 1 + settings.quarantine_rounds
                del standings[phone]
                reason = f"in {standing.rejected} rejected groups of {standing.groups}, by chance {chance:.1e}"
                decisions.append(Decision(Action.QUARANTINED, reason, phone))
        return replace(self, standings=standings, quarantined=quarantined), decisions

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "norm": self.norm,
            "piece_move": self.piece_move,
            "standings": {phone: list(standing) for phone, standing in self.standings.items()},
            "quarantined": dict(self.quarantined),
            "canaries": list(self.canaries),
            "best": list(self.best) if self.best else None,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave."""
        return cls(
            # Earlier versions kept the norms of the latest rounds.
            norm=values["norm"] if "norm" in values else float(np.median(values["norms"] or [0.0])),
            piece_move=values.get("piece_move", 0.0),
            standings={phone: RejectionCount(*standing) for phone, standing in values["standings"].items()},
            quarantined=dict(values["quarantined"]),
            canaries=tuple(values["canaries"]),
            best=Best(*values["best"]) if values["best"] else None,
        )


def low_move(moves: Sequence[float], settings: DefenceSettings) -> float:
    """Return what some groups say is usual for pieces: one of them, no average of an honest and a spoiled one."""
    return float(np.quantile(moves, settings.piece_quantile, method="lower"))


def _followed(before: float, low: float, settings: DefenceSettings) -> float:
    """Return a running figure after a round: it follows a low quantile, slowly up and fast down."""
    if not before:
        return low
    return min(low, before * (1 + settings.norm_rise)) if low > before else before + settings.norm_fall * (low - before)


def binomial_tail(standing: RejectionCount, share: float) -> float:
    """Return the probability of at least `standing.rejected` out of `standing.groups` at a share of each."""
    n = standing.groups
    return math.fsum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(standing.rejected, n + 1))
