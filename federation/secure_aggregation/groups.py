"""Cohorts that are too large for everyone to agree on keys with everyone: groups, whose sums are added.

The server then sees the sum of each group, so the plan's minimum holds for a group. Who is in which group follows from
a seed, so that it can be repeated; phones do not check it, since a server that wanted certain phones together could as
well have invited only them.
"""

import hashlib
from collections.abc import Iterable, Sequence

from federation.secure_aggregation.session import MAX_COHORT


def assign(device_ids: Iterable[bytes], seed: bytes, largest: int = MAX_COHORT) -> list[tuple[bytes, ...]]:
    """Return the fewest groups of at most `largest` devices, of sizes that differ by one at most.

    Args:
        device_ids: 16 bytes each.
        seed: public; 32 bytes of the plan.
        largest: phones in a group.

    Raises:
        ValueError: `largest` is not positive.
    """
    if largest < 1:
        raise ValueError(f"a group has at least one phone, not {largest}")
    order = _shuffled(device_ids, seed)
    return _dealt(order, -(-len(order) // largest))


def assign_min_size(device_ids: Iterable[bytes], seed: bytes, least: int) -> list[tuple[bytes, ...]]:
    """Return the most groups of at least `least` devices, of sizes that differ by one at most.

    Fewer devices than that are one group.

    Args:
        device_ids: 16 bytes each.
        seed: 32 bytes that nobody can guess before the devices are known.
        least: phones in a group.

    Raises:
        ValueError: `least` is not positive.
    """
    if least < 1:
        raise ValueError(f"a group has at least one phone, not {least}")
    order = _shuffled(device_ids, seed)
    return _dealt(order, count(len(order), least))


def count(devices: int, least: int) -> int:
    """Return how many groups `assign_min_size` makes of this many devices."""
    return max(1, devices // least) if devices else 0


def _shuffled(device_ids: Iterable[bytes], seed: bytes) -> list[bytes]:
    return sorted(set(device_ids), key=lambda device_id: hashlib.sha256(seed + device_id).digest())


def _dealt(order: Sequence[bytes], groups: int) -> list[tuple[bytes, ...]]:
    return [tuple(order[group::groups]) for group in range(groups)]
