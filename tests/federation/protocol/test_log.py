"""The log's tree: the hashes of RFC 9162, and that whatever is rewritten leads to another head."""

import hashlib
import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.protocol.log import (
    EMPTY_ROOT,
    Edge,
    LogEntry,
    LogError,
    LogHead,
    gone_on,
    leaf_hash,
    node_hash,
    pack,
    unpack,
)
from tests.federation.server.phones import SERVER_KEY

ENTRIES = st.lists(st.binary(max_size=20), max_size=40)

RFC_INPUTS = [bytes.fromhex(text) for text in ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]]
RFC_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
]


def defined(entries: list[bytes]) -> bytes:
    """Return the root as the RFC defines it."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return leaf_hash(entries[0])
    split = 1 << (len(entries) - 1).bit_length() - 1
    return node_hash(defined(entries[:split]), defined(entries[split:]))


@pytest.mark.parametrize("size", range(1, 8))
def test_the_heads_are_those_of_certificate_transparency(size: int) -> None:
    assert Edge.of(RFC_INPUTS[:size]).root.hex() == RFC_ROOTS[size - 1]


@given(ENTRIES)
def test_the_head_is_as_the_rfc_defines_it(entries: list[bytes]) -> None:
    assert Edge.of(entries).root == defined(entries)
    assert Edge().root == EMPTY_ROOT


@given(ENTRIES, st.data())
def test_one_goes_on_from_any_edge(entries: list[bytes], data: st.DataObject) -> None:
    seen = data.draw(st.integers(0, len(entries)))
    edge, whole = Edge.of(entries[:seen]), Edge.of(entries)
    assert Edge.from_bytes(edge.to_bytes()) == edge
    assert gone_on(edge, whole.size, whole.root, unpack(pack(entries[seen:]))) == whole


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=40), st.data())
def test_a_log_that_was_rewritten_or_cut_is_noticed(entries: list[bytes], data: st.DataObject) -> None:
    seen = data.draw(st.integers(1, len(entries)))
    at = data.draw(st.integers(0, seen - 1))
    edge = Edge.of(entries[:seen])
    other = [*entries[:at], entries[at] + b"x", *entries[at + 1 :]]
    rewritten = Edge.of(other)
    with pytest.raises(LogError, match="rewritten"):
        gone_on(edge, rewritten.size, rewritten.root, other[seen:])
    cut = Edge.of(entries[:at])
    with pytest.raises(LogError, match="cut"):
        gone_on(edge, cut.size, cut.root, [])


def test_two_phones_that_saw_different_entries_never_agree_again() -> None:
    first, second = Edge.of([b"a", b"b"]), Edge.of([b"a", b"c"])
    later = Edge.of([b"a", b"b", b"d"])
    assert gone_on(first, 3, later.root, [b"d"]) == later
    with pytest.raises(LogError):
        gone_on(second, 3, later.root, [b"d"])


@given(st.binary(max_size=200))
def test_entries_are_read_or_refused(data: bytes) -> None:
    try:
        for entry in unpack(data):
            LogEntry.from_bytes(entry)
    except LogError:
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70) | st.just("ab" * 32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([field.name for field in fields(LogEntry)]), JSON))
def test_an_entry_of_any_values_is_read_or_refused(changes: dict[str, object]) -> None:
    honest = LogEntry(version=2, parent=1, sha256="ab" * 32, accepted=True, round_id=1)
    try:
        entry = LogEntry.from_bytes(json.dumps(vars(honest) | changes, sort_keys=True, separators=(",", ":")).encode())
    except LogError:
        return
    assert LogEntry.from_bytes(entry.to_bytes()) == entry


@given(st.dictionaries(st.sampled_from(["instance", "size", "root", "rounds", "unnoised", "rho", "more"]), JSON), JSON)
def test_a_head_of_any_values_is_refused_unless_it_is_signed(changes: dict[str, object], signature: object) -> None:
    public = SERVER_KEY.public_key().public_bytes_raw()
    head = LogHead(instance=bytes(16), size=1, root=bytes(32), rounds=0, unnoised=0, rho=0.0)
    signed = head.signed(SERVER_KEY)
    assert LogHead.from_signed(signed, public) == head
    told = json.loads(signed)
    honest = dict(told["head"])
    told["head"] |= changes
    if told["head"] != honest:
        with pytest.raises(LogError):
            LogHead.from_signed(json.dumps(told).encode(), public)
    with pytest.raises(LogError):
        LogHead.from_signed(json.dumps(told | {"signature": signature}).encode(), public)
    with pytest.raises(LogError):
        LogHead.from_signed(json.dumps(changes).encode(), public)


def test_an_entry_is_what_was_written() -> None:
    entry = LogEntry(version=2, parent=1, sha256="ab" * 32, accepted=True, phones=50, clip=1.0)
    assert LogEntry.from_bytes(entry.to_bytes()) == entry
    for other in (entry.to_bytes() + b" ", entry.to_bytes().replace(b"ab", b"zz"), b"{}", b"[" * 4000):
        with pytest.raises(LogError):
            LogEntry.from_bytes(other)
