from collections.abc import Iterator

import pytest

from federation.simulation.execution import Worker


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as running:
        yield running
