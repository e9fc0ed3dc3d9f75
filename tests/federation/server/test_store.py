import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sql
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from s3fs import S3FileSystem

from federation.server.errors import UnavailableError, UnknownError
from federation.server.store import Blobs, Database
from federation.server.tables import Base, CurrentRow, DeviceRow, LeaseRow
from tests.object_store import ObjectStore, object_store


@pytest.fixture
def database(database_url: str) -> Database:
    database = Database(database_url)
    database.migrate()
    return database


@pytest.fixture(params=["folder", "memory", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """An empty store of each kind that a server may have."""
    match request.param:
        case "folder":
            return Blobs(str(tmp_path / "blobs"))
        case "memory":
            return Blobs(f"memory://{tmp_path.name}/blobs")
        case _:
            s3: ObjectStore = request.getfixturevalue("s3")
            return Blobs(f"{s3.create_bucket()}/blobs")


def test_migrations_make_the_tables_that_the_code_has(database: Database) -> None:
    database.migrate()  # again, as every start does
    with database._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    database.close()


def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as session:
            session.add(DeviceRow(device_id=bytes(16), last_seen=1.0))
            session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with database.read() as session:
        assert session.get(DeviceRow, bytes(16)) is None
    database.close()


def test_a_reader_sees_one_state(database: Database) -> None:
    with database.read() as reading:
        assert reading.scalar(sql.select(sql.func.count()).select_from(LeaseRow)) == 0
        with database.write() as session:
            session.add(LeaseRow(name="another", owner="me", renewals=0))
        assert reading.scalar(sql.select(sql.func.count()).select_from(LeaseRow)) == 0
    database.close()


def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'no' / 'folder' / 'server.sqlite'}")
    with pytest.raises(UnavailableError, match="try again"), database.read() as session:
        session.get(CurrentRow, 1)


def test_blobs_are_found_by_name_until_they_are_removed(blobs: Blobs) -> None:
    names = [blobs.put(f"rounds/{number}", bytes([number])) for number in (1, 1, 2, 10)]
    assert names[0] == names[1]
    assert blobs.list("rounds") == ["1", "10", "2"]
    assert blobs.get(names[2]) == b"\2"
    blobs.remove("rounds/1")
    blobs.remove("rounds/1")
    assert blobs.list("rounds") == ["10", "2"]
    with pytest.raises(UnknownError, match="has no rounds/1/"):
        blobs.get(names[0])
    assert blobs.list("nothing") == []


def test_what_one_worker_stores_another_sees_at_once(s3: ObjectStore) -> None:
    url = f"{s3.create_bucket()}/blobs"
    one, another = Blobs(url), Blobs(url)
    assert another.list("rounds") == []
    names = [one.put("rounds/1", bytes([number])) for number in range(3)]
    assert another.list("rounds") == ["1"]
    assert [another.get(name) for name in names] == [b"\0", b"\1", b"\2"]
    another.remove("rounds/1")
    assert one.list("rounds") == []


def test_a_bucket_that_is_not_there_is_unavailable(s3: ObjectStore) -> None:  # noqa: ARG001
    with pytest.raises(UnavailableError, match="no room or does not answer"):
        Blobs("s3://no-such-bucket/blobs").put("rounds/1", b"a")


@pytest.fixture
def gone_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Blobs]:
    """A store that held something when its server was stopped."""
    S3FileSystem.clear_instance_cache()  # else it would go on with the server of other tests
    with object_store() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        blobs = Blobs(f"{running.create_bucket()}/blobs")
        blobs.put("rounds/1", b"a")
    yield blobs
    S3FileSystem.clear_instance_cache()


def test_an_object_store_that_is_gone_is_unavailable(gone_store: Blobs) -> None:
    blobs, name = gone_store, f"rounds/1/{hashlib.sha256(b'a').hexdigest()}"
    for use in (lambda: blobs.get(name), lambda: blobs.put("rounds/1", b"b"), lambda: blobs.list("rounds")):
        with pytest.raises(UnavailableError, match="try again"):
            use()


def test_a_folder_that_takes_nothing_more_is_unavailable_and_holds_no_part(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "rounds").write_text("in the way")
    blobs = Blobs(str(tmp_path / "blobs"))
    with pytest.raises(UnavailableError, match="no room"):
        blobs.put("rounds/1", b"a")
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == ["rounds"]
