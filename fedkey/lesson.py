"""A demonstration of three phones or more, step by step: teach two a phrase, and the third learns it by rounds."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from federation.errors import FederationError
from keyboard_app.phone import Phone
from keyboard_app.self_typing import SelfTyping
from keyboard_app.settings import Settings
from keyboard_app.status import Outcome
from model.suggestions import split_word

PHRASE = "the ferry leaves at midnight"
"""What the first two phones are taught."""

OWN = ("good morning everybody", "what are you doing today", "see you tomorrow then")
"""What the others may write."""

TIMES = 3
"""How often each of the two writes the phrase."""

ARRIVES_WITHIN_SECONDS = 180.0
"""From the second phone's last sending of the phrase to the third phone's strip."""

_ASKED_SECONDS = 0.2  # for suggestions of the phone that learns; it is asked again
_LOOK_SECONDS = 0.5


def settings(phones: int) -> Settings:
    """Return what a phone of the lesson begins with: it trains whenever nobody types, on all that was typed."""
    return Settings(rest_seconds=2.0, min_examples=0, min_phones=phones)


class Lesson:
    """What to do next.

    Args:
        phones: of the demonstration; the first two teach, the third learns.
        names: of each.
        monotonic: returns seconds of a steady clock.

    Attributes:
        seconds: from the second phone's last sending to the last word of the phrase on the third phone's strip; None
            until it is there.
    """

    def __init__(
        self, phones: Sequence[Phone], names: Sequence[str], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._phones, self._names, self._monotonic = phones, names, monotonic
        self._asked_after: tuple[int, int] | None = None
        self._taught_at: float | None = None
        self.seconds: float | None = None

    @property
    def rounds(self) -> int:
        """How many rounds the third phone has joined."""
        return sum(entry.outcome is Outcome.JOINED for entry in self._phones[2].status().rounds)

    def text(self) -> str:
        """Return what to do now, or what happens, in one or two sentences."""
        agreed = sum(phone.settings.consent is True for phone in self._phones)
        before, word = PHRASE.rsplit(" ", 1)
        learner = self._names[2]
        if agreed < len(self._phones):
            return f"1 of 5: agree on every phone that it may contribute. {agreed} of {len(self._phones)} did."
        if not self._phones[2].session.sent:
            return f"2 of 5: on {learner}, write and send anything else, such as “{OWN[0]}”."
        for step, (phone, name) in enumerate(zip(self._phones[:2], self._names, strict=False), 3):
            sent = sum(message.strip().lower() == PHRASE for message in phone.session.sent)
            if sent < TIMES:
                return f"{step} of 5: on {name}, write and send “{PHRASE}” {TIMES} times. {sent} of {TIMES} are sent."
        if self._taught_at is None:
            self._taught_at = self._monotonic()
        self._look(before, word)
        if self.seconds is not None:
            return (
                f"Done: {learner} offers “{word}” after “{before}”, {self.seconds:.0f} seconds and "
                f"{self.rounds} rounds later. Try it there."
            )
        doing = "; ".join(
            f"{name}: {phone.status().activity}" for phone, name in zip(self._phones, self._names, strict=True)
        )
        return (
            f"5 of 5: leave the phones alone, and they train in rounds. {learner} has joined {self.rounds}, and does "
            f"not offer “{word}” after “{before}” yet. {doing}"
        )

    def _look(self, before: str, word: str) -> None:
        """See whether the phrase has arrived, after every round and whenever something was written there."""
        known = self.rounds, len(self._phones[2].session.sent)
        if self.seconds is not None or self._taught_at is None or known == self._asked_after:
            return
        offer = self._phones[2].answer(*split_word(f"{before} "), _ASKED_SECONDS)
        if offer is None:
            return
        self._asked_after = known
        if word in [suggestion.text.lower() for suggestion in offer.suggestions]:
            self.seconds = self._monotonic() - self._taught_at


def play(
    phones: Sequence[Phone], lesson: Lesson, show: Callable[[str], object], look: Callable[[], object] = lambda: None
) -> float:
    """Do what the lesson says, as people would, until the phrase has arrived.

    Args:
        phones: of the lesson.
        lesson: likewise.
        show: called with each new sentence.
        look: called after every key, and again and again while the phones train.

    Returns:
        Seconds from the second phone's last sending to the third phone's strip.

    Raises:
        FederationError: it has not arrived in time.
    """
    shown = ""

    def say() -> None:
        nonlocal shown
        if (text := lesson.text()) != shown:
            shown = text
            show(text)

    say()
    for phone in phones:
        phone.change(replace(phone.settings, consent=True))
    for number, phone in enumerate([*phones[2:], *phones[:2]]):
        say()
        SelfTyping(phone, [PHRASE] * TIMES if number >= len(phones) - 2 else OWN).all(look)
    ends = time.monotonic() + ARRIVES_WITHIN_SECONDS
    while lesson.seconds is None:
        say()
        if time.monotonic() > ends:
            raise FederationError(f"the phrase has not arrived within {ARRIVES_WITHIN_SECONDS:.0f} s: see server.log")
        look()
        time.sleep(_LOOK_SECONDS)
    say()
    look()
    return lesson.seconds
