"""Who moves rounds on: opens them, closes their steps, turns sums into models.

Every worker has a coordinator; a lease in the database lets one act at a time. That saves work and does not carry the
guarantee: each change is one transaction that first looks whether the round still stands where the change begins, so
two coordinators would do nothing twice either.
"""

import hashlib
import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import sqlalchemy as sql
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from federation.errors import ConfigError
from federation.privacy import noised_encoding
from federation.privacy.central import exact_encoding, sensitivity
from federation.protocol import message_sizes
from federation.protocol.message_sizes import Traffic
from federation.protocol.plan import Mechanism, RoundPlan, WeightedSum
from federation.protocol.task import TrainingTask
from federation.robustness import Action, Memory, Outcome, counts
from federation.rounds.server_optimizers import ServerOptimizer, ServerState
from federation.secure_aggregation import Authority, groups
from federation.secure_aggregation.errors import ImpossibleSumError, SecureAggregationError, TooFewPhonesError
from federation.secure_aggregation.server import Aggregate
from federation.server import phases
from federation.server.defence import GroupSum, Probe, defended, garbage, remember, remembered, undefended
from federation.server.errors import UnknownError
from federation.server.models import Gate, Models, Verdict
from federation.server.phases import STEPS, Phase
from federation.server.round_state import GroupState, RoundState
from federation.server.rounds import active, bodies, coming, uploads, waiting
from federation.server.session_events import Event, pseudonyms, record
from federation.server.settings import RoundSettings
from federation.server.store import Blobs, Database
from federation.server.tables import LeaseRow, RoundRow
from federation.updates.encoding import Encoding, PackedEncoding, choose
from federation.updates.sparsification import Subset, chunk_energies
from model.layout import FlatVector

LEASE_SECONDS = 10.0
_SWEEP_SECONDS = 600.0
_LEASE = "coordinator"


class Partner(Protocol):
    """Simulated clients that are in every round beside the phones."""

    def train(self, round_id: int, weights: FlatVector) -> WeightedSum:
        """Return the sum of their updates; the same for the same round and weights."""


