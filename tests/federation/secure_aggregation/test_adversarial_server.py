"""A server that deviates: phones refuse, and reveal nothing more in that round."""

from dataclasses import replace
from typing import Any

import pytest

from federation.secure_aggregation import (
    Device,
    EnrolmentAuthority,
    Roster,
    SessionParameters,
    min_threshold,
    phone,
)
from federation.secure_aggregation.errors import (
    BadSignatureError,
    InboxRefusedError,
    MalformedMessageError,
    MismatchError,
    OutOfOrderError,
    RosterRefusedError,
    SecureAggregationError,
    SignaturesRefusedError,
    SurvivorsRefusedError,
    TooFewPhonesError,
)
from federation.secure_aggregation.messages import Advertisement, Inbox, Kind, Signatures, Survivors, members
from tests.federation.secure_aggregation.cohort import (
    AUTHORITY,
    DEVICES,
    Session,
    device,
    digest,
    entropy,
    parameters,
    private_key,
)

ALL = tuple(range(5))


def _refuses(step: Any, message: bytes, error: type[SecureAggregationError], match: str) -> None:
    """The step fails, and afterwards the phone is out of the round with its secrets wiped."""
    with pytest.raises(error, match=match):
        step(message)
    with pytest.raises(OutOfOrderError):
        step(message)
    for secret in step.__self__._secrets:
        with pytest.raises(OutOfOrderError):
            bytes(secret)


# The roster


def _advertised(device: Device, parameters: SessionParameters, *name: object) -> tuple[Advertisement, phone.ShareKeys]:
    start = phone.AdvertiseKeys(parameters, device, AUTHORITY.authority, entropy("roster", name))
    message, phase = start.advertise()
    return Advertisement.parse(message, parameters.plan_hash), phase


def _roster(size: int = 5, minimum: int = 3, maximum: int = 64) -> tuple[list[Advertisement], phone.ShareKeys]:
    pairs = [_advertised(DEVICES[index], parameters(minimum, maximum), index) for index in range(size)]
    return [pair[0] for pair in pairs], pairs[0][1]


def _refuses_roster(
    phones: list[Advertisement],
    phase: phone.ShareKeys,
    error: type[SecureAggregationError],
    match: str,
    threshold: int | None = None,
) -> None:
    least = min_threshold(len(phones)) if threshold is None else threshold
    roster = Roster(parameters().plan_hash, least, tuple(phones))
    _refuses(phase.share, roster.to_bytes(), error, match)


def test_an_honest_roster_is_accepted() -> None:
    phones, phase = _roster()
    message, _ = phase.share(Roster.of(parameters().plan_hash, phones).to_bytes())
    assert len(message) == 36 + 64 + 4 * 80


def test_a_higher_threshold_is_accepted() -> None:
    phones, phase = _roster()
    phase.share(Roster(parameters().plan_hash, 5, tuple(phones)).to_bytes())


def test_a_low_threshold() -> None:
    _refuses_roster(*_roster(), RosterRefusedError, "split the cohort", threshold=3)


def test_a_threshold_above_the_cohort() -> None:
    _refuses_roster(*_roster(), RosterRefusedError, "plan allows", threshold=6)


def test_a_cohort_below_the_minimum() -> None:
    _refuses_roster(*_roster(minimum=6), RosterRefusedError, "plan allows 6 to 64")


def test_a_cohort_above_the_maximum() -> None:
    _refuses_roster(*_roster(maximum=4), RosterRefusedError, "plan allows 4 to 4")


def test_a_member_listed_twice() -> None:
    phones, phase = _roster()
    _refuses_roster([*phones, phones[-1]], phase, RosterRefusedError, "twice")


def test_a_member_listed_twice_with_other_keys() -> None:
    phones, phase = _roster()
    again, _ = _advertised(DEVICES[4], parameters(), "again")
    _refuses_roster([*phones, again], phase, RosterRefusedError, "twice")


