"""What the C library keeps: measured in a process of its own, by sizes that nothing else there comes near to."""

import subprocess
import sys
import textwrap

_SHARED = """
    import ctypes, threading
    import keyboard_app
    def use():
        ctypes.CDLL(None).malloc(1000)
        inside.wait()
    inside = threading.Barrier(5)
    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    inside.wait()
    for thread in threads:
        thread.join()
    libc = ctypes.CDLL(None)
    libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
    libc.fflush(None)
"""

_GIVEN_BACK = """
    import resource
    from pathlib import Path
    from keyboard_app import heap
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    large = [b"x" * (60_000 + n % 2) for n in range(1_000)]
    last = b"y" * 60_000  # above the others: the heap cannot simply end lower
    full = resident()
    large.clear()
    freed = resident()
    heap.give_back()
    print(full - freed, full - resident())
"""


def _run(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True, text=True
    ).stdout


def test_all_threads_of_the_app_share_one_heap() -> None:
    assert _run(_SHARED).count("<heap nr=") == 1
    assert _run(_SHARED.replace("import keyboard_app", "")).count("<heap nr=") > 1


def test_what_was_freed_amid_the_heap_is_given_back() -> None:
    kept_back, given_back = map(int, _run(_GIVEN_BACK).split())
    assert kept_back < 10e6
    assert given_back > 40e6
