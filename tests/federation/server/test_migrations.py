import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sql

from federation.errors import ConfigError
from federation.server.store import Database
from tests.databases import Cluster


@pytest.mark.slow
def test_of_machines_that_start_at_once_on_postgresql_one_migrates(postgresql: Cluster) -> None:
    _all_migrate(postgresql.create_database())


def test_of_processes_that_start_at_once_on_sqlite_one_migrates(tmp_path: Path) -> None:
    _all_migrate(f"sqlite:///{tmp_path / 'server.sqlite'}")


def _all_migrate(url: str) -> None:
    databases = [Database(url) for _ in range(6)]
    failures: list[BaseException] = []
    together = threading.Barrier(len(databases))

    def start(migrate: Callable[[], None]) -> None:
        together.wait()
        try:
            migrate()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test tells
            failures.append(error)

    threads = [threading.Thread(target=start, args=(database.migrate,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with databases[0].read() as session:
        assert len(session.execute(sql.text("SELECT version_num FROM alembic_version")).all()) == 1
    for database in databases:
        database.close()


@pytest.mark.slow
def test_postgresql_is_known_by_the_urls_that_people_write(postgresql: Cluster) -> None:
    url = postgresql.create_database().split("://", 1)[1]
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        database = Database(f"{scheme}://{url}")
        database.migrate()
        database.close()


@pytest.mark.parametrize("url", ["nonsense", "mongodb://host/name", "mysql+nodriver://host/name", ""])
def test_what_is_no_url_of_a_database_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ConfigError, match="database in server"):
        Database(url)
