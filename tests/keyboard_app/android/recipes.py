"""Pythons with the versions of python-for-android's recipes, to run the phone's tests with.

PyPI has wheels of exactly these versions for the Python that fedkey asks for; for the recipes' own Python, which is
Debian's of a later release here, it has none of Kivy, and of NumPy only those of a later patch.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from tests import debian
from tests.debian import run

ROOT = Path(__file__).parents[3]
VERSIONED = ("cryptography", "httpx", "numpy", "regex")
PYTHON = "3.14"
_NUMPY = "numpy>=2.3,<2.4"
_RELEASE = "forky"  # of Debian, the first with that Python
_WITH_TESTS = (
    *(
        "alembic",
        "chitchat-dataset==0.9.0",
        "click",
        "dp-accounting==0.4.3",
        "flask",
        "fsspec",
        "gunicorn",
        "hypothesis",
    ),
    *("jsonschema", "limits", "manimgx-fonts", "platformdirs", "prometheus-client", "psycopg[binary]", "pytest"),
    *("pillow", "pytest-timeout", "pytest-xdist", "s3fs", "scipy", "sentencepiece", "sqlalchemy", "tomli-w"),
)
"""What the phone's tests need: a round server, and what checks them."""

_WRAPPER = """#!/bin/sh
root="{root}"
export PYTHONHOME="$root/usr"
exec "$root/lib64/ld-linux-x86-64.so.2" --argv0 "$0" --library-path "$root/usr/lib/x86_64-linux-gnu" \
 "$root/usr/bin/python{version}" "$@"
"""


def exact(folder: Path, required: Sequence[str]) -> Path:
    """Return this Python, in a new environment with the recipes' versions."""
    python = folder / "bin/python"
    run("uv", "venv", "--quiet", "--python", sys.executable, folder)
    _install(folder, required, "--python", python)
    return python


def later(folder: Path, required: Sequence[str]) -> Path:
    """Return the recipes' Python, with their versions of what there are wheels of for it.

    Args:
        folder: for its packages, a new one.
        required: versions.
    """
    root = platformdirs.user_cache_path("fedkey") / f"tests-python{PYTHON}"
    with debian.only_one(root):
        if not (root / "whole").exists():
            shutil.rmtree(root, ignore_errors=True)
            debian.unpack(debian.download(root / "apt", _RELEASE, "amd64", f"python{PYTHON}"), root)
            shutil.rmtree(root / "apt")
            (root / "whole").touch()
    wanted = [_NUMPY if each.startswith("numpy") else each for each in required if not each.startswith("kivy")]
    where = ("--target", folder / "site", "--python-version", PYTHON, "--python-platform", "x86_64-manylinux_2_28")
    _install(folder, wanted, *where, "--only-binary", ":all:")
    wrapper = folder / "python"
    wrapper.write_text(_WRAPPER.format(root=root, version=PYTHON))
    wrapper.chmod(0o755)
    return wrapper


def _install(folder: Path, wanted: Sequence[str], *where: str | Path) -> None:
    """Install versions, and what the tests need besides; dp-accounting asks for an older NumPy than it needs."""
    override = folder / "override.txt"
    override.write_text("\n".join(each for each in wanted if each.startswith("numpy")))
    run("uv", "pip", "install", "--quiet", "--override", override, *where, *wanted, *_WITH_TESTS, cwd=ROOT)


def environment(*sites: Path) -> dict[str, str]:
    """Return the environment of tests in another Python, which must not see this one's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON", "VIRTUAL"))}
    return own | {"PYTHONPATH": os.pathsep.join(map(str, [*sites, ROOT])), "PYTHONDONTWRITEBYTECODE": "1"}
