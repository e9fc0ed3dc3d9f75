"""What prediction and training cost inside a phone, beside TensorFlow and beside the machine's memory.

    uv run python -m benchmarks.ondevice MODEL

MODEL is a folder that `fedkey simulate` or `benchmarks.quality` wrote, or `small` or `gboard` for the public start. The
phone's part runs in a process of its own without TensorFlow, TensorFlow's in another; one thread each. The floor is the
time in which all weights are read once.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.results import Figure, write

if TYPE_CHECKING:
    from model.suggestions import Suggester

MESSAGES = 150
STEPS = 2000
BATCHES = 40
BATCH = 8


def main() -> None:
    """Export the model, run both parts, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--part", choices=["phone", "tensorflow"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        part = phone if arguments.part == "phone" else tensorflow
        print(json.dumps(part(arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loss = _prepare(arguments.model, folder)
        phone_part, tensorflow_part = (_run(part, arguments.model, folder) for part in ("phone", "tensorflow"))
        size = (folder / "int8" / "inference.tflite").stat().st_size
        download = _download(folder / "int8")
    _report(phone_part, tensorflow_part, loss, size, download)


def _prepare(model: Path, folder: Path) -> float:
    """Write both exports and texts to type; return the relative perplexity of 8 bits."""
    import data  # noqa: PLC0415
    from model import public_start  # noqa: PLC0415
    from model.checkpoint import Checkpoint  # noqa: PLC0415
    from model.engine import Engine  # noqa: PLC0415
    from model.export import export  # noqa: PLC0415
    from model.layout import SIZES  # noqa: PLC0415
    from model.litert_files import relative_perplexity  # noqa: PLC0415
    from model.text import tokenise  # noqa: PLC0415

    started = not model.exists() and model.name in SIZES
    checkpoint = public_start.load(model.name) if started else Checkpoint.load(model)
    for inference in ("int8", "float32"):
        export(checkpoint, folder / inference, inference=inference)
    texts = [text for own in data.split(data.load("chitchat")).held_out.values() for text in own[:20]]
    (folder / "texts.json").write_text(json.dumps(texts[:MESSAGES]))
    encoded = [checkpoint.vocabulary.encode(tokenise(text)) for text in texts]
    return relative_perplexity(checkpoint, (folder / "int8" / Engine.LITERT.inference).read_bytes(), encoded)


def _download(folder: Path) -> int:
    """Return how many bytes a phone needs to predict with the whole mixture."""
    from model.engine import VOCABULARY_FILES, Engine  # noqa: PLC0415
    from model.mixture import FILES  # noqa: PLC0415

    names = (Engine.LITERT.inference, *VOCABULARY_FILES, *FILES)
    return sum((folder / name).stat().st_size for name in names if (folder / name).exists())


def _run(part: str, model: Path, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.ondevice", str(model), "--part", part, "--folder", str(folder)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def phone(folder: Path) -> dict[str, float]:
    """Measure typing and training with LiteRT."""
    import psutil  # noqa: PLC0415

    from model.engine import Export  # noqa: PLC0415
    from model.next_words import MixtureNextWords  # noqa: PLC0415
    from model.suggestions import Suggester  # noqa: PLC0415

    process = psutil.Process()
    started = time.perf_counter()
    exported = Export.load(folder / "int8")
    suggester = Suggester(MixtureNextWords(exported.predictor(), exported.vocabulary, exported.mixture))
    suggester.suggest("", "")
    found: dict[str, float] = {"load_s": time.perf_counter() - started}
    texts = json.loads((folder / "texts.json").read_text())
    found |= _typed(suggester, texts, "")
    found["rss_mb"] = process.memory_info().rss / 1e6
    alone = Suggester(MixtureNextWords(exported.predictor(), exported.vocabulary))
    found |= _typed(alone, texts, "network_")
    random = np.random.default_rng(0)
    for kind in ("int8", "float32"):
        own = Export.load(folder / kind)
        predictor = own.predictor()
        state = predictor.start
        steps = []
        for piece in random.integers(3, own.manifest.network.vocabulary_size, STEPS).tolist():
            before_step = time.perf_counter()
            state = predictor.step(state, piece)
            steps.append(time.perf_counter() - before_step)
        found |= _quantiles(f"step_{kind}", steps)
        found[f"floor_{kind}"] = _read_seconds(own.manifest.network.parameters * (1 if kind == "int8" else 4))
    trainer = exported.trainer()
    rows = _rows(exported.manifest.network.vocabulary_size)
    trainer.train(rows, learning_rate=0.1)
    started = time.perf_counter()
    for _ in range(BATCHES):
        trainer.train(rows, learning_rate=0.1)
    found["train_tokens_per_s"] = BATCHES * BATCH * 20 / (time.perf_counter() - started)
    found["rss_training_mb"] = process.memory_info().rss / 1e6
    return found


def _typed(suggester: "Suggester", texts: list[str], prefix: str) -> dict[str, float]:
    """Type and learn messages; return quantiles of the seconds that suggestions and corrections take."""
    from model.suggestions import split_word  # noqa: PLC0415

    suggestions, corrections = [], []
    for text in texts:
        suggester.observe(text)
        suggester.personal.learn(text)
        suggester.personal_changed()
        for end in range(len(text) + 1):
            before, typed = split_word(text[:end])
            suggestions.append(_seconds(lambda before=before, typed=typed: suggester.suggest(before, typed)))  # type: ignore[misc]
            if typed and (end == len(text) or not text[end].isalnum()):
                corrections.append(_seconds(lambda before=before, typed=typed: suggester.autocorrect(before, typed)))  # type: ignore[misc]
    return _quantiles(f"{prefix}suggestion", suggestions) | _quantiles(f"{prefix}autocorrect", corrections)


def tensorflow(folder: Path) -> dict[str, float]:
    """Measure the same network, step and training, in TensorFlow."""
    import psutil  # noqa: PLC0415
    import tensorflow as tf  # noqa: PLC0415

    from model.engine import Export  # noqa: PLC0415
    from model.layout import initial_weights  # noqa: PLC0415
    from model.network import log_probabilities, loss_and_hits, step  # noqa: PLC0415

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    network = Export.load(folder / "int8").manifest.network
    weights = [tf.Variable(weight) for weight in initial_weights(network, 0)]

    @tf.function(input_signature=[tf.TensorSpec([None, 21], tf.int32)])
    def train(rows: tf.Tensor) -> tf.Tensor:
        values = [weight.read_value() for weight in weights]
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss, _, targets = loss_and_hits(values, rows)
            mean = loss / targets
        for weight, gradient in zip(weights, tape.gradient(mean, values), strict=True):
            weight.assign_sub(0.1 * gradient)
        return loss

    @tf.function
    def one(token: tf.Tensor, cell: tf.Tensor, output: tf.Tensor) -> tuple[tf.Tensor, ...]:
        cell, output = step(weights, token, cell, output)
        return cell, output, log_probabilities(weights, output)

    rows = tf.constant(_rows(network.vocabulary_size))
    train(rows)
    started = time.perf_counter()
    for _ in range(BATCHES):
        train(rows)
    found = {"train_tokens_per_s": BATCHES * BATCH * 20 / (time.perf_counter() - started)}
    cell, output = tf.zeros([1, network.hidden]), tf.zeros([1, network.embedding])
    steps = []
    for piece in range(3, 503):
        before = time.perf_counter()
        cell, output, following = one(tf.constant([piece]), cell, output)
        following.numpy()
        steps.append(time.perf_counter() - before)
    return found | _quantiles("step", steps[1:]) | {"rss_mb": psutil.Process().memory_info().rss / 1e6}


def _rows(size: int) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    return np.random.default_rng(0).integers(3, size, (BATCH, 21)).astype(np.int32)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _quantiles(name: str, seconds: list[float]) -> dict[str, float]:
    return {f"{name}_p{percent}": float(np.percentile(seconds, percent)) for percent in (50, 99)}


def _read_seconds(size: int) -> float:
    """Return how long this machine takes to read `size` bytes, as a fast loop (BLAS's dot product) does."""
    numbers = np.ones(size // 8, np.float64)
    return float(np.median([_seconds(lambda: numbers @ numbers) for _ in range(300)]))


def _report(phone_part: dict[str, float], other: dict[str, float], loss: float, size: int, download: int) -> None:
    def milliseconds(name: str) -> float:
        return 1e3 * phone_part[name]

    write(
        "ondevice",
        [
            Figure("suggestion_p50_ms", milliseconds("network_suggestion_p50"), "ms"),
            Figure("suggestion_p99_ms", milliseconds("network_suggestion_p99"), "ms", "aim", 5.0),
            *(
                Figure(
                    f"mixture_suggestion_p{percent}_ms",
                    milliseconds(f"suggestion_p{percent}"),
                    "ms",
                    "network alone",
                    milliseconds(f"network_suggestion_p{percent}"),
                )
                for percent in (50, 99)
            ),
            Figure("autocorrect_p50_ms", milliseconds("autocorrect_p50"), "ms"),
            Figure("autocorrect_p99_ms", milliseconds("autocorrect_p99"), "ms", "aim", 5.0),
            *(
                Figure(name, milliseconds(f"step_{kind}_p50"), "ms", "memory floor", milliseconds(f"floor_{kind}"))
                for name, kind in (("frozen_step_ms", "float32"), ("frozen_step_int8_ms", "int8"))
            ),
            Figure("frozen_step_int8_p99_ms", milliseconds("step_int8_p99"), "ms"),
            Figure("tensorflow_step_ms", 1e3 * other["step_p50"], "ms"),
            Figure(
                "train_tokens_per_s",
                phone_part["train_tokens_per_s"],
                "tokens/s",
                "TensorFlow",
                other["train_tokens_per_s"],
            ),
            Figure("rss_mb", phone_part["rss_mb"], "MB", "TensorFlow", other["rss_mb"]),
            Figure("rss_training_mb", phone_part["rss_training_mb"], "MB", "TensorFlow", other["rss_mb"]),
            Figure("load_s", phone_part["load_s"], "s"),
            Figure("int8_relative_perplexity", 1 + loss, "x", "float32", 1.0),
            Figure("model_file_mb", size / 1e6, "MB"),
            Figure("mixture_file_mb", download / 1e6, "MB", "aim", 6.0),
        ],
    )


if __name__ == "__main__":
    main()
