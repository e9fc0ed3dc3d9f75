"""A PostgreSQL cluster of the tests' own: in a temporary folder, reached through a socket in it, gone afterwards."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

_OPTIONS = (
    "-c listen_addresses='' -c fsync=off -c synchronous_commit=off -c full_page_writes=off "
    "-c shared_buffers=16MB -c max_connections=60 -c jit=off"
)


class Cluster:
    """A running cluster.

    Args:
        folder: of its socket.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0

    def create_database(self) -> str:
        """Return the URL of an empty schema, which is faster than a database and no different to a server."""
        self._made += 1
        name = f"test{self._made}"
        with psycopg.connect(host=str(self._folder), user="fedkey", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")  # type: ignore[call-overload]
        return f"postgresql+psycopg://fedkey@/postgres?host={self._folder}&options=-csearch_path%3D{name}"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster and stop it at the end.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    programs = _programs()
    # The server refuses to run as root, so then it runs as the user that its package made.
    owner: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="fedkey-postgresql-") as name:
        folder = Path(name)
        if owner:
            shutil.chown(folder, owner["user"])

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "-D", str(folder / "data"), *arguments]
            with (folder / "log").open("ab") as log:
                subprocess.run(command, check=True, cwd=folder, stdout=log, stderr=log, **owner)

        try:
            run("initdb", "--no-sync", "--auth=trust", "--username=fedkey", "--encoding=UTF8", "--locale=C")
            run("pg_ctl", "--wait", "start", "-o", f"{_OPTIONS} -k {folder}")
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"PostgreSQL does not start: {(folder / 'log').read_text()}") from error
        try:
            yield Cluster(folder)
        finally:
            run("pg_ctl", "--wait", "--mode=immediate", "stop")


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs; Debian keeps the server's off the path."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        raise FileNotFoundError("tests of the server need PostgreSQL: apt-get install postgresql")
    return folders[-1]
