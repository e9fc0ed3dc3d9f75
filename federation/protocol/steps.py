"""The steps of a round, as both sides and every report name them."""

from enum import StrEnum


class Step(StrEnum):
    """What a phone does in a round, in this order; `federation.protocol.plan.Deadlines` has when each closes."""

    ADVERTISE = "advertise"
    SHARE = "share"
    UPLOAD = "upload"
    CONFIRM = "confirm"
    UNMASK = "unmask"


STEPS = tuple(Step)
