"""Answers that no honest server gives, by what is wrong with each."""

import math
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.conformance.rehearsal import DIMENSION, MAX_PHONES, MIN_PHONES, Rehearsal
from federation.protocol.plan import PLAN_BYTES, RoundPlan, sealed
from federation.protocol.task import seed_of
from federation.secure_aggregation import Device, Roster
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from federation.secure_aggregation.messages import (
    HEADER_BYTES,
    Advertisement,
    Inbox,
    Kind,
    Signatures,
    Survivors,
    bitmap_bytes,
    header,
    seal,
)

Tamper = Callable[[Rehearsal, bytes], bytes]

Faults = tuple[tuple[str, str, Tamper], ...]
"""Name, what is wrong, and how it becomes so."""

ANOTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
"""Of somebody whom no phone trusts."""


# What is tampered with, answer by answer.


def flip(at: int) -> Tamper:
    """Return what changes a bit of the byte at a place."""

    def flipped(_: Rehearsal, answer: bytes) -> bytes:
        changed = bytearray(answer)
        changed[at] ^= 1
        return bytes(changed)

    return flipped


def _resigned(change: Callable[[bytearray], None]) -> Tamper:
    """Change the plan's bytes and sign them again."""

    def tampered(rehearsal: Rehearsal, answer: bytes) -> bytes:
        plan = bytearray(answer[:PLAN_BYTES])
        change(plan)
        return sealed(bytes(plan), rehearsal.world.server_key) + answer[PLAN_BYTES + SIGNATURE_BYTES :]

    return tampered


def _patched(layout: str, at: int, *values: Any) -> Tamper:
    return _resigned(lambda plan: struct.pack_into(layout, plan, at, *values))


def _by_another(_: Rehearsal, answer: bytes) -> bytes:
    signed = RoundPlan.from_bytes(answer[:PLAN_BYTES]).signed(ANOTHER)
    return signed + answer[PLAN_BYTES + SIGNATURE_BYTES :]


def _with_task(change: Callable[[bytes], bytes]) -> Tamper:
    """Change the task, and the plan with it, so that the hash is right."""

    def tampered(rehearsal: Rehearsal, answer: bytes) -> bytes:
        task = change(answer[PLAN_BYTES + SIGNATURE_BYTES :])
        plan = replace(RoundPlan.from_bytes(answer[:PLAN_BYTES]), rotation_seed=seed_of(task))
        return plan.signed(rehearsal.world.server_key) + task

    return tampered


def _other_task(_: Rehearsal, answer: bytes) -> bytes:
    return answer.replace(b'"epochs":1', b'"epochs":2')


PLAN: Faults = (
    ("signature", "its signature does not verify", flip(PLAN_BYTES)),
    ("signer", "another server signed it", _by_another),
    ("altered", "a byte of it was altered", flip(60)),
    ("version", "it is of another version", _patched("<B", 0, 3)),
    ("short", "it is cut off", lambda _, answer: answer[:150]),
    ("task", "the task is not the one that it names", _other_task),
    ("task.member", "the task has a member that no task has", _with_task(lambda task: task[:-1] + b',"zeal":1}')),
    ("task.json", "the task is not JSON", _with_task(lambda task: task[:-2])),
    ("task.type", "a number of the task is a switch", _with_task(lambda t: t.replace(b'"epochs":1', b'"epochs":true'))),
    ("round", "it is of another round than was asked for", _patched("<Q", 1, 1 << 40)),
    ("minimum", "the sum may have fewer phones than the app agrees to", _patched("<H", 112, MIN_PHONES - 1)),
    ("minimum.two", "the sum may have two phones", _patched("<H", 112, 2)),
    ("minimum.above", "its minimum is above the phones of a group", _patched("<H", 112, MAX_PHONES + 1)),
    ("phones", "a group may have more than 256 phones", _patched("<H", 47, 257)),
    ("encoding", "there is no such encoding", _patched("<B", 45, 3)),
    ("lanes", "a word has nine lanes", _patched("<B", 46, 9)),
    ("bound", "a bound is no number", _patched("<d", 49, math.nan)),
    ("clip.number", "the clip is no number", _patched("<d", 57, math.inf)),
    ("clip", "the clip is beyond what the app agrees to", _patched("<d", 57, 1e6)),
    ("noise.lanes", "there is noise in lanes, which have no room for it", _patched("<Bd", 101, 1, 1.0)),
    ("noise.none", "there is a kind of noise without a multiplier", _patched("<Bd", 101, 1, 0.0)),
    ("deadlines", "its steps do not close one after the other", _patched("<5I", 114, 9, 8, 7, 6, 5)),
    ("deadline", "the round lasts for years", _patched("<5I", 114, 10, 20, 30, 40, 1 << 30)),
    ("strata", "a subset keeps more than there is", _patched("<2I", 134, 10, DIMENSION)),
    ("strata.sum", "a subset is of another vector", _patched("<2I", 134, 10, 5)),
    ("dimension", "the model has another size than the app's", _patched("<I", 41, DIMENSION - 1)),
)

