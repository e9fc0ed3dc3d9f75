"""What the phone's install brings, seen from an environment of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model.checkpoint import Checkpoint
from model.export import export
from model.layout import NetworkConfig, initial_weights
from model.vocabulary import Vocabulary

ROOT = Path(__file__).parent.parent


MAX_MB = 120


@pytest.mark.slow
def test_the_phone_gets_neither_tensorflow_nor_flask_and_is_small(tmp_path: Path) -> None:
    python = tmp_path / "install" / "bin" / "python"
    subprocess.run([ROOT / "devices/install", tmp_path / "install"], check=True, cwd=tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    code = (
        "from importlib.util import find_spec\n"
        "for name in ('tensorflow', 'tensorflow_federated', 'flask', 'ai_edge_litert', 'sentencepiece'):\n"
        "    assert find_spec(name) is None, name\n"
        "import model.vocabulary, model.checkpoint, model.ngram, model.evaluation, data\n"
    )
    done = run(python, "-c", code)
    assert done.returncode == 0, done.stderr

    vocabulary = Vocabulary.train(["how are you today", "see you tomorrow then"] * 20, size=60)
    network = NetworkConfig(vocabulary.size, embedding=16, hidden=24)
    export(Checkpoint(network, initial_weights(network, 1), vocabulary), tmp_path / "phone")
    code = (
        "from pathlib import Path\n"
        "from model.engine import Export\n"
        "from model.next_words import MixtureNextWords\n"
        "from model.suggestions import Suggester\n"
        "export = Export.load(Path('phone'))\n"
        "suggester = Suggester(MixtureNextWords(export.predictor(), export.vocabulary, export.mixture))\n"
        "assert len(suggester.suggest('how are ')) == 3\n"
        "assert suggester.suggest('see you ', 'tomorow')[0].text == 'tomorrow'\n"
    )
    done = run(python, "-c", code)
    assert done.returncode == 0, done.stderr

    assert run(python.with_name("fedkey"), "--help").returncode == 0
    refused = run(python.with_name("fedkey"), "simulate")
    assert refused.returncode == 1
    assert "uv sync --group simulation" in refused.stderr
    assert "Traceback" not in refused.stderr

    versions = (
        "import json\n"
        "from importlib.metadata import distributions\n"
        "print(json.dumps({found.name: found.version for found in distributions()}))\n"
    )
    installed, tested = (json.loads(run(which, "-c", versions).stdout) for which in (python, Path(sys.executable)))
    assert installed
    assert {name: tested.get(name) for name in installed} == installed

    window = [python, "-m", "fedkey", "keyboard", "--model", "phone", "--profile", "anna", "--profiles", tmp_path]
    with subprocess.Popen(window, cwd=tmp_path, env=environment | {"SDL_VIDEODRIVER": "offscreen"}) as opened:
        try:
            deadline = time.monotonic() + 200
            while not (tmp_path / "anna" / "typing.sqlite").exists() and time.monotonic() < deadline:
                time.sleep(0.2)  # it reads and makes that only after the first frame
            assert opened.poll() is None
        finally:
            opened.terminate()
    assert (tmp_path / "anna" / "typing.sqlite").exists()

    size = sum(path.lstat().st_size for path in (tmp_path / "install").rglob("*") if path.is_file()) / 1e6
    assert size < MAX_MB, f"{size:.0f} MB, compiled modules of all that ran included"


@pytest.mark.slow
def test_an_install_overwrites_nothing(tmp_path: Path) -> None:
    done = subprocess.run([ROOT / "devices/install", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is there already: choose a new folder" in done.stderr
