"""The noise that a round server adds to its sums, kept in its database.

A stream of noise has a secret of its own, which lies in the database and follows from no key, and a state that moves on
in the transaction that stores what the noise was added to: a round that is finished again gets the same noise, and a
round that never was leaves no trace. Another stream begins where noise could not go on as it was: with other settings,
another size of model, or after the database was restored from a copy, since models that it does not know of may have
been seen by everybody.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sql
from sqlalchemy.orm import Session

from federation.base.files import write_private
from federation.privacy.adaptive_clip import count_deviation, delta_noise_multiplier
from federation.privacy.buffers import optimised
from federation.privacy.central import NoiseStream, sensitivity
from federation.privacy.participation import Participation
from federation.privacy.toeplitz import Buffers
from federation.protocol.central_noise import CentralNoise
from federation.protocol.plan import RoundPlan
from federation.server.errors import UnknownError
from federation.server.tables import NoiseStreamRow, RoundRow
from federation.updates.encoding import PackedEncoding
from federation.updates.weighted_sum import LevelSum, WeightedSum
from model import files

RESTORED = "the database was restored from a copy"


def noised(
    total: LevelSum, plan: RoundPlan, central: CentralNoise, stream: NoiseStream, adapted_to: int = 0
) -> tuple[WeightedSum, NoiseStream]:
    """Return a round's sum with its noise, and the stream after it.

    Args:
        total: of all groups.
        plan: of the round; its hash is the round's alone, since it binds the task's nonce.
        central: how much noise, as the task told the phones.
        stream: of the round.
        adapted_to: Number of phones in a whole cohort, if the clip of the next round follows how many were within it:
            that count is noised as well, and both together cost what the task says.
    """
    if not isinstance(plan.encoding, PackedEncoding):
        raise TypeError("a server noises exact sums only")
    multiplier = central.noise_multiplier
    if adapted_to:
        multiplier = delta_noise_multiplier(multiplier, adapted_to)
        unclipped = total.tally.unclipped + stream.count_noise(count_deviation(adapted_to), plan.hash)
        total = replace(total, tally=replace(total.tally, unclipped=max(round(unclipped), 0)))
    deviation = multiplier * sensitivity(plan.encoding, plan.clip, plan.dimension)
    levels, after = stream.noised(total.levels, plan.codec.rotation, deviation, plan.hash)
    return plan.codec.restore(total, levels.dequantise(plan.encoding, total.phones)), after


def stream_for(session: Session, central: CentralNoise, dimension: int, mark: Path) -> int | None:
    """Return the number of the stream that a round which is opened now is to be noised by, if there is noise.

    Args:
        session: a writing one.
        central: settings of the round.
        dimension: of the model.
        mark: see `set_mark`.
    """
    if central.mechanism == "none":
        return None
    settings: dict[str, Any] = asdict(central)
    del settings["noise_multiplier"]  # may change from round to round
    latest = _latest(session)
    if latest is None:
        return _begin(session, settings, buffers_of(central), dimension, "there was none")
    if _is_behind(latest, mark):
        return _begin(session, settings, buffers_of(central), dimension, RESTORED)
    if latest.settings != settings or latest.dimension != dimension:
        return _begin(session, settings, buffers_of(central), dimension, "other settings or another model")
    return latest.id


def settle(session: Session, row: RoundRow, mark: Path) -> NoiseStream:
    """Return the stream that a round is noised by: another one if the database was restored meanwhile.

    Args:
        session: a writing one.
        row: of the round, which was opened with a stream.
        mark: see `set_mark`.
    """
    latest = _latest(session)
    if latest is not None and _is_behind(latest, mark):
        row.noise_stream = renew(session)
    return _stream(session.get_one(NoiseStreamRow, row.noise_stream))


def renew(session: Session) -> int:
    """Begin another stream like the latest, after the server was restored from a copy of all its files.

    Raises:
        UnknownError: there is no noise yet.
    """
    latest = _latest(session)
    if latest is None:
        raise UnknownError("this server has not added noise yet: there is nothing to begin anew")
    return _begin(session, latest.settings, Buffers(**latest.buffers), latest.dimension, RESTORED)


def _stream(row: NoiseStreamRow) -> NoiseStream:
    buffers = Buffers(**row.buffers)
    held = np.frombuffer(row.held, "<f8").reshape(buffers.count, row.dimension)
    return NoiseStream(buffers, row.secret, row.rounds, held)


def keep(session: Session, row: RoundRow, stream: NoiseStream | None) -> None:
    """Store where a round's stream stands after it, if it has one, in the transaction that stores what was noised."""
    if stream is None:
        return
    kept = session.get_one(NoiseStreamRow, row.noise_stream)
    row.noise_time = kept.rounds
    kept.rounds, kept.held = stream.rounds, stream.held.astype("<f8").tobytes()


def set_mark(mark: Path, row: RoundRow, stream: NoiseStream | None) -> None:
    """Write beside the database how far its noise has come, so that a copy of it that is put back is noticed."""
    if stream is not None:
        write_private(mark, json.dumps({"stream": row.noise_stream, "rounds": stream.rounds}).encode())


def buffers_of(central: CentralNoise) -> Buffers:
    """Return how the settings ask for noise to be correlated."""
    if central.mechanism != "blt":
        return Buffers()
    fits = (central.rounds - 1) // central.min_separation + 1
    participations = min(central.max_participations, fits)
    return optimised(Participation(central.rounds, participations, central.min_separation))


def _latest(session: Session) -> NoiseStreamRow | None:
    return session.scalar(sql.select(NoiseStreamRow).order_by(NoiseStreamRow.id.desc()).limit(1))


def _is_behind(latest: NoiseStreamRow, mark: Path) -> bool:
    if not mark.exists():
        return False  # on a machine that has not noised a round yet
    told = json.loads(files.read(mark))
    return (latest.id, latest.rounds) < (told["stream"], told["rounds"])


def _begin(session: Session, settings: dict[str, Any], buffers: Buffers, dimension: int, reason: str) -> int:
    latest, stream = _latest(session), NoiseStream.begin(buffers, dimension)
    row = NoiseStreamRow(
        id=1 if latest is None else latest.id + 1,
        buffers=asdict(buffers),
        secret=stream.secret,
        rounds=0,
        dimension=dimension,
        held=stream.held.astype("<f8").tobytes(),
        settings=settings,
        reason=reason,
    )
    session.add(row)
    session.flush()
    return row.id
