"""What a round server commits itself to before a round: part of the task, and so of every key of the round.

All phones of one sum have seen the same commitments, since no two phones that saw different ones share a key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from federation.protocol.credentials import MAX_EPOCH
from federation.protocol.log import EMPTY_ROOT, HASH_BYTES, INSTANCE_BYTES
from model.wording import in_words


@dataclass(frozen=True, kw_only=True)
class Commitments:
    """Of one round.

    Attributes:
        instance: 16 random bytes of the server's database; a server that lost or restored its database draws others,
            and counts its rounds anew.
        log_size, log_root: head of the log of models, which has the model of the round.
        epoch: of the certificates that are good in the round.
        groups: hash of the nonce that groups follow from; see `federation.protocol.cohorts`.
        group_phones: in a group at least, if that many come.
        revoked: SHA-256 of the authority's signed list of revoked devices; empty if the server has none.
    """

    instance: bytes = bytes(INSTANCE_BYTES)
    log_size: int = 0
    log_root: bytes = EMPTY_ROOT
    epoch: int = 0
    groups: bytes = bytes(HASH_BYTES)
    group_phones: int = 1
    revoked: bytes = b""

    def __post_init__(self) -> None:
        if len(self.instance) != INSTANCE_BYTES or len(self.log_root) != HASH_BYTES:
            raise ValueError(f"an instance has {INSTANCE_BYTES} bytes, and the head of a log {HASH_BYTES}")
        if isinstance(self.log_size, bool) or not isinstance(self.log_size, int) or not 0 <= self.log_size < 1 << 31:
            raise ValueError("a log has from 0 to 2^31 entries")
        if len(self.groups) != HASH_BYTES or len(self.revoked) not in {0, HASH_BYTES}:
            raise ValueError(f"hashes have {HASH_BYTES} bytes")
        for number, least, most in ((self.epoch, 0, MAX_EPOCH), (self.group_phones, 1, 0xFFFF)):
            if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
                raise ValueError(f"{in_words(number)} is no epoch or number of phones")

    def to_json(self) -> dict[str, Any]:
        """Return the values as a task has them."""
        return {
            "instance": self.instance.hex(),
            "log_size": self.log_size,
            "log_root": self.log_root.hex(),
            "epoch": self.epoch,
            "groups": self.groups.hex(),
            "group_phones": self.group_phones,
            "revoked": self.revoked.hex(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned; what a task of before there was one leaves out, no phone agrees to.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        return cls(
            instance=bytes.fromhex(values["instance"]),
            log_size=values["log_size"],
            log_root=bytes.fromhex(values["log_root"]),
            epoch=values.get("epoch", 0),
            groups=bytes.fromhex(values.get("groups", bytes(HASH_BYTES).hex())),
            group_phones=values.get("group_phones", 1),
            revoked=bytes.fromhex(values.get("revoked", "")),
        )