# Messages of the round.


def _listing(change: Callable[[Rehearsal, list[Advertisement]], list[Advertisement]], threshold: int = 0) -> Tamper:
    """Change the phones of the roster, and their threshold if one is named."""

    def tampered(rehearsal: Rehearsal, _: bytes) -> bytes:
        phones = change(rehearsal, list(rehearsal.phones))
        found = threshold or 2 * len(phones) // 3 + 1
        return Roster(rehearsal.plan.hash, found, tuple(phones)).to_bytes()

    return tampered


def _other(rehearsal: Rehearsal) -> int:
    return 0 if rehearsal.index else 1


def _with(rehearsal: Rehearsal, phones: list[Advertisement], index: int, **changes: bytes) -> list[Advertisement]:
    """Replace fields of a companion's advertisement, and sign it as that companion would."""
    phones[index] = _signed(rehearsal, replace(phones[index], **changes))
    return phones


def _signed(rehearsal: Rehearsal, told: Advertisement) -> Advertisement:
    device = Device(_companion(rehearsal, told.device_id).key, told.certificate)
    return Advertisement.sign(device, rehearsal.plan.hash, told.mask_key, told.share_key, told.commitment)


def _companion(rehearsal: Rehearsal, device_id: bytes) -> Device:
    return next(each for each in rehearsal.world.companions if each.key.device_id == device_id)


def _sorted(*phones: Advertisement) -> list[Advertisement]:
    return sorted(phones, key=lambda each: each.device_id)


def _own_altered(rehearsal: Rehearsal, phones: list[Advertisement]) -> list[Advertisement]:
    phones[rehearsal.index] = replace(phones[rehearsal.index], mask_key=phones[_other(rehearsal)].share_key)
    return phones


def _elsewhere(_: Rehearsal, answer: bytes) -> bytes:
    """Name another context in the header."""
    return answer[:4] + bytes(32) + answer[HEADER_BYTES:]


ROSTER: Faults = (
    ("own.missing", "its own keys are missing", _listing(lambda r, p: [e for e in p if e != r.own])),
    ("own.altered", "its own keys were altered", _listing(_own_altered)),
    ("threshold", "the threshold lets a server split the cohort", _listing(lambda _, p: p, threshold=3)),
    ("few", "there are fewer phones than the plan's minimum", _listing(lambda r, p: _sorted(p[_other(r)], r.own))),
    ("order", "devices are out of order", _listing(lambda _, p: p[::-1])),
    ("twice", "a device is listed twice", _listing(lambda r, p: _sorted(*p, p[_other(r)]))),
    (
        "certificate",
        "a certificate is not the authority's",
        _listing(lambda r, p: _with(r, p, _other(r), certificate=bytes(64))),
    ),
    (
        "signature",
        "a device did not sign its keys",
        _listing(lambda r, p: [replace(e, signature=bytes(64)) if e != r.own else e for e in p]),
    ),
    (
        "same.key",
        "two devices have one key",
        _listing(lambda r, p: _with(r, p, _other(r), mask_key=r.own.mask_key)),
    ),
    (
        "low.order",
        "a key is a point of low order",
        _listing(lambda r, p: _with(r, p, _other(r), share_key=bytes(32))),
    ),
    ("context", "it is another plan's", _elsewhere),
    ("kind", "it is another kind of message", lambda _, answer: answer[:1] + bytes([Kind.INBOX]) + answer[2:]),
    ("size", "it is cut off", lambda _, answer: answer[:-1]),
)

_ENTRY = 272


def _cohort(change: Callable[[Rehearsal, list[bytes]], list[bytes]]) -> Tamper:
    """Change the entries of the opened cohort."""

    def tampered(rehearsal: Rehearsal, answer: bytes) -> bytes:
        entries = [answer[at : at + _ENTRY] for at in range(32, len(answer), _ENTRY)]
        return answer[:32] + b"".join(change(rehearsal, entries))

    return tampered


COHORT: Faults = (
    ("nonce", "the nonce is not the one that the task commits to", flip(0)),
    ("own", "the phone is not in it", _cohort(lambda r, entries: [e for e in entries if e != r.own.entry])),
    ("group", "its groups are not the roster", _cohort(lambda r, e: [each for each in e if each == r.own.entry])),
    ("order", "it is out of order", _cohort(lambda _, entries: entries[::-1])),
    ("size", "it is cut off", lambda _, answer: answer[:-1]),
)


def _inbox(change: Callable[[Rehearsal, Inbox], Inbox]) -> Tamper:
    def tampered(rehearsal: Rehearsal, answer: bytes) -> bytes:
        n = len(rehearsal.phones)
        return change(rehearsal, Inbox.parse(answer, rehearsal.sid, n)).to_bytes(rehearsal.sid, n)

    return tampered


