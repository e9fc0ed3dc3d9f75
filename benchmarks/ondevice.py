"""What prediction, typing and training cost inside a phone, with both engines.

    uv run python -m benchmarks.ondevice MODEL

MODEL is a folder that `fedkey simulate` or `benchmarks.quality` wrote, or `small` or `gboard` for the public start.
Each engine, and TensorFlow, runs in a process of its own, one thread each; the engines take turns, and the better of
their runs counts, figure by figure, since other work on a machine only ever makes it slower. The floor is the time in
which all weights are read once. Keys go through a real IBus on a screen in memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.arguments import whole
from benchmarks.ondevice_parts import MESSAGES
from benchmarks.results import CORPUS, Figure, write

if TYPE_CHECKING:
    from model.checkpoint import Checkpoint

Measured = dict[str, float]


def main() -> None:
    """Export the model, run all parts, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "--parts",
        choices=["all", "engines", "desktop"],
        default="all",
        help="Measure the engines alone, or keys through IBus and the install; figures of the others stay.",
    )
    parser.add_argument("--runs", type=whole, default=3, help="of each engine, the better of which counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = _exported(arguments.model, folder)
        figures = (
            [] if arguments.parts == "desktop" else _all_engines(folder, _loss(checkpoint, folder), arguments.runs)
        )
        figures += [] if arguments.parts == "engines" else _desktop(folder)
    others = {"all": (), "engines": (True,), "desktop": (False,)}[arguments.parts]
    write("ondevice", figures, keep=lambda figure: figure.startswith(("ibus_", "install_")) in others)


def _all_engines(folder: Path, loss: float, count: int) -> list[Figure]:
    runs: dict[str, list[Measured]] = {"LITERT": [], "NUMPY": []}
    for _ in range(count):
        for engine, found in runs.items():
            found.append(_run(engine, folder))
    litert, numpy = ({name: _better(name, found) for name in found[0]} for found in runs.values())
    files = (folder / "int8" / "inference.tflite").stat().st_size, _download(folder / "int8")
    return [*_phone(litert, _run("tensorflow", folder), loss, *files), *_engines(numpy, litert)]


def _exported(model: Path, folder: Path) -> "Checkpoint":
    """Write both exports; return the model."""
    from model import public_start  # noqa: PLC0415
    from model.checkpoint import Checkpoint  # noqa: PLC0415
    from model.export import export  # noqa: PLC0415
    from model.layout import SIZES  # noqa: PLC0415

    started = not model.exists() and model.name in SIZES
    checkpoint = public_start.load(model.name) if started else Checkpoint.load(model)
    for inference in ("int8", "float32"):
        export(checkpoint, folder / inference, inference=inference)
    return checkpoint


def _loss(checkpoint: "Checkpoint", folder: Path) -> float:
    """Write texts to type; return the relative perplexity of 8 bits on them and others."""
    import data  # noqa: PLC0415
    from model.engine import Engine  # noqa: PLC0415
    from model.litert_files import relative_perplexity  # noqa: PLC0415
    from model.text import tokenise  # noqa: PLC0415

    texts = [text for own in data.split(data.load(CORPUS)).held_out.values() for text in own[:20]]
    (folder / "texts.json").write_text(json.dumps(texts[:MESSAGES]))
    encoded = [checkpoint.vocabulary.encode(tokenise(text)) for text in texts]
    return relative_perplexity(checkpoint, (folder / "int8" / Engine.LITERT.inference).read_bytes(), encoded)


def _download(folder: Path) -> int:
    """Return how many bytes a phone needs to predict with the whole mixture."""
    from model.engine import Engine  # noqa: PLC0415
    from model.mixture import FILES  # noqa: PLC0415
    from model.vocabulary import CANDIDATES, VOCABULARY_FILES  # noqa: PLC0415

    names = (Engine.LITERT.inference, *VOCABULARY_FILES, CANDIDATES, *FILES)
    return sum((folder / name).stat().st_size for name in names if (folder / name).exists())


def _run(part: str, folder: Path) -> Measured:
    command = [sys.executable, "-m", "benchmarks.ondevice_parts", part, str(folder)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    return found


def _better(name: str, runs: list[Measured]) -> float:
    values = [run[name] for run in runs]
    return max(values) if name.endswith("per_s") else min(values)


def _desktop(folder: Path) -> list[Figure]:
    from benchmarks.ondevice_desktop import ibus_keys, install_bytes  # noqa: PLC0415 - needs what tests need

    keys = 1e3 * np.array(ibus_keys(folder / "int8", folder))
    return [
        Figure("ibus_key_p50_ms", float(np.percentile(keys, 50)), "ms"),
        Figure("ibus_key_p99_ms", float(np.percentile(keys, 99)), "ms", "aim", 10.0),
        Figure("install_mb", install_bytes(folder / "install") / 1e6, "MB", "aim", 120.0),
    ]


def _phone(litert: Measured, tensorflow: Measured, loss: float, size: int, download: int) -> list[Figure]:
    """Return the figures of a phone with LiteRT."""

    def milliseconds(name: str) -> float:
        return 1e3 * litert[name]

    return [
        Figure("suggestion_p50_ms", milliseconds("network_suggestion_p50"), "ms"),
        Figure("suggestion_p99_ms", milliseconds("network_suggestion_p99"), "ms", "aim", 5.0),
        Figure("mixture_suggestion_p50_ms", milliseconds("mixture_suggestion_p50"), "ms"),
        Figure("mixture_suggestion_p99_ms", milliseconds("mixture_suggestion_p99"), "ms", "aim", 3.0),
        Figure("autocorrect_p50_ms", milliseconds("mixture_autocorrect_p50"), "ms"),
        Figure("autocorrect_p99_ms", milliseconds("mixture_autocorrect_p99"), "ms", "aim", 5.0),
        *(
            Figure(name, milliseconds(f"step_{kind}_p50"), "ms", "memory floor", milliseconds(f"floor_{kind}"))
            for name, kind in (("frozen_step_ms", "float32"), ("frozen_step_int8_ms", "int8"))
        ),
        Figure("frozen_step_int8_p99_ms", milliseconds("step_int8_p99"), "ms"),
        Figure("tensorflow_step_ms", 1e3 * tensorflow["step_p50"], "ms"),
        Figure(
            "train_tokens_per_s",
            litert["train_tokens_per_s"],
            "tokens/s",
            "TensorFlow",
            tensorflow["train_tokens_per_s"],
        ),
        Figure("rss_mb", litert["rss_mb"], "MB", "aim", 130.0),
        Figure("rss_training_mb", litert["rss_training_mb"], "MB", "TensorFlow", tensorflow["rss_mb"]),
        Figure("first_strip_s", litert["first_strip_s"], "s"),
        Figure("int8_relative_perplexity", 1 + loss, "x", "float32", 1.0),
        Figure("model_file_mb", size / 1e6, "MB"),
        Figure("mixture_file_mb", download / 1e6, "MB", "aim", 6.0),
    ]


def _engines(numpy: Measured, litert: Measured) -> list[Figure]:
    """Return the figures of NumPy's engine beside LiteRT's."""
    figures = (
        ("step_ms", "step_int8_p50", 1e3, "ms"),
        ("step_p99_ms", "step_int8_p99", 1e3, "ms"),
        ("mixture_suggestion_p99_ms", "mixture_suggestion_p99", 1e3, "ms"),
        ("train_tokens_per_s", "train_tokens_per_s", 1.0, "tokens/s"),
        ("first_strip_s", "first_strip_s", 1.0, "s"),
        ("rss_mb", "rss_mb", 1.0, "MB"),
        ("rss_training_mb", "rss_training_mb", 1.0, "MB"),
    )
    return [
        Figure(f"numpy_{figure}", scale * numpy[name], unit, "LiteRT", scale * litert[name])
        for figure, name, scale, unit in figures
    ]


if __name__ == "__main__":
    main()
