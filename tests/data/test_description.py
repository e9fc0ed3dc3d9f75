import json
from pathlib import Path

import pytest

import data
from data.corpus import CorpusError


def corpus(path: Path, users: dict[str, int]) -> None:
    lines = (json.dumps({"user": user, "text": f"text {i}"}) for user, count in users.items() for i in range(count))
    path.write_text("\n".join(lines) + "\n")


def described(tmp_path: Path, text: str) -> str:
    path = tmp_path / "corpus.toml"
    path.write_text(text)
    return str(path)


def people(prefix: str, count: int, messages: int = 10) -> dict[str, int]:
    return {f"{prefix}{number}": messages for number in range(count)}


def test_files_by_role(tmp_path: Path) -> None:
    corpus(tmp_path / "chat.jsonl", people("c", 20))
    corpus(tmp_path / "news.jsonl", people("n", 2, messages=1))
    corpus(tmp_path / "judges.jsonl", people("j", 3))
    text = 'clients = "chat.jsonl"\npublic = ["news.jsonl"]\nheld_out = "judges.jsonl"\n'
    split = data.select(described(tmp_path, text)).split
    assert set(split.train) == set(people("c", 20))
    assert set(split.seed) == {"n0", "n1"}  # public text needs no minimum
    assert set(split.held_out) == {"j0", "j1", "j2"}


def test_roles_that_no_file_has_are_given_by_hash(tmp_path: Path) -> None:
    corpus(tmp_path / "chat.jsonl", people("c", 40))
    corpus(tmp_path / "news.jsonl", people("n", 2))
    by_hash = data.select(str(tmp_path / "chat.jsonl")).split
    split = data.select(described(tmp_path, 'clients = "chat.jsonl"\npublic = "news.jsonl"\n')).split
    assert set(split.held_out) == set(by_hash.held_out)
    assert set(split.train) == set(by_hash.train) | set(by_hash.seed)


def test_roles_by_name_and_a_minimum_of_ones_own(tmp_path: Path) -> None:
    corpus(tmp_path / "chat.jsonl", people("c", 40, messages=4) | {"few": 2, "ann": 4})
    text = 'clients = "chat.jsonl"\nmin_messages = 3\nmax_messages = 3\n[roles]\nann = "held-out"\nc1 = "public"\n'
    split = data.select(described(tmp_path, text)).split
    assert "ann" in split.held_out
    assert "c1" in split.seed
    assert (split.left_out.users, split.left_out.messages, split.left_out.beyond) == (1, 2, 41)
    said = str(split.left_out)
    assert "1 users with fewer than 3 messages (2 messages)" in said
    assert "41 messages after the first 3" in said


def test_the_minimum_is_settable_without_a_description(tmp_path: Path) -> None:
    corpus(tmp_path / "chat.jsonl", people("c", 40, messages=2))
    with pytest.raises(CorpusError, match="smaller --min-messages"):
        data.select(str(tmp_path / "chat.jsonl"))
    selection = data.select(str(tmp_path / "chat.jsonl"), min_messages=2)
    assert str(selection.split.left_out) == "nothing"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", 'needs "clients"'),
        ("clients = 3", "a file or a list of files"),
        ('clients = "chat.jsonl"\nfriends = 1', "unknown 'friends'"),
        ('clients = "chat.jsonl"\nmin_messages = -1', "must be a whole number"),
        ('clients = "chat.jsonl"\nmin_messages = 1.5', "must be a whole number"),
        ('clients = "chat.jsonl"\nmin_messages = inf', "must be a whole number"),
        ('clients = "chat.jsonl"\nmax_messages = nan', "must be a whole number"),
        ('clients = "chat.jsonl"\nmax_messages = true', "must be a whole number"),
        ('clients = "chat.jsonl"\ntest_share = "half"', "test_share must be a number"),
        ('clients = "chat.jsonl"\ntest_share = 1.0', "below 1"),
        ('clients = "chat.jsonl"\ntest_share = 0.5\nvalidation_share = 0.5', "nothing to train on"),
        ('clients = "chat.jsonl"\nroles = 1', "must be a table"),
        ('clients = "chat.jsonl"\n[roles]\nc1 = "judge"', "must be one of"),
        ('clients = "chat.jsonl"\n[roles]\nzoe = "public"', "is in none of the files"),
        ('clients = "nowhere.jsonl"', "no such file"),
        ('clients = "chat.jsonl"\npublic = "chat.jsonl"', "files of two roles"),
        ("clients = ", "not a description"),
    ],
)
def test_what_a_description_cannot_say_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    corpus(tmp_path / "chat.jsonl", people("c", 40))
    with pytest.raises(CorpusError, match=problem) as caught:
        data.select(described(tmp_path, text))
    assert "\n" not in str(caught.value)
