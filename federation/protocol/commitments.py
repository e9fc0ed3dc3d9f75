"""What a round server commits itself to before a round: part of the task, and so of every key of the round.

All phones of one sum have seen the same commitments, since no two phones that saw different ones share a key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

INSTANCE_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class Commitments:
    """Of one round.

    Attributes:
        instance: 16 random bytes of the server's database; a server that lost or restored its database draws others,
            and counts its rounds anew.
    """

    instance: bytes = bytes(INSTANCE_BYTES)

    def __post_init__(self) -> None:
        if len(self.instance) != INSTANCE_BYTES:
            raise ValueError(f"a server's instance has {INSTANCE_BYTES} bytes")

    def to_json(self) -> dict[str, Any]:
        """Return the values as a task has them."""
        return {"instance": self.instance.hex()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        return cls(instance=bytes.fromhex(values["instance"]))
