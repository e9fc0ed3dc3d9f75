"""Services beside this process answer, say what they do as JSON, and end with it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from federation.base.child_processes import StartError, serving

PARENT = """
import os, sys, time
from pathlib import Path
from federation.base.child_processes import serving
with serving("enrol", "serve", "--authority", sys.argv[1], log=Path(sys.argv[2])) as url:
    print(url, flush=True)
    time.sleep(600)
"""


def answers(url: str) -> bool:
    try:
        return httpx.post(f"{url}/v1/enrol", content=b"").status_code == 403
    except httpx.TransportError:
        return False


def test_a_service_answers_until_it_is_no_longer_needed_and_logs_json(tmp_path: Path) -> None:
    with serving("enrol", "serve", "--authority", tmp_path / "authority", log=tmp_path / "log") as url:
        assert answers(url)
    assert not answers(url)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert any("Listening at" in line["message"] for line in lines if line["logger"] == "gunicorn.error")


def test_a_service_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, tmp_path / "authority", tmp_path / "log"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert answers(url)
        parent.kill()
    ends = time.monotonic() + 60
    while answers(url):
        assert time.monotonic() < ends, "it goes on without its parent"
        time.sleep(0.1)


def test_a_service_that_does_not_start_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=str(tmp_path / "log")), serving("no-such-command", log=tmp_path / "log"):
        pass
    assert "no-such-command" in (tmp_path / "log").read_text()


def test_what_is_supervised_is_started_again_while_others_are_forked(tmp_path: Path) -> None:
    """As in a server whose workers are replaced: they hold what they were forked with for as long as they live."""
    code = (
        "import os, sys, time\n"
        "from federation.base import child_processes\n"
        "child_processes._RESTART_SECONDS = 0\n"
        "begun = sys.argv[1]\n"
        "child_processes.Supervised(['/bin/sh', '-c', f'echo >> {begun}']).start()\n"
        "def forked():\n"
        "    time.sleep(0.002)\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        time.sleep(60)\n"
        "        os._exit(0)\n"
        "    return child\n"
        "children = [forked() for _ in range(150)]\n"
        "before, until = os.path.getsize(begun), time.monotonic() + 50\n"
        "while os.path.getsize(begun) == before and time.monotonic() < until:\n"
        "    time.sleep(0.05)\n"
        "print(os.path.getsize(begun) > before, flush=True)\n"
        "for child in children:\n"
        "    os.kill(child, 9)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "begun")], capture_output=True, text=True, check=False
    )
    assert done.stdout == "True\n", done.stderr
