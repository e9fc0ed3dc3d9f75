"""What the phone's install brings, seen from an environment of its own."""

import subprocess
from pathlib import Path

import pytest

from model.checkpoint import Checkpoint
from model.export import export
from model.layout import NetworkConfig, initial_weights
from model.vocabulary import Vocabulary

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_phone_gets_neither_tensorflow_nor_flask(tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(["uv", "venv", "--quiet", "--python", "3.11", tmp_path / "venv"], check=True)
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, str(ROOT)], check=True, cwd=tmp_path)

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

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
