"""What a device needs for the keyboard: both engines beside each other, a key press through IBus, and the install.

    uv run python -m benchmarks.devices

The model is the small public start. Engines run in processes of their own, one thread each, one after the
other and then again; the better of both runs counts. Keys go through a real IBus on a screen in memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.results import Figure, write

STEPS, BATCHES, BATCH, RUNS = 1000, 30, 8, 2
TEXT = "how are you doing tomorow i am going home now and see you then what is the wether like "
KEYS = 400
KEY_SECONDS = 0.05  # between two keys: a fast typist


def main() -> None:
    """Measure everything, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        print(json.dumps(engine(arguments.model, arguments.engine)))
        return
    runs: dict[str, list[dict[str, float]]] = {"LITERT": [], "NUMPY": []}
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "model"
        _export(model)
        for _ in range(RUNS):
            for which, found in runs.items():
                found.append(_run(model, which))
        keys = ibus_keys(model, Path(name))
        install = install_bytes(Path(name) / "install")
    litert, numpy = ({name: _better(name, found) for name in found[0]} for found in runs.values())
    write(
        "devices",
        [
            *(
                Figure(f"numpy_{name}", numpy[name], unit, "LiteRT", litert[name])
                for name, unit in (
                    ("step_ms", "ms"),
                    ("step_p99_ms", "ms"),
                    ("train_tokens_per_s", "tokens/s"),
                    ("first_strip_s", "s"),
                    ("rss_mb", "MB"),
                    ("rss_training_mb", "MB"),
                )
            ),
            Figure("ibus_key_p50_ms", 1e3 * float(np.percentile(keys, 50)), "ms"),
            Figure("ibus_key_p99_ms", 1e3 * float(np.percentile(keys, 99)), "ms", "aim", 10.0),
            Figure("install_mb", install / 1e6, "MB", "aim", 120.0),
        ],
    )


def engine(model: Path, name: str) -> dict[str, float]:
    """Measure one engine, from the start of the process."""
    began = time.perf_counter()
    import psutil  # noqa: PLC0415

    from model.engine import Engine, Export  # noqa: PLC0415
    from model.next_words import MixtureNextWords  # noqa: PLC0415
    from model.suggestions import Suggester  # noqa: PLC0415

    process = psutil.Process()
    export = Export.load(model, Engine[name])
    Suggester(MixtureNextWords(export.predictor(), export.vocabulary, export.mixture)).suggest("how are ", "yo")
    found = {"first_strip_s": time.perf_counter() - began, "rss_mb": process.memory_info().rss / 1e6}
    predictor, random = export.predictor(), np.random.default_rng(0)
    size = export.manifest.network.vocabulary_size
    state, seconds = predictor.start, []
    for piece in random.integers(3, size, STEPS).tolist():
        before = time.perf_counter()
        state = predictor.step(state, piece)
        seconds.append(time.perf_counter() - before)
    found["step_ms"], found["step_p99_ms"] = (1e3 * float(np.percentile(seconds, percent)) for percent in (50, 99))
    trainer, rows = export.trainer(), random.integers(3, size, (BATCH, 21)).astype(np.int32)
    trainer.train(rows, learning_rate=0.1, gradient_norm=1.0)
    before = time.perf_counter()
    for _ in range(BATCHES):
        trainer.train(rows, learning_rate=0.1, gradient_norm=1.0)
    found["train_tokens_per_s"] = BATCHES * BATCH * 20 / (time.perf_counter() - before)
    found["rss_training_mb"] = process.memory_info().rss / 1e6
    return found


def ibus_keys(model: Path, folder: Path) -> list[float]:
    """Return for how many seconds an application waits for each of many keys."""
    from tests.keyboard_app.ibus.desktop import PROGRAMS, PYTHON, desktop, with_keyboard  # noqa: PLC0415

    options = ("--model", str(model.resolve()), "--profiles", str(folder / "profiles"))
    with desktop(folder / "desktop") as made, with_keyboard(made, *options) as here:
        environment = {**here.environment, "IBUS_ADDRESS": here.run("ibus", "address").strip()}
        text = (TEXT * (KEYS // len(TEXT) + 1))[:KEYS]
        commands = [["begin", "benchmark"], ["type", TEXT, KEY_SECONDS], ["type", text, KEY_SECONDS]]
        done = subprocess.run(
            [PYTHON, PROGRAMS / "client.py"],
            env=environment,
            input="".join(json.dumps(command) + "\n" for command in commands),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])["seconds"]
    return seconds


def install_bytes(folder: Path) -> int:
    """Return the size of a Linux phone's install, with what its first use compiles."""
    root = Path(__file__).parent.parent
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([root / "devices/install", folder], check=True, stdout=subprocess.DEVNULL)
    use = "import keyboard_app.ui.app, keyboard_app.participation, fedkey.cli.keyboard, fedkey.cli.suggest"
    quiet = environment | {"SDL_VIDEODRIVER": "offscreen"}
    subprocess.run([folder / "bin/python", "-c", use], check=True, env=quiet, cwd=folder)
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _export(folder: Path) -> None:
    from model import public_start  # noqa: PLC0415
    from model.export import export  # noqa: PLC0415

    export(public_start.load("small"), folder)


def _run(model: Path, name: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.devices", "--model", str(model), "--engine", name]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _better(name: str, runs: list[dict[str, float]]) -> float:
    values = [run[name] for run in runs]
    return max(values) if name.endswith("per_s") else min(values)


if __name__ == "__main__":
    main()
