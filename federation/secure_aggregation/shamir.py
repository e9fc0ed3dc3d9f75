"""Secret sharing over the integers modulo 2^256 - 189 (Shamir 1979), with correction of false shares (Gao 2003).

A secret of 32 bytes is the constant term of a random polynomial of degree `threshold - 1`; holder i has its value at
x = i + 1. Any `threshold` shares give the secret, fewer say nothing about it.

- Shamir, How to share a secret, https://doi.org/10.1145/359168.359176
- Gao, A new algorithm for decoding Reed-Solomon codes, https://doi.org/10.1007/978-1-4757-3789-9_5
"""

import itertools
import math
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

PRIME = 2**256 - 189
SHARE_BYTES = 32

_SUBSETS_TRIED = 500
_DECODING, COEFFICIENTS = 12, 2
"""Units of effort for the square of the number of shares."""

Entropy = Callable[[int], bytes]
"""Returns this many random bytes: `os.urandom`, or a fixed stream for known-answer tests."""


def field_element(entropy: Entropy) -> bytes:
    """Return a uniformly random element of the field as 32 little-endian bytes."""
    while not is_field_element(candidate := entropy(SHARE_BYTES)):
        pass
    return candidate


def field_elements(count: int, entropy: Entropy) -> list[bytes]:
    """Return this many of them, drawn at once: a call of the system for each would take longer than all the rest."""
    drawn = entropy(count * SHARE_BYTES)
    candidates = [drawn[start : start + SHARE_BYTES] for start in range(0, len(drawn), SHARE_BYTES)]
    return [each if is_field_element(each) else field_element(entropy) for each in candidates]


def is_field_element(value: bytes) -> bool:
    """Whether 32 little-endian bytes are below the prime."""
    return len(value) == SHARE_BYTES and int.from_bytes(value, "little") < PRIME


def share(secret: bytes, threshold: int, holders: int, entropy: Entropy) -> list[bytes]:
    """Return one share of `secret` for each of `holders`.

    Raises:
        ValueError: the secret is no field element, or the threshold is not within 1 to `holders`.
    """
    if not is_field_element(secret):
        raise ValueError("a shared secret must be 32 bytes and below the prime: draw it with field_element")
    if not 1 <= threshold <= holders:
        raise ValueError(f"the threshold must be within 1 and {holders} holders, not {threshold}")
    coefficients = [_integer(secret), *map(_integer, field_elements(threshold - 1, entropy))]
    return [_bytes(_evaluate(coefficients, holder + 1)) for holder in range(holders)]


class Effort:
    """What is spent on correcting false shares at most, by all threads that are given the same one.

    Args:
        units: of which one is about a microsecond.
    """

    def __init__(self, units: int = 8_000_000) -> None:
        self.left = units
        self._lock = threading.Lock()

    def spend(self, units: int) -> bool:
        """Take so much; return whether it was left."""
        with self._lock:
            if units > self.left:
                return False
            self.left -= units
            return True


def coefficients(holders: Sequence[int], wanted: int = -1) -> list[int]:
    """Return Lagrange's coefficients, whose inner product with the shares of `holders` is what is wanted.

    Args:
        holders: at least as many as the threshold.
        wanted: the holder whose share it is, or -1 for the secret.
    """
    at = wanted + 1
    points = [holder + 1 for holder in holders]
    result = []
    for point in points:
        numerator = denominator = 1
        for other in points:
            if other != point:
                numerator = numerator * (other - at) % PRIME
                denominator = denominator * (other - point) % PRIME
        result.append(numerator * pow(denominator, -1, PRIME) % PRIME)
    return result


def combine(coefficients: Iterable[int], shares: Iterable[bytes]) -> bytes:
    """Return the inner product of `coefficients` and the shares of the same holders: the secret, or another share."""
    pairs = zip(coefficients, shares, strict=True)
    return _bytes(sum(coefficient * _integer(value) for coefficient, value in pairs) % PRIME)


