"""Bytes that a phone sends and receives in a round: sizes of the messages, without what HTTP adds."""

from collections.abc import Mapping
from typing import NamedTuple

from federation.protocol.plan import PLAN_BYTES, RoundPlan
from federation.protocol.steps import Step
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from federation.secure_aggregation.messages import Kind


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
        Step.ADVERTISE: Traffic(size(Kind.ADVERTISEMENT), invitation),
        Step.SHARE: Traffic(size(Kind.SHARES), size(Kind.ROSTER)),
        Step.UPLOAD: Traffic(size(Kind.MASKED_INPUT), size(Kind.INBOX)),
        Step.CONFIRM: Traffic(size(Kind.CONSISTENCY), size(Kind.SURVIVORS)),
        Step.UNMASK: Traffic(size(Kind.UNMASKING), size(Kind.SIGNATURES)),
    }
