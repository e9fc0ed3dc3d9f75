import json
from pathlib import Path

import pytest

from model import folders
from model.folders import FolderError, Kind

OURS = Kind("a thing", "thing.json", frozenset({"thing"}), ("thing.json", "part*", "inner"))


def made(folder: Path) -> Path:
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_text("x")
    (folder / "part-1").write_text("x")
    (folder / "thing.json").write_text(json.dumps({"thing": 1, "more": 2}))
    return folder


def test_a_new_and_an_empty_folder_may_become_ours(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert not folders.check(tmp_path / "new", OURS)
    assert not folders.check(tmp_path / "empty", OURS)


@pytest.mark.parametrize("description", [None, "[]", "{}", "text", '{"other": 1}', "[" * 100_000])
def test_a_folder_of_somebody_else_is_refused_and_stays(tmp_path: Path, description: str | None) -> None:
    (tmp_path / "photo.jpg").write_text("precious")
    if description is not None:
        (tmp_path / "thing.json").write_text(description)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for refusing in (folders.check, folders.clear):
        with pytest.raises(FolderError, match="choose another folder"):
            refusing(tmp_path, OURS)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(FolderError, match="is not a folder"):
        folders.clear(tmp_path / "file", OURS)


def test_clearing_takes_what_fedkey_wrote_and_nothing_else(tmp_path: Path) -> None:
    whole, shared = made(tmp_path / "whole"), made(tmp_path / "shared")
    (shared / "notes.txt").write_text("precious")
    folders.clear(whole, OURS)
    folders.clear(shared, OURS)
    assert not whole.exists()
    assert [path.name for path in shared.iterdir()] == ["notes.txt"]


def test_a_new_one_takes_the_place_of_an_old_one_beside_what_is_not_ours(tmp_path: Path) -> None:
    folder = made(tmp_path / "folder")
    (folder / "notes.txt").write_text("precious")
    partial = tmp_path / "partial"
    partial.mkdir()
    (partial / "thing.json").write_text('{"thing": 2}')
    folders.place(partial, folder, OURS)
    assert {path.name for path in folder.iterdir()} == {"notes.txt", "thing.json"}
    assert json.loads((folder / "thing.json").read_text()) == {"thing": 2}
    assert not partial.exists()


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    target = made(tmp_path / "target")
    link = tmp_path / "link"
    link.symlink_to(target)
    folders.clear(link, OURS)
    assert link.is_symlink()
    assert not any(target.iterdir())
