"""What a server's rounds have cost the phones in them, from who really uploaded when.

A round counts for every phone whose masked update was accepted, whatever became of the round: from then on the phone
cannot know what the server has seen.
"""

from dataclasses import dataclass

import sqlalchemy as sql

from federation.plan import Mechanism
from federation.privacy.accountant import Account, Ledger, Sampling
from federation.privacy.errors import AssumptionError
from federation.privacy.mechanisms import NoiseScale
from federation.privacy.training import client_noise_assumptions
from federation.privacy.zcdp import round_rho
from federation.server.phases import Phase
from federation.server.standing import plan_of
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


def spent(database: Database, delta: float, sampling: Sampling = Sampling.ARRIVAL) -> Spent:
    """Account for all rounds of a server.

    Raises:
        AssumptionError: no phone has uploaded yet, a round had no noise, or the sampling is not that of the protocol.
    """
    with database.read() as session:
        query = sql.select(MessageRow.round_id, MessageRow.device_id).where(MessageRow.step == Phase.UPLOAD)
        uploaded: dict[int, set[str]] = {}
        for round_id, device_id in session.execute(query):
            uploaded.setdefault(round_id, set()).add(device_id.hex())
        rows = session.scalars(sql.select(RoundRow).where(RoundRow.round_id.in_(uploaded)).order_by(RoundRow.round_id))
        plans = {row.round_id: plan_of(row) for row in rows}
        last = session.scalar(sql.select(sql.func.max(RoundRow.round_id))) or 0
    if not plans:
        raise AssumptionError("no phone has uploaded anything yet: there is nothing to account for")
    plain = [number for number, plan in plans.items() if plan.privacy.mechanism is Mechanism.NONE]
    if plain:
        raise AssumptionError(
            f"{len(plain)} of {len(plans)} rounds had no noise (the last was round {plain[-1]}), so there is no "
            "differential privacy: set rounds.privacy in server.toml before the first round"
        )
    ledger, paid = Ledger(), dict[str, float]()
    for number in range(1, last + 1):
        ledger.record(number, uploaded.get(number, ()))
    for number, plan in plans.items():
        cost = round_rho(NoiseScale.of(plan))
        paid |= {device: paid.get(device, 0.0) + cost for device in uploaded[number]}
    mechanisms = {plan.privacy.mechanism for plan in plans.values()}
    weakest = min(plans.values(), key=lambda plan: plan.minimum - plan.privacy.corrupt)
    account = Account.of_phone(
        max(paid.values()),
        ledger.participation,
        delta,
        sampling=sampling,
        whole_orders=Mechanism.SKELLAM in mechanisms,
    ).assuming(*client_noise_assumptions(weakest), "when a phone came did not depend on what was typed on it")
    names = " and ".join(sorted(mechanism.name.lower().replace("_", " ") for mechanism in mechanisms))
    return Spent(f"{names}, by the phones, before masking", account)