def correct(
    shares: Mapping[int, bytes], threshold: int, accept: Callable[[bytes], bool], effort: Effort | None = None
) -> tuple[bytes | None, frozenset[int]]:
    """Find the secret among shares of which some are false.

    Up to half of the surplus shares over `threshold` may be false for certain (unique decoding); beyond that a
    limited number of subsets is tried.

    Args:
        shares: by holder.
        threshold: shares that determine the secret.
        accept: whether a candidate is the secret, by what its dealer published.
        effort: that is left for this; by default as much as is needed.

    Returns:
        The secret and the holders whose shares are false. Without a secret that `accept` takes: None, and the
        holders that do not fit the polynomial which most shares lie on, or all of them if there is none or the effort
        did not suffice.
    """
    effort = effort or Effort()
    if not effort.spend(_DECODING * len(shares) ** 2):
        return None, frozenset(shares)
    points = {holder + 1: _integer(value) for holder, value in shares.items()}
    decoded = _decode(points, threshold)
    if decoded is not None and accept(_bytes(decoded[0])):
        return _bytes(decoded[0]), _misfits(decoded, points)
    for subset in _subsets(sorted(shares), threshold):
        if not effort.spend(COEFFICIENTS * threshold**2):
            break
        if accept(combine(coefficients(subset), [shares[holder] for holder in subset])):
            found = _interpolate({holder + 1: points[holder + 1] for holder in subset})
            return _bytes(found[0]), _misfits(found, points)
    return None, _misfits(decoded, points) if decoded is not None else frozenset(shares)


def _subsets(holders: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    if math.comb(len(holders), size) <= _SUBSETS_TRIED:
        yield from itertools.combinations(holders, size)
        return
    order = random.Random(0)  # noqa: S311 - not a secret, only the same on every run
    for _ in range(_SUBSETS_TRIED):
        yield order.sample(holders, size)


def _integer(value: bytes) -> int:
    return int.from_bytes(value, "little")


def _bytes(value: int) -> bytes:
    return value.to_bytes(SHARE_BYTES, "little")


def _evaluate(coefficients: Sequence[int], x: int) -> int:
    # Reduced once at the end: x is small, so the integer stays within a few hundred bytes.
    value = 0
    for coefficient in reversed(coefficients):
        value = value * x + coefficient
    return value % PRIME


def _misfits(polynomial: Sequence[int], points: Mapping[int, int]) -> frozenset[int]:
    return frozenset(x - 1 for x, y in points.items() if _evaluate(polynomial, x) != y)


# Polynomials are lists of coefficients, lowest first, without trailing zeros except for [0].


def _trim(polynomial: list[int]) -> list[int]:
    while len(polynomial) > 1 and polynomial[-1] == 0:
        polynomial.pop()
    return polynomial


def _multiply(a: Sequence[int], b: Sequence[int]) -> list[int]:
    product = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] += x * y
    return _trim([value % PRIME for value in product])


def _subtract(a: Sequence[int], b: Sequence[int]) -> list[int]:
    size = max(len(a), len(b))
    padded = zip([*a, *[0] * (size - len(a))], [*b, *[0] * (size - len(b))], strict=True)
    return _trim([(x - y) % PRIME for x, y in padded])


def _divide(dividend: Sequence[int], divisor: Sequence[int]) -> tuple[list[int], list[int]]:
    remainder = list(dividend)
    quotient = [0] * max(1, len(dividend) - len(divisor) + 1)
    inverse = pow(divisor[-1], -1, PRIME)
    for shift in range(len(dividend) - len(divisor), -1, -1):
        factor = remainder[shift + len(divisor) - 1] * inverse % PRIME
        quotient[shift] = factor
        for i, value in enumerate(divisor):
            remainder[shift + i] = (remainder[shift + i] - factor * value) % PRIME
    return _trim(quotient), _trim(remainder)


def _vanishing(points: Iterable[int]) -> list[int]:
    """Return the monic polynomial that is zero at all `points`."""
    product = [1]
    for x in points:
        product = [(low - x * high) % PRIME for low, high in zip([0, *product], [*product, 0], strict=True)]
    return product


def _interpolate(points: Mapping[int, int]) -> list[int]:
    """Return the polynomial of lowest degree through `points`."""
    product = _vanishing(points)
    total = [0] * len(points)
    for x, y in points.items():
        basis, _ = _divide(product, [-x % PRIME, 1])
        scale = y * pow(_evaluate(basis, x), -1, PRIME) % PRIME
        total = [(value + scale * term) % PRIME for value, term in zip(total, basis, strict=True)]
    return _trim(total)


def _decode(points: Mapping[int, int], threshold: int) -> list[int] | None:
    """Return the polynomial of degree below `threshold` that misses at most half of the surplus points, if any."""
    before, after = _vanishing(points), _interpolate(points)
    cofactor_before, cofactor = [0], [1]
    while 2 * (len(after) - 1) >= len(points) + threshold:
        quotient, remainder = _divide(before, after)
        before, after = after, remainder
        cofactor_before, cofactor = cofactor, _subtract(cofactor_before, _multiply(quotient, cofactor))
    polynomial, remainder = _divide(after, cofactor)
    return polynomial if remainder == [0] and len(polynomial) <= threshold else None
