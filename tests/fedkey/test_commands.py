import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from fedkey.cli import main
from fedkey.cli.corpora import start_for
from fedkey.cli.errors import GROUP_OF
from model import public_start
from model.checkpoint import Checkpoint
from model.engine import Export
from model.evaluation import Evaluation
from model.layout import NetworkConfig, initial_weights
from model.mixture import Mixture
from model.ngram_building import Text, build
from model.text import tokenise
from model.vocabulary import Vocabulary


def fedkey(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("corpus") / "small.jsonl"
    words = ["i", "you", "like", "tea", "want", "rice", "today", "really", "don't"]
    with path.open("w") as file:
        for user in range(40):
            for _ in range(12):
                file.write(json.dumps({"user": f"u{user}", "text": " ".join(random.choice(words, 5))}) + "\n")
    return path


@pytest.fixture(scope="module")
def start(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A public start of a few messages."""
    texts = [json.loads(line)["text"] for line in corpus.read_text().splitlines()[:100]]
    vocabulary = Vocabulary.train(texts, size=60)
    network = NetworkConfig.named("small", vocabulary.size)
    ngram = build([Text([vocabulary.encode(tokenise(text)) for text in texts])], size=vocabulary.size)
    folder = tmp_path_factory.mktemp("start")
    checkpoint = Checkpoint(network, initial_weights(network, 3), vocabulary, Mixture((0.5, 0.5), ngram))
    public_start.save(folder, {"small": checkpoint}, {})
    return folder


def test_no_help_imports_tensorflow() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom fedkey.cli import main\n"
        "listed = CliRunner().invoke(main, ['--help']).stdout\n"
        "for name in main.list_commands(None):\n"
        "    assert name in listed\n"
        "    shown = CliRunner().invoke(main, [name, '--help'])\n"
        "    assert shown.exit_code == 0, shown.output\n"
        "    assert 'tensorflow' not in sys.modules, name\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


def test_doctor_is_content_with_this_machine() -> None:
    result = fedkey("doctor")
    assert result.exit_code == 0, result.output


def test_doctor_names_what_is_missing_and_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GROUP_OF, "no_such_package", "simulation")
    result = fedkey("doctor")
    assert result.exit_code == 1
    assert "no_such_package" in result.output
    assert "uv sync --group simulation" in result.output


def test_doctor_is_content_with_a_phones_install_and_says_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    here = importlib.util.find_spec

    def only_phones(name: str, package: str | None = None) -> object:
        return None if name in GROUP_OF else here(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", only_phones)
    result = fedkey("doctor")
    assert result.exit_code == 0, result.output
    assert "missing" not in result.output
    for group in ("simulation", "server", "report", "mlflow"):
        assert f"uv sync --group {group}" in result.output


def test_tensorboard_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tensorboard.main", "--version_tb"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_stats_of_a_corpus(corpus: Path) -> None:
    result = fedkey("data", "stats", str(corpus))
    assert result.exit_code == 0
    assert "2,400" in result.output
    assert "non-IID" in result.output


@pytest.fixture
def spanish(tmp_path: Path) -> Path:
    path = tmp_path / "spanish.jsonl"
    messages = ("nos vemos mañana en la playa", "no me gusta el café", "qué vas a hacer esta noche", "muchas gracias")
    with path.open("w") as file:
        for user in range(30):
            for number in range(12):
                file.write(json.dumps({"user": f"u{user}", "text": messages[number % len(messages)]}) + "\n")
    return path


def test_the_language_of_a_corpus_is_found_and_another_one_is_warned_of(corpus: Path, spanish: Path) -> None:
    assert "es: " in fedkey("data", "stats", str(spanish)).output
    assert "en: " in fedkey("data", "stats", str(corpus)).output
    assert "say --language es" in fedkey("data", "stats", str(spanish), "--language", "en").output
    assert "--language" not in fedkey("data", "stats", str(spanish), "--language", "es").output


def test_other_languages_begin_with_the_seed_since_the_public_start_is_english() -> None:
    assert start_for("es", None) == "seed"
    assert start_for("es", "public") == "public"
    assert start_for("en", None) is None
    assert start_for(None, None) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("data", "stats", "nowhere.jsonl"),
        ("evaluate", "no-such-model"),
        ("export", "no-such-model", "--out", "phone"),
        ("simulate", "--config", "no-such.toml"),
        ("simulate", "--set", "no.such=1"),
        ("simulate", "--scenario", "no-such.toml"),
        ("simulate", "--rounds", "0"),
        ("simulate", "--workers", "10.0.0.2:7070"),
        ("simulate", "--workers", "local,nearby"),
        ("worker", "--host", "0.0.0.0"),
        ("worker", "--host", "192.0.2.250", "--allow-unauthenticated-network"),
        ("simulate", "--start", "no-such-model"),
        ("simulate", "--start", "seed", "--public", "no-such.jsonl"),
        ("pretrain", "--public", "no-such.jsonl", "--out", "start"),
    ],
)
def test_what_a_person_gets_wrong_is_one_sentence_and_exit_1(arguments: tuple[str, ...]) -> None:
    result = fedkey(*arguments)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1


def test_a_phone_install_is_told_what_brings_the_simulation() -> None:
    code = "import sys; sys.modules['tensorflow'] = None; from fedkey.cli import main; main(['simulate'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "uv sync --group simulation" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(900)  # a dozen processes, most with TensorFlow: slow where others compute too
def test_demo_trains_judges_and_reports(corpus: Path, start: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fedkey", "demo", "--corpus", str(corpus), "--rounds", "2", "--users", "3"]
    command += ["--start", str(start), "--headless-phones", "6", "--phone-rounds", "1"]
    command += ["--out", str(tmp_path / "run"), "--report", str(tmp_path / "report.html")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run() -> str:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = run()
    for said in (
        "public + counts",
        "public + training",
        "5-gram central",
        "points over public mixture",
        "round 1 counted",
    ):
        assert said in first
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 3
    assert "a phone sends in a round" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert "<script" not in page
    again = run()  # the second time there is nothing left to train
    assert "rounds: 1" not in again
    assert "in the same rounds, through a server" in first
    assert "in the same rounds, through a server" not in again
    assert "public + counts + training" in again

    out = tmp_path / "evaluation"
    judged = fedkey(
        "evaluate", str(tmp_path / "run" / "model"), "--corpus", str(corpus), "--against", "ngram", "--out", str(out)
    )
    assert judged.exit_code == 0, judged.output
    typed = fedkey(
        "evaluate",
        str(tmp_path / "run" / "model"),
        "--corpus",
        str(corpus),
        "--typist",
        "--users",
        "2",
        "--out",
        str(tmp_path / "typing"),
    )
    assert typed.exit_code == 0, typed.output
    assert "own words" in typed.output
    summaries = json.loads((tmp_path / "typing" / "typist.json").read_text())
    assert [summary["name"] for summary in summaries] == ["shared model", "and own words"]
    assert all(-20 < summary["keystrokes_saved_percent"]["value"] < 80 for summary in summaries)

    exported = fedkey(
        "export", str(tmp_path / "run" / "model"), "--corpus", str(corpus), "--out", str(tmp_path / "phone")
    )
    assert exported.exit_code == 0, exported.output
    assert "perplexity changes by" in exported.output
    assert Export.load(tmp_path / "phone").manifest.version == 1

    for said in ("run", "5-gram seed", "of users helped", "top-1 % of users at", "of a user, over 5-gram central"):
        assert said in judged.output
    assert sorted(path.name for path in out.iterdir()) == [
        "5-gram-central.json",
        "5-gram-seed.json",
        "evaluation.json",
        "models.svg",
        "run.json",  # a model is called what its run is called
    ]
    assert Evaluation.from_json((out / "run.json").read_text()).name == "run"
