"""An operator sees who is kept away and why, and hands the evidence on to an authority that believes nobody."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sql
from click.testing import CliRunner, Result

from federation.protocol.evidence import Evidence
from federation.server.installation import Installation
from federation.server.settings import ServerSettings
from federation.server.tables import DeviceRow, EvidenceRow
from fedkey.cli import main
from tests.federation.server.phones import ISSUER, Clock, Phone, Server
from tests.federation.server.test_conduct import SETTINGS, GarbageDealer, complain, dealt

Fedkey = Callable[..., Result]


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Server:
    """One that has no evidence yet."""
    Installation.create(tmp_path, ServerSettings(), ISSUER.authority)
    return Server(tmp_path, clock, SETTINGS)


@pytest.fixture
def dealer(server: Server, clock: Clock) -> Phone:
    """Who dealt garbage to all others in the server's first round."""
    phones = [*(Phone(number) for number in range(5)), GarbageDealer(5, 5)]
    round_id, complaints = dealt(server, clock, phones)
    complain(server, round_id, phones, complaints)
    return phones[5]


@pytest.fixture
def fedkey(server: Server, tmp_path: Path) -> Fedkey:  # noqa: ARG001 - has made the folder
    return lambda *words: CliRunner().invoke(main, ["rounds", "evidence", *words, "--folder", str(tmp_path)])


def test_a_server_without_evidence_says_so(fedkey: Fedkey) -> None:
    assert "no phone is kept away" in fedkey().output
    assert json.loads(fedkey("--json").output) == []


def test_evidence_is_listed_and_checked_again(dealer: Phone, fedkey: Fedkey) -> None:
    name = dealer.key.device_id.hex()
    (line,) = fedkey().output.splitlines()
    assert line.startswith("evidence 1, ")
    assert f"round 1: device {name} dealt false shares; it holds, stays away until round 10001" in line
    (told,) = json.loads(fedkey("--json").output)
    assert (told["device"], told["kind"], told["round_id"], told["until_round"]) == (name, "dealt", 1, 10001)
    assert told["holds"] is True


def test_evidence_that_was_made_up_does_not_hold(dealer: Phone, server: Server, fedkey: Fedkey) -> None:
    """An operator who names an honest phone beside the dealer, or alters what phones signed."""
    honest = Phone(1).key.device_id
    with server.database.write() as session:
        row = session.get_one(EvidenceRow, 1)
        session.add(
            EvidenceRow(round_id=1, kind="dealt", devices=[honest.hex()], content=row.content, at=server.clock())
        )
        forged = row.content[:-1] + bytes([row.content[-1] ^ 1])
        name = dealer.key.device_id.hex()
        session.add(EvidenceRow(round_id=1, kind="dealt", devices=[name], content=forged, at=server.clock()))
    told = json.loads(fedkey("--json").output)
    assert [(each["evidence"], each["holds"]) for each in told] == [(1, True), (2, False), (3, False)]
    assert fedkey().output.count("does not hold") == 2


def test_whom_the_defence_keeps_away_is_listed_without_evidence(dealer: Phone, server: Server, fedkey: Fedkey) -> None:
    other = Phone(2).key.device_id
    assert other != dealer.key.device_id
    with server.database.write() as session:
        session.execute(sql.update(DeviceRow).where(DeviceRow.device_id == other).values(quarantined_until=9))
    line = fedkey().output.splitlines()[-1]
    assert line == (
        f"device {other.hex()}, stays away until round 9: by the defence against poisoned updates, without evidence"
    )


def test_evidence_is_handed_to_the_authority_and_overwrites_nothing(
    dealer: Phone, fedkey: Fedkey, tmp_path: Path
) -> None:
    out = tmp_path / "evidence"
    assert fedkey("1", "--out", str(out)).exit_code == 0
    authority = ISSUER.authority.at(dealer.credential.epoch)
    assert Evidence.from_bytes(out.read_bytes()).convicted(authority) == {dealer.key.device_id}
    before = out.read_bytes()
    for words in (("1", "--out", str(out)), ("2", "--out", str(tmp_path / "more")), ("1",), ("--out", str(out))):
        refused = fedkey(*words)
        assert refused.exit_code != 0
        assert refused.output
    assert out.read_bytes() == before
    assert not (tmp_path / "more").exists()
