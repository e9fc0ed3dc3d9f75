"""The import contracts of pyproject.toml hold in this tree (CI runs them) and break where somebody breaks them."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("data", "federation", "fedkey", "keyboard_app", "model")

BROKEN_BY = {
    "Floors of the house, top to bottom": ("model/intruder.py", "import federation.errors"),
    "Floors of learning together, top to bottom": ("federation/protocol/intruder.py", "import federation.server.app"),
    "Floors of the keyboard, top to bottom": ("keyboard_app/editor/intruder.py", "import keyboard_app.ui.app"),
    "Only the simulation imports TFF": ("federation/updates/intruder.py", "import tensorflow_federated"),
    "Only the simulation, the network and what runs it import TensorFlow": (
        "federation/rounds/intruder.py",
        "import tensorflow",
    ),
    "LiteRT is one engine of two": ("keyboard_app/typing/intruder.py", "import ai_edge_litert"),
    "Flask and what else only a server has stay in the round server and the enrolment service": (
        "federation/base/intruder.py",
        "import flask",
    ),
    "MLflow is imported where runs are written for it": ("fedkey/intruder.py", "import mlflow"),
    "Kivy has a room of its own": ("federation/device/intruder.py", "import kivy"),
    "What only a desktop or only Android has stays in their rooms": ("keyboard_app/typing/intruder.py", "import gi"),
    "The keyboard knows neither servers nor simulations nor corpora": (
        "keyboard_app/intruder.py",
        "import federation.simulation.run",
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages without their data, and the contracts."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=lambda folder, names: _not_code(Path(folder), names))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _not_code(folder: Path, names: list[str]) -> list[str]:
    return [name for name in names if (folder / name).is_file() and not name.endswith(".py")]


def lint(root: Path, *, breaks: bool = True) -> str:
    """Return what `lint-imports` prints of a tree, in one line; it must find a contract broken, or none."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    environment = {**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"}
    result = subprocess.run(
        [*command, "--no-cache"], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == int(breaks), f"{result.stdout}{result.stderr}"
    return " ".join(result.stdout.split())


def test_every_contract_is_tried_below() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == set(BROKEN_BY)


def test_the_tree_as_it_is_keeps_every_contract(copy: Path) -> None:
    assert " 0 broken" in lint(copy, breaks=False)


def test_an_import_that_does_not_belong_breaks_its_contract(copy: Path) -> None:
    for number, (path, line) in enumerate(BROKEN_BY.values()):
        intruder = copy / path.replace("intruder", f"intruder_{number}")
        intruder.write_text(f"{line}\n")
    told = lint(copy)
    for contract in BROKEN_BY:
        assert f"{contract} BROKEN" in told


@pytest.mark.parametrize("package", ["federation", "keyboard_app"])
def test_a_module_without_a_floor_breaks_the_contract(copy: Path, package: str) -> None:
    (copy / package / "loose.py").write_text('"""Belongs nowhere."""\n')
    told = lint(copy)
    assert f"{package}.loose" in told
