"""Models made again: from the model before, the mean of the round, and the server optimizer that the log names."""

import io
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from federation.audit.report import Report
from federation.audit.sources import Source
from federation.errors import ConfigError
from federation.protocol import model_codec as codec
from federation.protocol.log import LogEntry
from federation.protocol.plan import RoundPlan
from federation.protocol.task import TrainingTask
from federation.rounds.server_optimizers import OptimizerSettings, ServerOptimizer, ServerState
from model.layout import FlatVector
from model.wording import DAMAGE

_ROUNDING = 1e-5
"""Of a step: what the last bits of another processor's arithmetic may make of it."""

_MAX_SLOTS = 4
"""Vectors that an optimizer remembers at most."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far models may move; see `federation.protocol.trust.TrustProfile`.

    Attributes:
        max_step: L2 distance between two consecutive versions.
        max_drift: L2 distance of any version from the app's.
        shipped: weights that the app came with; of the log's first model if they are not known.
    """

    max_step: float = math.inf
    max_drift: float = math.inf
    shipped: FlatVector | None = None


class Recomputing:
    """Goes along a log and makes each version of weights again.

    Args:
        source: of means, and of weights where they cannot be made.
        bounds: how far models may move.
        report: of what does not hold.
    """

    def __init__(self, source: Source, bounds: Bounds, report: Report) -> None:
        self._source, self._bounds, self._report = source, bounds, report
        self._shipped = bounds.shipped
        self._entries: dict[int, LogEntry] = {}
        self._states: dict[int, ServerState] = {}
        self._needed: dict[int, int] = {}  # by version: the latest version that was made from it
        self._latest = 0
        self._gone = 0

    def expect(self, entries: Sequence[LogEntry]) -> None:
        """Say what will come, so that no state is kept for longer than it is needed."""
        for entry in entries:
            if entry.version is not None and entry.kind == "weights":
                self._latest = entry.version
                if entry.parent is not None:
                    self._needed[entry.parent] = entry.version

    def add(self, entry: LogEntry, told: tuple[RoundPlan, TrainingTask] | None) -> None:
        """Check the version of an entry, if it is one."""
        if entry.version is None:
            return
        self._report.models += 1
        where = f"model {entry.version}"
        if entry.version != max(self._entries, default=0) + 1:
            self._report.found("entry", where, f"it comes after model {max(self._entries, default=0)} in the log")
        self._entries[entry.version] = entry
        parent = None if entry.parent is None else self._entries.get(entry.parent)
        if entry.parent is not None and (parent is None or parent.kind != entry.kind or not parent.accepted):
            self._report.found("model", where, f"it was made from version {entry.parent}, which nobody was to train")
        if entry.parent is not None and not entry.round_id:
            self._report.found("model", where, "no round made it")
        if entry.kind != "weights":
            return
        state = self._first(entry) if parent is None else self._made(entry, parent, told)
        if state is not None and entry.version in self._needed:
            self._states[entry.version] = state
        for version in [each for each in self._states if self._needed[each] <= entry.version]:
            del self._states[version]

    def end(self) -> None:
        """Say what could not be checked."""
        if self._gone:
            message = f"{self._gone} models were not made again: what they were made from is no longer kept"
            self._report.unchecked.append(message)
        counts = sum(entry.kind == "counts" for entry in self._entries.values())
        if counts:
            self._report.unchecked.append(f"{counts} versions of counts: their sums are not published")
        if self._bounds.shipped is None:
            self._report.unchecked.append("whether the first model is that of the app: give its --export")

    def _first(self, entry: LogEntry) -> ServerState | None:
        """Return a state that no round made."""
        state = self._stated(entry)
        if state is None:
            self._gone += 1
            return None
        if self._shipped is None:
            self._shipped = state.weights
        elif self._bounds.shipped is not None:
            self._bounded(entry, state, None)
        return state

    def _made(
        self, entry: LogEntry, parent: LogEntry, told: tuple[RoundPlan, TrainingTask] | None
    ) -> ServerState | None:
        where = f"model {entry.version}"
        before = self._states.get(parent.version or 0)
        if not entry.mean:
            if entry.accepted or entry.sha256 != parent.sha256:
                self._report.found("model", where, "what made it of the model before was not published")
                return self._stated(entry)
            return before  # its mean was not finite, and nothing was applied
        data = self._source.mean(entry.mean)
        if data is not None and codec.sha256(data) != entry.mean:
            self._report.found("model", where, "the mean that is shown is not the one in the log")
            return self._stated(entry)
        if data is None or before is None:
            if data is None and entry.version == self._latest:
                self._report.found("model", where, "the mean that it was made of is not shown, and it is the latest")
            self._gone += 1
            return self._stated(entry)
        try:
            mean, optimizer = codec.from_bytes(data), _optimizer(entry)
            if not parent.round_id and _sha256(optimizer.initialize(before.weights)) != parent.state:
                self._report.found("model", where, "the server optimizer did not begin from nothing")
            with np.errstate(all="ignore"):
                computed = optimizer.apply(before, mean)
        except (ConfigError, LookupError, TypeError, ValueError) as error:
            self._report.found("model", where, f"it cannot be made of what the log says: {error}")
            return self._stated(entry)
        self._report.recomputed += 1
        self._long_mean(entry, mean, told)
        state = self._same(entry, before, computed)
        self._bounded(entry, state, before.weights)
        return state

    def _same(self, entry: LogEntry, before: ServerState, computed: ServerState) -> ServerState:
        """Compare a state with the log; return the one that the server has, as far as it shows it."""
        where = f"model {entry.version}"
        if codec.sha256(codec.to_bytes(computed.weights)) == entry.sha256 and _sha256(computed) == entry.state:
            return computed
        stated = self._stated(entry)
        if stated is None or stated.weights.size != computed.weights.size:
            self._report.found("model", where, "it is not what the mean of its round makes of the model before")
            return computed
        step, off = _distance(computed.weights, before.weights), _distance(stated.weights, computed.weights)
        if not (off <= _ROUNDING * step and _near(stated, computed)):
            message = f"it is {off:.3g} away from what the mean of its round makes of the model before"
            self._report.found("model", where, message)
        return stated

    def _long_mean(self, entry: LogEntry, mean: FlatVector, told: tuple[RoundPlan, TrainingTask] | None) -> None:
        """Find a mean that no sum of its phones' clipped updates has."""
        if told is None or entry.simulated or told[1].central.noise_multiplier or not entry.phones:
            return  # simulated clients and a server's own noise have bounds of their own
        plan, norm = told[0], float(np.linalg.norm(mean.astype(np.float64)))
        if not (mean.size == plan.dimension and norm <= plan.codec.max_mean_norm(entry.phones)):
            message = f"its mean is {norm:.3g} long, and that of {entry.phones} clipped updates cannot be"
            self._report.found("bound", f"model {entry.version}", message)

    def _bounded(self, entry: LogEntry, state: ServerState, before: FlatVector | None) -> None:
        bounds, where, report = self._bounds, f"model {entry.version}", self._report
        step = 0.0 if before is None else _distance(state.weights, before)
        drift = 0.0 if self._shipped is None else _distance(state.weights, self._shipped)
        if entry.accepted:
            report.max_step, report.max_drift = max(report.max_step, step), max(report.max_drift, drift)
        if not step <= bounds.max_step and entry.accepted:
            report.found("bound", where, f"it is {step:.3g} away from the one before: more than {bounds.max_step:.3g}")
        if not drift <= bounds.max_drift and entry.accepted:
            report.found("bound", where, f"it is {drift:.3g} away from the app's: more than {bounds.max_drift:.3g}")

    def _stated(self, entry: LogEntry) -> ServerState | None:
        """Return the state of a version as the server shows it, if it is the one in the log."""
        weights, slots = self._source.weights(entry.sha256), self._source.state(entry.state)
        if weights is None or slots is None:
            return None
        if codec.sha256(weights) != entry.sha256 or codec.sha256(slots) != entry.state:
            self._report.found("model", f"model {entry.version}", "what is shown is not what the log has")
            return None
        try:
            return _state(codec.from_bytes(weights), slots)
        except DAMAGE:
            self._report.found("model", f"model {entry.version}", "its weights or its state cannot be read")
            return None


