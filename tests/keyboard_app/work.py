"""What tests have another process do; it imports this module, so it is a light one."""

import multiprocessing
import os
import sys
import time
from pathlib import Path

from federation.base import child_processes
from federation.device import TooLittleError

PRIORITY_AT_IMPORT = os.nice(0)


def priority_and_name() -> tuple[int, str]:
    return PRIORITY_AT_IMPORT, multiprocessing.current_process().name


def has_no_slices() -> bool:
    return sys.platform != "linux" or os.sched_getscheduler(0) == os.SCHED_IDLE


def sleep() -> None:
    time.sleep(3600)


def die() -> None:
    os._exit(3)


def refuse() -> None:
    raise TooLittleError("too little")


def live(path: str) -> None:
    with Path(path).open("wb", buffering=0) as alive:
        alive.write(b"!")
        time.sleep(3600)


def start(path: str) -> None:
    child_processes.run(lambda: False, live, path)
