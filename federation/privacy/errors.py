"""What can go wrong with privacy; all are `FederationError`."""

from federation.errors import FederationError


class NoiseError(FederationError):
    """A plan asks for noise that cannot protect, or that its encoding cannot carry."""


class AssumptionError(FederationError):
    """An accountant was asked to assume what the round protocol does not ensure."""


class BudgetError(FederationError):
    """A round would spend more privacy than the phone allows."""
