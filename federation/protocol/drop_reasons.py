"""What a phone tells the server of itself, and why it did not go on with a round: the whole vocabulary."""

from enum import StrEnum


class DropReason(StrEnum):
    """Of an event that a phone reports, or of a round's outcome in its own records."""

    NONE = ""
    POLICY = "the plan is below this phone's policy"
    BUDGET = "the privacy budget is spent"
    SIGNATURE = "a signature or hash was wrong"
    INCOMPATIBLE = "the model is of another network or vocabulary"
    UNSAFE = "what the server said of the others is not safe"
    CONDITIONS = "the phone is in use, or not on power or an unmetered network"
    TOO_LITTLE = "too little was typed to learn from"
    TRAINING = "training failed"
    LATE = "the round went on without this phone, or was given up"
    UNREACHABLE = "the server did not answer"
    RESTARTED = "the phone was restarted"
    LEFT = "the owner left"
    REFUSED = "the server refused the message"


class DeviceEvent(StrEnum):
    """What a phone reports of a round, beside the messages that the server sees anyway."""

    PLAN = "plan"
    MODEL = "model"
    TRAINED = "trained"
    REFUSED = "refused"
    FAILED = "failed"
