"""Tests of what a phone computes, and of the app, with the versions that python-for-android builds."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.keyboard_app.android import recipes
from tests.keyboard_app.android.recipes import ROOT
from tests.keyboard_app.android.test_android import listed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

FEDERATION = ("protocol", "secure_aggregation", "updates")
MODEL = (
    *("adaptation", "batches", "checkpoint", "counts", "files", "folders", "mixture", "ngram_table", "pieces"),
    *("suggestions", "text", "vocabulary", "weight_files"),
)
"""Those of the model that a phone needs; all others are about TensorFlow, or how a model is made."""

_NOT_HERE = {"android", "ibus", "ui", "test_training.py"}
APP = tuple(
    f"tests/keyboard_app/{each.name}"
    for each in sorted((ROOT / "tests/keyboard_app").iterdir())
    if each.name not in _NOT_HERE and (each.is_dir() or each.name.startswith("test_"))
)
"""The app's, with its rounds; its window has slow tests of its own, training is held to TensorFlow."""

WINDOW = "tests/keyboard_app/ui"
PICTURES = f"{WINDOW}/test_window.py::test_three_phones_and_a_server_make_pictures_of_every_screen"
"""Draws what other tests of the window look at, with a server's processes for minutes."""

WITHOUT_KIVY = tuple(
    f"tests/keyboard_app/{each}"
    for each in ("editor", "typing", "test_beginning.py", "test_deletion.py", "test_json_lines.py", "test_moving.py")
)


def required() -> Sequence[str]:
    """Return the packages of `buildozer.spec` with a version that PyPI has, too."""
    names = (*recipes.VERSIONED, "kivy")
    return [each for each in listed("requirements") if each.partition("==")[0] in names]


def computed(app: Sequence[str]) -> Sequence[str]:
    """Return the paths of all tests of what a phone computes, and of these of the app."""
    return (
        *(f"tests/federation/{each}" for each in FEDERATION),
        *(f"tests/model/test_{each}.py" for each in MODEL),
        *app,
    )


def run_suite(python: Path, folder: Path, paths: Sequence[str], *options: str, site: Path | None = None) -> None:
    common = ("-n", "2", "-q", "-p", "no:cacheprovider", "--basetemp", folder / "temporary")
    same = ("--hypothesis-profile", "repeatable")  # versions are tried, not new examples
    done = subprocess.run(
        [python, "-m", "pytest", *common, *same, *options, *paths],
        cwd=ROOT,
        env=recipes.environment(*([] if site is None else [site])),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python with the recipes' versions."""
    return recipes.exact(tmp_path_factory.mktemp("recipes") / "python", required())


def test_the_phones_suite_passes_with_the_versions_of_the_recipes(exact: Path, tmp_path: Path) -> None:
    run_suite(exact, tmp_path, computed(APP))


def test_the_window_passes_with_the_versions_of_the_recipes(exact: Path, tmp_path: Path) -> None:
    run_suite(exact, tmp_path, [WINDOW], "-m", "slow", "--deselect", PICTURES)


def test_the_phones_suite_passes_with_the_python_of_the_recipes(tmp_path: Path) -> None:
    """Tests leave databases open, which this Python remarks upon."""
    python = recipes.later(tmp_path, required())
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout
    assert f"python3=={recipes.PYTHON}." in ",".join(listed("requirements"))
    assert version.startswith(f"Python {recipes.PYTHON}.")
    options = ("-W", "ignore:unclosed database:ResourceWarning")
    run_suite(python, tmp_path, computed(WITHOUT_KIVY), *options, site=tmp_path / "site")
