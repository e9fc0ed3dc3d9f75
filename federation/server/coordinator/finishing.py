"""Finishing a round: unmask the sums of its groups, apply what they make together, and store the new model."""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from sqlalchemy.orm import Session

from federation.privacy.adaptive_clip import next_clip
from federation.privacy.central import NoiseStream
from federation.protocol import message_sizes
from federation.protocol.evidence import Evidence
from federation.protocol.message_sizes import Traffic
from federation.protocol.plan import Mechanism, RoundPlan
from federation.protocol.steps import STEPS, Step
from federation.protocol.task import TrainingTask
from federation.robustness import Action, Memory, Outcome, counts
from federation.rounds.counting import CountingSettings, noise_variance
from federation.rounds.server_optimizers import OptimizerSettings, ServerOptimizer, ServerState
from federation.secure_aggregation import Authority
from federation.secure_aggregation.errors import ImpossibleSumError, SecureAggregationError, UnmaskingError
from federation.secure_aggregation.server import Aggregate
from federation.secure_aggregation.shamir import Effort
from federation.server import conduct, noise, phases
from federation.server.attendance import attended
from federation.server.coordinator.closing import abandon
from federation.server.counting import Counting
from federation.server.defence import Defence, GroupSum, SummedRound, garbage, remembered
from federation.server.errors import UnknownError
from federation.server.models import NEXT_CLIP, Gate, Models, Stored, Verdict
from federation.server.phases import Ended
from federation.server.queries import bodies, senders, uploads
from federation.server.round_state import GroupState, RoundState
from federation.server.session_events import Event, record
from federation.server.settings import RoundSettings
from federation.server.store import Blobs, Database
from federation.server.tables import RoundRow
from federation.updates.weighted_sum import LevelSum, WeightedSum
from model.counted_lists import CountedList
from model.layout import FlatVector


class SimulatedClients(Protocol):
    """Simulated clients that are in every round beside the phones."""

    def train(self, round_id: int, weights: FlatVector) -> WeightedSum:
        """Return the sum of their updates; the same for the same round and weights."""

    def count(self, round_id: int, listed: CountedList, settings: CountingSettings) -> WeightedSum:
        """Return the sum of their counts; the same for the same round."""


class _Encoded(NamedTuple):
    """What secure aggregation gave of a group, in levels: nothing if no honest group has such a sum."""

    total: LevelSum | None
    members: tuple[bytes, ...]

    def decoded(self, plan: RoundPlan) -> GroupSum:
        if self.total is None:
            return garbage(plan.dimension, self.members)
        return GroupSum(plan.codec.restore(self.total), self.members)


@dataclass(frozen=True, eq=False)
class _Unmasked:
    """What is left of a round's groups.

    Attributes:
        groups: Sums of the groups; where the server adds noise, the noised sum of all.
        summed: Number of groups in them.
        stream: The server's noise after this round, if it adds any.
        lost: Why other groups have none.
        convicted: Devices of each group that certainly sent false shares, if any did, and what shows it.
    """

    groups: Sequence[GroupSum]
    summed: int
    stream: NoiseStream | None
    lost: Sequence[str]
    convicted: Sequence[tuple[frozenset[bytes], Evidence]]

    @property
    def blamed(self) -> int:
        """Number of devices that certainly sent false shares."""
        return sum(len(devices) for devices, _ in self.convicted)


@dataclass(frozen=True, eq=False)
class _Result:
    """What becomes of a round, before it is stored.

    Attributes:
        outcome: State and memory that the sums lead to.
        state: State of the new version; nothing if the defence refused the round.
        verdict: Whether the gate lets it become current, and what was measured.
        mean: What led to the state; nothing if the state is still the one before, or counts.
    """

    outcome: Outcome[ServerState]
    state: ServerState | None
    verdict: Verdict
    mean: FlatVector | None = None


