"""PyGObject and IBus, from wherever this machine has them.

PyPI has PyGObject as source only, which needs a compiler and newer libraries than Debian 12 has. Debian's own
`python3-gi` is built for the Python that fedkey asks for, 3.11; but an environment does not look where Debian puts it.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from federation.errors import FederationError

_DEBIAN = Path("/usr/lib/python3/dist-packages/gi")
_INSTALL = "install what IBus needs: apt install ibus gir1.2-ibus-1.0 python3-gi"


class IBusError(FederationError):
    """IBus cannot be used here; the message says what to do."""


def load() -> tuple[Any, Any]:
    """Return the modules `IBus` and `GLib`.

    Raises:
        IBusError: one is missing.
    """
    try:
        if importlib.util.find_spec("gi") is None:
            _find_debians()
        import gi  # noqa: PLC0415 - found only now

        gi.require_version("IBus", "1.0")
        from gi.repository import GLib, IBus  # noqa: PLC0415
    except (ImportError, ValueError) as error:
        raise IBusError(f"{_INSTALL} ({error})") from error
    return IBus, GLib


def _find_debians() -> None:
    """Import Debian's `gi`, and nothing else from where it is."""
    spec = importlib.util.spec_from_file_location(
        "gi", _DEBIAN / "__init__.py", submodule_search_locations=[str(_DEBIAN)]
    )
    if spec is None or spec.loader is None or not _DEBIAN.exists():
        raise ImportError("there is no PyGObject")
    module = importlib.util.module_from_spec(spec)
    sys.modules["gi"] = module
    try:
        spec.loader.exec_module(module)
    except ImportError:
        del sys.modules["gi"]
        raise
