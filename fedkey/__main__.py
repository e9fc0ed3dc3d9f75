"""`python -m fedkey` is `fedkey`."""

import _thread
import sys
import threading
from typing import Any

_SOON_SECONDS = 0.02


def run() -> None:
    """Run the command; an interrupt that comes before there is one to tell of it ends in order, too."""
    keep_interrupts()
    try:
        from fedkey.cli import main  # noqa: PLC0415 - see above
    except KeyboardInterrupt:
        sys.exit(130)
    main(prog_name="fedkey")


def keep_interrupts() -> None:
    """Interrupt once more after an interrupt that came where nothing can be raised.

    Python only prints what is raised in a finalizer or by the garbage collector, which calls libraries such as JAX.
    """
    before = sys.unraisablehook

    def again(lost: Any) -> None:
        if lost.exc_type is KeyboardInterrupt:
            later = threading.Timer(_SOON_SECONDS, _thread.interrupt_main)  # what is raised here is lost as well
            later.daemon = True
            later.start()
        else:
            before(lost)

    sys.unraisablehook = again


if __name__ == "__main__":
    run()
