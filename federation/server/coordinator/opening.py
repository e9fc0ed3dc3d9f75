"""Opening a round: whether enough phones come, what they are to train, and the signed plan."""

import math
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sql
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from federation.privacy.central import exact_encoding
from federation.privacy.mechanisms import noised_encoding
from federation.protocol import cohorts
from federation.protocol.commitments import Commitments
from federation.protocol.credentials import Revocations, epoch_of
from federation.protocol.plan import Mechanism, RoundPlan
from federation.protocol.steps import Step
from federation.protocol.task import TrainingTask
from federation.server import noise, transparency
from federation.server.attendance import staying
from federation.server.counting import Counting
from federation.server.models import NEXT_CLIP, Models, ModelVersion
from federation.server.queries import active, coming, waiting
from federation.server.rounds import REVOKED
from federation.server.session_events import Event, record
from federation.server.settings import RoundSettings
from federation.server.store import Blobs, Database
from federation.server.tables import RoundRow
from federation.updates.counts import COUNTS
from federation.updates.encoding import Encoding, choose
from federation.updates.sparsification import Subset, chunk_energies


class Opening:
    """Opens rounds.

    Args:
        database: of the server.
        models: what rounds train.
        key: of the round server, signs plans.
        settings: of the rounds that are opened.
        clock: seconds since 1970.
        noise_mark: file that tells how far the server's noise has come; see `noise.set_mark`.
        counting: counting rounds, if there are any.
        blobs: where lists of revoked devices are kept for phones.
        revocations: read for every round.
    """

    def __init__(
        self,
        database: Database,
        models: Models,
        key: Ed25519PrivateKey,
        settings: RoundSettings,
        clock: Callable[[], float],
        noise_mark: Path,
        counting: Counting | None,
        blobs: Blobs,
        revocations: Callable[[], Revocations],
    ) -> None:
        self._database = database
        self._models = models
        self._key = key
        self._settings = settings
        self._clock = clock
        self._noise_mark = noise_mark
        self._counting = counting
        self._blobs = blobs
        self._revocations = revocations

    def open(self) -> bool:
        """Open a round if enough phones come and none is running; return whether one was opened."""
        now, settings = self._clock(), self._settings
        with self._database.read() as session:
            if not self._enough_come(session, now):
                return False
            round_id = _next_round(session)
            stay = staying(session)
        selection = settings.selection(stay)
        version, task, plan = self._planned(round_id, selection.max_group)
        revoked = self._revocations()
        if revoked.data:
            self._blobs.put(REVOKED, revoked.data, revoked.sha256)
        with self._database.write() as session:
            mark = self._noise_mark.with_name("instance.mark")
            nonce = cohorts.new_nonce()
            task = replace(
                task,
                commitments=self._committed(
                    transparency.commitments(session, mark), nonce, revoked, selection.group_phones
                ),
            )
            plan = replace(plan, rotation_seed=task.rotation_seed)
            if active(session) is not None or _next_round(session) != round_id:
                return False
            session.add(
                RoundRow(
                    round_id=round_id,
                    phase=Step.ADVERTISE,
                    reason=None,
                    plan=plan.signed(self._key),
                    task=task.to_bytes(),
                    model_version=version,
                    goal=settings.goal,
                    max_phones=selection.max_phones,
                    group_phones=selection.group_phones,
                    finish=1.0 if stay is None else stay.finish,
                    group_seed=nonce,
                    opened=now,
                    ended=None,
                    noise_stream=noise.stream_for(session, task.central, plan.dimension, self._noise_mark),
                    noise_time=None,
                )
            )
            kind = "model" if task.counting is None else "counts"
            detail = f"{kind} {version}, goal {settings.goal}, at most {selection.max_phones}"
            if selection.max_phones >= 2 * selection.group_phones:
                detail += f", groups of {selection.group_phones} to {selection.max_group}"
            record(session, now, Event.OPENED, round_id=round_id, detail=detail)
        transparency.set_mark(mark, task.commitments.instance, round_id)
        return True

    def _committed(self, head: Commitments, nonce: bytes, revoked: Revocations, group_phones: int) -> Commitments:
        """Return what the server commits itself to before anyone joins."""
        return replace(
            head,
            epoch=epoch_of(self._clock()),
            groups=cohorts.commitment(nonce),
            group_phones=group_phones,
            revoked=revoked.sha256,
        )

    def _planned(self, round_id: int, max_group: int) -> tuple[int, TrainingTask, RoundPlan]:
        """Return the version that a round begins with, and what phones are to do with it."""
        settings, counting = self._settings, self._counting
        question = None if counting is None else counting.question(round_id)
        if counting is not None and question is not None:
            counts = counting.models.version(counting.models.current_version())
            task = replace(self._task(counts.version), counting=question.task, min_frequency=0.0)
            length, own = len(question.listed), question.settings
            encoding = own.encoding(max_group, settings.minimum, settings.privacy, length)
            plan = self._plan(round_id, counts, task, length, encoding)
            return counts.version, task, replace(plan, clip=own.clip, weight_cap=1)
        model = self._models.version(self._models.current_version())
        dimension = self._models.state(model.version).weights.size
        subset = self._subset(model, dimension)
        clip, kept = self._clip(), dimension if subset is None else subset.kept
        encoding = self._encoding(clip, kept, model.metrics.get("encoded_norm"), max_group)
        task = self._task(model.version)
        plan = self._plan(round_id, model, task, dimension, encoding)
        return model.version, task, replace(plan, clip=clip, subset=subset)

    def _plan(
        self, round_id: int, model: ModelVersion, task: TrainingTask, dimension: int, encoding: Encoding
    ) -> RoundPlan:
        settings = self._settings
        return RoundPlan(
            round_id=round_id,
            model_sha256=bytes.fromhex(model.sha256),
            dimension=dimension,
            encoding=encoding,
            clip=settings.clip,
            weight_cap=settings.weight_cap,
            rotation_seed=task.rotation_seed,
            minimum=settings.minimum,
            deadlines=settings.deadlines,
            privacy=settings.privacy,
        )

    def _enough_come(self, session: Session, now: float) -> bool:
        settings = self._settings
        come = coming(session, now, now + settings.deadlines.advertise_seconds)
        if come >= settings.goal or come < settings.minimum:
            return come >= settings.goal
        # With fewer than the goal, only if nobody else is to come later and a meeting brought no more.
        later = coming(session, now, math.inf)
        return come == later and now - waiting(session, now).since >= settings.meeting_seconds

    def _task(self, version: int) -> TrainingTask:
        settings = self._settings
        return TrainingTask(
            nonce=secrets.token_bytes(32),
            model_version=version,
            training=settings.training,
            budgets=settings.budgets,
            needed=settings.needed,
            separation_seconds=settings.separation_seconds,
            min_frequency=settings.min_frequency,
            central=settings.central,
        )

    def _subset(self, model: ModelVersion, dimension: int) -> Subset | None:
        """Return what of their deltas phones send; the last step tells where energy lies."""
        share = self._settings.upload_share
        if share == 1:
            return None
        energies = None
        if model.parent is not None:
            weights = self._models.state(model.version).weights
            energies = chunk_energies(weights - self._models.state(model.parent).weights)
        return Subset.allocate(dimension, share, energies)

    def _clip(self) -> float:
        """Return the clip norm: that of the settings, or what the last round made of it."""
        followed = self._models.latest_metric(NEXT_CLIP) if self._settings.adaptive_quantile else None
        return followed or self._settings.clip

    def _encoding(self, clip: float, dimension: int, previous_norm: float | None, max_group: int) -> Encoding:
        settings = self._settings
        if settings.central.mechanism != "none":
            return exact_encoding(max_group, clip, dimension)
        if settings.privacy.mechanism is Mechanism.NONE:
            coarse = settings.upload_share < 1
            return choose(max_group, clip, dimension, previous_norm, coarse=coarse)
        length = dimension + COUNTS
        return noised_encoding(max_group, settings.minimum, settings.privacy, clip, length)


def _next_round(session: Session) -> int:
    return (session.scalar(sql.select(sql.func.max(RoundRow.round_id))) or 0) + 1