def _optimizer(entry: LogEntry) -> ServerOptimizer:
    return OptimizerSettings(**entry.optimizer).optimizer  # type: ignore[arg-type]


def _state(weights: FlatVector, slots: bytes) -> ServerState:
    """Read a state that anybody may have written."""
    sizes = [info.file_size for info in zipfile.ZipFile(io.BytesIO(slots)).infolist()]
    if len(sizes) > _MAX_SLOTS or sum(sizes) > _MAX_SLOTS * (weights.nbytes + 1024):
        raise ValueError("more than an optimizer remembers")
    state = ServerState.of(weights, slots)
    if not all(slot.dtype == np.float32 and slot.shape in {weights.shape, (1,)} for slot in state.slots.values()):
        raise ValueError("not what an optimizer remembers")
    return state


def _sha256(state: ServerState) -> str:
    return codec.sha256(state.slots_to_bytes())


def _near(one: ServerState, other: ServerState) -> bool:
    """Whether two states of an optimizer differ by rounding alone."""
    return one.slots.keys() == other.slots.keys() and all(
        np.allclose(slot, other.slots[name], rtol=_ROUNDING, atol=1e-12) for name, slot in one.slots.items()
    )


def _distance(one: FlatVector, other: FlatVector) -> float:
    return float(np.linalg.norm(one.astype(np.float64) - other.astype(np.float64)))
