"""Bytes that a phone sends and receives in a round: sizes of the messages, without what HTTP adds."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

from federation.protocol.plan import PLAN_BYTES, RoundPlan
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from federation.secure_aggregation.messages import Kind

Step = Literal["advertise", "share", "upload", "confirm", "unmask"]
STEPS: tuple[Step, ...] = get_args(Step)
"""What a phone does in a round, in this order; `federation.protocol.plan.Deadlines` has when each closes."""


class Traffic(NamedTuple):
    """Bytes of a phone.

    Attributes:
        up: that it sends.
        down: that it receives.
    """

    up: int
    down: int

    @classmethod
    def sum(cls, parts: Mapping[Step, "Traffic"]) -> "Traffic":
        """Return the bytes of all steps together."""
        return cls(sum(part.up for part in parts.values()), sum(part.down for part in parts.values()))


def of_round(plan: RoundPlan, phones: int, *, model_bytes: int, task_bytes: int = 0) -> dict[Step, Traffic]:
    """Return what each step costs a phone, when nobody drops out; with drop-outs it is less.

    Args:
        plan: of the round.
        phones: in its roster.
        model_bytes: of the download: of the whole model or of a delta (`federation.protocol.model_codec`).
        task_bytes: of the training task.
    """
    session = plan.session

    def size(kind: Kind) -> int:
        return session.message_bytes(kind, phones)

    invitation = PLAN_BYTES + SIGNATURE_BYTES + task_bytes + model_bytes
    return {
        "advertise": Traffic(size(Kind.ADVERTISEMENT), invitation),
        "share": Traffic(size(Kind.SHARES), size(Kind.ROSTER)),
        "upload": Traffic(size(Kind.MASKED_INPUT), size(Kind.INBOX)),
        "confirm": Traffic(size(Kind.CONSISTENCY), size(Kind.SURVIVORS)),
        "unmask": Traffic(size(Kind.UNMASKING), size(Kind.SIGNATURES)),
    }
