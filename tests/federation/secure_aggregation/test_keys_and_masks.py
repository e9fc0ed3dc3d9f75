import copy
import hashlib
import hmac
import pickle

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from federation.secure_aggregation import VectorFormat, keys, masks
from federation.secure_aggregation.errors import MalformedMessageError, OutOfOrderError
from federation.secure_aggregation.keys import Role, Secret

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
SID = hashlib.sha256(b"session").digest()


def _stream(key: bytes, size: int) -> bytes:
    """AES-256-CTR from its definition: encrypted big-endian counters."""
    block = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()
    return b"".join(block.update(count.to_bytes(16, "big")) for count in range(-(-size // 16)))[:size]


def test_the_key_stream_is_counter_mode_from_zero() -> None:
    assert masks.key_stream(KEY).update(bytes(100)) == _stream(KEY, 100)


@pytest.mark.parametrize("word_bytes", [1, 2, 8])
def test_masks_cover_counters_and_words_across_chunks(word_bytes: int) -> None:
    layout = VectorFormat(3, 600_000 // word_bytes, word_bytes)
    vector = layout.zeros()
    masks.apply(vector, [KEY], [])
    assert vector.to_bytes() == masks.key_stream(KEY).update(bytes(layout.nbytes))


def test_masks_are_added_and_taken_modulo_the_size_of_a_word() -> None:
    layout = VectorFormat(1, 1000, 1)
    vector = layout.parse(_stream(b"v" * 32, layout.nbytes)).copy()
    before = vector.copy()
    masks.apply(vector, [KEY], [OTHER])
    plus, minus = (np.frombuffer(_stream(key, layout.nbytes)[8:], np.uint8).astype(int) for key in (KEY, OTHER))
    assert np.array_equal(vector.words, (before.words + plus - minus) % 256)
    masks.apply(vector, [OTHER], [KEY])
    assert vector.to_bytes() == before.to_bytes()


@pytest.mark.parametrize("role", Role)
def test_derived_keys_are_hkdf_bound_to_session_role_and_pair(role: Role) -> None:
    info = b"fedkey secure aggregation v1: " + role.value + b"\0\x03\x00\x05\x00"
    extracted = hmac.digest(SID, KEY, "sha256")
    assert keys.derive(KEY, SID, role, 3, 5) == hmac.digest(extracted, info + b"\x01", "sha256")


def test_every_argument_changes_a_derived_key() -> None:
    arguments = [
        (KEY, SID, Role.SHARES, 1, 2),
        (OTHER, SID, Role.SHARES, 1, 2),
        (KEY, OTHER, Role.SHARES, 1, 2),
        (KEY, SID, Role.PAIRWISE_MASK, 1, 2),
        (KEY, SID, Role.SHARES, 2, 1),
    ]
    assert len({keys.derive(*each) for each in arguments}) == len(arguments)


def test_a_pairwise_mask_key_is_the_same_for_both_and_has_all_of_its_bits() -> None:
    mine, theirs = bytes(range(1, 33)), bytes(range(2, 34))
    first = keys.pairwise_mask_key(keys.agree(keys.private_key(mine), keys.public_key(theirs)), SID, 0, 1)
    assert first == keys.pairwise_mask_key(keys.agree(keys.private_key(theirs), keys.public_key(mine)), SID, 1, 0)
    # A seed folded into a small generator would repeat among few draws, or leave bits unused.
    drawn = [keys.derive(bytes([number]) * 32, SID, Role.PAIRWISE_MASK, 0, 1) for number in range(200)]
    assert len({key[:8] for key in drawn}) == 200
    assert all(0 < sum(key[byte] >> bit & 1 for key in drawn) < 200 for byte in range(32) for bit in range(8))


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)], ids=["zero", "one"])
def test_points_of_low_order_are_refused(point: bytes) -> None:
    with pytest.raises(MalformedMessageError, match="low order"):
        keys.agree(keys.private_key(KEY), point)


def test_shares_are_bound_to_session_dealer_and_holder() -> None:
    sealed = keys.encrypt_shares(KEY, SID, 1, 2, b"shares")
    assert keys.decrypt_shares(KEY, SID, 1, 2, sealed) == b"shares"
    assert b"shares" not in sealed
    for wrong in [(OTHER, SID, 1, 2), (KEY, OTHER, 1, 2), (KEY, SID, 2, 2), (KEY, SID, 1, 1)]:
        assert keys.decrypt_shares(*wrong, sealed) is None


def test_a_secret_shows_nowhere_and_is_gone_after_wiping() -> None:
    secret = Secret(KEY)
    assert bytes(secret) == KEY
    assert repr(secret) == str(secret) == "<Secret>"
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="memory"):
            leave(secret)
    held = memoryview(secret._buffer)  # a view onto the bytes themselves
    with pytest.raises(BufferError):
        secret.wipe()
    assert bytes(held) == bytes(32)
    held.release()
    secret.wipe()
    with pytest.raises(OutOfOrderError):
        bytes(secret)
