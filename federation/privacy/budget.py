"""The phone's own meter: it refuses a round that would spend more than its owner allows.

It counts zero-concentrated privacy loss (Bun and Steinke 2016, https://arxiv.org/abs/1605.02065), which adds up over
rounds whatever the order they come in and needs no library, so it runs on the phone.
"""

import json
import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from federation.privacy.errors import BudgetError
from federation.privacy.mechanisms import NoiseScale
from federation.privacy.zcdp import round_rho
from federation.protocol.plan import Mechanism, RoundPlan
from model.wording import fault, in_words


@dataclass(frozen=True)
class PrivacyBudget:
    """What a phone has spent and may spend; keep it with the phone's state, saved before a round is joined.

    Attributes:
        limit_rho: zCDP that all rounds together may cost; infinite for none.
        max_participations: rounds that the phone joins at most.
        minimum_separation: minimum difference between the ids of two rounds that a phone joins; 1 lets it join each.
        spent_rho: so far; infinite once a round without noise was joined.
        participations: so far.
        last_round_id: of the last round joined; 0 if none.
    """

    limit_rho: float
    max_participations: int
    minimum_separation: int = 1
    spent_rho: float = 0.0
    participations: int = 0
    last_round_id: int = 0

    def __post_init__(self) -> None:
        if not self.limit_rho >= 0 or not self.spent_rho >= 0:
            raise ValueError(f"privacy losses are not negative: {in_words(self)}")
        counts = (self.max_participations, self.minimum_separation, self.participations, self.last_round_id)
        if not all(isinstance(count, int) for count in counts):
            raise ValueError(f"participations, separation and round ids are whole numbers: {in_words(self)}")
        if min(self.max_participations, self.participations, self.last_round_id) < 0 or self.minimum_separation < 1:
            raise ValueError(f"counts are not negative, and rounds are at least one apart: {in_words(self)}")

    def to_json(self) -> str:
        """Return the budget as text; an infinite loss is null."""
        values = asdict(self)
        return json.dumps({name: None if value == math.inf else value for name, value in values.items()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            BudgetError: it is damaged. What has been spent is then unknown, so the phone may not go on as if new.
        """
        try:
            values = json.loads(text)
            # What is missing may not get a default: that would be a fresh budget.
            told: dict[str, Any] = {field.name: values[field.name] for field in fields(cls)}
            told.update({name: math.inf for name, value in told.items() if value is None})
            return cls(**told)
        except (KeyError, TypeError, ValueError) as error:
            raise BudgetError(
                f"the phone's record of its privacy budget is damaged ({fault(error)}): "
                "it takes part no more until its owner sets a new budget"
            ) from error

    def join(self, plan: RoundPlan) -> Self:
        """Return the budget after taking part in `plan`.

        A round counts as soon as it is joined, even if it fails: the phone cannot know what the server has seen.

        Raises:
            BudgetError: it is beyond the limit; do not take part.
            NoiseError: the plan's noise cannot protect.
        """
        cost = math.inf if plan.privacy.mechanism == Mechanism.NONE else round_rho(NoiseScale.of(plan))
        if self.participations >= self.max_participations:
            raise BudgetError(f"this phone has taken part {self.participations} times: it takes part no more")
        if self.last_round_id and plan.round_id < self.last_round_id + self.minimum_separation:
            first = self.last_round_id + self.minimum_separation
            raise BudgetError(f"this phone rests until round {first}: it does not take part in round {plan.round_id}")
        if self.spent_rho + cost > self.limit_rho:
            raise BudgetError(
                f"the round costs rho {cost:.4g}, and {max(self.limit_rho - self.spent_rho, 0):.4g} is left"
            )
        return replace(
            self, spent_rho=self.spent_rho + cost, participations=self.participations + 1, last_round_id=plan.round_id
        )
