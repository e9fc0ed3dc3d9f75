"""Weights without a program, for the NumPy engine: float32, or matrices as 8-bit integers with a scale a channel."""

import numpy as np

from model.engine.interface import ExportError, Floats
from model.layout import FlatVector, FlatWeights, Layout, NetworkConfig

KINDS = ("float32", "int8")

_LARGEST = 127


def packed(weights: FlatWeights, kind: str) -> bytes:
    """Return weights as a file.

    `float32` is all numbers in layout order, little-endian. In `int8` a matrix is its scales, one float32 for each
    row of the embedding or column of another matrix, and then its numbers divided by them and rounded, each of
    -127 to 127; biases stay float32.

    Raises:
        ValueError: another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of inference file {kind!r}: choose float32 or int8")
    if kind == "float32":
        return b"".join(weight.astype("<f4").tobytes() for weight in weights)
    parts = []
    for number, weight in enumerate(weights):
        if weight.ndim == 1:
            parts.append(weight.astype("<f4").tobytes())
            continue
        scales = np.abs(weight).max(axis=_within_channel(number), keepdims=True) / np.float32(_LARGEST)
        scales[scales == 0] = 1
        parts += [scales.astype("<f4").tobytes(), np.rint(weight / scales).astype(np.int8).tobytes()]
    return b"".join(parts)


def unpacked(file: bytes, network: NetworkConfig, kind: str) -> FlatVector:
    """Return the weights in a file as one vector float32 [parameters], an array of its own.

    Raises:
        ExportError: it has another length, or a number is not finite.
    """
    shapes = network.layout.values()
    if kind == "float32":
        sizes = [4 * int(np.prod(shape)) for shape in shapes]
    else:
        sizes = [
            4 * shape[0] if len(shape) == 1 else 4 * _channels(number, shape) + int(np.prod(shape))
            for number, shape in enumerate(shapes)
        ]
    if len(file) != sum(sizes):
        raise ExportError(f"the weights are {len(file)} bytes, not {sum(sizes)}: download or export the model again")
    if kind == "float32":
        vector: FlatVector = np.frombuffer(file, "<f4").astype(np.float32)
    else:
        starts = np.cumsum([0, *sizes[:-1]])
        parts = [
            _matrix(file[start : start + size], number, shape)
            for number, (shape, start, size) in enumerate(zip(shapes, starts, sizes, strict=True))
        ]
        vector = Layout.of(network.layout).flatten(parts)
    if not np.isfinite(vector).all():
        raise ExportError("the weights are not finite: download or export the model again")
    return vector


def _matrix(part: bytes, number: int, shape: tuple[int, ...]) -> Floats:
    if len(shape) == 1:
        return np.frombuffer(part, "<f4")
    channels = _channels(number, shape)
    scales = np.frombuffer(part, "<f4", channels)
    integers = np.frombuffer(part, np.int8, offset=4 * channels).reshape(shape)
    matrix: Floats = integers * np.expand_dims(scales, _within_channel(number))
    return matrix


def _within_channel(number: int) -> int:
    """Return the axis along which the numbers of a matrix share a scale: a piece's row of the embedding, or a column.

    The embedding is the first weight of the layout.
    """
    return 1 if number == 0 else 0


def _channels(number: int, shape: tuple[int, ...]) -> int:
    return shape[1 - _within_channel(number)]
