"""Files are whole or as they were, whatever happens while they are written, and last once they are."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model import files
from tests.wrong_files import WRONG, said

KILLED = """
import os, sys
from pathlib import Path
from model import files
with files.writing(Path(sys.argv[1])) as file:
    file.write(b"half of the new")
    file.flush()
    os.kill(os.getpid(), 9)
"""


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_file_has_what_was_written_last(tmp_path: Path) -> None:
    files.write(tmp_path / "a", b"old")
    files.write(tmp_path / "a", "né")
    assert (tmp_path / "a").read_bytes() == "né".encode()
    assert hidden(tmp_path) == []


def test_only_the_owner_reads_what_is_private(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        files.write(tmp_path / "secret", b"", private=True)
        files.write(tmp_path / "plain", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "plain").stat().st_mode & 0o777 == 0o644


def test_a_process_that_is_killed_while_it_writes_leaves_the_old_content(tmp_path: Path) -> None:
    files.write(tmp_path / "a", b"old")
    ended = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "a"], check=False)
    assert ended.returncode == -9
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [name.endswith(files.PARTIAL) for name in hidden(tmp_path)] == [True]


def test_an_error_leaves_everything_as_it_was(tmp_path: Path) -> None:
    def write_half_a_file() -> None:
        with files.writing(tmp_path / "a") as file:
            file.write(b"half")
            raise ValueError("no more")

    def make_half_a_folder() -> None:
        with files.making(tmp_path / "folder") as folder:
            (folder / "half").touch()
            raise ValueError("no more")

    files.write(tmp_path / "a", b"old")
    for spoil in (write_half_a_file, make_half_a_folder):
        with pytest.raises(ValueError, match="no more"):
            spoil()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_several_may_write_the_same_file(tmp_path: Path) -> None:
    contents = [bytes([letter]) * 100_000 for letter in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: files.write(tmp_path / "a", content), contents))
    assert (tmp_path / "a").read_bytes() in contents
    assert hidden(tmp_path) == []


def test_a_folder_appears_with_everything_in_it_and_its_parents_are_made(tmp_path: Path) -> None:
    target = tmp_path / "above" / "folder"
    with files.making(target) as folder:
        (folder / "below").mkdir()
        (folder / "below" / "file").write_bytes(b"content")
        assert not target.exists()
    assert (target / "below" / "file").read_bytes() == b"content"
    assert hidden(target.parent) == []


def test_content_reaches_the_disk_before_its_name_and_then_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []

    def fsync(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").resolve(), (tmp_path / "a").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    files.write(tmp_path / "a", b"new")
    (first, there), (second, named) = synced
    assert (first.parent, there) == (tmp_path, False)
    assert (second, named) == (tmp_path, True)


@pytest.mark.parametrize("wrong", sorted(set(WRONG) - {"no text", "cut off", "empty"}))
def test_what_is_no_file_or_larger_than_any_is_not_read(tmp_path: Path, wrong: str) -> None:
    WRONG[wrong](tmp_path / "file", b"")
    for read in (files.read, files.read_text):
        said(lambda read=read: read(tmp_path / "file"))  # type: ignore[misc]


def test_a_file_is_read_up_to_its_limit_and_so_is_what_a_shell_has_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert files.read(tmp_path / "file", 11) == b"\xef\xbb\xbfone\r\ntwo"
    assert files.read_text(tmp_path / "file", "utf-8-sig") == "one\ntwo"
    with pytest.raises(OSError, match="larger than 10 bytes"):
        files.read(tmp_path / "file", 10)
    for limit, whole in ((5, True), (4, False)):
        reading, writing = os.pipe()
        os.write(writing, b"piped")
        os.close(writing)
        if whole:
            assert files.read(Path(f"/dev/fd/{reading}"), limit) == b"piped"
        else:
            with pytest.raises(OSError, match="larger than 4 bytes"):
                files.read(Path(f"/dev/fd/{reading}"), limit)
        os.close(reading)
