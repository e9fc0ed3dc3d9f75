"""What can go wrong in a round of secure aggregation; none of these carries a secret.

In brackets, the HTTP status with which a round server answers a phone's message::

    SecureAggregationError
    +-- OutOfOrderError             a step was taken twice, or on a session that has ended
    +-- MalformedMessageError       [422] size, version, kind or contents
    +-- BadSignatureError           [422]
    +-- RevokedDeviceError          [422] of a device that the authority has revoked
    +-- MismatchError               [412] made for another plan, model or roster
    +-- ConflictingMessageError     [409] differs from what the same phone sent before
    +-- WindowClosedError           [410] the step is over, or the phone missed an earlier one
    +-- TooFewPhonesError           [503] below the threshold or the plan's minimum
    +-- RefusedError                a phone leaves the round: nothing more is sent, its secrets are wiped
    |   +-- PlanRefusedError
    |   +-- RosterRefusedError
    |   +-- InboxRefusedError
    |   +-- SurvivorsRefusedError
    |   +-- SignaturesRefusedError
    +-- UnmaskingError              shares do not give the advertised secrets
    +-- ImpossibleSumError          no honest cohort has this sum
"""

from dataclasses import dataclass

from federation.errors import FederationError


class SecureAggregationError(FederationError):
    """Base of this package's errors."""


class OutOfOrderError(SecureAggregationError):
    """A step was taken twice, or after the session ended; start a new session with the next plan."""

    def __init__(self, phase: str) -> None:
        super().__init__(f"{phase} was left already: resend the stored message, or wait for the next round")
        self.phase = phase


class MalformedMessageError(SecureAggregationError):
    """A message whose size, version, kind or contents cannot be right."""


class BadSignatureError(SecureAggregationError):
    """A signature or certificate that does not verify.

    Attributes:
        device_id: who is said to have signed.
    """

    def __init__(self, what: str, device_id: bytes) -> None:
        super().__init__(f"{what} of device {device_id.hex()} does not verify: drop the message")
        self.device_id = device_id


class RevokedDeviceError(SecureAggregationError):
    """A device that the authority has revoked.

    Attributes:
        device_id: of it.
    """

    def __init__(self, device_id: bytes) -> None:
        super().__init__(f"device {device_id.hex()} was revoked: leave it out")
        self.device_id = device_id


class MismatchError(SecureAggregationError):
    """A message made for another plan, model or roster; fetch the current plan."""


class ConflictingMessageError(SecureAggregationError):
    """A phone sent something else than before, or keys that are another's; a retry must resend the same bytes.

    Attributes:
        device_id: the sender.
    """

    def __init__(self, what: str, device_id: bytes) -> None:
        super().__init__(f"device {device_id.hex()} {what}: resend the first message unchanged")
        self.device_id = device_id


class WindowClosedError(SecureAggregationError):
    """A message came after its step was closed, or from a phone that missed a step; wait for the next round."""


class TooFewPhonesError(SecureAggregationError):
    """The round must be abandoned; nothing has been revealed.

    Attributes:
        present: phones that got so far.
        needed: at least.
    """

    def __init__(self, step: str, present: int, needed: int) -> None:
        super().__init__(f"{step}: {present} phones, but {needed} are needed; abandon the round and plan another")
        self.present = present
        self.needed = needed


class RefusedError(SecureAggregationError):
    """A phone does not go on with this round."""


class PlanRefusedError(RefusedError):
    """The plan is not what this phone agrees to."""


class RosterRefusedError(RefusedError):
    """The roster is unsafe: a key, certificate, size or threshold is wrong."""


class InboxRefusedError(RefusedError):
    """Too few shares, or some that do not decrypt.

    Attributes:
        device_id: whose share, if one is at fault.
        complaint: signed message for the server that names all such dealers; empty if there is none.
    """

    def __init__(self, message: str, device_id: bytes | None = None, complaint: bytes = b"") -> None:
        super().__init__(message)
        self.device_id = device_id
        self.complaint = complaint


class SurvivorsRefusedError(RefusedError):
    """The sets of sharers and survivors are inconsistent or too small."""


class SignaturesRefusedError(RefusedError):
    """Too few phones signed the same sets of sharers and survivors."""


@dataclass(frozen=True)
class Blame:
    """Who sent shares that do not fit.

    A share that does not fit is the fault of its dealer or of its holder, and one alone does not tell which.

    Attributes:
        certain: device ids of phones that deviated, if no more than a third of the cohort did, which is what the
            protocol assumes: they disagree with more phones than that.
        suspects: device ids of those and of the fewest others that explain everything (both, where a dealer and a
            holder explain as much), and of the dealers whose secrets were not found.
    """

    certain: frozenset[bytes]
    suspects: frozenset[bytes]


class UnmaskingError(SecureAggregationError):
    """Secrets that the answered shares do not give; abandon the round and leave out who is to blame.

    Attributes:
        dealers: device ids of the phones whose secrets are missing.
        blame: who deviated.
    """

    def __init__(self, dealers: frozenset[bytes], blame: Blame) -> None:
        names = ", ".join(sorted(dealer.hex() for dealer in dealers))
        super().__init__(f"shares of {names} do not give the advertised secrets: abandon the round")
        self.dealers = dealers
        self.blame = blame


class ImpossibleSumError(SecureAggregationError):
    """A sum that no honest cohort has: some phone masked words outside of the encoding; discard the round."""
