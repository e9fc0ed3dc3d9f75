"""The heap of the C library, where that is glibc: one for all threads, and what was freed goes back to the system."""

import ctypes
import sys

_M_ARENA_MAX = -8


def share() -> None:
    """Have threads that begin from now on use one heap: what one has freed is of no use to the heaps of others."""
    _call("mallopt", _M_ARENA_MAX, 1)


def give_back() -> None:
    """Give back to the system what was freed; takes milliseconds."""
    _call("malloc_trim", 0)


def _call(name: str, *numbers: int) -> None:
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
    if function is not None:  # other C libraries have others, or none
        function(*numbers)
