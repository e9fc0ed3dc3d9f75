"""`fedkey conformance` on the command line; `tests/federation/conformance` has what it tries."""

import json
import socket
import threading
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from fedkey.cli import conformance as command
from fedkey.cli import main


def test_it_wants_a_server_or_a_phone_and_not_both() -> None:
    for arguments in ([], ["http://127.0.0.1:1", "--phone"]):
        result = CliRunner().invoke(main, ["conformance", *arguments])
        assert result.exit_code == 2
        assert "give the URL of a server, or --phone" in result.output


def test_a_server_is_not_tried_over_plain_http_beyond_this_machine() -> None:
    result = CliRunner().invoke(main, ["conformance", "http://fedkey.invalid"])
    assert result.exit_code == 1
    assert "would not be encrypted" in result.output


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, ["conformance", "--phone", "--port", port, "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "choose another --host or --port" in result.output


def test_a_trial_that_is_ended_early_reports_what_was_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    asked = threading.Event()

    def interrupt(_: float) -> None:
        assert httpx.get(f"http://127.0.0.1:{port}/v1/server").status_code == 200
        asked.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", interrupt)
    result = CliRunner().invoke(main, ["conformance", "--phone", "--json", "--port", port, "--out", str(tmp_path)])
    assert asked.is_set()
    assert result.exit_code == 3
    report = json.loads(result.stdout)
    assert report["counts"]["not tried"] > 90
    assert json.loads((tmp_path / "trust.json").read_text())["trust"]