class Finishing:
    """Finishes rounds.

    Args:
        database: of the server.
        blobs: where masked vectors are.
        models: what rounds train.
        authority: whose devices take part.
        settings: of rounds.
        optimizer: turns mean deltas into models.
        gate: judges new models.
        defence: decides about the groups.
        clock: seconds since 1970.
        noise_mark: file that tells how far the server's noise has come; see `noise.set_mark`.
        simulated_clients: simulated clients, if there are any.
        counting: counting rounds, if there are any.
        pseudonym: of a device id.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        models: Models,
        authority: Authority,
        settings: RoundSettings,
        optimizer: ServerOptimizer,
        gate: Gate,
        defence: Defence,
        clock: Callable[[], float],
        noise_mark: Path,
        simulated_clients: SimulatedClients | None,
        counting: Counting | None,
        pseudonym: Callable[[bytes], str],
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._models = models
        self._authority = authority
        self._settings = settings
        self._optimizer = optimizer
        self._gate = gate
        self._defence = defence
        self._clock = clock
        self._noise_mark = noise_mark
        self._simulated_clients = simulated_clients
        self._counting = counting
        self._pseudonym = pseudonym

    def finish(self, row: RoundRow, state: RoundState) -> None:
        """End a round with a model, or abandon it; all of it counts at once or not."""
        counting = self._counting if TrainingTask.of_plan(row.task, state.plan).counting is not None else None
        unmasked = self._unmasked(row, state, defended=self._defence.enabled and counting is None)
        if not unmasked.groups:
            self._give_up(row.round_id, unmasked)
            return
        models = self._models if counting is None else counting.models
        result = (
            self._result(row, state, unmasked) if counting is None else self._counted(row, state, unmasked, counting)
        )
        stored = None if result.state is None else models.store(result.state, result.mean)
        now = self._clock()
        with self._database.write() as session:
            fresh = session.get(RoundRow, row.round_id)
            if fresh is None or fresh.phase != Step.UNMASK:
                return
            fresh.attendance = attended(fresh, state, now)
            self._convict(session, row.round_id, unmasked, now)
            for reason in unmasked.lost:
                record(session, now, Event.LOST, round_id=row.round_id, detail=reason)
            members = [member for each in unmasked.groups for member in each.members]
            if counting is None:
                self._defence.remember(session, row.round_id, result.outcome, members, now)
            if stored is None:
                refused = (each for each in result.outcome.decisions if each.action is Action.ROUND_REFUSED)
                abandon(session, fresh, now, f"the defence refused the round: {next(refused).reason}")
                return
            optimizer = self._optimizer.settings if counting is None else None
            detail = _insert(models, session, fresh, result, stored, now, optimizer)
            noise.keep(session, fresh, unmasked.stream)
            fresh.phase, fresh.ended = Ended.FINISHED, now
            detail += f", {unmasked.blamed} devices blamed"
            record(session, now, Event.FINISHED, round_id=row.round_id, detail=detail)
        noise.set_mark(self._noise_mark, fresh, unmasked.stream)

    def _result(self, row: RoundRow, state: RoundState, unmasked: _Unmasked) -> _Result:
        """Apply the sums; what was measured of a model that nobody gets is forgotten."""
        trained = SummedRound(
            row.round_id,
            unmasked.groups,
            self._models.state(row.model_version),
            self._models.round_of(row.model_version),
            state.plan.clip if state.plan.privacy.mechanism is Mechanism.NONE else math.inf,
        )
        simulated = (
            None
            if self._simulated_clients is None
            else self._simulated_clients.train(row.round_id, trained.current.weights)
        )

        def mean(total: WeightedSum) -> FlatVector:
            return (total if simulated is None else total + simulated).mean

        def step(before: ServerState, total: WeightedSum) -> ServerState:
            return self._optimizer.apply(before, mean(total))

        with self._database.read() as session:
            before = remembered(session)
        outcome = self._defence.outcome(trained, before, step)
        total = outcome.total
        if total is None:
            return _Result(outcome, None, Verdict(passed=False, metrics={}))
        verdict = self._judge(outcome.state, trained.current)
        if not verdict.passed:
            outcome = replace(outcome, memory=before.with_standings_of(outcome.memory), rollback_to=None)
        metrics = {
            **_measured(row, state, total, trained),
            **self._next_clip(state.plan, total),
            "groups": float(unmasked.summed),
            **({} if simulated is None else {"simulated_clients": float(simulated.phones)}),
            **(counts(outcome.decisions) if self._defence.enabled else {}),
            **verdict.metrics,
        }
        if not np.isfinite(outcome.state.weights).all():
            return _Result(outcome, trained.current, Verdict(verdict.passed, metrics))
        return _Result(outcome, outcome.state, Verdict(verdict.passed, metrics), mean(total))

    def _next_clip(self, plan: RoundPlan, total: WeightedSum) -> dict[str, float]:
        settings = self._settings
        if not settings.adaptive_quantile or not total.phones:
            return {}
        share = total.tally.unclipped / (settings.goal if settings.central.mechanism != "none" else total.phones)
        quantile, rate = settings.adaptive_quantile, settings.clip_learning_rate
        return {NEXT_CLIP: next_clip(plan.clip, share, quantile=quantile, learning_rate=rate)}

    def _counted(self, row: RoundRow, state: RoundState, unmasked: _Unmasked, counting: Counting) -> _Result:
        """Add the counts of all groups; one phone moves them by its capped and clipped counts at most."""
        total = reduce(add, (each.total for each in unmasked.groups))
        asked = counting.asked(TrainingTask.of_plan(row.task, state.plan))
        simulated_clients, everyone, simulated = self._simulated_clients, total, {}
        if simulated_clients is not None:
            beside = simulated_clients.count(row.round_id, asked.listed, asked.settings)
            everyone, simulated = total + beside, {"simulated_clients": float(beside.phones)}
        before = counting.models.state(row.model_version)
        after = counting.step(before, everyone, noise_variance(state.plan, total.phones), asked)
        verdict = counting.judge(after.weights, before.weights)
        trained = SummedRound(row.round_id, unmasked.groups, before, counting.models.round_of(row.model_version))
        metrics = {**_measured(row, state, total, trained), **simulated, **verdict.metrics}
        return _Result(Outcome(after, total, Memory(), ()), after, Verdict(verdict.passed, metrics))

    def _judge(self, new: ServerState, old: ServerState) -> Verdict:
        if not np.isfinite(new.weights).all():
            return Verdict(passed=False, metrics={"finite": 0.0})
        return self._gate(new.weights, old.weights)

    def _unmasked(self, row: RoundRow, state: RoundState, *, defended: bool) -> _Unmasked:
        encoded, lost, convicted, effort = [], [], [], Effort()
        # Streams of masks and sums of words run without the interpreter's lock.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            aggregating = [
                (group, pool.submit(self._aggregate, row, state.plan, group, effort)) for group in state.going_on
            ]
        for group, aggregate in aggregating:
            try:
                result = aggregate.result()
                if result.blame.certain:
                    convicted.append((result.blame.certain, self._evidence(row, state.plan, group)))
                total = state.plan.codec.unpack(result.vector, len(result.survivors))
            except ImpossibleSumError as error:
                if defended:
                    encoded.append(_Encoded(None, result.survivors))
                else:
                    lost.append(str(error))
            except UnmaskingError as error:
                lost.append(str(error))
                if error.blame.certain:
                    convicted.append((error.blame.certain, self._evidence(row, state.plan, group)))
            except (SecureAggregationError, UnknownError) as error:  # also a masked vector that was lost or damaged
                lost.append(str(error))
            else:
                encoded.append(_Encoded(total, result.survivors))
        groups, stream = self._noised(row, state.plan, encoded)
        return _Unmasked(groups, len(encoded), stream, lost, convicted)

    def _noised(
        self, row: RoundRow, plan: RoundPlan, encoded: Sequence[_Encoded]
    ) -> tuple[list[GroupSum], NoiseStream | None]:
        """Return each group's sum; or, where the server adds noise, the noised sum of all, and the stream after it."""
        sums = [each.total for each in encoded if each.total is not None]
        if row.noise_stream is None or not sums:
            return [each.decoded(plan) for each in encoded], None
        with self._database.write() as session:
            stream = noise.settle(session, session.get_one(RoundRow, row.round_id), self._noise_mark)
        central = TrainingTask.of_plan(row.task, plan).central
        adapted_to = self._settings.goal if self._settings.adaptive_quantile else 0
        released, after = noise.noised(reduce(add, sums), plan, central, stream, adapted_to)
        return [GroupSum(released, tuple(member for each in encoded for member in each.members))], after

    def _aggregate(self, row: RoundRow, plan: RoundPlan, group: GroupState, effort: Effort) -> Aggregate:
        with self._database.read() as session:
            told = {
                step: bodies(session, row.round_id, step, group.members) for step in STEPS if step is not Step.UPLOAD
            }
            names = uploads(session, row.round_id, group.members)
        shares = phases.advertising(plan, self._authority, told[Step.ADVERTISE]).close()
        inputs = phases.masking(shares, told[Step.SHARE])
        vectors = map(self._blobs.get, names)
        return phases.aggregate(inputs, vectors, told[Step.CONFIRM], told[Step.UNMASK], effort)

    def _evidence(self, row: RoundRow, plan: RoundPlan, group: GroupState) -> Evidence:
        """Return what phones of a group signed that shows who of them revealed false shares."""
        with self._database.read() as session:
            joined, answers = (
                bodies(session, row.round_id, step, group.members) for step in (Step.ADVERTISE, Step.UNMASK)
            )
            took = [senders(session, row.round_id, step, group.members) for step in (Step.SHARE, Step.UPLOAD)]
        roster = phases.advertising(plan, self._authority, joined).close().roster
        survivors = phases.confirming(plan, roster, *took).survivors_message
        return Evidence("revealed", plan.hash, roster.to_bytes(), survivors, tuple(answers))

    def _convict(self, session: Session, round_id: int, unmasked: _Unmasked, now: float) -> None:
        for devices, evidence in unmasked.convicted:
            conduct.convict(session, round_id, devices, evidence, now, self._pseudonym)

    def _give_up(self, round_id: int, unmasked: _Unmasked) -> None:
        now = self._clock()
        with self._database.write() as session:
            row = session.get(RoundRow, round_id)
            if row is not None and row.phase == Step.UNMASK:
                self._convict(session, round_id, unmasked, now)
                abandon(session, row, now, unmasked.lost[0])