def test_members_out_of_order() -> None:
    phones, phase = _roster()
    _refuses_roster(phones[::-1], phase, RosterRefusedError, "order")


@pytest.mark.parametrize("field", ["identity_key", "mask_key", "share_key"])
def test_a_key_listed_twice(field: str) -> None:
    phones, phase = _roster()
    phones[2] = replace(phones[2], **{field: getattr(phones[1], field)})
    _refuses_roster(phones, phase, RosterRefusedError, f"same {field}")


@pytest.mark.parametrize("field", ["mask_key", "share_key", "commitment", "signature"])
def test_swapped_keys_of_another_phone(field: str) -> None:
    phones, phase = _roster()
    stranger, _ = _advertised(device("stranger"), parameters(), "stranger")
    phones[1] = replace(phones[1], **{field: getattr(stranger, field)})
    _refuses_roster(phones, phase, BadSignatureError, phones[1].device_id.hex())


@pytest.mark.parametrize("field", ["mask_key", "share_key", "commitment"])
def test_swapped_keys_of_the_phone_itself(field: str) -> None:
    phones, phase = _roster()
    stranger, _ = _advertised(device("stranger"), parameters(), "stranger")
    phones[0] = replace(phones[0], **{field: getattr(stranger, field)})
    _refuses_roster(phones, phase, RosterRefusedError, "missing or altered")


def test_the_phone_itself_is_left_out() -> None:
    phones, phase = _roster()
    _refuses_roster(phones[1:], phase, RosterRefusedError, "missing or altered")


def test_a_sybil_without_a_certificate() -> None:
    phones, phase = _roster()
    sybil, _ = _advertised(device("sybil", EnrolmentAuthority(private_key("another authority"))), parameters(), "sybil")
    listed = sorted([*phones, sybil], key=lambda each: each.device_id)
    _refuses_roster(listed, phase, BadSignatureError, f"certificate of device {sybil.device_id.hex()}")


def test_a_sybil_with_the_certificate_of_another() -> None:
    phones, phase = _roster()
    sybil, _ = _advertised(Device(DEVICES[6].key, DEVICES[5].certificate), parameters(), "sybil")
    _refuses_roster([*phones, sybil], phase, BadSignatureError, "certificate")


def test_replayed_keys_of_an_earlier_round() -> None:
    phones, phase = _roster()
    earlier, _ = _advertised(DEVICES[2], parameters(plan_hash=digest("round before")), "earlier")
    phones[2] = earlier
    _refuses_roster(phones, phase, BadSignatureError, "signature")


def test_a_phone_that_was_shown_another_plan_or_model() -> None:
    phones, phase = _roster()
    phones[3], _ = _advertised(DEVICES[3], parameters(plan_hash=digest("another model")), 3)
    _refuses_roster(phones, phase, BadSignatureError, phones[3].device_id.hex())


def test_a_roster_of_another_plan() -> None:
    phones, phase = _roster()
    roster = Roster.of(digest("another plan"), phones).to_bytes()
    _refuses(phase.share, roster, MismatchError, "another plan")


def test_a_key_of_low_order_of_a_certified_phone() -> None:
    phones, phase = _roster()
    phones[1] = Advertisement.sign(DEVICES[1], parameters().plan_hash, bytes(32), phones[1].share_key, bytes(32))
    _refuses_roster(phones, phase, MalformedMessageError, "low order")


# The inbox


def _inboxes(**kwargs: Any) -> Session:
    return Session(5, parameters(**kwargs)).advertise().share()


def _inbox(session: Session, index: int = 0) -> Inbox:
    roster = session.server.roster
    return Inbox.parse(session.inbox(index), roster.sid, roster.n)


