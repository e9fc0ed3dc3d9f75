"""A phone that deviates: the server refuses its messages, or mends the sum and blames the right one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from federation.secure_aggregation import Device, EnrolmentAuthority, Vector, VectorFormat, phone, server, shamir
from federation.secure_aggregation.errors import (
    BadSignatureError,
    ConflictingMessageError,
    ImpossibleSumError,
    InboxRefusedError,
    MalformedMessageError,
    MismatchError,
    OutOfOrderError,
    TooFewPhonesError,
    UnmaskingError,
    WindowClosedError,
)
from federation.secure_aggregation.messages import Advertisement, Kind, Survivors, split
from federation.secure_aggregation.shamir import Entropy
from federation.updates.encoding import PackedEncoding
from tests.federation.secure_aggregation.cohort import (
    AUTHORITY,
    DEVICES,
    PLAN_HASH,
    Session,
    device,
    digest,
    entropy,
    equal,
    parameters,
    private_key,
)


def _id(index: int) -> bytes:
    return DEVICES[index].key.device_id


# Advertisements


def _advertisement(device: Device, *name: object, plan_hash: bytes = PLAN_HASH) -> bytes:
    start = phone.AdvertiseKeys(parameters(plan_hash=plan_hash), device, AUTHORITY.authority, entropy(name))
    return start.advertise()[0]


def _collecting(maximum: int = 64) -> server.CollectAdvertisements:
    return server.CollectAdvertisements(parameters(maximum=maximum), AUTHORITY.authority)


def test_an_advertisement_may_be_resent_but_not_changed() -> None:
    collecting = _collecting()
    for _ in range(2):
        assert collecting.receive(_advertisement(DEVICES[0], 1)) == _id(0)
    assert collecting.received == 1
    with pytest.raises(ConflictingMessageError, match="other keys before") as error:
        collecting.receive(_advertisement(DEVICES[0], 2))
    assert error.value.device_id == _id(0)


def test_a_full_or_closed_roster_takes_only_what_it_has() -> None:
    collecting = _collecting(maximum=3)
    messages = [_advertisement(DEVICES[index], index) for index in range(4)]
    for message in messages[:3]:
        collecting.receive(message)
    with pytest.raises(WindowClosedError):
        collecting.receive(messages[3])
    collecting.close()
    collecting.receive(messages[0])
    with pytest.raises(WindowClosedError):
        collecting.receive(messages[3])
    with pytest.raises(OutOfOrderError):
        collecting.close()


def test_a_closed_roster_below_the_maximum_takes_nobody_else() -> None:
    session = Session(3, parameters())
    collecting = session.server
    session.advertise()
    with pytest.raises(WindowClosedError):
        collecting.receive(_advertisement(DEVICES[5]))


def test_a_device_without_a_certificate() -> None:
    stranger = device("stranger", EnrolmentAuthority(private_key("another authority")))
    with pytest.raises(BadSignatureError, match="certificate"):
        _collecting().receive(_advertisement(stranger))


def test_an_advertisement_that_was_altered() -> None:
    message = bytearray(_advertisement(DEVICES[0]))
    message[36 + 64 + 16 + 32] ^= 1  # the first byte of the mask key
    with pytest.raises(BadSignatureError, match="signature"):
        _collecting().receive(bytes(message))


def test_an_advertisement_of_an_earlier_round() -> None:
    earlier = _advertisement(DEVICES[0], plan_hash=digest("round before"))
    with pytest.raises(MismatchError):
        _collecting().receive(earlier)
    with pytest.raises(BadSignatureError):  # also if its header is changed
        _collecting().receive(earlier[:4] + PLAN_HASH + earlier[36:])


@pytest.mark.parametrize("cut", [0, 20, -1])
def test_an_advertisement_of_the_wrong_size(cut: int) -> None:
    with pytest.raises(MalformedMessageError):
        _collecting().receive(_advertisement(DEVICES[0])[:cut])


@pytest.mark.parametrize("field", ["mask_key", "share_key"])
def test_keys_of_low_order(field: str) -> None:
    good = {"mask_key": b"\x09" + bytes(31), "share_key": b"\x10" + bytes(31)}
    bad = Advertisement.sign(DEVICES[0], PLAN_HASH, **(good | {field: bytes(32)}), commitment=bytes(32))
    with pytest.raises(MalformedMessageError, match="low order"):
        _collecting().receive(bad.to_bytes(PLAN_HASH))


def test_keys_of_another_device() -> None:
    collecting = _collecting()
    first = _advertisement(DEVICES[0])
    collecting.receive(first)
    stolen = Advertisement.parse(first, PLAN_HASH)
    copied = Advertisement.sign(DEVICES[1], PLAN_HASH, stolen.mask_key, digest("own"), bytes(32))
    with pytest.raises(ConflictingMessageError, match="in use"):
        collecting.receive(copied.to_bytes(PLAN_HASH))
    twice = Advertisement.sign(DEVICES[1], PLAN_HASH, digest("own"), digest("own"), bytes(32))
    with pytest.raises(ConflictingMessageError, match="in use"):
        collecting.receive(twice.to_bytes(PLAN_HASH))


# All later steps


def _at_each_step() -> Iterator[tuple[Session, Kind]]:
    """Sessions of five phones of which phone 0 and 1 have taken the step, with the messages of all."""
    for steps, kind in [
        (("advertise", "share"), Kind.SHARES),
        (("advertise", "share", "mask"), Kind.MASKED_INPUT),
        (("advertise", "share", "mask", "confirm"), Kind.CONSISTENCY),
        (("advertise", "share", "mask", "confirm", "unmask"), Kind.UNMASKING),
    ]:
        session = Session(5, parameters())
        for step in steps[:-1]:
            getattr(session, step)()
        getattr(session, steps[-1])(close=False)
        yield session, kind


def test_messages_may_be_resent_but_not_changed() -> None:
    for session, kind in _at_each_step():
        message = session.messages[0]
        other = bytearray(message[100:])
        other[0] ^= 1
        with pytest.raises(ConflictingMessageError, match=kind.name) as error:
            session.server.receive(session.sealed(0, kind, bytes(other)))
        assert error.value.device_id == _id(0)
        assert session.server.receive(message) == _id(0)
        assert session.server.received == 5
        closed = session.server
        session.server = closed.close()
        assert closed.receive(message) == _id(0)
        with pytest.raises(OutOfOrderError):
            closed.close()


def test_an_upload_that_is_resent_counts_once() -> None:
    session = Session(4, parameters()).advertise().share().mask(close=False)
    for message in session.messages.values():
        session.server.receive(message)
    session.server = session.server.close()
    session.confirm().unmask()
    assert equal(session.aggregate().vector, session.expected(range(4)))


def test_messages_of_the_wrong_size() -> None:
    for session, kind in _at_each_step():
        for payload in (session.messages[0][100:-1], session.messages[0][100:] + b"\0", b""):
            with pytest.raises(MalformedMessageError, match=kind.name):
                session.server.receive(session.sealed(0, kind, payload))


def test_messages_that_others_signed() -> None:
    for session, _kind in _at_each_step():
        message = session.messages[0]
        forged = message[:2] + (1).to_bytes(2, "little") + message[4:]
        with pytest.raises(BadSignatureError) as error:
            session.server.receive(forged)
        assert error.value.device_id == _id(1)
        with pytest.raises(BadSignatureError):
            session.server.receive(message[:-1] + bytes([message[-1] ^ 1]))


def test_messages_of_another_session() -> None:
    for session, kind in _at_each_step():
        payload = session.messages[0][100:]
        with pytest.raises(MismatchError):
            session.server.receive(session.sealed(0, kind, payload, sid=digest("another")))


def test_senders_beyond_the_roster() -> None:
    for session, kind in _at_each_step():
        with pytest.raises(MalformedMessageError, match="no phone 9"):
            session.server.receive(session.sealed(9, kind, session.messages[0][100:]))


def test_messages_after_the_step_or_of_a_phone_that_missed_one() -> None:
    session = Session(5, parameters()).advertise()
    absent = session.phones[4]
    sharing = session.server
    late, _ = absent.share(sharing.roster_message)
    session.share([0, 1, 2, 3])
    with pytest.raises(WindowClosedError):
        sharing.receive(late)
    with pytest.raises(WindowClosedError):
        session.inbox(4)
    upload = session.sealed(4, Kind.MASKED_INPUT, bytes(session.parameters.vector.nbytes))
    with pytest.raises(WindowClosedError):
        session.server.receive(upload)


def test_a_drop_out_cannot_confirm_or_unmask() -> None:
    session = Session(5, parameters()).advertise().share().mask([0, 1, 2, 3])
    sets = Survivors((0, 1, 2, 3, 4), (0, 1, 2, 3)).payload(5)
    with pytest.raises(WindowClosedError):
        session.server.receive(session.sealed(4, Kind.CONSISTENCY, sets))
    session.confirm()
    with pytest.raises(WindowClosedError):
        session.server.receive(session.sealed(4, Kind.UNMASKING, bytes(5 * 32)))


def test_a_signature_over_other_survivors() -> None:
    session = Session(5, parameters()).advertise().share().mask()
    sets = Survivors((0, 1, 2, 3, 4), (0, 1, 2, 3)).payload(5)
    with pytest.raises(MismatchError, match="other survivors"):
        session.server.receive(session.sealed(0, Kind.CONSISTENCY, sets))
    assert session.server.received == 0


def test_shares_outside_of_the_field() -> None:
    session = Session(5, parameters()).advertise().share().mask().confirm()
    payload = shamir.PRIME.to_bytes(32, "little") + bytes(4 * 32)
    with pytest.raises(MalformedMessageError, match="prime"):
        session.server.receive(session.sealed(0, Kind.UNMASKING, payload))


# False shares


def _answer(session: Session, liars: dict[int, Callable[[list[bytes]], list[bytes]]]) -> None:
    """Unmask, with what each of `liars` makes of its shares."""
    for index, each in session.phones.items():
        message = each.unmask(session.server.signatures_message)
        if index in liars:
            shares = liars[index](split(message[100:], 32))
            message = session.sealed(index, Kind.UNMASKING, b"".join(shares))
        session.server.receive(message)


def _before_unmasking(n: int, drop: int = 0) -> Session:
    return Session(n, parameters()).advertise().share().mask(range(drop, n)).confirm()


def _all_false(shares: list[bytes]) -> list[bytes]:
    return [bytes([share[0] ^ 1]) + share[1:31] + b"\0" for share in shares]


def test_a_holder_of_false_shares_is_blamed_and_the_sum_is_right() -> None:
    session = _before_unmasking(7, drop=1)
    _answer(session, {2: _all_false})
    result = session.server.close()
    assert equal(result.vector, session.expected(range(1, 7)))
    assert result.blame.certain == result.blame.suspects == {_id(2)}


def test_several_holders_are_corrected_beyond_unique_decoding() -> None:
    session = _before_unmasking(9)
    _answer(session, {0: _all_false, 5: _all_false})  # threshold 7 of 9: the surplus of two corrects one for certain
    result = session.server.close()
    assert equal(result.vector, session.expected(range(9)))
    assert result.blame.certain == {_id(0), _id(5)}


def test_one_false_share_suspects_its_dealer_and_its_holder() -> None:
    session = _before_unmasking(7)
    _answer(session, {2: lambda shares: [*shares[:4], *_all_false(shares[4:5]), *shares[5:]]})
    result = session.server.close()
    assert equal(result.vector, session.expected(range(7)))
    assert result.blame.suspects == {_id(2), _id(4)}
    assert not result.blame.certain


@contextmanager
def _dealing(
    monkeypatch: pytest.MonkeyPatch, dealer_secrets: list[bytes], deal: Callable[[list[bytes]], list[bytes]]
) -> Iterator[None]:
    """Phones that share one of `dealer_secrets` deal what `deal` makes of the shares."""

    def share(secret: bytes, threshold: int, holders: int, source: Entropy) -> list[bytes]:
        shares = shamir.share(secret, threshold, holders, source)
        return deal(shares) if secret in dealer_secrets else shares

    with monkeypatch.context() as patch:
        patch.setattr(phone, "share", share)
        yield


def _dealt_by(
    monkeypatch: pytest.MonkeyPatch, dealer: int, n: int, drop: int, deal: Callable[[list[bytes]], list[bytes]]
) -> Session:
    session = Session(n, parameters()).advertise()
    secrets = [bytes(secret) for secret in session.phones[dealer]._secrets]
    with _dealing(monkeypatch, secrets, deal):
        session.share()
    return session.mask(range(drop, n)).confirm()


def test_a_dealer_of_some_false_shares_is_blamed_and_the_sum_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    session = _dealt_by(monkeypatch, 3, 9, 0, lambda shares: _all_false(shares[:2]) + shares[2:])
    session.unmask()
    result = session.aggregate()
    assert equal(result.vector, session.expected(range(9)))
    assert result.blame.suspects == {_id(3)}


def test_a_phone_complains_of_shares_outside_of_the_field(monkeypatch: pytest.MonkeyPatch) -> None:
    outside = [shamir.PRIME.to_bytes(32, "little")] * 5
    session = Session(5, parameters()).advertise()
    with _dealing(monkeypatch, [bytes(secret) for secret in session.phones[3]._secrets], lambda _: outside):
        session.share()
    with pytest.raises(InboxRefusedError, match=_id(3).hex()) as error:
        session.mask()
    assert error.value.complaint


@pytest.mark.parametrize("dealer", [3, 0], ids=["survivor", "drop-out"])
def test_a_dealer_of_only_false_shares_is_blamed(monkeypatch: pytest.MonkeyPatch, dealer: int) -> None:
    session = _dealt_by(monkeypatch, dealer, 9, 1, _all_false)
    with pytest.raises(UnmaskingError, match=_id(dealer).hex()) as error:
        session.unmask()
    assert error.value.dealers == error.value.blame.suspects == {_id(dealer)}


def test_shares_of_another_secret_than_published_prove_the_dealer_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    other = shamir.share(digest("another secret"), 7, 9, entropy("other"))
    session = _dealt_by(monkeypatch, 3, 9, 0, lambda _: other)
    with pytest.raises(UnmaskingError) as error:
        session.unmask()
    # Nine answers, of which three may be false, leave too few to be sure; in theory three framed the dealer.
    assert error.value.blame.suspects == {_id(3)}
    assert not error.value.blame.certain


def test_all_answers_of_a_cohort_of_four_prove_a_dealer_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    other = shamir.share(digest("another secret"), 3, 4, entropy("other"))
    session = _dealt_by(monkeypatch, 3, 4, 0, lambda _: other)
    with pytest.raises(UnmaskingError) as error:
        session.unmask()
    assert error.value.blame.certain == {_id(3)}


def test_unmasking_may_be_tried_again_with_more_answers() -> None:
    session = _before_unmasking(7)
    messages = {index: each.unmask(session.server.signatures_message) for index, each in session.phones.items()}
    false = _all_false(split(messages[0][100:], 32))
    session.server.receive(session.sealed(0, Kind.UNMASKING, b"".join(false)))
    for index in (1, 2, 3):
        session.server.receive(messages[index])
    with pytest.raises(TooFewPhonesError):
        session.server.close()
    session.server.receive(messages[4])
    with pytest.raises(UnmaskingError):
        session.server.close()
    session.server.receive(messages[5])
    result = session.server.close()
    assert equal(result.vector, session.expected(range(7)))
    assert result.blame.certain == {_id(0)}


# Garbage


def test_garbage_lanes_are_noticed() -> None:
    encoding = PackedEncoding(4, 4, 1.0)
    session = Session(4, parameters(vector=VectorFormat(1, 2, 8))).advertise().share()
    honest = encoding.pack(encoding.quantise(np.linspace(-1, 1, 8, dtype=np.float32), digest("rounding")))
    counters = session.parameters.vector.zeros().counters
    session.vectors = {index: Vector(counters, honest) for index in range(4)}
    session.vectors[2] = session.parameters.vector.parse(b"\xff" * 24)
    session.mask().confirm().unmask()
    with pytest.raises(ImpossibleSumError, match="garbage"):
        encoding.unpack(session.aggregate().vector.words, 8, 4)
