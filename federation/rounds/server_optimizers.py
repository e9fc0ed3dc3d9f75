"""The server's half of federated averaging without TensorFlow: what TFF's finalizer does, in NumPy.

Adaptive Federated Optimization (Reddi et al., ICLR 2021), https://arxiv.org/abs/2003.00295. A test holds both against
each other step by step.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import numpy as np

from federation.base.ranges import Decay, Positive, Ranged, Rate
from model import arrays
from model.layout import FlatVector

OptimizerName = Literal["sgd", "adam", "yogi", "adagrad"]


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
        with arrays.archive(io.BytesIO(slots)) as kept:
            return cls(weights, {name: kept[name] for name in kept.files})


class ServerOptimizer(Protocol):
    """Turns a mean delta into the next global state."""

    @property
    def settings(self) -> "OptimizerSettings":
        """What makes the same optimizer again."""

    def initialize(self, weights: FlatVector) -> ServerState:
        """Return the state before the first round."""

    def apply(self, state: ServerState, mean_delta: FlatVector) -> ServerState:
        """Take one step along `mean_delta`: mean of weights after training minus before, float32[dimension]."""


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Ranged):
    """Which server optimizer there is, for a round server and for a simulation.

    Attributes:
        name: Name of the optimizer.
        learning_rate: Server learning rate; a simulation's schedule may lower it round by round.
        momentum: Momentum of `sgd`; decay of the first moment of `adam` and `yogi`.
        second_moment: Decay of the second moment of `adam` and `yogi`.
        epsilon: Term that keeps the divisor of `adam`, `yogi` and `adagrad` from zero (tau in Reddi et al.).
    """

    name: OptimizerName = "sgd"
    learning_rate: Rate = 1.0
    momentum: Decay = 0.9
    second_moment: Decay = 0.99
    epsilon: Positive = 1e-3

    @property
    def optimizer(self) -> ServerOptimizer:
        """The optimizer in NumPy."""
        match self.name:
            case "sgd":
                return SgdMomentum(learning_rate=self.learning_rate, momentum=self.momentum)
            case "adagrad":
                return Adagrad(learning_rate=self.learning_rate, epsilon=self.epsilon)
            case "adam" | "yogi":
                return (Adam if self.name == "adam" else Yogi)(
                    learning_rate=self.learning_rate,
                    first_moment=self.momentum,
                    second_moment=self.second_moment,
                    epsilon=self.epsilon,
                )


@dataclass(frozen=True, kw_only=True)
class SgdMomentum(Ranged):
    """Gradient descent along the mean delta, with momentum; learning rate 1 without momentum is plain averaging."""

    learning_rate: Rate = 1.0
    momentum: Decay = 0.9

    @property
    def settings(self) -> OptimizerSettings:
        """See `ServerOptimizer.settings`."""
        return OptimizerSettings(name="sgd", learning_rate=self.learning_rate, momentum=self.momentum)

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
class Adam(Ranged):
    """FedAdam, with Adam's correction of both moments' bias."""

    learning_rate: Rate = 0.01
    first_moment: Decay = 0.9
    second_moment: Decay = 0.99
    epsilon: Positive = 1e-3

    name: ClassVar[OptimizerName] = "adam"
    first_second_moment: ClassVar[float] = 0.0
    """What the second moment begins with."""

    @property
    def settings(self) -> OptimizerSettings:
        """See `ServerOptimizer.settings`."""
        return OptimizerSettings(
            name=self.name,
            learning_rate=self.learning_rate,
            momentum=self.first_moment,
            second_moment=self.second_moment,
            epsilon=self.epsilon,
        )

    def initialize(self, weights: FlatVector) -> ServerState:
        """Return the state before the first round."""
        second = np.full_like(weights, self.first_second_moment)
        return ServerState(
            weights, {"first": np.zeros_like(weights), "second": second, "step": np.zeros(1, np.float32)}
        )

    def apply(self, state: ServerState, mean_delta: FlatVector) -> ServerState:
        """Take one step; see `ServerOptimizer`."""
        beta1, beta2 = np.float32(self.first_moment), np.float32(self.second_moment)
        step = state.slots["step"] + np.float32(1)
        first = state.slots["first"] * beta1 + mean_delta * (1 - beta1)
        second = self._second(state.slots["second"], np.square(mean_delta))
        rate = np.float32(self.learning_rate) * np.sqrt(1 - beta2**step) / (1 - beta1**step)
        weights = state.weights + rate * first / (np.sqrt(second) + np.float32(self.epsilon))
        return ServerState(weights, {"first": first, "second": second, "step": step})

    def _second(self, before: FlatVector, squared: FlatVector) -> FlatVector:
        decay = np.float32(self.second_moment)
        return before * decay + squared * (1 - decay)


@dataclass(frozen=True, kw_only=True)
class Yogi(Adam):
    """FedYogi: as FedAdam, but the second moment moves by a square at most, whatever it was (Zaheer et al. 2018)."""

    name: ClassVar[OptimizerName] = "yogi"
    first_second_moment: ClassVar[float] = 1e-6

    def _second(self, before: FlatVector, squared: FlatVector) -> FlatVector:
        moved: FlatVector = (1 - np.float32(self.second_moment)) * np.sign(squared - before) * squared
        return before + moved


@dataclass(frozen=True, kw_only=True)
class Adagrad(Ranged):
    """FedAdagrad: the second moment is the sum of all squares, and never fades."""

    learning_rate: Rate = 0.01
    epsilon: Positive = 1e-3

    @property
    def settings(self) -> OptimizerSettings:
        """See `ServerOptimizer.settings`."""
        return OptimizerSettings(name="adagrad", learning_rate=self.learning_rate, epsilon=self.epsilon)

    def initialize(self, weights: FlatVector) -> ServerState:
        """Return the state before the first round."""
        return ServerState(weights, {"sum": np.zeros_like(weights)})

    def apply(self, state: ServerState, mean_delta: FlatVector) -> ServerState:
        """Take one step; see `ServerOptimizer`."""
        total = state.slots["sum"] + np.square(mean_delta)
        weights = state.weights + np.float32(self.learning_rate) * mean_delta / np.sqrt(
            total + np.float32(self.epsilon)
        )
        return ServerState(weights, {"sum": total})
