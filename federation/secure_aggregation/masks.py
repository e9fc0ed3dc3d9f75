"""Masks: AES-256-CTR key streams, added to or taken from a vector as they are produced.

A key is used for one stream only, so the counter starts at zero. AES in counter mode writes straight into the buffer
that is added (`update_into`, which releases the GIL), a chunk of the vector stays in the CPU's cache for all keys.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from federation.secure_aggregation.vector import Vector, Words

KEY_BYTES = 32

_CHUNK_BYTES = 256 << 10
_ZEROS = bytes(_CHUNK_BYTES)


def key_stream(key: bytes) -> CipherContext:
    """Return the cipher that turns zeros into the key stream of a 32-byte `key`."""
    return Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()


def apply(vector: Vector, plus: Sequence[bytes], minus: Sequence[bytes]) -> None:
    """Add the masks of the keys in `plus` to `vector` and take those in `minus` from it, in place.

    Args:
        vector: every bit of it is covered: each stream runs through the counters and on through the words.
        plus: 32-byte keys.
        minus: 32-byte keys.
    """
    added = [key_stream(key) for key in plus]
    taken = [key_stream(key) for key in minus]
    buffer = np.empty(_CHUNK_BYTES, np.uint8)
    for array in (vector.counters, vector.words):
        step = _CHUNK_BYTES // array.itemsize
        for start in range(0, array.size, step):
            _apply_chunk(array[start : start + step], added, taken, buffer)


def _apply_chunk(
    chunk: Words, added: Sequence[CipherContext], taken: Sequence[CipherContext], buffer: npt.NDArray[np.uint8]
) -> None:
    zeros = memoryview(_ZEROS)[: chunk.nbytes]
    mask = buffer[: chunk.nbytes].view(chunk.dtype)
    target = buffer.data[: chunk.nbytes]
    for stream in added:
        stream.update_into(zeros, target)
        np.add(chunk, mask, out=chunk)
    for stream in taken:
        stream.update_into(zeros, target)
        np.subtract(chunk, mask, out=chunk)
