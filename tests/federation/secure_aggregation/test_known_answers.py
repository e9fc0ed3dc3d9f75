import hashlib
import hmac
import json

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from federation.secure_aggregation.shamir import PRIME
from tests.federation.secure_aggregation.cohort import entropy
from tests.federation.secure_aggregation.known_answers import PATH, answers


def test_every_known_answer() -> None:
    assert answers() == json.loads(PATH.read_text())


def test_known_shares_are_on_their_polynomial() -> None:
    known = json.loads(PATH.read_text())["shares"]
    low, *rest = (int.from_bytes(bytes.fromhex(value), "little") for value in [known["secret"], *known["coefficients"]])
    for x, share in enumerate(known["shares"], start=1):
        value = (low + rest[0] * x + rest[1] * x * x) % PRIME
        assert bytes.fromhex(share) == value.to_bytes(32, "little")


def test_the_known_sum_is_the_sum_of_the_known_vectors() -> None:
    known = json.loads(PATH.read_text())["session"]
    vectors = [bytes.fromhex(each) for each in known["vectors"]]
    counters = [sum(int.from_bytes(each[at : at + 8], "little") for each in vectors) % 2**64 for at in (0, 8)]
    words = bytes(sum(column) % 256 for column in zip(*(each[16:] for each in vectors), strict=True))
    expected = b"".join(value.to_bytes(8, "little") for value in counters) + words
    assert bytes.fromhex(known["messages"]["unmask"]["server"]) == expected


def test_the_known_signatures_verify() -> None:
    known = json.loads(PATH.read_text())["session"]
    entry = bytes.fromhex(known["messages"]["advertise"]["phones"][0])[36:]
    device_id, identity, certificate = entry[64:80], entry[80:112], entry[208:272]
    authority = Ed25519PublicKey.from_public_bytes(bytes.fromhex(known["authority"]))
    authority.verify(certificate, b"fedkey certificate v2\0" + bytes(4) + device_id + identity)


def test_the_known_masked_input_follows_from_the_documentation() -> None:
    """Phone 1's, computed again from its secrets with nothing of the package."""
    known = json.loads(PATH.read_text())["session"]
    label = b"fedkey secure aggregation v1: "
    plan_hash, roster = bytes.fromhex(known["plan_hash"]), bytes.fromhex(known["messages"]["advertise"]["server"])
    roster_hash = hashlib.sha256(label + b"roster\0" + roster).digest()
    sid = hashlib.sha256(label + b"session\0" + plan_hash + roster_hash + roster[36:40]).digest()
    draw = entropy(0, 1)
    mask_key, _share_key, seed = draw(32), draw(32), draw(32)

    def stream(secret: bytes, role: bytes, i: int, j: int) -> bytes:
        info = label + role + b"\0" + bytes([i, 0, j, 0])
        key = hmac.digest(hmac.digest(sid, secret, "sha256"), info + b"\1", "sha256")
        block = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()
        return b"".join(block.update(count.to_bytes(16, "big")) for count in range(2))[:21]

    def shared(index: int) -> bytes:
        entry = roster[40 + 272 * index :][64 + 16 + 32 :][:32]
        return X25519PrivateKey.from_private_bytes(mask_key).exchange(X25519PublicKey.from_public_bytes(entry))

    plus = [stream(seed, b"self mask", 1, 1), stream(shared(2), b"pairwise mask", 1, 2)]
    minus = stream(shared(0), b"pairwise mask", 0, 1)
    vector = bytes.fromhex(known["vectors"][1])
    sent = bytes.fromhex(known["messages"]["mask"]["phones"][1])[100:]
    for at, dtype in [(slice(0, 16), "<u8"), (slice(16, 21), "u1")]:
        parts = [np.frombuffer(each[at], dtype) for each in (vector, *plus, minus)]
        assert np.array_equal(parts[0] + parts[1] + parts[2] - parts[3], np.frombuffer(sent[at], dtype))
