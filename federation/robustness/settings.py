"""How a round defends itself."""

from dataclasses import dataclass
from typing import Annotated, Literal

from federation.base.ranges import Count, NonNegative, Probability, Range, Ranged

MedianUse = Literal["never", "on alert", "always"]


@dataclass(frozen=True)
class DefenceSettings(Ranged):
    """Which defences a round has, and how strict they are; each is switched off by the value named.

    Attributes:
        enabled: whether rounds are split into groups and defended at all.
        group_phones: phones in a group, at least. Small groups find attackers sooner, large ones show the server less.
        norm_factor: a group whose mean is longer than this times the running norm is rejected; 0 switches it off.
        piece_factor: a group whose mean moves the row of a piece farther than this times what is usual for a piece so
            frequent is rejected; 0 switches it off.
        piece_quantile: of a round's groups, whose farthest row is usual: very low, since it is planted words that move
            rows far, and a tenth of phones spoils two thirds of the groups of ten.
        max_norm: a group whose mean is longer is rejected whatever is usual, as is one that is longer than the clip of
            its phones; 0 leaves it to the clip.
        initial_norm: the running norm before the first round; 0 takes that of the first round's groups.
        norm_quantile: of the norms of a round's groups, which the running norm follows: low, since who poisons a group
            lengthens it, and spoils most groups with few phones.
        norm_rise: share by which the running norm rises in a round at most.
        norm_fall: share of the way that it falls.
        clip_factor: a group's mean is scaled down to this times the running norm; 0 switches it off.
        min_agreement: a group whose mean has a smaller cosine with the median of all groups is rejected; -1 switches
            it off.
        median: when the coordinate-wise median of the groups' means replaces their weighted mean.
        max_gate_loss_nats: nats a piece by which a round may worsen the loss on held-out public text; 0 switches it
            off.
        canary_jump: probability by which the likeliest completion of a canary phrase may rise above its running
            average; 0 switches it off.
        quarantine_chance: a phone is quarantined once chance alone would have put it into so many rejected groups with
            less than this probability; 0 switches it off.
        quarantine_rounds: how long it stays away; then it starts anew.
        rollback_loss: nats a piece above the best version's loss at which the model returns to that version; 0
            switches it off.
        memory_rounds: that the running averages of canaries reach back.
    """

    enabled: bool = False
    group_phones: Count = 10
    norm_factor: NonNegative = 1.5
    piece_factor: NonNegative = 2.0
    piece_quantile: Probability = 0.05
    max_norm: NonNegative = 0.0
    initial_norm: NonNegative = 0.0
    norm_quantile: Probability = 0.25
    norm_rise: NonNegative = 0.02
    norm_fall: Probability = 0.5
    clip_factor: NonNegative = 1.25
    min_agreement: Annotated[float, Range(-1, 1)] = 0.0
    median: MedianUse = "on alert"
    max_gate_loss_nats: NonNegative = 0.3
    canary_jump: Probability = 0.3
    quarantine_chance: Probability = 1e-4
    quarantine_rounds: Count = 200
    rollback_loss: NonNegative = 0.5
    memory_rounds: Count = 20

    @classmethod
    def none(cls) -> "DefenceSettings":
        """Return settings that switch each defence off; groups there may still be."""
        return cls(
            norm_factor=0.0,
            piece_factor=0.0,
            clip_factor=0.0,
            min_agreement=-1.0,
            median="never",
            max_gate_loss_nats=0.0,
            canary_jump=0.0,
            quarantine_chance=0.0,
            rollback_loss=0.0,
        )

    @property
    def reads_models(self) -> bool:
        """Whether any defence measures models."""
        return bool(self.max_gate_loss_nats or self.canary_jump or self.rollback_loss)
