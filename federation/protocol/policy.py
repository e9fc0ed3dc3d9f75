"""What a phone agrees to, whatever a server asks for."""

from dataclasses import dataclass

from federation.protocol.plan import RoundPlan
from federation.secure_aggregation.errors import PlanRefusedError


@dataclass(frozen=True)
class PhonePolicy:
    """What a phone agrees to, set in the app and not by the server.

    Attributes:
        min_phones: in a sum.
        min_noise_multiplier: of the plan's privacy.
        max_clip: L2 bound of what the phone contributes.
        max_bits: sent for a coordinate.
    """

    min_phones: int
    min_noise_multiplier: float
    max_clip: float
    max_bits: float

    def check(self, plan: RoundPlan, last_round_id: int) -> None:
        """Check a plan.

        Args:
            plan: of the next round.
            last_round_id: of the latest round that this phone advertised keys for.

        Raises:
            PlanRefusedError: the round is not newer, or the plan is below this policy.
        """
        refusals = [
            (plan.round_id <= last_round_id, f"round {plan.round_id} is not after round {last_round_id}"),
            (plan.minimum < self.min_phones, f"a sum of {plan.minimum} phones is too small"),
            (plan.privacy.noise_multiplier < self.min_noise_multiplier, "the noise is too small"),
            (plan.clip > self.max_clip, f"a clip of {plan.clip} is too large"),
            (plan.encoding.bits > self.max_bits, f"{plan.encoding.bits:g} bits are too many"),
        ]
        for refused, reason in refusals:
            if refused:
                raise PlanRefusedError(f"{reason}: do not take part")