def _beyond(rehearsal: Rehearsal, answer: bytes) -> bytes:
    """Set a bit of the first set that no phone of the roster has."""
    changed = bytearray(answer)
    changed[HEADER_BYTES + bitmap_bytes(len(rehearsal.phones)) - 1] |= 0x80
    return bytes(changed)


INBOX: Faults = (
    (
        "recipient",
        "it is another phone's",
        lambda r, answer: header(Kind.INBOX, _other(r), r.sid) + answer[HEADER_BYTES:],
    ),
    ("share", "a share is not authentic", flip(-1)),
    (
        "few",
        "fewer phones than the threshold dealt shares",
        _inbox(lambda r, box: Inbox(r.index, tuple(sorted((_other(r), r.index))), box.dealt[:1])),
    ),
    (
        "own",
        "the phone itself is called one that dealt none",
        _inbox(lambda r, box: replace(box, sharers=tuple(each for each in box.sharers if each != r.index))),
    ),
    ("beyond", "it names a phone that is not on the roster", _beyond),
    ("context", "it is another session's", _elsewhere),
    ("size", "it is cut off", lambda _, answer: answer[:-1]),
)


def sets_changed(change: Callable[[Rehearsal, Survivors], Survivors]) -> Tamper:
    """Return what changes the sets of a message about survivors."""

    def tampered(rehearsal: Rehearsal, answer: bytes) -> bytes:
        n = len(rehearsal.phones)
        return change(rehearsal, Survivors.parse(answer, rehearsal.sid, n)).to_bytes(rehearsal.sid, n)

    return tampered


def _without(members: tuple[int, ...], *gone: int) -> tuple[int, ...]:
    return tuple(each for each in members if each not in gone)


SURVIVORS: Faults = (
    (
        "own",
        "the phone, which uploaded, is called a drop-out",
        sets_changed(lambda r, sets: replace(sets, survivors=_without(sets.survivors, r.index))),
    ),
    (
        "sharers",
        "others dealt shares than its inbox says",
        sets_changed(lambda r, sets: Survivors(_without(sets.sharers, _other(r)), _without(sets.survivors, _other(r)))),
    ),
    (
        "few",
        "fewer survived than the threshold",
        sets_changed(lambda r, sets: replace(sets, survivors=tuple(sorted((_other(r), r.index))))),
    ),
    ("beyond", "it names a phone that is not on the roster", _beyond),
    ("context", "it is another session's", _elsewhere),
    ("size", "it is cut off", lambda _, answer: answer[:-1]),
)


def _few_signed(rehearsal: Rehearsal, answer: bytes) -> bytes:
    n = len(rehearsal.phones)
    told = Signatures.parse(answer, rehearsal.sid, n)
    return Signatures(told.signers[:-1], told.signatures[:-1]).to_bytes(rehearsal.sid, n)


def _signed_twice(rehearsal: Rehearsal, answer: bytes) -> bytes:
    n = len(rehearsal.phones)
    told = Signatures.parse(answer, rehearsal.sid, n)
    return Signatures(told.signers, (told.signatures[1], *told.signatures[1:])).to_bytes(rehearsal.sid, n)


SIGNATURES: Faults = (
    ("few", "fewer signed than the threshold", _few_signed),
    ("false", "a signature does not verify", flip(-1)),
    ("twice", "one signature stands for two phones", _signed_twice),
    ("beyond", "it names a phone that is not on the roster", _beyond),
    ("context", "it is another session's", _elsewhere),
    ("size", "it is cut off", lambda _, answer: answer[:-1]),
)


def _gone(rehearsal: Rehearsal, there: tuple[int, ...]) -> int:
    """Return who of the roster is not among these."""
    return next(index for index in range(len(rehearsal.phones)) if index not in there)


def risen(rehearsal: Rehearsal, sets: Survivors) -> Survivors:
    """Count among the survivors who dealt no shares."""
    return replace(sets, survivors=tuple(sorted((*sets.survivors, _gone(rehearsal, sets.sharers)))))


def signed_by_the_gone(rehearsal: Rehearsal, answer: bytes) -> bytes:
    """Add the signature of a phone that did not survive."""
    n, sid = len(rehearsal.phones), rehearsal.sid
    sets = Survivors.parse(rehearsal.answers["survivors"], sid, n)
    told = Signatures.parse(answer, sid, n)
    gone = _gone(rehearsal, sets.survivors)
    key = _companion(rehearsal, rehearsal.phones[gone].device_id).key.private_key
    signature = seal(header(Kind.CONSISTENCY, gone, sid), sets.payload(n), key)[HEADER_BYTES:][:SIGNATURE_BYTES]
    signed = sorted([*zip(told.signers, told.signatures, strict=True), (gone, signature)])
    return Signatures(tuple(who for who, _ in signed), tuple(each for _, each in signed)).to_bytes(sid, n)
