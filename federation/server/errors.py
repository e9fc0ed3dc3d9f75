"""What a round server refuses.

In brackets the HTTP status::

    ServerError
    +-- BadRequestError        [400]
    +-- UnauthorisedError      [401] no credential, or one that does not let the device in
    |   +-- RevokedError       [401] whose device the authority has revoked
    |   +-- ForbiddenError     [403] let in, but not for this
    +-- UnknownError           [404]
    +-- ConflictError          [409] differs from what the device sent before
    +-- GoneError              [410] the step is over, or the round was abandoned
    +-- TooLargeError          [413]
    +-- NotYetError            [425] ask again
    +-- UnavailableError       [503] the server cannot store anything at the moment

`federation.errors.TooManyError` is answered with 429, and the protocol's own errors as
`federation.secure_aggregation.errors` says.
"""

from federation.errors import FederationError, TooManyError
from federation.secure_aggregation import errors as protocol


class ServerError(FederationError):
    """Base of this package's errors.

    Attributes:
        status: HTTP status.
        retry_after_seconds: when to ask again, if at all.
    """

    status = 500

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class BadRequestError(ServerError):
    """A request that cannot be read."""

    status = 400


class UnauthorisedError(ServerError):
    """A device that is not let in."""

    status = 401


class RevokedError(UnauthorisedError):
    """A device that was revoked."""


class ForbiddenError(UnauthorisedError):
    """A device that asks for what is another's."""

    status = 403


class UnknownError(ServerError):
    """There is no such round, model or device."""

    status = 404


class ConflictError(ServerError):
    """Something else than what was stored before."""

    status = 409


class GoneError(ServerError):
    """The step is over."""

    status = 410


class TooLargeError(ServerError):
    """A body that no request of this kind has."""

    status = 413


class NotYetError(ServerError):
    """The step has not begun."""

    status = 425


class UnavailableError(ServerError):
    """Storage is full or away; nothing of the request was accepted."""

    status = 503


_STATUS: dict[type[FederationError], int] = {
    TooManyError: 429,
    protocol.MalformedMessageError: 422,
    protocol.BadSignatureError: 422,
    protocol.RevokedDeviceError: 422,
    protocol.MismatchError: 412,
    protocol.ConflictingMessageError: 409,
    protocol.WindowClosedError: 410,
    protocol.OutOfOrderError: 410,
    protocol.TooFewPhonesError: 503,
}


def status_of(error: FederationError) -> int:
    """Return the HTTP status that an error is answered with."""
    return error.status if isinstance(error, ServerError) else _STATUS.get(type(error), 500)
