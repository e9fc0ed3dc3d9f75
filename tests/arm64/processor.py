"""A phone's processor by emulation: Debian's Python for arm64, PyPI's wheels for it, and qemu that runs them.

Packages are unpacked into a folder, which the next run uses again. Wheels are of the versions that everything else is
tested with; qemu is that of Debian 13, since the one of Debian 12 stops in some libraries.
"""

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import platformdirs

from tests import debian
from tests.debian import run

ROOT = Path(__file__).parents[2]
PACKAGES = ("libegl1", "libgl1", "libgl1-mesa-dri", "libgles2", "libmtdev1", "python3.11")
LITERT = ("ai-edge-litert", "backports-strenum")

_PYTHON = """#!/bin/sh
exec "{qemu}" -0 "$0" -L "{root}" "{root}/usr/bin/python3.11" "$@"
"""


class Processor:
    """An arm64 machine's Python, with the phone's install.

    Args:
        folder: where it is unpacked, if it is not there yet.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or platformdirs.user_cache_path("fedkey") / "tests-arm64"
        self._root, self._site, self._litert = (self._folder / name for name in ("root", "site", "litert"))
        with debian.only_one(self._folder):
            self._make_unless_there()

    @property
    def command(self) -> Path:
        """What is run as Python; it also finds itself, to start other processes."""
        return self._folder / "python"

    def environment(self, *, litert: bool = False) -> dict[str, str]:
        """Return the environment of `command`: this checkout and the phone's install, with LiteRT if wanted."""
        sites = [self._litert] if litert else []
        return os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, [self._site, *sites, ROOT])),
            "PYTHONHOME": str(self._root / "usr"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "LIBGL_DRIVERS_PATH": str(self._root / "usr/lib/aarch64-linux-gnu/dri"),
            "__EGL_VENDOR_LIBRARY_DIRS": str(self._root / "usr/share/glvnd/egl_vendor.d"),
        }

    def python(self, *arguments: str | Path, litert: bool = False) -> str:
        """Run Python with the phone's install and this checkout; return what it prints."""
        return run(self.command, *arguments, cwd=ROOT, environment=self.environment(litert=litert))

    def _make_unless_there(self) -> None:
        versions = self._folder / "versions.txt"
        wanted = "\n".join([*PACKAGES, _versions("--extra", "litert")])
        if not versions.exists() or versions.read_text() != wanted:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
            self._unpack()
            self._install()
            versions.write_text(wanted)

    def _unpack(self) -> None:
        qemu = self._folder / "qemu"
        debian.unpack(debian.download(self._folder / "apt-bookworm", "bookworm", "arm64", *PACKAGES), self._root)
        own = debian.download(self._folder / "apt-trixie", "trixie", "amd64", "qemu-user", alone=True)
        debian.unpack(own, qemu, "./usr/bin/qemu-aarch64")
        self.command.write_text(_PYTHON.format(qemu=qemu / "usr/bin/qemu-aarch64", root=self._root))
        self.command.chmod(0o755)
        _compile([self._root / "usr/lib/python3.11"])

    def _install(self) -> None:
        required = self._folder / "required.txt"
        with_litert = _versions("--extra", "litert")
        for folder, versions in (
            (self._site, _versions()),
            (self._litert, "\n".join(line for line in with_litert.splitlines() if line.startswith(LITERT))),
        ):
            required.write_text(versions)
            where = ("--target", folder, "--python-platform", "aarch64-manylinux_2_28", "--python-version", "3.11")
            run("uv", "pip", "install", "--quiet", "--no-deps", *where, "--only-binary", ":all:", "-r", required)
        _compile([self._site, self._litert])


def _versions(*options: str) -> str:
    common = ("--quiet", "--no-default-groups", "--no-emit-project", "--no-hashes", "--no-header", "--no-annotate")
    return run("uv", "export", *common, *options, cwd=ROOT)


def _compile(folders: Iterable[Path]) -> None:
    """Compile modules here, for a Python of the same version there, where that takes long."""
    run(sys.executable, "-m", "compileall", "-q", "-j", "2", "-x", "test", *folders)
