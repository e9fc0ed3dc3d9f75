"""LiteRT's files of a model, made by TensorFlow's converter.

They predict and train with built-in operations only. Their functions are those of `model.network`; nothing is defined a
second time.
"""

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from model.batches import ROW_LENGTH
from model.checkpoint import Checkpoint
from model.engine import TRAINING_BATCH
from model.engine.litert_engine import LiteRTPredictor
from model.engine.weight_files import KINDS
from model.layout import NetworkConfig
from model.network import log_probabilities, loss_and_hits, step
from model.spellings import EXPANDED

Signatures = dict[str, Any]


def inference_file(checkpoint: Checkpoint, kind: str) -> bytes:
    """Return a LiteRT file with frozen weights and the signatures of `LiteRTPredictor`.

    Raises:
        ValueError: `kind` is neither `float32` nor `int8`.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of inference file {kind!r}: choose float32 or int8")
    module = _Frozen(checkpoint)
    return _converted(module, module.signatures(), quantised=kind == "int8")


def training_file(checkpoint: Checkpoint) -> bytes:
    """Return a LiteRT file whose weights can change, with the signatures of `LiteRTTrainer`."""
    module = _Trainable(checkpoint)
    return _converted(module, module.signatures(), quantised=False)


def relative_perplexity(checkpoint: Checkpoint, inference: bytes, messages: list[list[int]]) -> float:
    """Return the perplexity a piece of an inference file over that of float32 weights, less 1, on encoded messages."""
    files = (inference_file(checkpoint, "float32"), inference)
    exact, other = (LiteRTPredictor(file, checkpoint.network).mean_loss(messages) for file in files)
    return float(np.expm1(other - exact))


class _Frozen(tf.Module):
    """Inference: weights are constants of the file."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self._network = checkpoint.network
        self._weights = [tf.constant(weight) for weight in checkpoint.weights]

    def signatures(self) -> Signatures:
        return {
            "step": _signature(self._step, tf.TensorSpec([1], tf.int32, "token"), *_state(self._network)),
            "expand": _signature(self._expand, tf.TensorSpec([EXPANDED], tf.int32, "tokens"), *_state(self._network)),
        }

    def _values(self) -> list[tf.Tensor]:
        return self._weights

    def _step(self, token: tf.Tensor, cell: tf.Tensor, output: tf.Tensor) -> dict[str, tf.Tensor]:
        weights = self._values()
        cell, output = step(weights, token, cell, output)
        return {"next_cell": cell, "next_output": output, "following": log_probabilities(weights, output)}

    def _expand(self, tokens: tf.Tensor, cell: tf.Tensor, output: tf.Tensor) -> dict[str, tf.Tensor]:
        weights = self._values()
        cells, outputs = (tf.tile(part, [EXPANDED, 1]) for part in (cell, output))
        _, outputs = step(weights, tokens, cells, outputs)
        return {"following": log_probabilities(weights, outputs)}


class _Trainable(_Frozen):
    """Training and inference: weights are variables, moved in and out by name."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self._variables = [
            tf.Variable(weight, name=name)
            for name, weight in zip(checkpoint.network.layout, checkpoint.weights, strict=True)
        ]

    def signatures(self) -> Signatures:
        rows = tf.TensorSpec([TRAINING_BATCH, ROW_LENGTH + 1], tf.int32, "rows")
        noise = [
            tf.TensorSpec([ROW_LENGTH, TRAINING_BATCH, self._network.embedding], tf.float32, name)
            for name in ("input_noise", "output_noise")
        ]
        # Of one number, since LiteRT's wheels for arm64 crash where an input has no dimension: docs/arm64.md.
        settings = [tf.TensorSpec([1], tf.float32, name) for name in ("learning_rate", "gradient_norm")]
        weights = [tf.TensorSpec(shape, tf.float32, name) for name, shape in self._network.layout.items()]
        return super().signatures() | {
            "train": _signature(self._train, rows, *noise, *settings),
            "evaluate": _signature(self._evaluate, rows),
            "get_weights": _signature(self._get_weights),
            "set_weights": _signature(self._set_weights, *weights),
        }

    def _values(self) -> list[tf.Tensor]:
        return [variable.read_value() for variable in self._variables]

    def _train(
        self,
        rows: tf.Tensor,
        input_noise: tf.Tensor,
        output_noise: tf.Tensor,
        learning_rate: tf.Tensor,
        gradient_norm: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        values = self._values()
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss, hits, targets = loss_and_hits(values, rows, (input_noise, output_noise))
            mean = loss / tf.maximum(targets, 1.0)
        gradients = tape.gradient(mean, values)
        norm = tf.sqrt(tf.add_n([tf.reduce_sum(gradient * gradient) for gradient in gradients]))
        rate = learning_rate[0] * tf.minimum(1.0, gradient_norm[0] / tf.maximum(norm, 1e-12))
        for variable, value, gradient in zip(self._variables, values, gradients, strict=True):
            variable.assign(value - rate * gradient)
        return {"loss": loss, "hits": hits, "targets": targets}

    def _evaluate(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        loss, hits, targets = loss_and_hits(self._values(), rows)
        return {"loss": loss, "hits": hits, "targets": targets}

    def _get_weights(self) -> dict[str, tf.Tensor]:
        return dict(zip(self._network.layout, self._values(), strict=True))

    def _set_weights(self, *values: tf.Tensor) -> dict[str, tf.Tensor]:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)
        return {"done": tf.constant(1)}


def _state(network: NetworkConfig) -> list[tf.TensorSpec]:
    return [
        tf.TensorSpec([1, network.hidden], tf.float32, "cell"),
        tf.TensorSpec([1, network.embedding], tf.float32, "output"),
    ]


def _signature(function: Callable[..., Any], *inputs: tf.TensorSpec) -> Any:
    return tf.function(function, input_signature=inputs).get_concrete_function()


def _converted(module: tf.Module, signatures: Signatures, *, quantised: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
        converter.experimental_enable_resource_variables = True
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if quantised:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converted: bytes = converter.convert()
        return converted
