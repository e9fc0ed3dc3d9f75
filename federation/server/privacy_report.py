"""What a server's rounds have cost the phones in them, from who really uploaded when.

A round counts for every phone whose masked update was accepted, whatever became of the round: from then on the phone
cannot know what the server has seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import sqlalchemy as sql

from federation.privacy.accountant import SERVER_TRUSTED, Account, ParticipationLog, Sampling
from federation.privacy.central import CentralNoise
from federation.privacy.errors import AssumptionError
from federation.privacy.mechanisms import NoiseScale
from federation.privacy.training import client_noise_assumptions
from federation.privacy.zcdp import gaussian_rho, round_rho
from federation.protocol.plan import Mechanism, RoundPlan
from federation.protocol.task import TrainingTask
from federation.server.phases import Phase
from federation.server.round_state import plan_of
from federation.server.store import Database
from federation.server.tables import MessageRow, RoundRow


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
    """A round in which somebody uploaded."""

    plan: RoundPlan
    central: CentralNoise
    phones: frozenset[str]


def spent(database: Database, delta: float, sampling: Sampling = Sampling.ARRIVAL) -> Spent:
    """Account for all rounds of a server.

    Raises:
        AssumptionError: no phone has uploaded yet, a round had no noise, the server's noise changed on the way, or the
            sampling is not that of the protocol.
    """
    rounds, last = _uploaded(database)
    if not rounds:
        raise AssumptionError("no phone has uploaded anything yet: there is nothing to account for")
    ledger = ParticipationLog()
    for number in range(1, last + 1):
        ledger.record(number, rounds[number].phones if number in rounds else ())
    plain = [
        number
        for number, each in rounds.items()
        if each.plan.privacy.mechanism is Mechanism.NONE and each.central.mechanism == "none"
    ]
    if plain:
        raise AssumptionError(
            f"{len(plain)} of {len(rounds)} rounds had no noise (the last was round {plain[-1]}), so there is no "
            "differential privacy: set rounds.privacy or rounds.central in server.toml before the first round"
        )
    central = {each.central for each in rounds.values()}
    if central == {CentralNoise()}:
        found = _by_phones(rounds, ledger, delta, sampling)
    elif len(central) == 1:
        found = _by_server(central.pop(), ledger, delta, sampling)
    else:
        raise AssumptionError(
            "the server's noise changed between rounds: account for the rounds before it by themselves"
        )
    return replace(found, account=found.account.assuming("when a phone came did not depend on what was typed on it"))


def _by_server(central: CentralNoise, ledger: ParticipationLog, delta: float, sampling: Sampling) -> Spent:
    participation, multiplier = ledger.participation, central.noise_multiplier
    if central.mechanism == "tree":
        restart = central.restart_rounds
        account = Account.tree(multiplier, participation, delta, sampling=sampling, restart_rounds=restart)
        return Spent("Gaussian, on a binary tree of rounds, by the server", account)
    cost = gaussian_rho(multiplier)
    account = Account.independent(cost, participation, delta, sampling=sampling, whole_orders=False)
    return Spent("Gaussian, by the server", account.assuming(SERVER_TRUSTED))


def _by_phones(rounds: Mapping[int, _Round], ledger: ParticipationLog, delta: float, sampling: Sampling) -> Spent:
    paid = dict[str, float]()
    for each in rounds.values():
        cost = round_rho(NoiseScale.of(each.plan))
        paid |= {device: paid.get(device, 0.0) + cost for device in each.phones}
    plans = [each.plan for each in rounds.values()]
    mechanisms = {plan.privacy.mechanism for plan in plans}
    weakest = min(plans, key=lambda plan: plan.minimum - plan.privacy.corrupt)
    account = Account.of_phone(
        max(paid.values()),
        ledger.participation,
        delta,
        sampling=sampling,
        whole_orders=Mechanism.SKELLAM in mechanisms,
    ).assuming(*client_noise_assumptions(weakest))
    names = " and ".join(sorted(mechanism.name.lower().replace("_", " ") for mechanism in mechanisms))
    return Spent(f"{names}, by the phones, before masking", account)


def _uploaded(database: Database) -> tuple[dict[int, _Round], int]:
    """Return the rounds in which somebody uploaded, by number, and the number of the last round of all."""
    with database.read() as session:
        query = sql.select(MessageRow.round_id, MessageRow.device_id).where(MessageRow.step == Phase.UPLOAD)
        phones: dict[int, set[str]] = {}
        for round_id, device_id in session.execute(query):
            phones.setdefault(round_id, set()).add(device_id.hex())
        rows = session.scalars(sql.select(RoundRow).where(RoundRow.round_id.in_(phones)).order_by(RoundRow.round_id))
        rounds = {}
        for row in rows:
            plan = plan_of(row)
            central = TrainingTask.of_plan(row.task, plan).central
            rounds[row.round_id] = _Round(plan, central, frozenset(phones[row.round_id]))
        last = session.scalar(sql.select(sql.func.max(RoundRow.round_id))) or 0
    return rounds, last