def _refuses_inbox(session: Session, inbox: Inbox, match: str) -> InboxRefusedError:
    roster = session.server.roster
    message = inbox.to_bytes(roster.sid, roster.n)
    with pytest.raises(InboxRefusedError, match=match) as error:
        session.phones[0].open(message)
    with pytest.raises(OutOfOrderError):
        session.phones[0].open(session.inbox(0))
    return error.value


def test_a_withheld_inbox_below_the_threshold() -> None:
    session = _inboxes()
    inbox = _inbox(session)
    _refuses_inbox(session, Inbox(0, inbox.sharers[:3], inbox.dealt[:2]), "3 phones shared keys, but 4 are needed")


def test_an_inbox_below_the_minimum() -> None:
    session = _inboxes(minimum=5)
    inbox = _inbox(session)
    _refuses_inbox(session, Inbox(0, inbox.sharers[:4], inbox.dealt[:3]), "4 phones shared keys, but 5 are needed")


def test_an_altered_share() -> None:
    session = _inboxes()
    inbox = _inbox(session)
    altered = (*inbox.dealt[:2], bytes([inbox.dealt[2][0] ^ 1]) + inbox.dealt[2][1:], inbox.dealt[3])
    error = _refuses_inbox(session, Inbox(0, inbox.sharers, altered), DEVICES[3].key.device_id.hex())
    assert error.device_id == DEVICES[3].key.device_id


def test_swapped_shares() -> None:
    session = _inboxes()
    inbox = _inbox(session)
    _refuses_inbox(session, Inbox(0, inbox.sharers, inbox.dealt[::-1]), "not authentic")


def test_the_inbox_of_another_phone() -> None:
    session = _inboxes()
    _refuses_inbox(session, _inbox(session, 1), "not this phone's")


def test_an_inbox_that_leaves_out_its_recipient() -> None:
    session = _inboxes()
    _refuses_inbox(session, Inbox(0, (1, 2, 3, 4), _inbox(session).dealt), "not this phone's")


def test_no_share_is_sent_in_the_clear() -> None:
    session = _inboxes()
    session.open()
    secrets = {
        bytes(secret)
        for each in session.phones.values()
        for index, held in each._held.items()
        if index != each._session.index
        for secret in (held.self_mask, held.mask_key)
    }
    sent = b"".join(session.messages.values()) + b"".join(session.inbox(index) for index in ALL)
    assert len(secrets) == 40
    assert not any(secret in sent for secret in secrets)


def test_phones_with_other_inboxes_do_not_sign_the_same_sets() -> None:
    session = _inboxes()
    inbox, roster = _inbox(session), session.server.roster
    # Phone 0 is not told that phone 4 shared.
    partial = Inbox(0, inbox.sharers[:4], inbox.dealt[:3]).to_bytes(roster.sid, roster.n)
    first = session.phones.pop(0).open(partial)
    session.mask(close=False)
    message, first = first.mask(session.vectors[0])
    session.server.receive(message)
    session.server = session.server.close()
    _refuses(first.confirm, session.server.survivors_message, SurvivorsRefusedError, "than this phone's inbox")


# The survivors


def _uploaded(**kwargs: Any) -> Session:
    return Session(5, parameters(**kwargs)).advertise().share().mask([0, 1, 2, 3])


def _refuses_survivors(session: Session, sets: Survivors, match: str) -> None:
    roster = session.server.roster
    _refuses(session.phones[0].confirm, sets.to_bytes(roster.sid, roster.n), SurvivorsRefusedError, match)


def test_honest_survivors_are_confirmed() -> None:
    message, _ = _uploaded().phones[0].confirm(Survivors(ALL, (0, 1, 2, 3)).to_bytes(_uploaded().server.roster.sid, 5))
    assert members(message[100:101], 5) == ALL


def test_sharers_that_did_not_share_with_this_phone() -> None:
    session = Session(5, parameters()).advertise().share([0, 1, 2, 3]).mask()
    _refuses_survivors(session, Survivors(ALL, (0, 1, 2, 3)), "than this phone's inbox")


