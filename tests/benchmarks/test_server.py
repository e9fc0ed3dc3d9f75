"""The round server's benchmark, in its smallest form."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import results, server


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_small_run_measures_every_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = "--workers 2 --phones 6 --check-ins 20 --hidden 16 --advertise 10 20 --fleet 8"
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmarks.server", *sizes.split()])
    server.main()
    found = {entry["figure"]: entry["value"] for entry in json.loads((tmp_path / "server.json").read_text())}
    assert set(found) == {
        *(f"{what}_2_workers" for what in ("check_ins_per_s", "check_in_p99_s", "uploads_per_s", "upload_p99_s")),
        *("close_6_phones_s", "rss_mb", "upload_mb"),
        *(f"advertise_cpu_ms_per_phone_{phones}" for phones in (10, 20)),
        *(f"round_8_{what}" for what in ("phones_s", "server_cpu_ms_per_phone", "uploads_per_s", "close_s", "rss_mb")),
    }
    assert min(found.values()) > 0
