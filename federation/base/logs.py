"""Logs of servers: one line of JSON a record, tracebacks and warnings among them."""

import json
import logging
import sys
import threading
from collections.abc import Mapping


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object: `at` in seconds since 1970, `level`, `logger`, and what was logged.

    A mapping that is logged gives its own fields, anything else a `message`. An exception adds a `traceback`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        entry = {"at": round(record.created, 3), "level": record.levelname.lower(), "logger": record.name}
        if isinstance(record.msg, Mapping):
            entry |= record.msg
        else:
            entry["message"] = record.getMessage()
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        return json.dumps(entry, default=str)


def to_stderr() -> None:
    """Log all of this process to standard error, also what would end a thread or the process."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(capture=True)
    log = logging.getLogger("fedkey")
    sys.excepthook = lambda kind, error, trace: log.critical("the process ends", exc_info=(kind, error, trace))

    def thread_ends(ended: threading.ExceptHookArgs) -> None:
        error = ended.exc_value or ended.exc_type()
        log.critical("a thread ends", exc_info=(ended.exc_type, error, ended.exc_traceback))

    threading.excepthook = thread_ends
