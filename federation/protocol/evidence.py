"""Messages that convict phones of having sent false shares, for anyone who has to believe it, above all the authority.

Everything in it was signed by phones under one plan. Who reads it recomputes who deviated; that holds if no more than
a third of the cohort did, which is what secure aggregation assumes anyway.
"""

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

from federation.secure_aggregation import Authority, Roster, SessionParameters, VectorFormat
from federation.secure_aggregation.errors import MalformedMessageError, UnmaskingError
from federation.secure_aggregation.messages import Signatures, Survivors
from federation.secure_aggregation.server import CollectMaskedInputs, CollectUnmasking
from federation.secure_aggregation.session import MAX_COHORT, MIN_COHORT

Kind = Literal["dealt", "revealed"]
_FIELDS = 4
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Evidence:
    """Of one group of a round.

    Attributes:
        kind: `dealt` shares that are not authentic, or `revealed` false ones at the end.
        plan_hash: of the round.
        roster: message to the group.
        survivors: message to the group; empty where shares were dealt.
        messages: complaints, or what phones revealed.
    """

    kind: Kind
    plan_hash: bytes
    roster: bytes
    survivors: bytes
    messages: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """Return the evidence."""
        parts = [self.kind.encode(), self.plan_hash, self.roster, self.survivors, *self.messages]
        return b"".join(_LENGTH.pack(len(part)) + part for part in parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` returned.

        Raises:
            ValueError: it is none.
        """
        fields, at = [], 0
        try:
            while at < len(data):
                begin = at + _LENGTH.size
                at = begin + _LENGTH.unpack_from(data, at)[0]
                fields.append(data[begin:at])
        except struct.error as error:
            raise ValueError("the evidence is cut off") from error
        kinds: dict[bytes, Kind] = {kind.encode(): kind for kind in get_args(Kind)}
        if at != len(data) or len(fields) < _FIELDS or fields[0] not in kinds:
            raise ValueError("this is no evidence, or it is cut off")
        return cls(kinds[fields[0]], fields[1], fields[2], fields[3], tuple(fields[_FIELDS:]))

    def convicted(self, authority: Authority) -> frozenset[bytes]:
        """Return the device ids of who certainly deviated.

        Args:
            authority: in the epoch of the round, which certified the whole group.

        Raises:
            SecureAggregationError: a message is not what its sender signed.
        """
        roster = Roster.parse(self.roster, self.plan_hash)
        for phone in roster.phones:
            authority.check(phone.device_id, phone.identity_key, phone.certificate)
            phone.check_signature(self.plan_hash)
        nothing = VectorFormat(counters=0, words=1, word_bytes=1)
        parameters = SessionParameters(self.plan_hash, MIN_COHORT, MAX_COHORT, nothing)
        if self.kind == "dealt":
            return deviants(CollectMaskedInputs(parameters, roster, tuple(range(roster.n)), {}), self.messages)
        sets = Survivors.parse(self.survivors, roster.sid, roster.n)
        last = CollectUnmasking(parameters, roster, sets, nothing.zeros(), Signatures((), ()))
        for message in self.messages:
            last.receive(message)
        try:
            return last.close().blame.certain
        except UnmaskingError as error:
            return error.blame.certain


def deviants(group: CollectMaskedInputs, complaints: Sequence[bytes]) -> frozenset[bytes]:
    """Return the device ids of dealers of whom more than a third of a group complain.

    Raises:
        SecureAggregationError: a complaint is not what its sender signed.
    """
    told = dict(group.accused(complaint) for complaint in complaints)
    if len(told) < len(complaints):
        raise MalformedMessageError("a phone complains once")
    counted = Counter(dealer for dealers in told.values() for dealer in dealers)
    return frozenset(dealer for dealer, others in counted.items() if others > group.roster.n // 3)
