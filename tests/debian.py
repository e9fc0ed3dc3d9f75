"""Debian's packages of any release and processor, unpacked into a folder: nothing is installed.

Debian's own clients download, with lists of their own, and check signatures.
"""

import fcntl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
_KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep other processes that make the same folder waiting, so that none removes what another one is at."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def unpack(packages: list[Path], root: Path, *only: str) -> None:
    """Unpack packages as they would be installed, or some of their files only."""
    for name in ("bin", "sbin", "lib", "lib64"):
        if not (root / name).exists():
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
    command = 'package=$1 root=$2; shift 2; dpkg-deb --fsys-tarfile "$package" | '
    command += 'tar -x --keep-directory-symlink --exclude ./usr/share/doc -C "$root" "$@"'
    for package in packages:
        run("sh", "-c", command, "unpack", package, root, *only)


def download(folder: Path, release: str, processor: str, *packages: str, alone: bool = False) -> list[Path]:
    """Return packages with all that they need, or alone, downloaded into a new folder."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={_KEY}] {MIRROR} {release} main\n")
    options = {
        "Acquire::Retries": "3",
        "APT::Architecture": processor,
        "APT::Architectures": processor,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    run(*apt, "update", "--error-on=any")
    how = ("download",) if alone else ("install", "--yes", "--download-only")
    run(*apt, *how, *packages, cwd=folder / "cache/archives")
    return sorted((folder / "cache/archives").glob("*.deb"))


def run(*command: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed; return what it prints."""
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
