"""What can go wrong on a device."""

from federation.errors import FederationError
from federation.protocol.drop_reasons import DropReason


class PhoneError(FederationError):
    """Base of this package's errors."""


class StoreError(PhoneError):
    """The phone's own records cannot be read or written."""


class DistrustError(PhoneError):
    """A server that this phone does not talk to: plain HTTP, another key than before, or another model."""


class UnreachableError(PhoneError):
    """The server did not answer, or could not do its work at the moment; ask again.

    Attributes:
        retry_after_seconds: as the server said, if it did.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UnreadableError(UnreachableError):
    """What came is no answer of this protocol; ask again: a proxy or a captive portal may have answered."""


class NotYetError(UnreachableError):
    """The round's step has not begun; ask again."""


class ServerRefusedError(PhoneError):
    """The server answered no.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class TooLittleError(PhoneError):
    """Too little was typed to learn from; leave this round out."""


class LeaveError(PhoneError):
    """The device does not take part in a round, or not any longer.

    Attributes:
        reason: why.
    """

    def __init__(self, reason: DropReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
