"""Environments of peers that are measured beside this project, without it: made once, kept in the cache."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fedkey.paths import cache


def environment(*requirements: str) -> Path:
    """Return a virtual environment with these requirements; makes it first if there is none."""
    folder = (
        cache() / "benchmarks" / "+".join(each.replace("==", "-").replace("<", "-before-") for each in requirements)
    )
    ready = folder / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements], check=True)
        ready.touch()
    return folder


def packages(folder: Path) -> Path:
    """Return where an environment's packages are."""
    return folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def command(python: Path, script: str, arguments: Sequence[str]) -> list[str]:
    """Return what runs a script of this folder, whose modules are not taken for others of their names."""
    return [str(python), "-P", str(Path(__file__).with_name(script)), *arguments]
