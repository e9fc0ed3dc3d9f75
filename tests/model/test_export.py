import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from model.checkpoint import Checkpoint
from model.engine import MANIFEST, Engine, Export, ExportError
from model.engine.litert_engine import LiteRTPredictor, LiteRTTrainer
from model.export import export
from model.litert_files import inference_file, relative_perplexity
from model.vocabulary import VOCABULARY_FILES
from tests.model.engines import small_checkpoint
from tests.wrong_files import WRONG, put, said

FILES = {name for engine in Engine for name in (engine.training, engine.inference)} | set(VOCABULARY_FILES)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return small_checkpoint()


@pytest.fixture(scope="module")
def exported(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return export(checkpoint, tmp_path_factory.mktemp("export") / "phone", version=7, inference="float32")


@pytest.fixture
def copy(exported: Export, tmp_path: Path) -> Path:
    for path in exported.directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_eight_bits_are_smaller_and_nearly_as_good(checkpoint: Checkpoint) -> None:
    small = inference_file(checkpoint, "int8")
    assert len(small) < len(inference_file(checkpoint, "float32"))
    encoded = [list(checkpoint.vocabulary.encode_symbol("hello")), [4, 5, 6]]
    assert abs(relative_perplexity(checkpoint, small, encoded)) < 0.02
    with pytest.raises(ValueError, match="float32 or int8"):
        inference_file(checkpoint, "int4")


def test_the_manifest_tells_what_is_there(checkpoint: Checkpoint, exported: Export) -> None:
    assert exported.manifest.version == 7
    assert exported.manifest.network == checkpoint.network
    assert set(exported.manifest.files) == FILES
    assert exported.vocabulary.words == checkpoint.vocabulary.words


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize("part", ["training", "inference", *VOCABULARY_FILES])
@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_a_damaged_export_is_refused(copy: Path, engine: Engine, part: str, damage: str) -> None:
    name = getattr(engine, part, part)
    path = copy / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if damage == "truncated" else bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(ExportError, match=f"{name} is missing or not as the manifest says"):
        Export.load(copy, engine)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_in_the_place_of_a_file_is_refused(exported: Export, tmp_path: Path, wrong: str) -> None:
    engine = Engine.NUMPY
    for name in (MANIFEST, engine.training, engine.inference, *VOCABULARY_FILES):
        folder = tmp_path / name
        shutil.copytree(exported.directory, folder)
        put(wrong, folder / name)
        assert "export" in said(lambda folder=folder: Export.load(folder, engine))  # type: ignore[misc]


@pytest.mark.parametrize("engine", Engine)
def test_a_phone_needs_the_files_of_its_own_engine_only(copy: Path, engine: Engine) -> None:
    for other in set(Engine) - {engine}:
        (copy / other.training).unlink()
        (copy / other.inference).unlink()
    loaded = Export.load(copy, engine)
    assert loaded.trainer().weights().shape == (loaded.manifest.network.parameters,)
    assert loaded.predictor().start.following.shape == (1, loaded.vocabulary.size)


def test_another_vocabulary_is_refused(copy: Path) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["vocabulary"] = "0" * 64
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ExportError, match="vocabulary of another model"):
        Export.load(copy)


def test_a_newer_runtime_is_asked_for(copy: Path) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(manifest | {"runtime": "99.0.0"}))
    with pytest.raises(ExportError, match=r"needs ai-edge-litert 99\.0\.0"):
        Export.load(copy, Engine.LITERT)
    assert Export.load(copy, Engine.NUMPY).manifest.runtime == "99.0.0"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 99}', '{"format": 1, "version": 1}'])
def test_a_manifest_that_is_none_is_refused(copy: Path, content: str) -> None:
    (copy / MANIFEST).write_text(content)
    with pytest.raises(ExportError, match="fedkey export"):
        Export.load(copy)


def test_what_is_no_model_is_refused(exported: Export) -> None:
    with pytest.raises(ExportError, match="cannot read"):
        LiteRTPredictor(b"no model", exported.manifest.network)
    with pytest.raises(ExportError, match="lacks 'train'"):
        LiteRTTrainer((exported.directory / Engine.LITERT.inference).read_bytes(), exported.manifest.network)


def test_a_failed_export_leaves_the_one_before(checkpoint: Checkpoint, copy: Path) -> None:
    with pytest.raises(ValueError, match="int4"):
        export(checkpoint, copy, inference="int4")
    assert Export.load(copy).manifest.version == 7
    assert [path.name for path in copy.parent.iterdir() if path.name.startswith(f".{copy.name}-")] == []


@pytest.mark.parametrize("missing", [["tensorflow"], ["tensorflow", "ai_edge_litert"]])
def test_a_phone_runs_it_with_what_it_has(exported: Export, missing: list[str]) -> None:
    engine = Engine.NUMPY if "ai_edge_litert" in missing else Engine.LITERT
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({missing!r}))\n"
        "from pathlib import Path\n"
        "from model.engine import Export\n"
        "from model.next_words import MixtureNextWords\n"
        "from model.suggestions import Suggester\n"
        f"export = Export.load(Path({str(exported.directory)!r}))\n"
        f"assert export.engine.name == {engine.name!r}\n"
        "suggester = Suggester(MixtureNextWords(export.predictor(), export.vocabulary, export.mixture))\n"
        "assert len(suggester.suggest('how are ')) == 3\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
