"""Sizes of the network and the named layout of its weights, for all who hold weights without computing with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

FlatWeights = list[npt.NDArray[np.float32]]
"""One array a weight, in layout order."""

FlatVector = npt.NDArray[np.float32]
"""All weights one after the other."""


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the weights in a flat vector, in their order.

    Attributes:
        shapes: (name, shape) of each weight.
    """

    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]]) -> Self:
        """Return the layout of weights in the order of a mapping."""
        return cls(tuple(shapes.items()))

    @property
    def dimension(self) -> int:
        """Length of the flat vector."""
        return sum(self._sizes)

    @property
    def _sizes(self) -> list[int]:
        return [int(np.prod(shape, dtype=np.int64)) for _, shape in self.shapes]

    def flatten(self, weights: Sequence[npt.NDArray[np.float32]]) -> FlatVector:
        """Return float32[dimension] of arrays in this order.

        Raises:
            ValueError: an array is missing or has another shape; the message names it.
        """
        if len(weights) != len(self.shapes):
            raise ValueError(f"this layout has {len(self.shapes)} weights, not {len(weights)}")
        for (name, shape), weight in zip(self.shapes, weights, strict=True):
            if weight.shape != shape:
                raise ValueError(f"{name} has shape {shape}, not {weight.shape}")
        return np.concatenate([np.ravel(weight).astype(np.float32, copy=False) for weight in weights])

    def unflatten(self, vector: FlatVector) -> dict[str, npt.NDArray[np.float32]]:
        """Return each weight by name, as views of `vector`.

        Raises:
            ValueError: the vector has another length.
        """
        if vector.shape != (self.dimension,):
            raise ValueError(f"a vector of this layout has shape ({self.dimension},), not {vector.shape}")
        parts = np.split(vector, np.cumsum(self._sizes)[:-1])
        return {name: part.reshape(shape) for (name, shape), part in zip(self.shapes, parts, strict=True)}


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of a network.

    Attributes:
        vocabulary_size: pieces, special ids included.
        embedding: width of the tied embedding and of the projected recurrent state.
        hidden: cells of the LSTM.
    """

    vocabulary_size: int
    embedding: int = 96
    hidden: int = 256

    @classmethod
    def named(cls, size: str, vocabulary_size: int) -> "NetworkConfig":
        """Return the configuration called `size`: one of `SIZES`."""
        if size not in SIZES:
            raise ValueError(f"unknown network size {size!r}: choose one of {', '.join(SIZES)}")
        return cls(vocabulary_size, **SIZES[size])

    def is_of(self, size: str) -> bool:
        """Return whether this is the configuration called `size`, whatever its vocabulary."""
        return self == NetworkConfig.named(size, self.vocabulary_size)

    @property
    def layout(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each weight, in the order of the flat vector."""
        v, e, h = self.vocabulary_size, self.embedding, self.hidden
        return {
            "embedding": (v, e),
            "output_bias": (v,),
            "input_kernel": (e, 3 * h),  # candidate, forget, output
            "recurrent_kernel": (e, 3 * h),
            "gate_bias": (3 * h,),
            "projection": (h, e),
        }

    @property
    def parameters(self) -> int:
        """How many numbers a model of this configuration has."""
        return sum(int(np.prod(shape)) for shape in self.layout.values())


SIZES = {"small": {"embedding": 96, "hidden": 256}, "gboard": {"embedding": 96, "hidden": 670}}


def initial_weights(config: NetworkConfig, seed: int) -> FlatWeights:
    """Return random weights in layout order: Glorot-uniform kernels, forget bias 1."""
    random = np.random.default_rng(seed)
    weights = []
    for name, shape in config.layout.items():
        if name == "embedding":
            value = random.normal(0, 1 / np.sqrt(shape[1]), shape)
        elif name == "gate_bias":
            value = np.repeat([0.0, 1.0, 0.0], config.hidden)
        elif name == "output_bias":
            value = np.zeros(shape)
        else:
            limit = np.sqrt(6 / sum(shape))
            value = random.uniform(-limit, limit, shape)
        weights.append(value.astype(np.float32))
    return weights
