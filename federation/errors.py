"""What can go wrong when learning together, in one place."""


class FederationError(Exception):
    """Base of this package's errors; the message is one sentence that says what to do."""


class ConfigError(FederationError):
    """A setting that cannot be used; the message says which and what is allowed."""


class DivergedError(FederationError):
    """Training diverged: going on would make the model no better."""


class TooManyError(FederationError):
    """More requests than a device or an address may make; over HTTP status 429.

    Attributes:
        retry_after_seconds: Time to wait before the next one.
    """

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class WorkerError(FederationError):
    """The process that TFF computes in could not be started, or died."""
