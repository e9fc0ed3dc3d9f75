"""Shared by all tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.databases import Cluster
    from tests.object_store import ObjectStore

# Before TensorFlow is imported anywhere: its start-up notices are not ours.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:
    # There is a worker for every core already, and threads of several that wait for a core only cost time.
    for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(_threads, "1")
# Other tests keep the processors busy, and training that waits for idle ones would wait for as long as they run.
_AT_USUAL_PRIORITY = str(Path(__file__).parent / "at_usual_priority")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_AT_USUAL_PRIORITY, os.environ.get("PYTHONPATH"))))


_LONG = (
    "tests/benchmarks/test_small_runs.py",
    "tests/federation/server/test_serving.py",
    "tests/federation/simulation/",
    "tests/fedkey/",
    "tests/keyboard_app/android/",
    "tests/keyboard_app/ui/test_window.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left with it when the others are done."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


# No test is timed: a loaded machine is no defect.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
# For `.ci/run`: the same examples each time, so that what lands depends on the change alone. Everybody else's tests,
# run every day, go on looking for new ones.
settings.register_profile("repeatable", deadline=None, derandomize=True)


@pytest.fixture(scope="session")
def postgresql() -> "Iterator[Cluster]":
    """One cluster for all tests."""
    from tests.databases import cluster  # noqa: PLC0415 - needs the server's packages

    with cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind that a server may have."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'server.sqlite'}"
    running: Cluster = request.getfixturevalue("postgresql")
    return running.create_database()


@pytest.fixture(scope="session")
def s3() -> "Iterator[ObjectStore]":
    """One S3 server for all tests, which this process and those that it starts find by their environment."""
    from tests.object_store import object_store  # noqa: PLC0415 - likewise

    with object_store() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running
