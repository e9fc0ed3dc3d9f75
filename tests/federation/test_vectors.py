"""The vectors that are published, and the page that they belong to, are those of this version."""

import re

import pytest

from tests.federation.vectors import FILES, FOLDER, PAGE, page, text_of


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_vectors_is_what_this_version_gives(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == text_of(name)


def test_there_are_no_other_files() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.json" for name in FILES}


def test_the_page_of_the_protocol_has_the_example_and_the_answers_of_this_version() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text


_OWN = {"central noise v2", "counting", "pseudonyms v1", "scenario v1", "votes %d"}
"""What only a server, a simulation or a screen derives from; nobody else has to."""


def test_the_page_has_every_string_that_something_is_signed_or_hashed_under() -> None:
    sources = (FOLDER.parents[1] / "federation").rglob("*.py")
    used = {found for path in sources for found in re.findall(r'b"fedkey ([^"\\]*?)(?:\\0|: |")', path.read_text())}
    described = set(re.findall(r"^\| `fedkey ([^`]*?)(?:: )?`", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert used - _OWN == described
