"""The server's half of federated averaging without TensorFlow: what TFF's finalizer does, in NumPy.

Adaptive Federated Optimization (Reddi et al., ICLR 2021), https://arxiv.org/abs/2003.00295. A test holds both against
each other step by step.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from federation.errors import ConfigError
from model.layout import FlatVector


@dataclass(frozen=True, eq=False)
class ServerState:
    """All that a round changes.

    Attributes:
        weights: float32[dimension], in layout order.
        slots: what the optimizer remembers, by name; vectors of the same size.
    """

    weights: FlatVector
    slots: Mapping[str, FlatVector] = field(default_factory=dict)

    def slots_to_bytes(self) -> bytes:
        """Return the slots as a NumPy archive without pickles."""
        file = io.BytesIO()
        np.savez(file, **self.slots)
        return file.getvalue()

    @classmethod
    def of(cls, weights: FlatVector, slots: bytes) -> "ServerState":
        """Return the state that `slots_to_bytes` was taken of."""
        with np.load(io.BytesIO(slots), allow_pickle=False) as archive:
            return cls(weights, {name: archive[name] for name in archive.files})


class ServerOptimizer(Protocol):
    """Turns a mean delta into the next global state."""

    def initialize(self, weights: FlatVector) -> ServerState:
        """Return the state before the first round."""

    def apply(self, state: ServerState, mean_delta: FlatVector) -> ServerState:
        """Take one step along `mean_delta`: mean of weights after training minus before, float32[dimension]."""


@dataclass(frozen=True, kw_only=True)
class SgdMomentum:
    """Gradient descent along the mean delta, with momentum; learning rate 1 without momentum is plain averaging."""

    learning_rate: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if not (self.learning_rate > 0 and 0 <= self.momentum < 1):
            raise ConfigError(f"a learning rate is positive and momentum within 0 and 1: {self}")

    def initialize(self, weights: FlatVector) -> ServerState:
        """Return the state before the first round."""
        return ServerState(weights, {"velocity": np.zeros_like(weights)} if self.momentum else {})

    def apply(self, state: ServerState, mean_delta: FlatVector) -> ServerState:
        """Take one step; see `ServerOptimizer`."""
        rate = np.float32(self.learning_rate)
        if not self.momentum:
            return ServerState(state.weights + rate * mean_delta)
        velocity = np.float32(self.momentum) * state.slots["velocity"] + mean_delta
        return ServerState(state.weights + rate * velocity, {"velocity": velocity})


@dataclass(frozen=True, kw_only=True)
class Adam:
    """FedAdam, with Adam's correction of both moments' bias."""

    learning_rate: float = 0.01
    first_moment: float = 0.9
    second_moment: float = 0.99
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        if not (self.learning_rate > 0 and self.epsilon > 0):
            raise ConfigError(f"learning rate and epsilon are positive: {self}")
        if not (0 <= self.first_moment < 1 and 0 <= self.second_moment < 1):
            raise ConfigError(f"the decays of moments are within 0 and 1: {self}")

    def initialize(self, weights: FlatVector) -> ServerState:
        """Return the state before the first round."""
        zeros = np.zeros_like(weights)
        return ServerState(weights, {"first": zeros, "second": zeros, "step": np.zeros(1, np.float32)})

    def apply(self, state: ServerState, mean_delta: FlatVector) -> ServerState:
        """Take one step; see `ServerOptimizer`."""
        beta1, beta2 = np.float32(self.first_moment), np.float32(self.second_moment)
        step = state.slots["step"] + np.float32(1)
        first = state.slots["first"] * beta1 + mean_delta * (1 - beta1)
        second = state.slots["second"] * beta2 + np.square(mean_delta) * (1 - beta2)
        rate = np.float32(self.learning_rate) * np.sqrt(1 - beta2**step) / (1 - beta1**step)
        weights = state.weights + rate * first / (np.sqrt(second) + np.float32(self.epsilon))
        return ServerState(weights, {"first": first, "second": second, "step": step})


OPTIMIZERS: Mapping[Literal["sgd", "adam"], type[SgdMomentum | Adam]] = {"sgd": SgdMomentum, "adam": Adam}
