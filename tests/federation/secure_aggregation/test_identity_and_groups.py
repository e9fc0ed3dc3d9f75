import pytest

from federation.secure_aggregation import DeviceKey, EnrolmentAuthority, groups, parse_enrolment
from federation.secure_aggregation.errors import BadSignatureError, MalformedMessageError, RevokedDeviceError
from tests.federation.secure_aggregation.cohort import AUTHORITY, digest, private_key

KEY = DeviceKey(digest("device")[:16], private_key("a device"))


def test_an_enrolled_device_has_a_certificate_of_its_key() -> None:
    request = KEY.enrolment_request()
    assert parse_enrolment(request) == (KEY.device_id, KEY.public_key)
    certificate = AUTHORITY.certify(request)
    AUTHORITY.authority.check(KEY.device_id, KEY.public_key, certificate)
    for device_id, key, found in [
        (digest("other")[:16], KEY.public_key, certificate),
        (KEY.device_id, private_key("other").public_key().public_bytes_raw(), certificate),
        (KEY.device_id, KEY.public_key, bytes(64)),
        (KEY.device_id, KEY.public_key, EnrolmentAuthority(private_key("other")).certify(request)),
    ]:
        with pytest.raises(BadSignatureError, match=device_id.hex()):
            AUTHORITY.authority.check(device_id, key, found)


def test_a_device_must_hold_the_key_that_it_enrols() -> None:
    request = bytearray(KEY.enrolment_request())
    request[17:49] = private_key("other").public_key().public_bytes_raw()
    with pytest.raises(BadSignatureError, match="enrolment"):
        AUTHORITY.certify(bytes(request))
    with pytest.raises(BadSignatureError, match="enrolment"):
        AUTHORITY.certify(request[:17] + b"\xff" * 32 + request[49:])  # no point of the curve


def test_malformed_enrolments() -> None:
    request = KEY.enrolment_request()
    for wrong in (request[:-1], request + b"\0", b"\2" + request[1:]):
        with pytest.raises(MalformedMessageError):
            AUTHORITY.certify(wrong)


def test_device_ids_have_16_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        DeviceKey(b"short", private_key("a device"))


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (256, [256]), (257, [129, 128]), (1000, [250] * 4)])
def test_groups_are_few_and_of_like_sizes(count: int, sizes: list[int]) -> None:
    ids = [digest(number)[:16] for number in range(count)]
    assigned = groups.assign(ids, digest("seed"))
    assert [len(group) for group in assigned] == sizes
    assert sorted(each for group in assigned for each in group) == sorted(ids)
    assert groups.assign(ids[::-1], digest("seed")) == assigned
    assert count < 257 or groups.assign(ids, digest("another seed")) != assigned


def test_groups_of_nobody_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        groups.assign([], digest("seed"), largest=0)


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (3, [3]), (19, [19]), (20, [10, 10]), (35, [12, 12, 11])])
def test_small_groups_have_the_least_number_of_members(count: int, sizes: list[int]) -> None:
    ids = [number.to_bytes(16, "little") for number in range(count)]
    assigned = groups.assign_min_size(ids, digest("seed"), 10)
    assert [len(group) for group in assigned] == sizes
    assert sorted(each for group in assigned for each in group) == sorted(ids)
    assert count < 20 or groups.assign_min_size(ids, digest("another seed"), 10) != assigned


def test_groups_of_less_than_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        groups.assign_min_size([], digest("seed"), 0)


def test_a_device_that_the_authority_revoked_is_refused_whatever_its_certificate() -> None:
    key = DeviceKey(digest("revoked")[:16], private_key("revoked"))
    certificate = AUTHORITY.certify(key.enrolment_request(), epoch=3)
    AUTHORITY.authority.at(3).check(key.device_id, key.public_key, certificate)
    with pytest.raises(RevokedDeviceError):
        AUTHORITY.authority.at(3, frozenset({key.device_id})).check(key.device_id, key.public_key, certificate)
    with pytest.raises(BadSignatureError):
        AUTHORITY.authority.at(4).check(key.device_id, key.public_key, certificate)
