"""What tests have another process do; it imports this module, so it is a light one."""

import multiprocessing
import os
import time

from federation.phone import TooLittleError


def priority_and_name() -> tuple[int, str]:
    return os.nice(0), multiprocessing.current_process().name


def sleep() -> None:
    time.sleep(3600)


def die() -> None:
    os._exit(3)


def refuse() -> None:
    raise TooLittleError("too little")
