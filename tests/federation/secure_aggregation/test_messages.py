import random
from collections.abc import Callable

import pytest

from federation.secure_aggregation import Roster, VectorFormat, min_threshold
from federation.secure_aggregation.errors import MalformedMessageError, MismatchError, SecureAggregationError
from federation.secure_aggregation.messages import (
    Advertisement,
    Inbox,
    Signatures,
    Survivors,
    bitmap,
    members,
)
from tests.federation.secure_aggregation.cohort import DEVICES, PLAN_HASH, Session, digest, parameters

SID = digest("session")


@pytest.mark.parametrize("n", [3, 8, 9, 200])
def test_sets_are_bitmaps_lowest_bit_first(n: int) -> None:
    assert members(bitmap(range(n), n), n) == tuple(range(n))
    assert bitmap([1], n)[0] == 2
    assert len(bitmap([], n)) == -(-n // 8)
    assert members(bitmap([0, n - 1], n), n) == (0, n - 1)


def test_sets_beyond_the_roster_are_malformed() -> None:
    with pytest.raises(MalformedMessageError, match="beyond the 3"):
        members(b"\x08", 3)


def test_messages_to_phones_come_back_as_they_were() -> None:
    inbox = Inbox(2, (0, 2, 9), (b"a" * 80, b"b" * 80))
    assert Inbox.parse(inbox.to_bytes(SID, 10), SID, 10) == inbox
    sets = Survivors((0, 2, 9), (2, 9))
    assert Survivors.parse(sets.to_bytes(SID, 10), SID, 10) == sets
    signatures = Signatures((2, 9), (b"a" * 64, b"b" * 64))
    assert Signatures.parse(signatures.to_bytes(SID, 10), SID, 10) == signatures
    roster = Session(5, parameters()).advertise().server.roster
    assert Roster.parse(roster.to_bytes(), PLAN_HASH) == roster
    assert roster.threshold == min_threshold(5) == 4


def test_messages_to_phones_of_the_wrong_size_or_session() -> None:
    inbox = Inbox(2, (0, 2, 9), (b"a" * 80, b"b" * 80)).to_bytes(SID, 10)
    signatures = Signatures((2, 9), (b"a" * 64, b"b" * 64)).to_bytes(SID, 10)
    roster = Session(5, parameters()).advertise().server.roster_message
    for message, parse in [
        (inbox, lambda data: Inbox.parse(data, SID, 10)),
        (signatures, lambda data: Signatures.parse(data, SID, 10)),
        (roster, lambda data: Roster.parse(data, PLAN_HASH)),
    ]:
        for wrong in (message[:-1], message + b"\0", message[:36], message[:38]):
            with pytest.raises(MalformedMessageError):
                parse(wrong)
        with pytest.raises(MismatchError):
            parse(message[:4] + digest("another") + message[36:])


def test_sizes_are_those_of_the_documentation() -> None:
    session = Session(5, parameters()).advertise()
    sizes = [len(session.messages[0]), len(session.server.roster_message)]
    session.share()
    sizes += [len(session.messages[0]), len(session.inbox(0))]
    session.mask()
    sizes += [len(session.messages[0]), len(session.server.survivors_message)]
    session.confirm()
    sizes += [len(session.messages[0]), len(session.server.signatures_message)]
    session.unmask()
    sizes += [len(session.messages[0])]
    assert sizes == [
        36 + 272,
        36 + 4 + 5 * 272,
        100 + 4 * 80,
        36 + 1 + 4 * 80,
        100 + 2 * 8 + 5,
        36 + 2,
        100 + 2,
        36 + 1 + 4 * 64,
        100 + 5 * 32,
    ]


def test_the_session_id_depends_on_plan_roster_and_threshold() -> None:
    roster = Session(5, parameters()).advertise().server.roster
    others = [
        Roster(digest("plan"), roster.threshold, roster.phones),
        Roster(PLAN_HASH, 5, roster.phones),
        Roster(PLAN_HASH, roster.threshold, roster.phones[:4]),
        Roster(PLAN_HASH, roster.threshold, roster.phones[::-1]),
    ]
    assert len({roster.sid, *(other.sid for other in others)}) == 5


def test_thresholds() -> None:
    assert [min_threshold(n) for n in (3, 4, 5, 6, 100, 256)] == [3, 3, 4, 5, 67, 171]
    assert all(2 * min_threshold(n) > n + n // 3 for n in range(3, 257))
    assert all(min_threshold(n) <= n for n in range(3, 257))


def test_impossible_parameters() -> None:
    for minimum, maximum in [(2, 5), (5, 4), (3, 257)]:
        with pytest.raises(ValueError, match="3 to 256 phones"):
            parameters(minimum, maximum)
    with pytest.raises(ValueError, match="32 bytes"):
        parameters(plan_hash=b"short")
    for wrong in [(0, 0, 1), (-1, 4, 1), (1, 1, 4)]:
        with pytest.raises(ValueError, match="words"):
            VectorFormat(*wrong)


def test_vectors_do_not_print_their_values() -> None:
    assert repr(parameters().vector.zeros()) == "<Vector of 2 counters and 5 uint8 words>"


def test_vectors_of_the_wrong_size() -> None:
    with pytest.raises(MalformedMessageError, match="21 bytes, not 20"):
        parameters().vector.parse(bytes(20))


def test_an_advertisement_comes_back_as_it_was() -> None:
    session = Session(3, parameters()).advertise()
    parsed = Advertisement.parse(session.messages[1], PLAN_HASH)
    assert parsed.to_bytes(PLAN_HASH) == session.messages[1]
    assert Advertisement.from_entry(parsed.entry) == parsed


def _damaged(message: bytes, count: int) -> list[bytes]:
    """Copies of `message` with a bit flipped, cut short, or with bytes in place of others."""
    source = random.Random(len(message))
    damaged = []
    for _ in range(count):
        position = source.randrange(len(message))
        flipped = message[:position] + bytes([message[position] ^ 1 << source.randrange(8)]) + message[position + 1 :]
        noise = message[:position] + source.randbytes(len(message) - position)
        damaged += [flipped, message[:position], noise]
    return damaged


def _survives(step: Callable[[bytes], object], message: bytes) -> None:
    try:
        step(message)
    except SecureAggregationError:
        return


@pytest.mark.parametrize("step", ["share", "open", "confirm", "unmask"])
def test_damaged_messages_to_phones_raise_nothing_but_our_errors(step: str) -> None:
    def session() -> Session:
        made = Session(3, parameters()).advertise()
        if step != "share":
            made.share()
        if step in {"confirm", "unmask"}:
            made.mask()
        return made.confirm() if step == "unmask" else made

    server = session().server
    message = {
        "share": lambda: server.roster_message,
        "open": lambda: server.inbox_message(DEVICES[0].key.device_id),
        "confirm": lambda: server.survivors_message,
        "unmask": lambda: server.signatures_message,
    }[step]()
    for damaged in _damaged(message, 8):
        _survives(getattr(session().phones[0], step), damaged)


def test_damaged_messages_to_the_server_change_nothing() -> None:
    for steps in (["advertise"], ["advertise", "share"], ["advertise", "share", "mask", "confirm", "unmask"]):
        session = Session(3, parameters())
        for step in steps[:-1]:
            getattr(session, step)()
        untouched = session.server
        getattr(session, steps[-1])(close=False)
        for damaged in _damaged(session.messages[0], 20):
            with pytest.raises(SecureAggregationError):
                untouched.receive(damaged)
        assert untouched.received == 3
