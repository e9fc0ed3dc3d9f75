"""Every line that a server logs is JSON, whatever goes wrong in it."""

import json
import logging
import subprocess
import sys
from typing import Any

from federation.base.logs import JsonFormatter

PROCESS = """
import logging, threading, warnings
from federation.base import logs
logs.to_stderr()
logging.getLogger("fedkey.server").info({"event": "opened", "round": 3})
logging.getLogger("gunicorn.error").info("Listening at %s", "here")
warnings.warn("of a library")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("two\\nlines")
"""


def formatted(message: object, *arguments: object, **more: Any) -> dict[str, Any]:
    record = logging.LogRecord("fedkey.test", logging.WARNING, "file", 1, message, arguments, more.get("exc_info"))
    line = JsonFormatter().format(record)
    assert "\n" not in line
    told: dict[str, Any] = json.loads(line)
    return told


def test_fields_stand_beside_time_level_and_logger() -> None:
    told = formatted({"event": "opened", "round": 3})
    assert told.pop("at") > 1e9
    assert told == {"level": "warning", "logger": "fedkey.test", "event": "opened", "round": 3}


def test_a_sentence_is_a_message_with_its_arguments() -> None:
    assert formatted("%s of\n%d", "one", 2)["message"] == "one of\n2"


def test_everything_that_a_process_says_is_a_line_of_json() -> None:
    ended = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line.get("event") or line["message"].split(":")[0] for line in lines[:2]] == ["opened", "Listening at here"]
    assert "of a library" in lines[2]["message"]
    assert "ZeroDivisionError" in lines[3]["traceback"]
    assert lines[4]["traceback"].endswith("ValueError: two\nlines")
    assert len(lines) == 5
