"""Every benchmark can still be started: it says what it measures and which options it has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if "ArgumentParser(" in path.read_text())

ASK_ALL = """
import contextlib, io, runpy, sys
for name in sys.argv[1:]:
    said = io.StringIO()
    sys.argv[1:] = ["--help"]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    print(name, "usage:" in said.getvalue())
"""


@pytest.mark.slow
def test_every_benchmark_answers_help() -> None:
    """In one process: most of them import TensorFlow, which takes long once."""
    assert len(SCRIPTS) > 10
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    found = subprocess.run(
        [sys.executable, "-c", ASK_ALL, *SCRIPTS],
        cwd=FOLDER.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert dict(line.split() for line in found.stdout.splitlines()) == dict.fromkeys(SCRIPTS, "True")
