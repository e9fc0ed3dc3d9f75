"""A phone's own certificate, and the list of revoked devices: what a server cannot make of them."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from federation.device.errors import UnreachableError
from federation.protocol.commitments import Commitments
from federation.protocol.credentials import EPOCH_SECONDS, MAX_REVOCATIONS_BYTES, Revocations
from federation.protocol.drop_reasons import DropReason
from federation.protocol.trust import UNTRUSTED
from tests.federation.device.servers import ANCHORS, EPOCH, REVOKED, TASK, Scripted, ScriptedPhone, signed_plan, vouched
from tests.federation.secure_aggregation.cohort import private_key
from tests.federation.server.phones import ISSUER, Clock

LATER = Revocations(frozenset({b"x" * 16}), issued=2).signed(private_key("authority"))


class Rounds:
    """Calls a phone to one round after the other.

    Attributes:
        lists: that the server has, by hash.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.lists = {hashlib.sha256(each).hexdigest(): each for each in (REVOKED, LATER)}
        self.server = Scripted(instead=lambda path: self.lists.get(path.removeprefix("/v1/revoked/")))
        self.phone = ScriptedPhone(folder, self.server, clock)
        self._round_id = 0

    def joins(self, **changes: object) -> bool:
        self._round_id += 1
        told: Commitments = replace(TASK.commitments, **changes)  # type: ignore[arg-type]
        self.server.round_id = self._round_id
        self.server.plan = signed_plan(self._round_id, replace(TASK, commitments=told))
        for _ in range(4):
            self.phone.step()
        self.phone.client.leave()
        self.phone.clock.now += 60
        return f"/v1/rounds/{self._round_id}/advertise" in self.server.paths


@pytest.fixture
def rounds(tmp_path: Path, clock: Clock) -> Rounds:
    return Rounds(tmp_path, clock)


def named(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.mark.parametrize("epoch", [EPOCH - 1, EPOCH + 1, 0, (1 << 32) - 1])
def test_a_server_that_goes_to_another_epoch_than_the_authoritys_is_refused(rounds: Rounds, epoch: int) -> None:
    assert not rounds.joins(epoch=epoch)
    assert rounds.phone.store.rounds()[0].reason is DropReason.SIGNATURE
    assert rounds.joins()


def test_a_list_is_fetched_once_and_later_ones_replace_it(rounds: Rounds) -> None:
    assert rounds.joins()
    assert rounds.joins()
    assert rounds.joins(revoked=named(LATER))
    fetched = [path for path in rounds.server.paths if path.startswith("/v1/revoked/")]
    assert len(fetched) == 2
    assert Revocations.from_signed(rounds.phone.store.revocations(), ISSUER.authority).devices == {b"x" * 16}


FORGED = Revocations(issued=9).signed(private_key("server"))
ATTACKS: dict[str, Callable[[Rounds], bool]] = {
    "goes back to an older list": lambda rounds: rounds.joins(revoked=named(REVOKED)),
    "drops the list": lambda rounds: rounds.joins(revoked=b""),
    "signs a list itself": lambda rounds: (
        rounds.lists.update({named(FORGED).hex(): FORGED}) or rounds.joins(revoked=named(FORGED))
    ),
    "serves another list than the plan names": lambda rounds: (
        rounds.lists.update({"00" * 32: REVOKED}) or rounds.joins(revoked=bytes(32))
    ),
    "serves a list without end": lambda rounds: (
        rounds.lists.update({"11" * 32: bytes(MAX_REVOCATIONS_BYTES + 1)}) or rounds.joins(revoked=b"\x11" * 32)
    ),
    "names a list that it has not": lambda rounds: rounds.joins(revoked=b"\x22" * 32),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_server_that_hides_who_is_revoked_is_refused(rounds: Rounds, attack: str) -> None:
    assert rounds.joins(revoked=named(LATER))
    assert not ATTACKS[attack](rounds)
    assert rounds.joins(revoked=named(LATER))


def test_an_untrusted_operator_has_a_list(tmp_path: Path, clock: Clock) -> None:
    rounds = Rounds(tmp_path, clock)
    rounds.phone = ScriptedPhone(tmp_path / "phone", rounds.server, clock, anchors=replace(ANCHORS, profile=UNTRUSTED))
    rounds.phone.client._certificates._required = True
    assert not rounds.joins(revoked=b"")
    assert (
        "no list of revoked devices" in rounds.phone.client.status.reason or not rounds.phone.store.rounds()[0].joined
    )


def test_a_phone_goes_under_another_name_in_every_epoch(rounds: Rounds) -> None:
    phone = rounds.phone
    phone.renew = lambda: phone.store.enrolled(vouched(phone.store, int(phone.clock.now // EPOCH_SECONDS)))
    names, keys = [], []
    for _ in range(3):
        rounds.server.round_id = None
        for _ in range(2):
            phone.step()
        names.append(phone.store.key.device_id)
        keys.append(phone.store.key.public_key)
        assert not (phone.store.folder / "next.key").exists()
        phone.clock.now += EPOCH_SECONDS
    assert len(set(names)) == len(set(keys)) == 3
    assert phone.store.identity.device_id not in names


def test_a_phone_that_is_killed_before_the_authority_answers_asks_for_the_same_pseudonym(
    tmp_path: Path, clock: Clock
) -> None:
    phone = ScriptedPhone(tmp_path, Scripted(), clock)
    before = phone.store.key.public_key
    asked = phone.store.enrolment_request()
    assert phone.store.enrolment_request() == asked
    assert phone.store.key.public_key == before  # until there is a certificate, the old one is used

    def away() -> None:
        raise UnreachableError("the enrolment service is away")

    phone.renew = away
    clock.now += EPOCH_SECONDS
    for _ in range(3):
        phone.step()
    assert "the enrolment service is away" in phone.client.status.reason
    phone.renew = lambda: phone.store.enrolled(vouched(phone.store))
    phone.step()
    phone.step()
    assert phone.store.key.public_key != before
