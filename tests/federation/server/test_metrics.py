"""What requests are counted in may have no room: then some are not counted, and all are answered."""

import resource
from pathlib import Path

import pytest

from federation.server.metrics import Metrics
from federation.server.store import Database


def test_a_request_is_served_where_nothing_can_be_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    database = Database(f"sqlite:///{tmp_path / 'server.sqlite'}")
    database.migrate()
    metrics = Metrics(database)
    metrics.observe("/known", "GET", 200, 0.1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))  # as large as the library's files are to begin with
    try:
        for number in range(100):
            metrics.observe(f"/new/{number}", "GET", 200, 0.1)
        metrics.observe("/known", "GET", 200, 0.1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    metrics.observe("/later", "GET", 200, 0.1)
    told = metrics.exposition().decode()
    database.close()
    assert 'fedkey_request_seconds_count{method="GET",route="/known",status="200"} 2.0' in told
    assert 'route="/new/99"' not in told
    assert len([record for record in caplog.records if "not counted" in record.message]) == 1
