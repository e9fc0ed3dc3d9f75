"""What tests of the device share."""

import pytest

from tests.federation.server.phones import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
