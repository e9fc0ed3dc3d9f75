"""What was typed, sealed: the messages that the phone learns from, and counts of keystrokes.

A message is drafted word by word while it is typed, and finished when it is sent. What is deleted from the field is
gone from the draft with the next change. Messages expire, and the oldest make room for the latest.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keyboard_app.typing.vault import Vault, VaultFullError
from model.text import normalise, tokenise

EXPIRY_SECONDS = 60 * 86400.0
MAX_MESSAGES = 5000

_DRAFT, COUNTS = "draft", "keystrokes"
_DAYS_KEPT = 60
_DAY = 86400


@dataclass(frozen=True)
class Message:
    """A finished message.

    Attributes:
        number: larger than that of every earlier one.
        at: when it was sent, seconds since 1970.
        text: as it was typed.
    """

    number: int
    at: float
    text: str


@dataclass(frozen=True)
class DayCount:
    """What was typed on one day.

    Attributes:
        day: days since 1970, in the clock's time zone UTC.
        characters: written.
        keystrokes: that they took.
    """

    day: int
    characters: int
    keystrokes: int


class TypingLog:
    """The log in a vault. Methods raise what the vault raises.

    Args:
        vault: where it is kept.
        clock: seconds since 1970.
        expiry_seconds: after which a message is deleted.
        max_messages: that are kept.
    """

    def __init__(
        self,
        vault: Vault,
        *,
        clock: Callable[[], float] = time.time,
        expiry_seconds: float = EXPIRY_SECONDS,
        max_messages: int = MAX_MESSAGES,
    ) -> None:
        self._vault = vault
        self._clock = clock
        self._expiry_seconds = expiry_seconds
        self._max_messages = max_messages

    def recover(self) -> None:
        """Finish what an app that was killed had drafted. Call it at the start."""
        draft = self._vault.get(_DRAFT)
        if draft is not None:
            self.finish(draft.decode(), keystrokes=0)

    def draft(self, text: str) -> None:
        """Keep the finished words of the unsent message, in place of those kept before; none deletes the draft."""
        self._making_room(lambda: self._vault.put(_DRAFT, text.encode() if text.strip() else None))

    def finish(self, text: str, *, keystrokes: int) -> None:
        """Keep a message in place of the draft.

        Args:
            text: of the message.
            keystrokes: that it took; 0 if that is not known, and then it is not counted.
        """

        def write() -> None:
            with self._vault.writing():
                self._vault.put(_DRAFT, None)
                if text.strip():
                    self._vault.append(self._clock(), text.encode())
                if keystrokes:
                    self._count(len(text), keystrokes)

        self._making_room(write)

    def messages(self, after: int = 0) -> list[Message]:
        """Return the finished messages with numbers above `after`, oldest first."""
        return [Message(number, at, content.decode()) for number, at, content in self._vault.entries(after)]

    def for_round(self, max_rounds: int) -> list[Message]:
        """Return the messages that were trained on in fewer rounds than some, those of the fewest and newest first."""
        uses = self._vault.uses()
        fresh = [message for message in self.messages() if uses.get(message.number, 0) < max_rounds]
        return sorted(fresh, key=lambda message: (uses.get(message.number, 0), -message.number))

    def count_round(self, messages: Sequence[Message]) -> None:
        """Count one more round that messages were trained on in; once this returns, it is counted."""
        self._vault.count_use([message.number for message in messages])

    def count(self, after: int = 0) -> int:
        """Return how many messages have numbers above `after`."""
        return self._vault.count(after)

    def days(self) -> list[DayCount]:
        """Return the counts of the days on which something was typed, oldest first."""
        counts = self._counts()
        return [DayCount(int(day), *counts[day]) for day in sorted(counts, key=int)]

    def forget(self, word: str) -> None:
        """Delete all messages that have a word, the draft included, and make it final."""
        word = normalise(word)
        draft = self._vault.get(_DRAFT)
        with self._vault.writing():
            if draft is not None and _has(draft.decode(), word):
                self._vault.put(_DRAFT, None)
            self._vault.delete([message.number for message in self.messages() if _has(message.text, word)])
        self._vault.forget_key()

    def expire(self) -> bool:
        """Delete what is too old or too much, and make it final; return whether there was any."""
        with self._vault.writing():
            gone = self._vault.delete_before(self._clock() - self._expiry_seconds)
            gone += self._vault.delete_oldest(self._max_messages)
        if gone:
            self._vault.forget_key()
        return gone > 0

    def _making_room(self, write: Callable[[], None]) -> None:
        """Write; if there is no room, delete the oldest quarter of the messages first."""
        try:
            write()
        except VaultFullError:
            kept = self._vault.count() * 3 // 4
            if not self._vault.delete_oldest(kept):
                raise
            write()

    def _counts(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = json.loads(self._vault.get(COUNTS) or b"{}")
        return found

    def _count(self, characters: int, keystrokes: int) -> None:
        counts = self._counts()
        day = str(int(self._clock() // _DAY))
        before = counts.get(day, [0, 0])
        counts[day] = [before[0] + characters, before[1] + keystrokes]
        latest: Sequence[str] = sorted(counts, key=int)[-_DAYS_KEPT:]
        self._vault.put(COUNTS, json.dumps({name: counts[name] for name in latest}).encode())


def _has(text: str, word: str) -> bool:
    return any(token.symbol == word for token in tokenise(text))
