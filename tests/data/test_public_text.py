import gzip
from pathlib import Path

import pytest

from data import public_text
from data.corpus import CorpusError


def test_sources_are_kept_apart_and_in_order(tmp_path: Path) -> None:
    plain, packed = tmp_path / "one.jsonl", tmp_path / "two.jsonl.gz"
    plain.write_text('{"source": "a", "text": "hello"}\n\n{"source": "b", "text": "there"}\n')
    packed.write_bytes(gzip.compress(b'{"source": "a", "text": "again"}\n{"text": "of the file"}\n'))
    text = public_text.load([plain, packed])
    assert text.sources == {"a": ("hello", "again"), "b": ("there",), "two": ("of the file",)}
    assert text.messages == ("hello", "again", "there", "of the file")


def test_other_text_has_another_fingerprint(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.jsonl" for number in range(2)]
    for path, text in zip(paths, ("hello", "hallo"), strict=True):
        path.write_text(f'{{"source": "a", "text": "{text}"}}\n')
    one, other, both = (public_text.load(own).fingerprint for own in ([paths[0]], [paths[1]], paths))
    assert len({one, other, both}) == 3
    assert public_text.load([paths[0]]).fingerprint == one


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        ('{"source": "a", "text": "x"}\n{"source": "a"}\n', 2, "text"),
        ('{"source": 3, "text": "x"}\n', 1, "source"),
        ("[]\n", 1, "object"),
        ("hello\n", 1, "not JSON"),
        ("[" * 100_000 + "\n", 1, "nested too deeply"),
        ('{"text": ' + "9" * 5000 + "}\n", 1, "number that is too long"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, content: str, line: int, problem: str) -> None:
    path = tmp_path / "text.jsonl"
    path.write_text(content)
    with pytest.raises(CorpusError, match=problem) as raised:
        public_text.load([path])
    assert (raised.value.source, raised.value.line) == (path, line)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "text.jsonl").write_text('{"text": "hello"}\n', encoding="utf-8-sig")
    assert public_text.load([tmp_path / "text.jsonl"]).messages == ("hello",)


def test_no_text_and_no_file_are_said_so(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(CorpusError, match="no messages"):
        public_text.load([tmp_path / "empty.jsonl"])
    with pytest.raises(CorpusError, match="cannot be read"):
        public_text.load([tmp_path / "missing.jsonl"])
    (tmp_path / "torn.jsonl.gz").write_bytes(gzip.compress(b'{"text": "hello"}\n' * 99)[:-9])
    with pytest.raises(CorpusError, match="cannot be read further"):
        public_text.load([tmp_path / "torn.jsonl.gz"])
    assert public_text.load([]).messages == ()
