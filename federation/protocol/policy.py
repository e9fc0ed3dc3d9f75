"""What a phone agrees to, whatever a server asks for."""

import math
from dataclasses import dataclass

from federation.protocol.plan import RoundPlan
from federation.protocol.task import TrainingTask
from federation.protocol.trust import TrustProfile
from federation.secure_aggregation.errors import PlanRefusedError

MAX_ROUND_SECONDS = 24 * 3600
MAX_EPOCHS, MAX_STEPS, MAX_TRAINING_SECONDS = 100, 1 << 20, 6 * 3600
MAX_LEARNING_RATE = 100.0


@dataclass(frozen=True)
class PhonePolicy:
    """What a phone agrees to, set in the app and not by the server.

    Attributes:
        min_phones: in a sum.
        min_noise_multiplier: of the plan's privacy.
        max_clip: L2 bound of what the phone contributes.
        max_bits: sent for a coordinate.
        counted_share: of a sum's phones, those whose noise is counted on at most, where a noise floor holds.
        rounds_per_model: that it sends an update to, trained from one version of the model.
        rounds_per_week: that it sends an update to.
        min_separation_seconds: between two of them.
        max_step: L2 distance between two consecutive versions of the model.
        max_drift: L2 distance of any version from the model that the app came with.
    """

    min_phones: int
    min_noise_multiplier: float
    max_clip: float
    max_bits: float
    counted_share: float = 1.0
    rounds_per_model: int = 1 << 20
    rounds_per_week: int = 1 << 20
    min_separation_seconds: float = 0.0
    max_step: float = math.inf
    max_drift: float = math.inf

    def within(self, profile: TrustProfile) -> "PhonePolicy":
        """Return what both this policy and a profile agree to."""
        return PhonePolicy(
            max(self.min_phones, profile.min_phones),
            max(self.min_noise_multiplier, profile.min_noise_multiplier),
            self.max_clip,
            self.max_bits,
            min(self.counted_share, profile.counted_share),
            min(self.rounds_per_model, profile.rounds_per_model),
            min(self.rounds_per_week, profile.rounds_per_week),
            self.min_separation_seconds,
            min(self.max_step, profile.max_step),
            min(self.max_drift, profile.max_drift),
        )

    def check(self, plan: RoundPlan, last_round_id: int) -> None:
        """Check a plan.

        Args:
            plan: of the next round.
            last_round_id: of the latest round that this phone advertised keys for.

        Raises:
            PlanRefusedError: the round is not newer, or the plan is below this policy.
        """
        counted = plan.minimum - plan.privacy.corrupt
        too_many = self.min_noise_multiplier > 0 and counted > self.counted_share * plan.minimum
        refusals = [
            (plan.round_id <= last_round_id, f"round {plan.round_id} is not after round {last_round_id}"),
            (plan.minimum < self.min_phones, f"a sum of {plan.minimum} phones is too small"),
            (plan.privacy.noise_multiplier < self.min_noise_multiplier, "the noise is too small"),
            (too_many, f"the noise of {counted} of {plan.minimum} phones is counted on, which is too many"),
            (plan.clip > self.max_clip, f"a clip of {plan.clip} is too large"),
            (plan.encoding.bits > self.max_bits, f"{plan.encoding.bits:g} bits are too many"),
            (plan.deadlines.unmask_seconds > MAX_ROUND_SECONDS, "the round lasts too long"),
        ]
        _refuse_any(refusals)

    def check_task(self, task: TrainingTask) -> None:
        """Check what is to be done on the phone.

        Raises:
            PlanRefusedError: it asks for too much.
        """
        budgets = task.budgets.values()
        refusals = [
            (task.training.epochs > MAX_EPOCHS, f"{task.training.epochs} passes over the text are too many"),
            (
                task.training.learning_rate > MAX_LEARNING_RATE,
                f"a learning rate of {task.training.learning_rate:g} is too large",
            ),
            (any(budget.steps > MAX_STEPS for budget in budgets), "the training has too many steps"),
            (any(budget.seconds > MAX_TRAINING_SECONDS for budget in budgets), "the training lasts too long"),
        ]
        _refuse_any(refusals)

    def check_history(self, of_model: int, in_week: int, since_last: float) -> None:
        """Check what this phone sent before.

        Args:
            of_model: rounds that it sent an update to, trained from the plan's model.
            in_week: rounds of the last seven days that it sent an update to.
            since_last: seconds since the latest of them.

        Raises:
            PlanRefusedError: one more would be too many, or too soon.
        """
        refusals = [
            (of_model >= self.rounds_per_model, "this phone has trained this version of the model already"),
            (in_week >= self.rounds_per_week, f"{self.rounds_per_week} rounds a week are enough"),
            (since_last < self.min_separation_seconds, "the latest round was too short a while ago"),
        ]
        _refuse_any(refusals)

    @property
    def bounds_models(self) -> bool:
        """Whether it matters how far a model is from others."""
        return min(self.max_step, self.max_drift) < math.inf

    def check_distance(self, distance: float, versions: int, *, of_app: bool) -> None:
        """Check how far a model is from an older one.

        Args:
            distance: L2, of their weights.
            versions: between them.
            of_app: whether the older one is the app's, and not the one that the phone had last.

        Raises:
            PlanRefusedError: no rounds lead from one to the other.
        """
        bound = self.max_step * max(versions, 1)
        bound = min(bound, self.max_drift) if of_app else bound
        if not distance <= bound:
            older = "the app's own" if of_app else "the one before"
            raise PlanRefusedError(
                f"the model is {distance:.3g} away from {older}, and rounds can have moved it by {bound:.3g} at most: "
                "it was not taken"
            )


def _refuse_any(refusals: list[tuple[bool, str]]) -> None:
    for refused, reason in refusals:
        if refused:
            raise PlanRefusedError(reason)
