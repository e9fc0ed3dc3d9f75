"""Shared by all tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.databases import Cluster

# Before TensorFlow is imported anywhere: its start-up notices are not ours.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def postgresql() -> "Iterator[Cluster]":
    """One cluster for all tests."""
    from tests.databases import cluster  # noqa: PLC0415 - needs the server's packages

    with cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind that a server may have."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'server.sqlite'}"
    running: Cluster = request.getfixturevalue("postgresql")
    return running.create_database()
