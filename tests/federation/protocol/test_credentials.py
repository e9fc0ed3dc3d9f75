"""Epochs, pseudonyms and the list of revoked devices: what the authority says, and what nobody can make of it."""

from pathlib import Path

import pytest

from federation.enrolment.authority import AuthorityFolder
from federation.protocol.credentials import (
    EPOCH_SECONDS,
    MAX_REVOKED,
    Credential,
    CredentialError,
    EnrolmentRequest,
    ExpiredError,
    Revocations,
    epoch_of,
)
from federation.secure_aggregation import DeviceKey
from federation.secure_aggregation.errors import BadSignatureError
from tests.federation.secure_aggregation.cohort import digest, private_key
from tests.federation.server.phones import ISSUER, Clock


def key(name: object) -> DeviceKey:
    return DeviceKey(digest("key", name)[:16], private_key("key", name))


@pytest.fixture
def authority(tmp_path: Path, clock: Clock) -> AuthorityFolder:
    return AuthorityFolder.create(tmp_path / "authority", clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def asked(identity: object, pseudonym: object) -> bytes:
    return EnrolmentRequest.signed(key(identity), key(pseudonym))


def test_a_certificate_is_good_in_its_epoch_and_no_other(authority: AuthorityFolder, clock: Clock) -> None:
    credential = authority.enrol(asked("phone", 1))
    assert credential.epoch == epoch_of(clock.now) == 1
    assert Credential.from_bytes(credential.to_bytes()) == credential
    for epoch in (0, 2):
        with pytest.raises(BadSignatureError):
            authority.authority.at(epoch).check(credential.device_id, credential.identity_key, credential.certificate)
    credential.check(authority.authority, 2 * EPOCH_SECONDS + 86399)  # what has begun may end
    for now in (2 * EPOCH_SECONDS + 86401, EPOCH_SECONDS - 86401):
        with pytest.raises(ExpiredError):
            credential.check(authority.authority, now)


def test_a_device_has_one_pseudonym_an_epoch_and_so_no_sybils_of_its_own(
    authority: AuthorityFolder, clock: Clock
) -> None:
    first = authority.enrol(asked("phone", 1))
    assert authority.enrol(asked("phone", 1)) == first
    with pytest.raises(CredentialError, match="has a pseudonym in this epoch"):
        authority.enrol(asked("phone", 2))
    with pytest.raises(CredentialError, match="another device's"):
        authority.enrol(asked("other phone", 1))
    clock.now += EPOCH_SECONDS
    second = authority.enrol(asked("phone", 2))
    assert second.epoch == first.epoch + 1
    assert len(authority.devices()) == 1


def test_nothing_that_a_server_sees_leads_from_one_epoch_to_the_next(authority: AuthorityFolder, clock: Clock) -> None:
    seen = []
    for epoch in range(3):
        seen.append(authority.enrol(asked("phone", epoch)).to_bytes())
        clock.now += EPOCH_SECONDS
    identity = key("phone")
    for told in seen:
        assert identity.device_id not in told
        assert identity.public_key not in told
    parts = [{told[at : at + 8] for at in range(1, len(told) - 8)} for told in seen]
    assert not parts[0] & parts[1]
    assert not parts[1] & parts[2]


def test_a_revoked_device_is_named_by_the_pseudonyms_that_are_still_good(
    authority: AuthorityFolder, clock: Clock
) -> None:
    old = authority.enrol(asked("phone", 1))
    clock.now += 3 * EPOCH_SECONDS
    new = authority.enrol(asked("phone", 2))
    other = authority.enrol(asked("other", 3))
    authority.revoke(new.device_id)  # as a server knows it
    listed = Revocations.from_signed(authority.revocations.read_bytes(), authority.authority)
    assert listed.devices == {new.device_id}
    assert old.device_id not in listed.devices
    assert other.device_id not in listed.devices
    assert listed.issued == int(clock.now)
    clock.now += EPOCH_SECONDS
    with pytest.raises(CredentialError, match="revoked"):
        authority.enrol(asked("phone", 4))
    with pytest.raises(CredentialError, match="no device"):
        authority.revoke(b"x" * 16)


def test_a_list_is_as_long_as_phones_download_at_most() -> None:
    key = ISSUER._authority._private_key
    full = Revocations(frozenset(number.to_bytes(16, "little") for number in range(MAX_REVOKED)), issued=1)
    assert Revocations.from_signed(full.signed(key), ISSUER.authority) == full
    with pytest.raises(CredentialError, match="at most"):
        Revocations(full.devices | {b"x" * 16}).signed(key)


@pytest.mark.parametrize("at", [0, 5, 20, 60, 100, 150, 200])
def test_a_request_that_was_altered_is_refused(authority: AuthorityFolder, at: int) -> None:
    request = bytearray(asked("phone", 1))
    request[at] ^= 1
    with pytest.raises(CredentialError):
        authority.enrol(bytes(request))
    assert authority.devices() == []
