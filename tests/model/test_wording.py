import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.checkpoint import Checkpoint, CheckpointError
from model.engine.exported import MANIFEST, Export, ExportError, FileDescription, Manifest
from model.layout import NetworkConfig, initial_weights
from model.vocabulary import Vocabulary
from model.wording import in_words
from tests.wording import has_words_of_python

NETWORK = NetworkConfig(100, embedding=8, hidden=8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "model"
    vocabulary = Vocabulary.train(["hello there how are you", "i am fine and you"] * 20, size=100)
    network = dataclasses.replace(NETWORK, vocabulary_size=vocabulary.size)
    Checkpoint(network, initial_weights(network, 3), vocabulary).save(folder)
    return folder


def spoiled(value: Any) -> Iterator[Any]:
    """Yield a value of JSON with a part of another kind, without a part, and with one more."""
    yield from (None, True, [], {}, "text", 1.5)
    if isinstance(value, dict):
        yield value | {"no such thing": 1}
        for name in value:
            yield {other: part for other, part in value.items() if other != name}
            for part in spoiled(value[name]):
                yield value | {name: part}


def test_a_damaged_description_is_told_of_in_plain_words(trained: Path, tmp_path: Path) -> None:
    described = json.loads((trained / "network.json").read_text())
    for path in trained.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "network.json").unlink()
    refused = 0
    for wrong in spoiled(described):
        if wrong == described | {"no such thing": 1}:
            continue  # what a later version adds beside the rest
        (tmp_path / "network.json").write_text(json.dumps(wrong))
        with pytest.raises(CheckpointError) as caught:
            Checkpoint.load(tmp_path)
        assert not has_words_of_python(str(caught.value))
        refused += 1
    assert refused > 30


def test_a_damaged_manifest_is_told_of_in_plain_words(tmp_path: Path) -> None:
    manifest = Manifest(1, "", NETWORK, "0" * 64, "int8", "2.1.2", {"weights": FileDescription("0" * 64, 3)})
    for wrong in spoiled(manifest.to_json()):
        (tmp_path / MANIFEST).write_text(json.dumps(wrong))
        with pytest.raises(ExportError) as caught:
            Export.load(tmp_path)
        assert not has_words_of_python(str(caught.value))


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[" * 100_000, b"9" * 5000, b'{"network"'],
    ids=["nothing", "bytes", "brackets", "digits", "half"],
)
def test_what_is_no_description_is_told_of_in_plain_words(trained: Path, tmp_path: Path, content: bytes) -> None:
    for path in trained.iterdir():
        (tmp_path / path.name).symlink_to(path)
    for name in ("network.json", "weights.npz", "lexicon.json", "sentencepiece.model"):
        (tmp_path / name).unlink()
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError) as caught:
            Checkpoint.load(tmp_path)
        assert not has_words_of_python(str(caught.value))
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to(trained / name)


def test_values_are_written_as_files_have_them() -> None:
    values = (True, None, 3, 0.5, "a", [1], {"a": 1}, b"\x00", NETWORK)
    assert [in_words(value) for value in values] == [
        *("true", "nothing", "3", "0.5", "'a'", "a list", "a table", "bytes"),
        "vocabulary_size 100, embedding 8, hidden 8",
    ]
