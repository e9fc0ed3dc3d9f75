"""What tests of the audit share."""

from tests.federation.server.conftest import clock, exported

__all__ = ["clock", "exported"]