def _insert(
    models: Models,
    session: Session,
    row: RoundRow,
    result: _Result,
    stored: Stored,
    now: float,
    optimizer: OptimizerSettings | None,
) -> str:
    """Add the version; return what became of it."""
    outcome, passed = result.outcome, result.verdict.passed
    version = models.insert(
        session,
        stored,
        parent=row.model_version,
        verdict=result.verdict,
        round_id=row.round_id,
        now=now,
        optimizer=optimizer,
    )
    if outcome.rollback_to is not None:
        models.return_to(session, outcome.rollback_to, instead_of=version)
    phones = 0 if outcome.total is None else outcome.total.phones
    simulated = int(result.verdict.metrics.get("simulated_clients", 0))
    beside = f" and {simulated} simulated clients" if simulated else ""
    return f"{phones} phones{beside}, model {version} {'accepted' if passed else 'rejected by the gate'}"


def _measured(row: RoundRow, state: RoundState, total: WeightedSum, trained: SummedRound) -> dict[str, float]:
    """Return a round's metrics: bytes are a phone's, sums are over the phones that count."""
    plan, model_bytes = state.plan, trained.current.weights.nbytes
    roster = max(len(group.members) for group in state.groups)
    sizes = Traffic.sum(message_sizes.of_round(plan, roster, model_bytes=model_bytes, task_bytes=len(row.task)))
    norms = [plan.codec.encoded_norm(each.total) for each in trained.sums if np.isfinite(each.total.delta).all()]
    return {
        "phones": float(total.phones),
        "bytes_up": float(sizes.up),
        "bytes_down": float(sizes.down),
        "examples": float(total.tally.examples),
        "encoded_norm": float(np.median(norms)),
        "loss_before": total.tally.loss / max(total.tally.tokens, 1),
        "accuracy_before": total.tally.hits / max(total.tally.tokens, 1),
    }
