"""What this phone's owner is shown of its rounds: records, and what is noted beside them in the vault."""

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from federation.device import Contribution, PhoneStore, RoundRecord
from federation.protocol.drop_reasons import DropReason
from keyboard_app.privacy import epsilon
from keyboard_app.status import Outcome, RoundEntry
from keyboard_app.typing.vault import Vault
from model import arrays

_CONTRIBUTIONS_KEPT = 20
_FACTS, _CONTRIBUTION = "rounds", "contribution/"
_DONE = {"counted": "counted word sequences from a public list", "voted": "voted for words of a public list"}
"""What a phone did in a round, by the fact that is noted of it; in others it trained."""

_REFUSALS = frozenset({DropReason.POLICY, DropReason.BUDGET, DropReason.SIGNATURE, DropReason.INCOMPATIBLE})


class RoundHistory:
    """Of one phone.

    Args:
        vault: Returns where the owner's things are.
    """

    def __init__(self, vault: Callable[[], Vault]) -> None:
        self._vault = vault
        self._seen: object = None
        self._entries: Sequence[RoundEntry] = ()

    def entries(self, records: Sequence[RoundRecord]) -> Sequence[RoundEntry]:
        """Return what the screens show of rounds; made anew only if something of them is new."""
        facts = self._facts()
        seen = (records, facts)
        if seen != self._seen:
            self._seen = seen
            self._entries = tuple(self._entry(record, facts.get(str(record.number), {})) for record in records)
        return self._entries

    def note(self, number: int, **facts: float | str | list[int]) -> None:
        """Keep facts of a round."""
        known = self._facts()
        known[str(number)] = known.get(str(number), {}) | facts
        self._vault().put(_FACTS, json.dumps(known).encode())

    def was_counting(self, number: int) -> bool:
        """Return whether a round counted or voted, and trained nothing."""
        return not _DONE.keys().isdisjoint(self._facts().get(str(number), {}))

    def note_refusal(self, store: PhoneStore, reason: str) -> None:
        """Keep why a round was refused, for the owner: the server is told no more than that it was."""
        latest = next(iter(store.rounds()), None)
        refused = latest is not None and latest.reason is DropReason.POLICY and not latest.joined
        if latest is None or not refused or "reason" in self._facts().get(str(latest.number), {}):
            return
        self.note(latest.number, reason=f"{reason[:1].upper()}{reason[1:]}.")

    def note_cost(self, store: PhoneStore, cost: float) -> None:
        """Keep what the latest round cost, rho, if it cost anything."""
        latest = next(iter(store.rounds()), None)
        if latest is not None and math.isfinite(cost) and cost > 0:
            self.note(latest.number, epsilon=epsilon(cost))

    def seal(self, store: PhoneStore) -> int | None:
        """Move what left in the latest round into the vault; return the round's number if it was not there yet."""
        vault = self._vault()
        contribution = store.contribution()
        if contribution is None or vault.get(f"{_CONTRIBUTION}{contribution.number}") is not None:
            return None
        vault.put(f"{_CONTRIBUTION}{contribution.number}", _to_bytes(contribution))
        store.forget_contribution()  # sealed from now on, and forgotten with all that is
        kept = sorted(int(name.removeprefix(_CONTRIBUTION)) for name in vault.names() if name.startswith(_CONTRIBUTION))
        for old in kept[:-_CONTRIBUTIONS_KEPT]:
            vault.put(f"{_CONTRIBUTION}{old}", None)
        return contribution.number

    def _entry(self, record: RoundRecord, known: Mapping[str, Any]) -> RoundEntry:
        sealed = self._vault().get(f"{_CONTRIBUTION}{record.number}") if record.contributed else None
        entry = RoundEntry(
            record.round_id,
            record.began,
            _outcome(record),
            known.get("reason") or _reason(record, next(filter(None, map(_DONE.get, known)), "took part")),
            phones=record.phones if record.contributed else 0,
            bytes_up=record.sent,
            bytes_down=record.received,
            epsilon=known.get("epsilon"),
            accuracy=known.get("accuracy"),
            counted=_numbers(known.get("counted")),
            voted=_numbers(known.get("voted")),
        )
        return entry if sealed is None else _with_contribution(entry, sealed)

    def _facts(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = json.loads(self._vault().get(_FACTS) or b"{}")
        return found


def _numbers(known: Sequence[int] | None) -> tuple[int, int] | None:
    return None if known is None else (known[0], known[1])


def _outcome(record: RoundRecord) -> Outcome:
    if record.contributed:
        return Outcome.JOINED
    return Outcome.REFUSED if record.reason in _REFUSALS else Outcome.DROPPED


def _reason(record: RoundRecord, done: str) -> str:
    if record.ended is None:
        return "It is running."
    if record.contributed:
        return f"This phone {done}."
    told = record.reason.sentence
    return f"{told[:1].upper()}{told[1:]}."


def _to_bytes(contribution: Contribution) -> bytes:
    file = io.BytesIO()
    np.savez(file, delta=contribution.delta, masked=contribution.masked)
    return file.getvalue()


def _with_contribution(entry: RoundEntry, content: bytes) -> RoundEntry:
    with arrays.archive(io.BytesIO(content)) as kept:
        masked = kept["masked"]
        words = masked[: len(masked) // 4 * 4].view("<u4").astype(np.uint64)
        return replace(entry, update=kept["delta"], masked=words)