class Coordinator:
    """Moves rounds on.

    Args:
        database: of the server.
        blobs: where masked vectors are.
        models: what rounds train.
        key: of the round server, signs plans.
        authority: whose devices take part.
        settings: of the rounds that are opened.
        finalizer: turns mean deltas into models.
        gate: judges new models.
        clock: seconds since 1970.
        partner: simulated clients, if there are any.
        probe: measures models for the defence, if there is one that asks for it.

    Raises:
        ConfigError: the defence measures models, but there is nothing that could.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        models: Models,
        key: Ed25519PrivateKey,
        authority: Authority,
        settings: RoundSettings,
        finalizer: ServerOptimizer,
        gate: Gate,
        clock: Callable[[], float],
        partner: Partner | None = None,
        probe: Probe | None = None,
    ) -> None:
        if settings.defence.enabled and settings.defence.reads_models and probe is None:
            raise ConfigError("the defence measures models on public text: give it some, or set its thresholds to 0")
        self._database = database
        self._blobs = blobs
        self._models = models
        self._key = key
        self._authority = authority
        self._settings = settings
        self._finalizer = finalizer
        self._gate = gate
        self._clock = clock
        self._partner = partner
        self._probe = probe
        self._pseudonym = pseudonyms(key)
        self._secret = hashlib.sha256(b"fedkey noise secret v1\0" + key.private_bytes_raw()).digest()
        self._owner = secrets.token_hex(16)
        self._lease_seen: tuple[str, int] | None = None
        self._lease_seen_at = 0.0
        self._sweeps = 0.0

    def tick(self) -> bool:
        """Do what is due, if this coordinator has the lease; return whether anything was."""
        if not self._holds_lease():
            return False
        acted = self._advance()
        if acted or self._clock() >= self._sweeps:
            self._sweep()
        return acted

    def _advance(self) -> bool:
        """Take the next step of the round that is running, or open one; return whether there was something to do."""
        with self._database.read() as session:
            row = active(session)
            standing = None if row is None else RoundState.of(session, row, self._settings.grace_seconds)
        if row is None or standing is None:
            return self._open()
        now = self._clock()
        if not standing.is_complete(now, self._settings.meeting_seconds) and now < standing.deadline:
            return False
        if standing.phase is Phase.UNMASK and standing.going_on:
            self._finish(row, standing)
        else:
            self._close(row.round_id, standing.phase)
        return True

    def _holds_lease(self) -> bool:
        """Take or renew the lease, if its owner has not renewed it for a while by this machine's clock.

        The clocks of machines may differ, so a lease counts how often it was renewed and does not say until when.
        """
        now = self._clock()
        with self._database.read() as session:
            seen = _lease(session)
        if seen != self._lease_seen:
            self._lease_seen, self._lease_seen_at = seen, now
        age = abs(now - self._lease_seen_at)
        mine = seen is not None and seen[0] == self._owner
        if mine and age < LEASE_SECONDS / 3:
            return True
        if not mine and seen is not None and age < LEASE_SECONDS:
            return False
        with self._database.write() as session:
            if _lease(session) != seen:
                return False  # another was faster
            renewals = 0 if seen is None else seen[1] + 1
            session.merge(LeaseRow(name=_LEASE, owner=self._owner, renewals=renewals))
        self._lease_seen, self._lease_seen_at = (self._owner, renewals), now
        return True

    def _sweep(self) -> None:
        """Remove masked vectors of rounds that are over, also those that a killed process or a late phone left."""
        folders = self._blobs.list("rounds")  # first, so that none of a round that is opened meanwhile is in it
        with self._database.read() as session:
            running = active(session)
        for folder in folders:
            if running is None or folder != str(running.round_id):
                self._blobs.remove(f"rounds/{folder}")
        self._sweeps = self._clock() + _SWEEP_SECONDS

    def _open(self) -> bool:
        now, settings = self._clock(), self._settings
        with self._database.read() as session:
            if not self._enough_come(session, now):
                return False
        version = self._models.current_version()
        model = self._models.version(version)
        dimension = self._models.state(version).weights.size
        subset = self._subset(version, model.parent, dimension)
        kept = dimension if subset is None else subset.kept
        task = TrainingTask(
            nonce=secrets.token_bytes(32),
            model_version=version,
            learning_rate=settings.learning_rate,
            epochs=settings.epochs,
            gradient_norm=settings.gradient_norm,
            dropout=settings.dropout,
            budgets=settings.budgets,
            needed=settings.needed,
            separation_seconds=settings.separation_seconds,
            min_frequency=settings.min_frequency,
            central=settings.central,
        )
        with self._database.write() as session:
            if active(session) is not None:
                return False
            round_id = (session.scalar(sql.select(sql.func.max(RoundRow.round_id))) or 0) + 1
            plan = RoundPlan(
                round_id=round_id,
                model_sha256=bytes.fromhex(model.sha256),
                dimension=dimension,
                encoding=self._encoding(kept, model.metrics.get("encoded_norm")),
                clip=settings.clip,
                weight_cap=settings.weight_cap,
                rotation_seed=task.rotation_seed,
                minimum=settings.minimum,
                deadlines=settings.deadlines,
                privacy=settings.privacy,
                subset=subset,
            )
            session.add(
                RoundRow(
                    round_id=round_id,
                    phase=Phase.ADVERTISE,
                    reason=None,
                    plan=plan.signed(self._key),
                    task=task.to_bytes(),
                    model_version=version,
                    goal=settings.goal,
                    max_phones=settings.max_phones,
                    group_phones=settings.group_phones,
                    group_seed=secrets.token_bytes(32),
                    opened=now,
                    phase_since=now,
                    ended=None,
                )
            )
            detail = f"model {version}, goal {settings.goal}, at most {settings.max_phones}"
            if settings.max_phones >= 2 * settings.group_phones:
                detail += f", groups of {settings.group_phones} to {settings.max_group}"
            record(session, now, Event.OPENED, round_id=round_id, detail=detail)
        return True

    def _enough_come(self, session: Session, now: float) -> bool:
        settings = self._settings
        come = coming(session, now, now + settings.deadlines.advertise_seconds)
        if come >= settings.goal or come < settings.minimum:
            return come >= settings.goal
        # With fewer than the goal, only if nobody else is to come later and a meeting brought no more.
        later = coming(session, now, math.inf)
        return come == later and now - waiting(session, now).since >= settings.meeting_seconds

    def _subset(self, version: int, parent: int | None, dimension: int) -> Subset | None:
        """Return what of their deltas phones send; the last step tells where energy lies."""
        share = self._settings.upload_share
        if share == 1:
            return None
        energies = None
        if parent is not None:
            energies = chunk_energies(self._models.state(version).weights - self._models.state(parent).weights)
        return Subset.allocate(dimension, share, energies)

    def _encoding(self, dimension: int, previous_norm: float | None) -> Encoding:
        settings = self._settings
        if settings.central.mechanism != "none":
            return exact_encoding(settings.max_group, settings.clip, dimension)
        if settings.privacy.mechanism is Mechanism.NONE:
            coarse = settings.upload_share < 1
            return choose(settings.max_group, settings.clip, dimension, previous_norm, coarse=coarse)
        return noised_encoding(settings.max_group, settings.minimum, settings.privacy, settings.clip, dimension)

    def _close(self, round_id: int, phase: Phase) -> None:
        """Close a step, or abandon the round if too few phones took it."""
        now = self._clock()
        with self._database.write() as session:
            row = session.get(RoundRow, round_id)
            if row is None or row.phase != phase:
                return
            standing = RoundState.of(session, row, self._settings.grace_seconds)
            if not standing.is_complete(now, self._settings.meeting_seconds) and now < standing.deadline:
                return
            lost = [group for group in standing.left if group not in standing.going_on]
            reasons = [_too_few(group, phase, standing.plan) for group in lost]
            if not standing.going_on:
                _abandon(session, row, now, reasons[0])
                return
            for reason in reasons:
                record(session, now, Event.LOST, round_id=round_id, detail=reason)
            row.phase, row.phase_since = phases.after(phase), now
            detail = f"{phase}: {standing.present} phones"
            parts = groups.count(standing.present, row.group_phones)
            if phase is Phase.ADVERTISE and parts > 1:
                detail += f" in {parts} groups"
            record(session, now, Event.CLOSED, round_id=round_id, detail=detail)

    def _finish(self, row: RoundRow, standing: RoundState) -> None:
        """Unmask the sums, apply what they make together and store the new model; all of it counts at once or not."""
        sums, lost, blame = self._sums(row, standing)
        if not sums:
            self._give_up(row.round_id, lost[0])
            return
        state, parent_round = self._models.state(row.model_version), self._models.round_of(row.model_version)
        noise = self._noise(row, standing.plan, parent_round)
        simulated = None if self._partner is None else self._partner.train(row.round_id, state.weights)

        def step(before: ServerState, total: WeightedSum) -> ServerState:
            everyone = total if simulated is None else total + simulated
            return self._finalizer.apply(before, replace(everyone, delta=everyone.delta + noise).mean)

        with self._database.read() as session:
            before = remembered(session)
        outcome = self._outcome(row.round_id, sums, state, parent_round, before, step)
        stored, verdict = None, Verdict(passed=False, metrics={})
        if outcome.total is not None:
            new = outcome.state
            verdict = self._judge(new, state)
            stored = self._models.store(new if np.isfinite(new.weights).all() else state)
            if not verdict.passed:  # what was measured of a model that nobody gets is forgotten
                outcome = replace(outcome, memory=before.with_standings_of(outcome.memory), rollback_to=None)
        now = self._clock()
        with self._database.write() as session:
            fresh = session.get(RoundRow, row.round_id)
            if fresh is None or fresh.phase != Phase.UNMASK:
                return
            for reason in lost:
                record(session, now, Event.LOST, round_id=row.round_id, detail=reason)
            if self._settings.defence.enabled:
                members = [member for each in sums for member in each.members]
                remember(session, row, outcome, members, pseudonym=self._pseudonym, now=now)
            if stored is None or outcome.total is None:
                why = next(each.reason for each in outcome.decisions if each.action is Action.ROUND_REFUSED)
                _abandon(session, fresh, now, f"the defence refused the round: {why}")
                return
            metrics = {
                **self._measured(row, standing, outcome.total, sums, state),
                **({} if simulated is None else {"simulated_clients": float(simulated.phones)}),
                **(counts(outcome.decisions) if self._settings.defence.enabled else {}),
                **verdict.metrics,
            }
            version = self._models.insert(
                session,
                stored,
                parent=row.model_version,
                verdict=Verdict(verdict.passed, metrics),
                round_id=row.round_id,
                now=now,
            )
            if outcome.rollback_to is not None:
                self._models.return_to(session, outcome.rollback_to, instead_of=version)
            fresh.phase, fresh.phase_since, fresh.ended = Phase.FINISHED, now, now
            judged = "accepted" if verdict.passed else "rejected by the gate"
            detail = f"{outcome.total.phones} clients, model {version} {judged}, {blame} devices blamed"
            record(session, now, Event.FINISHED, round_id=row.round_id, detail=detail)

    def _outcome(
        self,
        round_id: int,
        sums: Sequence[GroupSum],
        state: ServerState,
        parent_round: int,
        memory: Memory,
        step: Callable[[ServerState, WeightedSum], ServerState],
    ) -> Outcome[ServerState]:
        if not self._settings.defence.enabled:
            return undefended(sums, state, step)
        return defended(
            sums,
            memory,
            self._settings.defence,
            round_id=round_id,
            current=state,
            current_round=parent_round,
            step=step,
            probe=self._probe,
            pseudonym=self._pseudonym,
        )

    def _noise(self, row: RoundRow, plan: RoundPlan, parent_round: int) -> FlatVector:
        """Return what this server adds to the round's sum, as it told the phones."""
        central, deviation = TrainingTask.of_plan(row.task, plan).central, 0.0
        if isinstance(plan.encoding, PackedEncoding):
            deviation = central.noise_multiplier * sensitivity(plan.encoding, plan.clip, plan.dimension)
        return central.on_sum(self._secret, plan.round_id, parent_round, deviation, plan.dimension)

    def _measured(
        self,
        row: RoundRow,
        standing: RoundState,
        total: WeightedSum,
        sums: Sequence[GroupSum],
        state: ServerState,
    ) -> dict[str, float]:
        """Return a round's metrics: bytes are a phone's, sums are over the phones that count."""
        plan = standing.plan
        roster = max(len(group.members) for group in standing.groups)
        sizes = Traffic.sum(
            message_sizes.of_round(plan, roster, model_bytes=state.weights.nbytes, task_bytes=len(row.task))
        )
        norms = [plan.encoded_norm(each.total) for each in sums if np.isfinite(each.total.delta).all()]
        return {
            "phones": float(total.phones),
            "groups": float(len(sums)),
            "bytes_up": float(sizes.up),
            "bytes_down": float(sizes.down),
            "examples": float(total.tally.examples),
            "encoded_norm": float(np.median(norms)),
            "loss_before": total.tally.loss / max(total.tally.tokens, 1),
            "accuracy_before": total.tally.hits / max(total.tally.tokens, 1),
        }

    def _judge(self, new: ServerState, old: ServerState) -> Verdict:
        if not np.isfinite(new.weights).all():
            return Verdict(passed=False, metrics={"finite": 0.0})
        return self._gate(new.weights, old.weights)

    def _sums(self, row: RoundRow, standing: RoundState) -> tuple[list[GroupSum], list[str], int]:
        """Return the sums of the groups, why others have none, and how many devices certainly sent false shares."""
        sums, lost, blame = [], [], 0
        for group in standing.going_on:
            try:
                result = self._unmasked(row, standing.plan, group)
                blame += len(result.blame.certain)
                total = standing.plan.decode(result.vector, len(result.survivors))
            except ImpossibleSumError as error:
                if self._settings.defence.enabled:
                    sums.append(garbage(standing.plan.dimension, result.survivors))
                else:
                    lost.append(str(error))
            except (SecureAggregationError, UnknownError) as error:  # also a masked vector that was lost or damaged
                lost.append(str(error))
            else:
                sums.append(GroupSum(total, result.survivors))
        return sums, lost, blame

    def _unmasked(self, row: RoundRow, plan: RoundPlan, group: GroupState) -> Aggregate:
        with self._database.read() as session:
            told = {
                step: bodies(session, row.round_id, step, group.members) for step in STEPS if step is not Phase.UPLOAD
            }
            names = uploads(session, row.round_id, group.members)
        shares = phases.advertising(plan, self._authority, told[Phase.ADVERTISE]).close()
        inputs = phases.masking(shares, told[Phase.SHARE])
        vectors = map(self._blobs.get, names)
        return phases.aggregate(inputs, vectors, told[Phase.CONFIRM], told[Phase.UNMASK])

    def _give_up(self, round_id: int, reason: str) -> None:
        with self._database.write() as session:
            row = session.get(RoundRow, round_id)
            if row is not None and row.phase == Phase.UNMASK:
                _abandon(session, row, self._clock(), reason)


def _lease(session: Session) -> tuple[str, int] | None:
    row = session.get(LeaseRow, _LEASE)
    return None if row is None else (row.owner, row.renewals)


def _too_few(group: GroupState, phase: Phase, plan: RoundPlan) -> str:
    return str(TooFewPhonesError(phase.value, group.present(phase), group.needed(phase, plan.minimum)))


def _abandon(session: Session, row: RoundRow, now: float, reason: str) -> None:
    row.phase, row.phase_since, row.ended, row.reason = Phase.ABANDONED, now, now, reason
    record(session, now, Event.ABANDONED, round_id=row.round_id, detail=reason)
