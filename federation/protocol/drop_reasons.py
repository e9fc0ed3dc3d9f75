"""What a phone tells the server of itself, and why it did not go on with a round: the whole vocabulary.

Codes are what goes over the wire and onto disks, and never change their meaning; sentences are for people. A version
that meets a code of a later one reads `DropReason.UNKNOWN`.
"""

import re
from enum import StrEnum
from typing import Self

MAX_CODE_CHARACTERS = 32
_CODE = re.compile(rf"[a-z_]{{0,{MAX_CODE_CHARACTERS}}}")


class DropReason(StrEnum):
    """Why a phone did not contribute to a round; the code of an event that it reports, and of its own records."""

    NONE = ""
    POLICY = "policy"
    BUDGET = "budget"
    SIGNATURE = "signature"
    INCOMPATIBLE = "incompatible"
    UNSAFE = "unsafe"
    CONDITIONS = "conditions"
    TOO_LITTLE = "too_little"
    TRAINING = "training"
    LATE = "late"
    UNREACHABLE = "unreachable"
    RESTARTED = "restarted"
    LEFT = "left"
    REFUSED = "refused"
    UNKNOWN = "unknown"

    @classmethod
    def read(cls, code: object) -> Self:
        """Return the reason of a code; `UNKNOWN` if this version has none of that code.

        Raises:
            ValueError: no version has such codes: they are up to `MAX_CODE_CHARACTERS` small letters and underscores.
        """
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise ValueError("a reason is a code of small letters")
        return cls(code) if code in cls._value2member_map_ else cls.UNKNOWN

    @property
    def sentence(self) -> str:
        """The reason in words, without a capital and a full stop."""
        return _SENTENCES[self]


_SENTENCES = {
    DropReason.NONE: "the phone took part",
    DropReason.POLICY: "the plan is below this phone's policy",
    DropReason.BUDGET: "the privacy budget is spent",
    DropReason.SIGNATURE: "a signature or hash was wrong",
    DropReason.INCOMPATIBLE: "the model is of another network or vocabulary",
    DropReason.UNSAFE: "what the server said of the others is not safe",
    DropReason.CONDITIONS: "the phone is in use, or not on power or an unmetered network",
    DropReason.TOO_LITTLE: "too little was typed to learn from",
    DropReason.TRAINING: "training failed",
    DropReason.LATE: "the round went on without this phone, or was given up",
    DropReason.UNREACHABLE: "the server did not answer",
    DropReason.RESTARTED: "the phone was restarted",
    DropReason.LEFT: "the owner left",
    DropReason.REFUSED: "the server refused the message",
    DropReason.UNKNOWN: "a reason that this version does not know",
}


class DeviceEvent(StrEnum):
    """What a phone reports of a round, beside the messages that the server sees anyway."""

    PLAN = "plan"
    MODEL = "model"
    TRAINED = "trained"
    REFUSED = "refused"
    FAILED = "failed"
