"""What can go wrong when learning together, in one place."""


class FederationError(Exception):
    """Base of this package's errors; the message is one sentence that says what to do."""


class ConfigError(FederationError):
    """A setting that cannot be used; the message says which and what is allowed."""


class WorkerError(FederationError):
    """The process that TFF computes in could not be started, or died."""
