"""A phone's processor by emulation: Debian's Python for arm64, PyPI's wheels for it, and qemu that runs them.

Nothing is installed: packages are unpacked into a folder, which the next run uses again. Debian's own clients download,
with lists of their own; qemu is that of Debian 13, since the one of Debian 12 stops in some libraries.
"""

import os
import shutil
import subprocess
from pathlib import Path

import platformdirs

ROOT = Path(__file__).parents[2]
DEBIAN = "http://deb.debian.org/debian"
PACKAGES = [
    "libbz2-1.0",
    "libc6",
    "libcrypt1",
    "libdb5.3",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "libgomp1",
    "liblzma5",
    "libncursesw6",
    "libnsl2",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libreadline8",
    "libsqlite3-0",
    "libssl3",
    "libstdc++6",
    "libtinfo6",
    "libtirpc3",
    "libuuid1",
    "media-types",
    "python3.11",
    "python3.11-minimal",
    "zlib1g",
]


class Processor:
    """An arm64 machine's Python, with the phone's install.

    Args:
        folder: where it is unpacked, if it is not there yet.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or platformdirs.user_cache_path("fedkey") / "tests-arm64"
        versions = self._folder / "versions.txt"
        wanted = _run("uv", "export", "--quiet", "--no-default-groups", "--no-emit-project", "--no-hashes", cwd=ROOT)
        if not versions.exists() or versions.read_text() != wanted:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
            self._unpack()
            self._install(wanted)
            versions.write_text(wanted)

    def python(self, *arguments: str | Path) -> str:
        """Run Python with the phone's install and this checkout; return what it prints."""
        environment = {
            **os.environ,
            "PYTHONPATH": f"{self._folder / 'site'}:{ROOT}",
            "PYTHONHOME": str(self._folder / "root/usr"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        qemu, root = self._folder / "qemu/usr/bin/qemu-aarch64", self._folder / "root"
        return _run(qemu, "-L", root, root / "usr/bin/python3.11", *arguments, cwd=ROOT, environment=environment)

    def _unpack(self) -> None:
        root, qemu = self._folder / "root", self._folder / "qemu"
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
        qemu.mkdir()
        for path in self._download("bookworm", "arm64", *PACKAGES):
            _run("sh", "-c", 'dpkg-deb --fsys-tarfile "$0" | tar -x --keep-directory-symlink -C "$1"', path, root)
        for path in self._download("trixie", "amd64", "qemu-user"):
            _run("sh", "-c", 'dpkg-deb --fsys-tarfile "$0" | tar -x -C "$1" ./usr/bin/qemu-aarch64', path, qemu)

    def _download(self, suite: str, architecture: str, *packages: str) -> list[Path]:
        """Return packages of a suite of Debian, which the machine itself may not be of."""
        own = self._folder / f"apt-{suite}"
        for name in ("state/lists/partial", "cache/archives/partial", "debs"):
            (own / name).mkdir(parents=True)
        (own / "status").touch()
        key = "/usr/share/keyrings/debian-archive-keyring.gpg"
        (own / "sources.list").write_text(f"deb [signed-by={key}] {DEBIAN} {suite} main\n")
        options = {
            "Acquire::Retries": "3",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Sandbox::User": "root",
            "Dir::Cache": own / "cache",
            "Dir::Etc::sourcelist": own / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State": own / "state",
            "Dir::State::status": own / "status",
        }
        apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
        _run(*apt, "update", "--error-on=any")
        _run(*apt, "download", *packages, cwd=own / "debs")
        return sorted((own / "debs").glob("*.deb"))

    def _install(self, versions: str) -> None:
        required = self._folder / "required.txt"
        required.write_text(versions)
        where = ("--target", self._folder / "site", "--python-platform", "aarch64-manylinux_2_28")
        _run(
            "uv",
            "pip",
            "install",
            "--quiet",
            *where,
            "--python-version",
            "3.11",
            "--only-binary",
            ":all:",
            "-r",
            required,
        )


def _run(*command: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
