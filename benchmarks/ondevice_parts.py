"""The parts of `benchmarks.ondevice` that run in processes of their own, one thread each.

python -m benchmarks.ondevice_parts PART FOLDER prints as JSON what `phone` or `tensorflow` measured. A thread
is timed by its own clock, and TensorFlow by its process's: they stand still while something else has the processor.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from model.suggestions import Suggester

MESSAGES, STEPS, BATCHES, BATCH = 60, 2000, 40, 8


def phone(folder: Path, engine: str) -> dict[str, float]:
    """Measure typing and training with an engine, `LITERT` or `NUMPY`, from the start of the process."""
    began = time.perf_counter()
    import psutil  # noqa: PLC0415

    from model.engine import Engine, Export  # noqa: PLC0415
    from model.next_words import MixtureNextWords  # noqa: PLC0415
    from model.suggestions import Suggester  # noqa: PLC0415

    process = psutil.Process()
    exported = Export.load(folder / "int8", Engine[engine])
    suggester = Suggester(MixtureNextWords(exported.predictor(), exported.vocabulary, exported.mixture))
    suggester.suggest("how are ", "yo")
    found: dict[str, float] = {"first_strip_s": time.perf_counter() - began}
    texts = json.loads((folder / "texts.json").read_text())
    found |= _typed(suggester, texts, "mixture_")
    found["rss_mb"] = process.memory_info().rss / 1e6
    trainer = exported.trainer()
    rows = _rows(exported.manifest.network.vocabulary_size)
    trainer.train(rows, learning_rate=0.1, gradient_norm=1.0)
    started = time.thread_time()
    for _ in range(BATCHES):
        trainer.train(rows, learning_rate=0.1, gradient_norm=1.0)
    found["train_tokens_per_s"] = BATCHES * BATCH * 20 / (time.thread_time() - started)
    found["rss_training_mb"] = process.memory_info().rss / 1e6
    alone = Suggester(MixtureNextWords(exported.predictor(), exported.vocabulary))
    found |= _typed(alone, texts, "network_")
    random = np.random.default_rng(0)
    for kind in ("int8", "float32"):
        own = Export.load(folder / kind, Engine[engine])
        predictor = own.predictor()
        state = predictor.start
        steps = []
        for piece in random.integers(3, own.manifest.network.vocabulary_size, STEPS).tolist():
            before_step = time.thread_time()
            state = predictor.step(state, piece)
            steps.append(time.thread_time() - before_step)
        found |= _quantiles(f"step_{kind}", steps)
        found[f"floor_{kind}"] = _read_seconds(own.manifest.network.parameters * (1 if kind == "int8" else 4))
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
    started = time.process_time()
    for _ in range(BATCHES):
        train(rows)
    found = {"train_tokens_per_s": BATCHES * BATCH * 20 / (time.process_time() - started)}
    cell, output = tf.zeros([1, network.hidden]), tf.zeros([1, network.embedding])
    steps = []
    for piece in range(3, 503):
        before = time.process_time()
        cell, output, following = one(tf.constant([piece]), cell, output)
        following.numpy()
        steps.append(time.process_time() - before)
    return found | _quantiles("step", steps[1:]) | {"rss_mb": psutil.Process().memory_info().rss / 1e6}


def _rows(size: int) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    return np.random.default_rng(0).integers(3, size, (BATCH, 21)).astype(np.int32)


def _seconds(call: Callable[[], object]) -> float:
    started = time.thread_time()
    call()
    return time.thread_time() - started


def _quantiles(name: str, seconds: list[float]) -> dict[str, float]:
    return {f"{name}_p{percent}": float(np.percentile(seconds, percent)) for percent in (50, 99)}


def _read_seconds(size: int) -> float:
    """Return how long this machine takes to read `size` bytes, as a fast loop (BLAS's dot product) does."""
    numbers = np.ones(size // 8, np.float64)
    return float(np.median([_seconds(lambda: numbers @ numbers) for _ in range(300)]))


if __name__ == "__main__":
    part, place = sys.argv[1], Path(sys.argv[2])
    print(json.dumps(tensorflow(place) if part == "tensorflow" else phone(place, part)))
