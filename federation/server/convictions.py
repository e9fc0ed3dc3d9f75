"""Who is kept away for what it sent, and the evidence: for an operator, and for an authority that believes nobody."""

from dataclasses import dataclass

import sqlalchemy as sql

from federation.protocol.evidence import Evidence
from federation.secure_aggregation import Authority
from federation.secure_aggregation.errors import SecureAggregationError
from federation.server.errors import UnknownError
from federation.server.round_state import authority_of
from federation.server.store import Database
from federation.server.tables import DeviceRow, EvidenceRow, RoundRow


@dataclass(frozen=True)
class Conviction:
    """A device that is kept away, or that evidence names.

    Attributes:
        device: its pseudonym with the authority, in hex: what `fedkey enrol revoke` takes.
        until_round: first round that it may take part in again; nothing if its records are gone.
        evidence: number of the messages that show what it sent; nothing if it was the defence against poisoned
            updates that keeps it away, which has no such messages.
        kind: of the evidence; see `federation.protocol.evidence.Evidence`.
        round_id: that it deviated in.
        at: when it was convicted, seconds since 1970.
        holds: whether the messages convict the device without this server's word.
    """

    device: str
    until_round: int | None
    evidence: int | None = None
    kind: str = ""
    round_id: int | None = None
    at: float | None = None
    holds: bool = False


def convictions(database: Database, authority: Authority) -> list[Conviction]:
    """Return all of a server's, those with evidence first, oldest first.

    Args:
        database: of the server.
        authority: whose devices take part; the evidence is checked again under its key.
    """
    with database.read() as session:
        away: dict[str, int | None] = {
            device_id.hex(): until
            for device_id, until in session.execute(
                sql.select(DeviceRow.device_id, DeviceRow.quarantined_until).where(
                    DeviceRow.quarantined_until.is_not(None)
                )
            )
        }
        shown: dict[str, list[Conviction]] = {}
        for row in session.scalars(sql.select(EvidenceRow).order_by(EvidenceRow.id)):
            of_round = session.get(RoundRow, row.round_id)
            convicted = frozenset() if of_round is None else _convicted(row.content, authority_of(of_round, authority))
            for device in row.devices:
                known = (row.id, row.kind, row.round_id, row.at, bytes.fromhex(device) in convicted)
                shown.setdefault(device, []).append(Conviction(device, away.get(device), *known))
    with_evidence = sorted((each for some in shown.values() for each in some), key=lambda each: each.evidence or 0)
    return with_evidence + [Conviction(device, away[device]) for device in sorted(away.keys() - shown.keys())]


def evidence(database: Database, number: int) -> bytes:
    """Return the messages with a number, as `federation.protocol.evidence.Evidence.from_bytes` reads them.

    Raises:
        UnknownError: there are none, or no longer.
    """
    with database.read() as session:
        row = session.get(EvidenceRow, number)
        if row is None:
            raise UnknownError(f"there is no evidence {number}, or no longer: see `fedkey rounds evidence`")
        return row.content


def _convicted(content: bytes, authority: Authority) -> frozenset[bytes]:
    try:
        return Evidence.from_bytes(content).convicted(authority)
    except (SecureAggregationError, ValueError):
        return frozenset()
