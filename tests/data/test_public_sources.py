import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from data import public_text
from data.corpus import CorpusError
from data.public_sources import SOURCES, collect


def table(path: Path, rows: Sequence[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def document(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def checkouts(tmp_path: Path) -> Path:
    """A checkout of every source with a line or two, in the form their authors chose."""
    folder = tmp_path / "checkouts"
    said = {"Answer.sentence1": "one", "Answer.sentence10": "ten", "Answer.sentence2": "two\nlines"}
    rows = [
        said | {"AssignmentId": "a", "WorkerId": "w", "Reject": ""},
        said | {"AssignmentId": "b", "WorkerId": "blocked", "Reject": ""},
        said | {"AssignmentId": "c", "WorkerId": "w", "Reject": "x"},
        said | {"AssignmentId": "d", "WorkerId": "w", "Reject": "", "Answer.sentence1": "{}"},
    ]
    table(folder / "self-dialogue" / "corpus" / "movies" / "movies0.csv", rows)
    (folder / "self-dialogue" / "blocked_workers.txt").write_text("blocked\n")
    document(
        folder / "topical-chat" / "conversations" / "valid_freq.json",
        {"t1": {"content": [{"message": "did you know?"}, {"message": "no"}]}},
    )
    table(
        folder / "synthetic-persona-chat" / "data" / "Synthetic-Persona-Chat_valid.csv",
        [{"user 1 personas": "x", "Best Generated Conversation": "User 1: Hi: you\nUser 2: Hello!"}],
    )
    document(
        folder / "taskmaster-4" / "TM-4-2024" / "data" / "data_00.json",
        [{"utterances": [{"speaker": "user", "text": "a latte"}, {"speaker": "assistant", "text": "ok"}]}],
    )
    turns = [{"speaker": "USER", "utterance": "I am hungry"}, {"speaker": "SYSTEM", "utterance": "Where?"}]
    for part in ("train", "dev"):
        document(folder / "schema-guided-dialogue" / part / "dialogues_001.json", [{"turns": turns}])
    return folder


def test_every_source_is_read_as_its_authors_wrote_it(checkouts: Path, tmp_path: Path) -> None:
    out = tmp_path / "public.jsonl.gz"
    written = collect(checkouts, out)
    text = public_text.load([out])
    assert len(text.messages) == written
    assert text.sources == {
        "topical-chat": ("did you know?", "no"),
        "self-dialogue": ("one", "two lines", "two lines"),
        "synthetic-persona-chat": ("Hi: you", "Hello!"),
        "taskmaster-4": ("a latte", "ok"),
        "schema-guided-dialogue": ("I am hungry", "I am hungry"),
    }


def test_the_same_checkouts_make_the_same_file(checkouts: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        collect(checkouts, tmp_path / name / "public.jsonl.gz")
    assert (tmp_path / "one" / "public.jsonl.gz").read_bytes() == (tmp_path / "two" / "public.jsonl.gz").read_bytes()


def test_what_is_no_checkout_is_named(checkouts: Path, tmp_path: Path) -> None:
    document(checkouts / "topical-chat" / "conversations" / "valid_freq.json", {"t1": {}})
    with pytest.raises(CorpusError, match=r"Topical-Chat"):
        collect(checkouts, tmp_path / "public.jsonl.gz")
    assert not (tmp_path / "public.jsonl.gz").exists()


def test_what_cannot_be_fetched_says_what_to_do(
    checkouts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkouts / "topical-chat").rename(tmp_path / "elsewhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CorpusError, match="clone it to"):
        collect(checkouts, tmp_path / "public.jsonl.gz")


def test_every_source_names_its_licence_and_its_commit() -> None:
    for source in SOURCES:
        assert len(source.commit) == 40
        assert source.licence in {"BSD-3-Clause", "CC-BY-4.0", "CC-BY-SA-4.0", "CDLA-Sharing-1.0"}
