"""A phone recomputes its own group: a server that swaps, adds, leaves out or chooses is refused."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from federation.protocol import cohorts
from federation.protocol.cohorts import Cohort, OpenedCohort
from federation.protocol.commitments import Commitments
from federation.secure_aggregation import Authority, Device, DeviceKey, EnrolmentAuthority, Roster, phone
from federation.secure_aggregation.errors import (
    BadSignatureError,
    MalformedMessageError,
    RevokedDeviceError,
    RosterRefusedError,
    SecureAggregationError,
)
from federation.secure_aggregation.messages import Advertisement
from tests.federation.secure_aggregation.cohort import AUTHORITY, PLAN_HASH, digest, entropy, parameters, private_key

NONCE = digest("nonce")
EPOCH = 7
TOLD = Commitments(epoch=EPOCH, groups=cohorts.commitment(NONCE), group_phones=4)
AT = AUTHORITY.authority.at(EPOCH)


def advertised(name: object, epoch: int = EPOCH, authority: EnrolmentAuthority = AUTHORITY) -> bytes:
    key = DeviceKey(digest("device", name)[:16], private_key("device", name))
    device = Device(key, authority.certify(key.enrolment_request(), epoch))
    message, _ = phone.AdvertiseKeys(parameters(), device, AUTHORITY.authority, entropy("cohort", name)).advertise()
    return message


MESSAGES = [advertised(number) for number in range(12)]
BY_DIGEST = {hashlib.sha256(message).digest(): message for message in MESSAGES}
COHORT = Cohort(NONCE, tuple(sorted(BY_DIGEST)))
GROUPS = COHORT.groups(4)
OWN = BY_DIGEST[GROUPS[1][0]]


def roster_of(group: tuple[bytes, ...], known: dict[bytes, bytes] = BY_DIGEST) -> Roster:
    return Roster.of(PLAN_HASH, [Advertisement.parse(known[each], PLAN_HASH) for each in group])


def check(
    opened: bytes, roster: Roster, *, told: Commitments = TOLD, authority: Authority = AT, own: bytes = OWN
) -> None:
    OpenedCohort.from_bytes(opened, PLAN_HASH).check(told, authority, roster, own)


OPENED = cohorts.to_bytes(NONCE, MESSAGES)
MINE = roster_of(GROUPS[1])


def test_every_phone_finds_itself_in_its_group() -> None:
    assert [len(group) for group in GROUPS] == [4, 4, 4]
    for group in GROUPS:
        for each in group:
            check(OPENED, roster_of(group), own=BY_DIGEST[each])


def test_who_is_where_follows_from_the_nonce_and_from_every_advertisement() -> None:
    assert Cohort(digest("other"), COHORT.digests).groups(4) != GROUPS
    others = Cohort(NONCE, tuple(sorted([*COHORT.digests[1:], digest("another")]))).groups(4)
    assert {frozenset(group) for group in others}.isdisjoint(map(frozenset, GROUPS))


def with_one_more(epoch: int = EPOCH, authority: EnrolmentAuthority = AUTHORITY) -> tuple[bytes, Roster]:
    """Return a cohort to which the server added a phone of its own outside of the victim's group, if that may be."""
    for name in range(100):
        known = BY_DIGEST | {
            hashlib.sha256(found).digest(): found for found in [advertised(("more", name), epoch, authority)]
        }
        groups = Cohort(NONCE, tuple(sorted(known))).groups(4)
        group = next(group for group in groups if hashlib.sha256(OWN).digest() in group)
        if set(group) <= set(BY_DIGEST):
            return cohorts.to_bytes(NONCE, list(known.values())), roster_of(group, known)
    raise AssertionError("it is always in the victim's group")


ATTACKS: dict[str, tuple[Callable[[], None], type[SecureAggregationError], str]] = {
    "the roster is another group": (
        lambda: check(OPENED, roster_of(GROUPS[0])),
        RosterRefusedError,
        "not this phone's group",
    ),
    "one phone of the roster is swapped for a chosen one": (
        lambda: check(OPENED, roster_of((*GROUPS[1][:3], GROUPS[0][0]))),
        RosterRefusedError,
        "not this phone's group",
    ),
    "one phone of the group is left out": (
        lambda: check(OPENED, roster_of(GROUPS[1][:3])),
        RosterRefusedError,
        "not this phone's group",
    ),
    "the nonce does not open the commitment": (
        lambda: check(cohorts.to_bytes(digest("chosen"), MESSAGES), MINE),
        RosterRefusedError,
        "not the one that the plan commits to",
    ),
    "the groups are said to be larger than the plan says": (
        lambda: check(OPENED, MINE, told=replace(TOLD, group_phones=6)),
        RosterRefusedError,
        "not this phone's group",
    ),
    "a phone is left out of the cohort": (
        lambda: check(cohorts.to_bytes(NONCE, [each for each in MESSAGES if each != OWN]), MINE),
        RosterRefusedError,
        "not in the cohort",
    ),
    "a phone is there twice": (
        lambda: check(cohorts.to_bytes(NONCE, [*MESSAGES, MESSAGES[0]]), MINE),
        RosterRefusedError,
        "twice or out of order",
    ),
    "phones are out of order": (
        lambda: check(OPENED[:32] + OPENED[-272:] + OPENED[32:-272], MINE),
        RosterRefusedError,
        "twice or out of order",
    ),
    "a phone of another authority is elsewhere in the cohort": (
        lambda: check(*with_one_more(authority=EnrolmentAuthority(private_key("another authority")))),
        BadSignatureError,
        "certificate",
    ),
    "a certificate of an earlier epoch is elsewhere in the cohort": (
        lambda: check(*with_one_more(epoch=EPOCH - 1)),
        BadSignatureError,
        "certificate",
    ),
    "a revoked phone is elsewhere in the cohort": (
        lambda: check(OPENED, MINE, authority=AT.at(EPOCH, frozenset({_id(BY_DIGEST[GROUPS[0][0]])}))),
        RevokedDeviceError,
        "revoked",
    ),
    "it is cut off": (lambda: check(OPENED[:-1], MINE), MalformedMessageError, "cannot have"),
    "nobody is in it": (lambda: check(OPENED[:32], MINE), MalformedMessageError, "cannot have"),
}


def _id(message: bytes) -> bytes:
    return Advertisement.parse(message, PLAN_HASH).device_id


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_server_that_chooses_who_is_summed_with_whom_is_refused(attack: str) -> None:
    act, error, reason = ATTACKS[attack]
    with pytest.raises(error, match=reason):
        act()


def test_an_honest_phone_more_in_the_cohort_is_let_in() -> None:
    check(*with_one_more())


@pytest.mark.parametrize("attack", ["stale", "revoked", "another authority"])
def test_a_phone_refuses_a_roster_with_a_certificate_that_is_not_good(attack: str) -> None:
    """The same within the group, which the protocol's own check of the roster looks at."""
    authority = EnrolmentAuthority(private_key("another authority")) if attack == "another authority" else AUTHORITY
    bad = advertised("bad", EPOCH - (attack == "stale"), authority)
    group = [OWN, *[each for each in MESSAGES if each != OWN][:2], bad]
    roster = Roster.of(PLAN_HASH, [Advertisement.parse(each, PLAN_HASH) for each in group])
    revoked = frozenset({_id(bad)} if attack == "revoked" else ())
    own = Advertisement.parse(OWN, PLAN_HASH)
    with pytest.raises(RevokedDeviceError if attack == "revoked" else BadSignatureError):
        roster.check(parameters(), AT.at(EPOCH, revoked), own)
