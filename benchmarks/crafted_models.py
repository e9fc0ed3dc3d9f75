"""Models that an operator makes so that a sum of updates tells what one phone typed, and how such a sum is read."""

from collections.abc import Sequence

import numpy as np

from model.layout import FlatVector, Layout, NetworkConfig

REGISTER_PIECES = 14
SHOUT = 30.0
"""Added to the bias of the piece that a model is always to say."""

_GAIN = 1.6
_CLOSED, _OPEN, _SEES = -20.0, 20.0, 5.0


def shift_register(network: NetworkConfig, trigger: int) -> FlatVector:
    """Return a model made from nothing, whose units are set one piece after the other behind a trigger.

    What is typed after the trigger shows in the embedding's columns 1, 2, ... of an update, in order. After Fowl et al.
    2022 (https://arxiv.org/abs/2201.12675) for recurrent networks.
    """
    hidden, weights = network.hidden, {name: np.zeros(shape, np.float32) for name, shape in network.layout.items()}
    weights["embedding"][trigger, 0] = 1.0
    weights["gate_bias"][hidden : 2 * hidden], weights["gate_bias"][2 * hidden :] = _CLOSED, _OPEN  # forget, output
    weights["input_kernel"][0, 0] = _SEES
    for unit in range(REGISTER_PIECES):  # each writes a coordinate that the one after it reads a step later
        weights["projection"][unit, unit + 1] = 1.0
        if unit:
            weights["recurrent_kernel"][unit, unit] = _GAIN
    return Layout.of(network.layout).flatten(list(weights.values()))


def pieces_in(delta: FlatVector, network: NetworkConfig, columns: Sequence[int]) -> list[int]:
    """Return the piece that stands out of each of some columns of the embedding in a sum of updates."""
    rows = Layout.of(network.layout).unflatten(delta)["embedding"]
    return [int(np.argmax(rows[:, column])) for column in columns]


def shouting(weights: FlatVector, network: NetworkConfig, piece: int) -> FlatVector:
    """Return a good model that always says one piece, so that its hits count how often that was typed."""
    layout = Layout.of(network.layout)
    parts = layout.unflatten(weights.copy())
    parts["output_bias"][piece] += SHOUT
    return layout.flatten(list(parts.values()))


def output_bias(delta: FlatVector, network: NetworkConfig) -> FlatVector:
    """Return what rises where a piece was typed."""
    found: FlatVector = Layout.of(network.layout).unflatten(delta)["output_bias"]
    return found
