"""Who moves rounds on: opens them, closes their steps, turns sums into models.

Every worker has a coordinator; a lease in the database lets one act at a time. That saves work and does not carry the
guarantee: each change is one transaction that first looks whether the round still stands where the change begins, so
two coordinators would do nothing twice either.
"""

import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import sqlalchemy as sql
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from federation.encoding import Encoding, Wrap, choose
from federation.plan import Mechanism, RoundPlan, WeightedSum
from federation.secure_aggregation import Authority, least_threshold
from federation.secure_aggregation.errors import SecureAggregationError, TooFewPhonesError
from federation.server import phases
from federation.server.errors import UnknownError
from federation.server.models import Gate, Models, Verdict
from federation.server.optimizer import Finalizer, GlobalState
from federation.server.phases import STEPS, Phase
from federation.server.rounds import active, bodies, coming, plan_of, uploads, waiting
from federation.server.settings import RoundSettings
from federation.server.store import Blobs, Database
from federation.server.tables import LeaseRow, MessageRow, RoundRow
from federation.server.trail import Event, record
from federation.subset import Subset, chunk_energies
from federation.task import TrainingTask
from model.layout import FlatVector

LEASE_SECONDS = 10.0
_SWEEP_SECONDS = 600.0
_LEASE = "coordinator"


class Partner(Protocol):
    """Simulated clients that are in every round beside the phones."""

    def train(self, round_id: int, weights: FlatVector) -> WeightedSum:
        """Return the sum of their updates; the same for the same round and weights."""


