"""What a server's rounds have cost the phones in them, from what was really released when.

Noise by phones: a round counts for every phone whose masked update was accepted, whatever became of the round, since
from then on the phone cannot know what the server has seen. Noise by the server, which is trusted with sums: a round
counts once it was noised, for all of these phones, whether its model was accepted, refused or rolled back.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import sqlalchemy as sql
from sqlalchemy.orm import Session

from federation.privacy.accountant import SERVER_TRUSTED, Account, NoisedRounds, Sampling
from federation.privacy.errors import AssumptionError
from federation.privacy.mechanisms import NoiseScale
from federation.privacy.participation import Participation, ParticipationLog
from federation.privacy.toeplitz import Buffers
from federation.privacy.training import client_noise_assumptions
from federation.privacy.zcdp import round_rho
from federation.protocol.plan import Mechanism, RoundPlan
from federation.protocol.steps import Step
from federation.protocol.task import TrainingTask
from federation.robustness import Action
from federation.server.models import NEXT_CLIP
from federation.server.noise import RESTORED
from federation.server.round_state import plan_of
from federation.server.store import Database
from federation.server.tables import MessageRow, ModelRow, NoiseStreamRow, RoundRow

COVERED = frozenset({"bytes_up", "bytes_down", "encoded_norm", NEXT_CLIP, "simulated_clients", "finite", *Action})
"""Figures of a round that follow from noised sums, or from nothing that a phone did; so do those of the gate."""

_NOISED_COUNTS = frozenset({"examples", "loss_before", "accuracy_before"})
"""Where phones add noise, it is in these as well."""

PSEUDONYMS_ASSUMED = "phones change their names every epoch: the one that paid most in each is counted as one phone"
COPY_ASSUMED = (
    "of a server that was restored from a copy, rounds after the copy are not in its database: add their cost"
)


@dataclass(frozen=True)
class Spent:
    """What the rounds so far have cost.

    Attributes:
        mechanism: in words.
        account: of the phone that paid most.
    """

    mechanism: str
    account: Account


class _Round(NamedTuple):
    """A round in which somebody uploaded.

    Attributes:
        plan: of the round.
        server_multiplier: of noise by the server; 0 for none.
        stream, time: of the server's noise, once it was added.
        groups: whose sums are in the model that others see; 0 if there is none.
        phones: that uploaded, each with the epoch in which it goes under that name.
    """

    plan: RoundPlan
    server_multiplier: float
    stream: int | None
    time: int | None
    groups: int
    phones: frozenset[str]

    @property
    def by_phones(self) -> bool:
        return self.plan.privacy.mechanism is not Mechanism.NONE


def spent(database: Database, delta: float, sampling: Sampling = Sampling.ARRIVAL) -> Spent:
    """Account for all rounds of a server.

    Raises:
        AssumptionError: no phone has uploaded yet, a round had no noise, or the sampling is not that of the protocol.
    """
    with database.read() as session:
        rounds = _uploaded(session)
        last = session.scalar(sql.select(sql.func.max(RoundRow.round_id))) or 0
        streams = _streams(session, rounds)
        unprotected = _unprotected(session)
        restored = RESTORED in session.scalars(sql.select(NoiseStreamRow.reason))
    if not rounds:
        raise AssumptionError("no phone has uploaded anything yet: there is nothing to account for")
    plain = [number for number, each in rounds.items() if not each.by_phones and not each.server_multiplier]
    if plain:
        raise AssumptionError(
            f"{len(plain)} of {len(rounds)} rounds had no noise (the last was round {plain[-1]}), so there is no "
            "differential privacy: set rounds.privacy or rounds.central in server.toml before the first round"
        )
    by_phones = [each for each in rounds.values() if each.by_phones]
    server, others = defaultdict[str, float](float), defaultdict[str, float](float)
    for each in by_phones:
        _pay(server, each.phones, round_rho(NoiseScale.of(each.plan)))
        _pay(others, each.phones, _in_the_model(each))
    correlated = [stream.rhos() for stream in streams]
    if not server and not any(correlated):
        raise AssumptionError("no round was noised yet: there is nothing to account for")
    skellam = any(each.plan.privacy.mechanism is Mechanism.SKELLAM for each in by_phones)
    account = Account.of_phone(
        _most(server, correlated), _participation(rounds, last), delta, sampling=sampling, whole_orders=skellam
    )
    if len(_epochs(name for each in rounds.values() for name in each.phones)) > 1:
        account = account.assuming(PSEUDONYMS_ASSUMED)
    if by_phones:
        weakest = min((each.plan for each in by_phones), key=lambda plan: plan.minimum - plan.privacy.corrupt)
        account = account.assuming(*client_noise_assumptions(weakest)).seen_by_others(_most(others, correlated))
    if streams:
        account = account.assuming(SERVER_TRUSTED, *([COPY_ASSUMED] if restored else []))
    return Spent(_in_words(by_phones, streams), account.leaving(*unprotected))


def _most(independent: Mapping[str, float], correlated: Sequence[Mapping[str, float]]) -> float:
    """Return what the phone that paid most has paid at most.

    Phones go under another name in each epoch, so that the one that paid most may be any of an epoch's. Of correlated
    noise it is sensitivities that add up, and rho grows with their square.
    """
    names = _epochs(name for paid in (independent, *correlated) for name in paid)
    if len(names) == 1:
        return max(
            sum(paid.get(name, 0.0) for paid in (independent, *correlated)) for each in names for name in names[each]
        )

    def most(paid: Mapping[str, float]) -> list[float]:
        return [max(paid.get(name, 0.0) for name in names[epoch]) for epoch in names]

    return sum(most(independent)) + sum(sum(map(math.sqrt, most(paid))) ** 2 for paid in correlated)


def _epochs(names: Iterable[str]) -> Mapping[str, set[str]]:
    """Return the names of phones by the epoch in which they went under them."""
    found = defaultdict[str, set[str]](set)
    for name in names:
        found[name.partition(":")[0]].add(name)
    return found


def _pay(paid: dict[str, float], phones: Iterable[str], rho: float) -> None:
    for phone in phones:
        paid[phone] += rho


def _in_the_model(each: _Round) -> float:
    """Return what a round costs against anyone who sees only the model, whose sum has the noise of all groups."""
    if not each.groups:
        return 0.0
    scale = NoiseScale.of(each.plan)
    return round_rho(replace(scale, contributors=scale.contributors * each.groups))


def _in_words(by_phones: Sequence[_Round], streams: Sequence[NoisedRounds]) -> str:
    said = []
    if by_phones:
        names = {each.plan.privacy.mechanism.name.lower().replace("_", " ") for each in by_phones}
        said.append(f"{' and '.join(sorted(names))}, by the phones, before masking")
    said.extend(f"{name}, by the server" for name in sorted({stream.buffers.name for stream in streams}))
    return "; ".join(said)


def _participation(rounds: Mapping[int, _Round], last: int) -> Participation:
    ledger = ParticipationLog()
    counted = Counter(name for each in rounds.values() for name in each.phones)
    for number in range(1, last + 1):
        ledger.record(number, rounds[number].phones if number in rounds else ())
    epochs = _epochs(counted)
    if len(epochs) == 1:
        return ledger.participation
    return Participation(last, sum(max(counted[name] for name in names) for names in epochs.values()))


def _streams(session: Session, rounds: Mapping[int, _Round]) -> list[NoisedRounds]:
    streams = []
    for row in session.scalars(sql.select(NoiseStreamRow).order_by(NoiseStreamRow.id)):
        own = {each.time: each for each in rounds.values() if each.stream == row.id and each.time is not None}
        if own:
            phones = [own[time].phones if time in own else frozenset[str]() for time in range(row.rounds)]
            weakest = min(each.server_multiplier for each in own.values())
            streams.append(NoisedRounds(Buffers(**row.buffers), weakest, phones))
    return streams


def _unprotected(session: Session) -> list[str]:
    found: set[str] = set()
    query = sql.select(RoundRow, ModelRow.metrics).join(ModelRow, ModelRow.round_id == RoundRow.round_id)
    for row, metrics in session.execute(query):
        by_phones = plan_of(row).privacy.mechanism is not Mechanism.NONE
        covered = COVERED | _NOISED_COUNTS if by_phones else COVERED
        found |= {name for name in metrics if name not in covered and not name.startswith("gate_")}
    return sorted(found)


def _uploaded(session: Session) -> dict[int, _Round]:
    """Return the rounds in which somebody uploaded, by number."""
    query = sql.select(MessageRow.round_id, MessageRow.device_id).where(MessageRow.step == Step.UPLOAD)
    phones = defaultdict[int, set[str]](set)
    for round_id, device_id in session.execute(query):
        phones[round_id].add(device_id.hex())
    return dict(_rounds(session, phones))


def _rounds(session: Session, phones: Mapping[int, set[str]]) -> Iterator[tuple[int, _Round]]:
    query = sql.select(RoundRow, ModelRow.metrics).outerjoin(ModelRow, ModelRow.round_id == RoundRow.round_id)
    for row, metrics in session.execute(query.where(RoundRow.round_id.in_(phones)).order_by(RoundRow.round_id)):
        plan = plan_of(row)
        task = TrainingTask.of_plan(row.task, plan)
        # A defence chooses among groups by what each of them sent, so that a model may tell more than their sum does.
        alone = task.counting is not None or any(name in (metrics or {}) for name in Action)
        groups = 1 if alone else 0 if metrics is None else int(metrics["groups"])
        yield (
            row.round_id,
            _Round(
                plan,
                task.central.noise_multiplier,
                row.noise_stream,
                row.noise_time,
                groups,
                frozenset(f"{task.commitments.epoch}:{name}" for name in phones[row.round_id]),
            ),
        )