def test_sharers_left_out() -> None:
    _refuses_survivors(_uploaded(), Survivors((0, 1, 2, 3), (0, 1, 2, 3)), "than this phone's inbox")


def test_a_survivor_that_never_shared() -> None:
    session = Session(5, parameters()).advertise().share([0, 1, 2, 3]).mask()
    _refuses_survivors(session, Survivors((0, 1, 2, 3), ALL), "cannot have survived")


def test_the_phone_itself_is_called_a_drop_out() -> None:
    _refuses_survivors(_uploaded(), Survivors(ALL, (1, 2, 3, 4)), "is called a drop-out")


def test_survivors_below_the_threshold() -> None:
    _refuses_survivors(_uploaded(), Survivors(ALL, (0, 1, 2)), "3 phones survived, but 4 are needed")


def test_survivors_below_the_minimum() -> None:
    session = Session(5, parameters(minimum=5)).advertise().share().mask()
    _refuses_survivors(session, Survivors(ALL, (0, 1, 2, 3)), "4 phones survived, but 5 are needed")


def test_survivors_beyond_the_roster() -> None:
    session = _uploaded()
    message = session.server.survivors_message[:-1] + b"\xff"
    _refuses(session.phones[0].confirm, message, MalformedMessageError, "beyond")


def test_survivors_of_another_session() -> None:
    session = _uploaded()
    message = Survivors(ALL, (0, 1, 2, 3)).to_bytes(digest("another session"), 5)
    _refuses(session.phones[0].confirm, message, MismatchError, "another plan, model or roster")


def test_a_second_account_of_the_survivors() -> None:
    session = _uploaded()
    first = session.phones[0]
    first.confirm(session.server.survivors_message)
    with pytest.raises(OutOfOrderError, match="ConfirmSurvivors"):
        first.confirm(Survivors(ALL, (0, 1, 2, 4)).to_bytes(session.server.roster.sid, 5))


def test_nobody_can_be_named_alive_and_dead() -> None:
    """A phone is in the set of survivors or not, and one of its two shares is gone before the other is revealed."""
    session = _uploaded()
    before = session.phones[0]._held
    session.confirm()
    for member, held in before.items():
        kept, wiped = (held.self_mask, held.mask_key) if member != 4 else (held.mask_key, held.self_mask)
        assert len(bytes(kept)) == 32
        with pytest.raises(OutOfOrderError):
            bytes(wiped)


def test_unmasking_reveals_one_share_of_each_phone() -> None:
    session = _uploaded()
    own = session.phones[0]._held
    expected = [bytes(own[index].self_mask) for index in (0, 1, 2, 3)] + [bytes(own[4].mask_key)]
    session.confirm().unmask(close=False)
    assert session.messages[0][100:] == b"".join(expected)


# The signatures


def _refuses_signatures(
    session: Session, signatures: Signatures, error: type[SecureAggregationError], match: str
) -> None:
    roster = session.server.roster
    _refuses(session.phones[0].unmask, signatures.to_bytes(roster.sid, roster.n), error, match)


def _signatures(session: Session) -> Signatures:
    roster = session.server.roster
    return Signatures.parse(session.server.signatures_message, roster.sid, roster.n)


def test_too_few_signatures() -> None:
    session = _uploaded().confirm()
    some = _signatures(session)
    _refuses_signatures(
        session, Signatures(some.signers[:3], some.signatures[:3]), SignaturesRefusedError, "3 phones signed"
    )


def test_the_signature_of_a_drop_out() -> None:
    session = _uploaded().confirm()
    some = _signatures(session)
    other = Signatures((0, 1, 2, 4), some.signatures)
    _refuses_signatures(session, other, SignaturesRefusedError, "did not survive")


def test_a_forged_signature() -> None:
    session = _uploaded().confirm()
    some = _signatures(session)
    forged = Signatures(some.signers, (*some.signatures[:3], bytes(64)))
    _refuses_signatures(session, forged, BadSignatureError, DEVICES[3].key.device_id.hex())


