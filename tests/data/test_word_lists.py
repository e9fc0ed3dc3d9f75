"""The word lists that ship are those that `data/word_lists.py` makes."""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.debian import run

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "data" / "word_lists.py"
LANGUAGES = ROOT / "model" / "languages"
RECORD = json.loads((LANGUAGES / "word_lists.json").read_text("utf-8"))
MADE = ("words.txt", "nouns.txt", "names.txt", "informal.txt", "misspellings.txt")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_list_is_the_one_that_the_script_made() -> None:
    shipped = {path.relative_to(LANGUAGES).as_posix(): sha256(path) for name in MADE for path in LANGUAGES.rglob(name)}
    assert RECORD["lists"] == shipped, "edit data/word_lists.py and run it, instead of editing a list"


def test_the_script_has_not_changed_since_it_made_them() -> None:
    assert RECORD["script"] == sha256(SCRIPT), "run data/word_lists.py, and commit what it makes"


def test_the_notice_names_the_versions_that_the_script_asks_for() -> None:
    found = re.search(r"^# dependencies = (.*)$", SCRIPT.read_text("utf-8"), re.MULTILINE)
    assert found is not None
    notice = (LANGUAGES / "NOTICE").read_text("utf-8")
    for package in json.loads(found[1]):
        assert package.replace("==", " ") in notice


@pytest.mark.slow
def test_lists_that_follow_from_others_are_made_again_to_the_byte(tmp_path: Path) -> None:
    command = ("uv", "run", "--quiet", "--python", sys.executable, "--script", SCRIPT)
    own = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    run(*command, "--derived", tmp_path, environment=own)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.txt"))
    assert {path.name for path in made} == {"informal.txt", "misspellings.txt"}
    for path in made:
        assert (tmp_path / path).read_bytes() == (LANGUAGES / path).read_bytes(), path