@dataclass(frozen=True)
class Standing:
    """How far a round is: what decides whether its step is closed.

    Attributes:
        phase: of the round.
        counts: phones that took each step.
        plan: of the round.
        goal: phones wanted in the sum.
        opened: seconds since 1970.
        goal_reached: when the step had as many phones as are wanted in the sum, if it has.
        grace_seconds: that the others have from then on.
    """

    phase: Phase
    counts: Mapping[Phase, int]
    plan: RoundPlan
    goal: int
    opened: float
    goal_reached: float | None
    grace_seconds: float

    @property
    def deadline(self) -> float:
        """When the step is closed at the latest, seconds since 1970."""
        limits = self.plan.deadlines
        seconds = {
            Phase.ADVERTISE: limits.advertise_seconds,
            Phase.SHARE: limits.share_seconds,
            Phase.UPLOAD: limits.upload_seconds,
            Phase.CONFIRM: limits.confirm_seconds,
            Phase.UNMASK: limits.unmask_seconds,
        }
        return self.opened + seconds[self.phase]

    @property
    def present(self) -> int:
        """Phones that took the step."""
        return self.counts.get(self.phase, 0)

    @property
    def needed(self) -> int:
        """Phones without which the round is abandoned."""
        threshold = least_threshold(self.counts.get(Phase.ADVERTISE, 0))
        if self.phase is Phase.ADVERTISE:
            return self.plan.minimum
        return threshold if self.phase in {Phase.CONFIRM, Phase.UNMASK} else max(threshold, self.plan.minimum)

    def is_complete(self, now: float, meeting_seconds: float) -> bool:
        """Whether there is nothing to wait for, before the deadline."""
        before = self.counts.get(STEPS[max(STEPS.index(self.phase) - 1, 0)], 0)
        if self.phase is Phase.ADVERTISE:
            everyone_came = now >= self.opened + meeting_seconds
            return self.present == self.plan.encoding.phones or (self.present >= self.goal and everyone_came)
        if self.phase is Phase.UPLOAD:
            over = self.goal_reached is not None and now >= self.goal_reached + self.grace_seconds
            return self.present == before or (over and self.present >= self.needed)
        return self.present == before


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
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        models: Models,
        key: Ed25519PrivateKey,
        authority: Authority,
        settings: RoundSettings,
        finalizer: Finalizer,
        gate: Gate,
        clock: Callable[[], float],
        partner: Partner | None = None,
    ) -> None:
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
            standing = None if row is None else _standing(session, row, self._settings.grace_seconds)
        if row is None or standing is None:
            return self._open()
        now = self._clock()
        if not standing.is_complete(now, self._settings.meeting_seconds) and now < standing.deadline:
            return False
        if standing.phase is Phase.UNMASK and standing.present >= standing.needed:
            self._finish(row)
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
                    opened=now,
                    phase_since=now,
                    ended=None,
                )
            )
            detail = f"model {version}, goal {settings.goal}, at most {settings.most_phones}"
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
        if settings.privacy.mechanism is Mechanism.NONE:
            coarse = settings.upload_share < 1
            return choose(settings.most_phones, settings.clip, dimension, previous_norm, coarse=coarse)
        # Noise has tails, for which lanes have no room. Its norm is about that of the noise on the sum.
        noise = settings.privacy.noise_multiplier * np.sqrt(dimension) / settings.minimum
        norm = settings.clip * max(1.0, float(noise))
        return Wrap.for_norm(16, settings.most_phones, norm, dimension)

    def _close(self, round_id: int, phase: Phase) -> None:
        """Close a step, or abandon the round if too few phones took it."""
        now = self._clock()
        with self._database.write() as session:
            row = session.get(RoundRow, round_id)
            if row is None or row.phase != phase:
                return
            standing = _standing(session, row, self._settings.grace_seconds)
            if not standing.is_complete(now, self._settings.meeting_seconds) and now < standing.deadline:
                return
            if standing.present < standing.needed:
                error = TooFewPhonesError(phase.value, standing.present, standing.needed)
                _abandon(session, row, now, str(error))
            else:
                row.phase, row.phase_since = phases.after(phase), now
                record(session, now, Event.CLOSED, round_id=round_id, detail=f"{phase}: {standing.present} phones")

    def _finish(self, row: RoundRow) -> None:
        """Unmask the sum, apply it and store the new model; all of it counts at once or not at all."""
        try:
            total, blame = self._total(row)
        except (SecureAggregationError, UnknownError) as error:  # also a masked vector that was lost or damaged
            self._give_up(row.round_id, str(error))
            return
        plan = plan_of(row)
        state = self._models.state(row.model_version)
        metrics = {
            "phones": float(total.phones),
            "examples": float(total.tally.examples),
            "encoded_norm": plan.encoded_norm(total),
            "loss_before": total.tally.loss / max(total.tally.tokens, 1),
            "accuracy_before": total.tally.hits / max(total.tally.tokens, 1),
        }
        if self._partner is not None:
            simulated = self._partner.train(row.round_id, state.weights)
            metrics["simulated_clients"] = float(simulated.phones)
            total += simulated
        new = self._finalizer.apply(state, total.mean)
        verdict = self._judge(new, state)
        stored_state = self._models.store(new if np.isfinite(new.weights).all() else state)
        now = self._clock()
        with self._database.write() as session:
            fresh = session.get(RoundRow, row.round_id)
            if fresh is None or fresh.phase != Phase.UNMASK:
                return
            verdict = Verdict(verdict.passed, {**metrics, **verdict.metrics})
            version = self._models.insert(
                session, stored_state, parent=row.model_version, verdict=verdict, round_id=row.round_id, now=now
            )
            fresh.phase, fresh.phase_since, fresh.ended = Phase.FINISHED, now, now
            outcome = "accepted" if verdict.passed else "rejected by the gate"
            detail = f"{total.phones} clients, model {version} {outcome}, {blame} devices blamed"
            record(session, now, Event.FINISHED, round_id=row.round_id, detail=detail)

    def _judge(self, new: GlobalState, old: GlobalState) -> Verdict:
        if not np.isfinite(new.weights).all():
            return Verdict(passed=False, metrics={"finite": 0.0})
        return self._gate(new.weights, old.weights)

    def _total(self, row: RoundRow) -> tuple[WeightedSum, int]:
        """Return the sum of the round's phones, and how many devices are certainly to blame for false shares."""
        with self._database.read() as session:
            told = {step: bodies(session, row.round_id, step) for step in STEPS if step is not Phase.UPLOAD}
            names = uploads(session, row.round_id)
        plan = plan_of(row)
        shares = phases.advertising(plan, self._authority, told[Phase.ADVERTISE]).close()
        inputs = phases.masking(shares, told[Phase.SHARE])
        vectors = map(self._blobs.get, names)
        result = phases.aggregate(inputs, vectors, told[Phase.CONFIRM], told[Phase.UNMASK])
        return plan.decode(result.vector, len(result.survivors)), len(result.blame.certain)

    def _give_up(self, round_id: int, reason: str) -> None:
        with self._database.write() as session:
            row = session.get(RoundRow, round_id)
            if row is not None and row.phase == Phase.UNMASK:
                _abandon(session, row, self._clock(), reason)


def _lease(session: Session) -> tuple[str, int] | None:
    row = session.get(LeaseRow, _LEASE)
    return None if row is None else (row.owner, row.renewals)


def _standing(session: Session, row: RoundRow, grace_seconds: float) -> Standing:
    query = sql.select(MessageRow.step, sql.func.count()).where(MessageRow.round_id == row.round_id)
    counts = {Phase(step): count for step, count in session.execute(query.group_by(MessageRow.step))}
    arrivals = sql.select(MessageRow.received).where(MessageRow.round_id == row.round_id, MessageRow.step == row.phase)
    reached = session.scalar(arrivals.order_by(MessageRow.received).offset(row.goal - 1).limit(1))
    return Standing(Phase(row.phase), counts, plan_of(row), row.goal, row.opened, reached, grace_seconds)


def _abandon(session: Session, row: RoundRow, now: float, reason: str) -> None:
    row.phase, row.phase_since, row.ended, row.reason = Phase.ABANDONED, now, now, reason
    record(session, now, Event.ABANDONED, round_id=row.round_id, detail=reason)