def test_one_signature_under_several_names() -> None:
    session = _uploaded().confirm()
    some = _signatures(session)
    copied = Signatures(some.signers, some.signatures[:1] * 4)
    _refuses_signatures(session, copied, BadSignatureError, "signature")


def test_split_views_of_the_survivors() -> None:
    """Two halves of a cohort are told of different survivors; neither gathers enough signatures."""
    session = Session(6, parameters()).advertise().share().mask()
    roster = session.server.roster
    everyone = tuple(range(6))
    views = [Survivors(everyone, everyone), Survivors(everyone, (1, 2, 3, 4, 5))]
    signatures: dict[int, bytes] = {}
    for index in (1, 2, 3, 4, 5):
        view = views[index % 2].to_bytes(roster.sid, roster.n)
        message, session.phones[index] = session.phones[index].confirm(view)
        signatures[index] = message[36:100]
    for index in (1, 2, 3, 4, 5):
        gathered = Signatures(tuple(signatures), tuple(signatures.values())).to_bytes(roster.sid, roster.n)
        _refuses(session.phones[index].unmask, gathered, BadSignatureError, "signature")


def test_a_second_unmasking() -> None:
    session = _uploaded().confirm()
    first = session.phones[0]
    secrets = first._secrets
    first.unmask(session.server.signatures_message)
    with pytest.raises(OutOfOrderError, match="Unmask"):
        first.unmask(session.server.signatures_message)
    for secret in secrets:
        with pytest.raises(OutOfOrderError):
            bytes(secret)


# The phone's own steps


def test_every_step_is_taken_once() -> None:
    session = Session(3, parameters())
    first = session.phones[0]
    session.advertise()
    with pytest.raises(OutOfOrderError):
        first.advertise()
    first, roster = session.phones[0], session.server.roster_message
    session.share()
    with pytest.raises(OutOfOrderError):
        first.share(roster)
    first, inbox = session.phones[0], session.inbox(0)
    session.open()
    with pytest.raises(OutOfOrderError):
        first.open(inbox)


def test_a_second_masking_under_the_same_masks_is_impossible() -> None:
    session = Session(3, parameters()).advertise().share().open()
    first = session.phones[0]
    first.mask(session.vectors[0])
    with pytest.raises(OutOfOrderError, match="MaskInput"):
        first.mask(session.vectors[1])


def test_a_vector_of_another_format_is_refused_and_may_be_corrected() -> None:
    session = Session(3, parameters()).advertise().share().open()
    longer = parameters(vector=replace(session.parameters.vector, words=6)).vector.zeros()
    more = parameters(vector=replace(session.parameters.vector, counters=3)).vector.zeros()
    for wrong in (longer, more):
        with pytest.raises(ValueError, match="must be"):
            session.phones[0].mask(wrong)
    session.phones[0].mask(session.vectors[0])


def test_abandoning_wipes() -> None:
    session = Session(3, parameters()).advertise()
    session.phones[0].abandon()
    _refuses(session.phones[0].share, session.server.roster_message, OutOfOrderError, "ShareKeys")


def test_below_the_threshold_nothing_is_revealed() -> None:
    session = _uploaded()
    with pytest.raises(TooFewPhonesError):
        session.confirm([0, 1, 2])
    assert all(len(message) == 36 + 64 + 2 for message in session.messages.values())


def test_a_message_of_another_kind_or_version() -> None:
    session = _uploaded()
    good = session.server.survivors_message
    for message, match in [
        (good[:1] + bytes([Kind.SIGNATURES]) + good[2:], "kind SURVIVORS"),
        (b"\x02" + good[1:], "version"),
        (good[:20], "at least"),
        (good + b"\0", "two sets"),
    ]:
        _refuses(session.phones.popitem()[1].confirm, message, MalformedMessageError, match)
