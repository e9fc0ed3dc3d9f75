"""A model's weights as bytes, and what a phone downloads to come from one version to the next."""

import hashlib
import struct
import zlib
from typing import Literal, get_args

import numpy as np

from federation.errors import FederationError
from model.layout import FlatVector

SharedKind = Literal["model", "counts"]
"""What phones get of their server: weights, and counts of n-grams."""

KINDS: tuple[SharedKind, ...] = get_args(SharedKind)

_LABEL = b"fedkey model v1\0"


class DeltaError(FederationError):
    """A difference of two models that does not apply; download the whole model."""


def to_bytes(weights: FlatVector) -> bytes:
    """Return float32[dimension] as little-endian bytes, which a plan's hash of the model covers."""
    return weights.astype("<f4", copy=False).tobytes()


def from_bytes(data: bytes) -> FlatVector:
    """Return the weights in `data`.

    Raises:
        ValueError: it is no whole number of them, or one is not finite.
    """
    weights: FlatVector = np.frombuffer(data, "<f4").astype(np.float32)
    if not np.isfinite(weights).all():
        raise ValueError("weights must be finite: the model diverged, keep the one before")
    return weights


def sha256(data: bytes) -> str:
    """Return the hash in hex."""
    return hashlib.sha256(data).hexdigest()


def signed_part(version: int, sha256: str) -> bytes:
    """Return what the round server signs of a version of the model; the hash is that of its weights, in hex."""
    return _LABEL + struct.pack("<I", version) + bytes.fromhex(sha256)


def delta(old: bytes, new: bytes) -> bytes:
    """Return what turns `old` into `new`, of the same size.

    Bits that differ, the first bytes of all numbers before the second ones: neighbouring versions share signs,
    exponents and high bits, so those planes are nearly empty and compress.
    """
    differing = np.frombuffer(old, np.uint8) ^ np.frombuffer(new, np.uint8)
    return zlib.compress(differing.reshape(-1, 4).T.tobytes(), 6)


def apply_delta(old: bytes, difference: bytes) -> bytes:
    """Return `new` of `delta(old, new)`.

    Raises:
        DeltaError: the difference is damaged, or that of models of another size.
    """
    inflate = zlib.decompressobj()
    try:
        planes = inflate.decompress(difference, len(old) + 1)
    except zlib.error as error:
        raise DeltaError("the model's difference is damaged: download the whole model") from error
    if len(planes) != len(old) or len(old) % 4:
        raise DeltaError("the model's difference has another size: download the whole model")
    differing = np.frombuffer(planes, np.uint8).reshape(4, -1).T.reshape(-1)
    return (np.frombuffer(old, np.uint8) ^ differing).tobytes()
