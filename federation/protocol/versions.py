"""Versions of the protocol of phones and round servers, `docs/protocol.md`, and how both sides find one.

A server lists those that it speaks, a phone those of its app in each check-in, and the highest in both lists is spoken.
Nobody can talk phones into an older version that matters: the bytes of a round begin with their version, the plan's
are signed, and every key of the round derives from the plan's hash, so all phones of a sum speak the same one.
"""

from collections.abc import Collection

FIRST = 1
"""Spoken by anyone who names none."""

SPOKEN = (1,)
"""By this version of fedkey."""

_MAX_LISTED = 32


def read(told: object) -> tuple[int, ...]:
    """Return the versions that the other side lists, as JSON has them.

    Raises:
        ValueError: it is no list of whole numbers from 1, or an endless one.
    """
    if not isinstance(told, list) or not 1 <= len(told) <= _MAX_LISTED:
        raise ValueError(f"versions of the protocol are a list of 1 to {_MAX_LISTED} whole numbers")
    if not all(isinstance(version, int) and not isinstance(version, bool) and version >= FIRST for version in told):
        raise ValueError(f"versions of the protocol are whole numbers from {FIRST}")
    return tuple(told)


def common(theirs: Collection[int]) -> int | None:
    """Return the version to speak with somebody who speaks these; nothing if there is none."""
    return max(set(theirs).intersection(SPOKEN), default=None)
