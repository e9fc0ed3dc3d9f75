"""A PostgreSQL cluster of the tests' own: in a temporary folder, reached through a socket in it, gone afterwards."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

_OPTIONS = (
    "-c listen_addresses='' -c fsync=off -c full_page_writes=off "
    "-c shared_buffers=16MB -c max_connections=60 -c jit=off"
)


class Cluster:
    """A running cluster.

    Args:
        folder: of its socket.
        run: runs one of PostgreSQL's programs over its data.
        options: of the server.
    """

    def __init__(self, folder: Path, run: Callable[..., None], options: str) -> None:
        self._folder, self._run, self._options = folder, run, options
        self._made = 0

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self._folder / ".s.PGSQL.5432"

    def start(self) -> None:
        """Start it."""
        self._run("pg_ctl", "--wait", "start", "-o", f"{self._options} -k {self._folder}")

    def stop(self, mode: str = "immediate") -> None:
        """End it: in order with `fast`; with `immediate` as a crash does, after which it recovers when it starts."""
        self._run("pg_ctl", "--wait", f"--mode={mode}", "stop")

    @property
    def is_running(self) -> bool:
        """Whether it has not ended, however."""
        try:
            self._run("pg_ctl", "status")
        except subprocess.CalledProcessError:
            return False
        return True

    def create_database(self) -> str:
        """Return the URL of an empty schema, which is faster than a database and no different to a server."""
        self._made += 1
        name = f"test{self._made}"
        with psycopg.connect(host=str(self._folder), user="fedkey", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")  # type: ignore[call-overload]
        return f"postgresql+psycopg://fedkey@/postgres?host={self._folder}&options=-csearch_path%3D{name}"


@contextmanager
def cluster(inside: Path | None = None, *, lasting: bool = False) -> Iterator[Cluster]:
    """Start a cluster and stop it at the end.

    Args:
        inside: Folder that its folder is made in; by default that of temporary files.
        lasting: Whether a transaction that was committed outlives a crash of the cluster.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    programs = _programs()
    # The server refuses to run as root, so then it runs as the user that its package made.
    owner: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="fedkey-postgresql-", dir=inside) as name:
        folder = Path(name)
        if owner:
            shutil.chown(folder, owner["user"])

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "-D", str(folder / "data"), *arguments]
            with (folder / "log").open("ab") as log:
                subprocess.run(command, check=True, cwd=folder, stdout=log, stderr=log, **owner)

        made = Cluster(folder, run, f"{_OPTIONS} -c synchronous_commit={'on' if lasting else 'off'}")
        try:
            run("initdb", "--no-sync", "--auth=trust", "--username=fedkey", "--encoding=UTF8", "--locale=C")
            made.start()
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"PostgreSQL does not start: {(folder / 'log').read_text()}") from error
        try:
            yield made
        finally:
            made.stop()


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs; Debian keeps the server's off the path."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        raise FileNotFoundError("tests of the server need PostgreSQL: apt-get install postgresql")
    return folders[-1]
