"""What a server answers, read so strictly that any bytes at all give a value or one of this package's errors.

Between a phone and its server there are captive portals, proxies and middle boxes, and the server may be anybody's.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from federation.device.errors import UnreadableError
from federation.device.records import Pins
from federation.protocol import versions

MAX_JSON_BYTES = 1 << 16
"""No JSON of this protocol is longer."""

MAX_ROUND_ID = (1 << 63) - 1
"""What a phone's records can hold."""

MAX_VERSION = (1 << 32) - 1
"""A model's version has 32 bits in what its signature covers."""

MAX_SECONDS = 30 * 86400.0
"""No server asks a phone to wait longer."""

MAX_DIMENSION = 1 << 31
_MAX_TEXT = 300
_KEY_BYTES, _SIGNATURE_BYTES = 32, 64

T = TypeVar("T")


@dataclass(frozen=True)
class ServerFacts:
    """What a server says of itself.

    Attributes:
        pins: its keys.
        vocabulary: key of the vocabulary of its model.
        dimension: of the model's flat vector.
        enrolment_url: where devices enrol; empty if elsewhere.
        protocols: versions of the protocol that it speaks.
    """

    pins: Pins
    vocabulary: str
    dimension: int
    enrolment_url: str
    protocols: tuple[int, ...]

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the answer.

        Raises:
            UnreadableError: it is no such answer.
        """
        return _read(
            "account of itself",
            data,
            lambda told: cls(
                Pins(_hex(told["server_key"], _KEY_BYTES), _hex(told["authority_key"], _KEY_BYTES)),
                _text(told["vocabulary"]),
                _integer(told["dimension"], 1, MAX_DIMENSION),
                _text(told["enrolment_url"]),
                versions.read(told.get("protocols", [versions.FIRST])),
            ),
        )


@dataclass(frozen=True)
class CheckedIn:
    """The answer to a check-in.

    Attributes:
        round_id: to join; nothing if there is none.
        retry_after_seconds: until the next check-in.
        reason: why there is no round, in a sentence.
    """

    round_id: int | None
    retry_after_seconds: float
    reason: str

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the answer.

        Raises:
            UnreadableError: it is no such answer.
        """
        return _read(
            "answer to a check-in",
            data,
            lambda told: cls(
                None if told["round_id"] is None else _integer(told["round_id"], 1, MAX_ROUND_ID),
                _seconds(told["retry_after_seconds"]),
                _text(told["reason"]),
            ),
        )


@dataclass(frozen=True)
class ModelFacts:
    """What a server says of its current model.

    Attributes:
        version: counts up.
        sha256: hex, of the weights.
        signature: of the server, over both.
    """

    version: int
    sha256: str
    signature: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the answer.

        Raises:
            UnreadableError: it is no such answer.
        """
        return _read(
            "account of its model",
            data,
            lambda told: cls(
                _integer(told["version"], 1, MAX_VERSION),
                _hex(told["sha256"], 32).hex(),
                _hex(told["signature"], _SIGNATURE_BYTES),
            ),
        )


def reason_of(content: bytes, otherwise: str) -> str:
    """Return the sentence in an answer that says no, or another one if there is none that can be shown."""
    try:
        return _read("refusal", content, lambda told: _text(told["error"])) or otherwise
    except UnreadableError:
        return otherwise


def seconds_of(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header, if it says any that can be waited for."""
    try:
        return None if header is None else _seconds(float(header))
    except ValueError:
        return None


def _read(what: str, data: bytes, made: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        return made(_object(data))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        message = f"the server's {what} cannot be read: something on the way may have answered instead of it"
        raise UnreadableError(message) from error


def _object(data: bytes) -> Mapping[str, Any]:
    if len(data) > MAX_JSON_BYTES:
        raise ValueError("longer than any JSON of this protocol")
    told = json.loads(data)
    if not isinstance(told, dict):
        raise TypeError("no object")
    return told


def _integer(value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError("no integer in range")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("no time to wait")
    return float(min(value, MAX_SECONDS))


def _text(value: object) -> str:
    """Return a text that a screen can show on one line, cut to a length."""
    if not isinstance(value, str):
        raise TypeError("no text")
    return "".join(character for character in value[:_MAX_TEXT] if character.isprintable())


def _hex(value: object, size: int) -> bytes:
    if not isinstance(value, str) or len(value) != 2 * size:
        raise ValueError("no hex of that length")
    return bytes.fromhex(value)
