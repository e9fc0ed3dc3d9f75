"""The phone's own tests, run with the versions that python-for-android builds."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.keyboard_app.android import recipes
from tests.keyboard_app.android.recipes import ROOT
from tests.keyboard_app.android.test_android import listed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

FEDERATION = ("device", "protocol", "secure_aggregation", "updates")
PHONE = ("keyboard_app", *(f"federation/{each}" for each in FEDERATION))
MODEL = (
    *("adaptation", "batches", "checkpoint", "counts", "files", "folders", "mixture", "ngram_table", "pieces"),
    *("suggestions", "text", "vocabulary", "weight_files"),
)
"""Those of the model that a phone needs; all others are about TensorFlow, or how a model is made."""


def required() -> Sequence[str]:
    """Return the packages of `buildozer.spec` with a version that PyPI has, too."""
    names = (*recipes.VERSIONED, "kivy")
    return [each for each in listed("requirements") if each.partition("==")[0] in names]


def run_suite(python: Path, folder: Path, *options: str, site: Path | None = None) -> None:
    own = Path(__file__).relative_to(ROOT / "tests/keyboard_app")
    paths = [*(f"tests/{each}" for each in PHONE), *(f"tests/model/test_{each}.py" for each in MODEL)]
    ignored = [f"--ignore=tests/keyboard_app/{each}" for each in ("ibus", "test_training.py", own)]
    common = ("-n", "2", "-q", "-p", "no:cacheprovider", "--basetemp", folder / "temporary")
    done = subprocess.run(
        [python, "-m", "pytest", *common, *options, *ignored, *paths],
        cwd=ROOT,
        env=recipes.environment(*([] if site is None else [site])),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_the_phones_suite_passes_with_the_versions_of_the_recipes(tmp_path: Path) -> None:
    """All of it: the window and whole rounds, too."""
    python = recipes.exact(tmp_path / "python", required())
    run_suite(python, tmp_path, "-m", "slow or not slow")


def test_the_phones_suite_passes_with_the_python_of_the_recipes(tmp_path: Path) -> None:
    """Without the window, since PyPI has no Kivy for it. Tests leave databases open, which this Python remarks upon."""
    python = recipes.later(tmp_path, required())
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout
    assert f"python3=={recipes.PYTHON}." in ",".join(listed("requirements"))
    assert version.startswith(f"Python {recipes.PYTHON}.")
    window = "tests/keyboard_app/android/test_android.py::test_the_package_has_every_module_that_it_imports"
    options = ("--deselect", window, "-W", "ignore:unclosed database:ResourceWarning")
    run_suite(python, tmp_path, *options, site=tmp_path / "site")
