"""What tests of conformance share with those of the server."""

from tests.federation.server.conftest import clock, exported

__all__ = ["clock", "exported"]
