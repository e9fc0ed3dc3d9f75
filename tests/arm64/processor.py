"""A phone's processor by emulation: Debian's Python for arm64, PyPI's wheels for it, and qemu that runs them.

Nothing is installed: packages are unpacked into a folder, which the next run uses again. Debian's own clients download,
with lists of their own and signatures checked; wheels are of the versions that everything else is tested with. qemu is
that of Debian 13, since the one of Debian 12 stops in some libraries.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import platformdirs

ROOT = Path(__file__).parents[2]
DEBIAN = "http://deb.debian.org/debian"
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
        versions = self._folder / "versions.txt"
        wanted = "\n".join([*PACKAGES, _versions("--extra", "litert")])
        if not versions.exists() or versions.read_text() != wanted:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
            self._unpack()
            self._install()
            versions.write_text(wanted)

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
        return _run(self.command, *arguments, cwd=ROOT, environment=self.environment(litert=litert))

    def _unpack(self) -> None:
        qemu = self._folder / "qemu"
        for name in ("bin", "sbin", "lib", "lib64"):
            (self._root / "usr" / name).mkdir(parents=True)
            (self._root / name).symlink_to(f"usr/{name}")
        qemu.mkdir()
        unpack = 'dpkg-deb --fsys-tarfile "$0" | tar -x --keep-directory-symlink -C "$1" --exclude ./usr/share/doc'
        for path in self._download("bookworm", "arm64", "install", "--yes", "--download-only", *PACKAGES):
            _run("sh", "-c", unpack, path, self._root)
        for path in self._download("trixie", "amd64", "download", "qemu-user"):
            _run("sh", "-c", 'dpkg-deb --fsys-tarfile "$0" | tar -x -C "$1" ./usr/bin/qemu-aarch64', path, qemu)
        self.command.write_text(_PYTHON.format(qemu=qemu / "usr/bin/qemu-aarch64", root=self._root))
        self.command.chmod(0o755)
        _compile([self._root / "usr/lib/python3.11"])

    def _download(self, suite: str, architecture: str, *command: str) -> list[Path]:
        """Return what a command of apt-get downloads of a suite of Debian, which this machine may not be of."""
        own = self._folder / f"apt-{suite}"
        for name in ("state/lists/partial", "cache/archives/partial"):
            (own / name).mkdir(parents=True)
        (own / "status").touch()
        key = "/usr/share/keyrings/debian-archive-keyring.gpg"
        (own / "sources.list").write_text(f"deb [signed-by={key}] {DEBIAN} {suite} main\n")
        options = {
            "Acquire::Retries": "3",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            "Dir::Cache": own / "cache",
            "Dir::Etc::sourcelist": own / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State": own / "state",
            "Dir::State::status": own / "status",
        }
        apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
        _run(*apt, "update", "--error-on=any")
        _run(*apt, *command, cwd=own / "cache/archives")
        return sorted((own / "cache/archives").glob("*.deb"))

    def _install(self) -> None:
        required = self._folder / "required.txt"
        with_litert = _versions("--extra", "litert")
        for folder, versions in (
            (self._site, _versions()),
            (self._litert, "\n".join(line for line in with_litert.splitlines() if line.startswith(LITERT))),
        ):
            required.write_text(versions)
            where = ("--target", folder, "--python-platform", "aarch64-manylinux_2_28", "--python-version", "3.11")
            _run("uv", "pip", "install", "--quiet", "--no-deps", *where, "--only-binary", ":all:", "-r", required)
        _compile([self._site, self._litert])


def _versions(*options: str) -> str:
    common = ("--quiet", "--no-default-groups", "--no-emit-project", "--no-hashes", "--no-header", "--no-annotate")
    return _run("uv", "export", *common, *options, cwd=ROOT)


def _compile(folders: Iterable[Path]) -> None:
    """Compile modules here, for a Python of the same version there, where that takes long."""
    _run(sys.executable, "-m", "compileall", "-q", "-j", "2", "-x", "test", *folders)


def _run(*command: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
