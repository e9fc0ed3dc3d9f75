"""A round server with phones of one desktop, for demonstrations: everything real, only nothing far away."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from federation.base.child_processes import serving
from federation.errors import FederationError
from federation.protocol.plan import Deadlines
from federation.protocol.training_settings import TrainingSettings
from federation.server.preparation import EXPORT, prepare
from federation.server.settings import RoundSettings, ServerSettings
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.self_typing import SelfTyping
from keyboard_app.settings import Settings
from keyboard_app.status import Outcome
from model.engine.exported import TRUST

PUBLIC_TEXT = (
    "how are you today",
    "see you tomorrow",
    "what are you doing tonight",
    "thank you so much",
    "that sounds good to me",
    "i do not know what to say",
    "let me know when you are home",
    "have a good day",
    "where do you want to go",
    "i think it is going to rain",
    "do you have time for a coffee",
    "we can talk about it later",
)
"""What the gate of the demonstration's server measures new models on."""

DIARIES = (
    (
        "good morning! did you sleep well?",
        "the ferry leaves at noon from pier seven",
        "i will bring coffee and a warm jacket",
        "Marit says the harbour is quiet today",
        "can you ask Marit about the tickets?",
        "no worries, we still have time",
        "the ferry leaves at noon from pier seven",
        "let's meet at the harbour at half past eleven",
        "i think it is going to rain",
        "what do you want for dinner?",
        "maybe soup, it is so cold",
        "see you at the harbour then",
        "the ferry leaves at noon from pier seven",
        "Marit is already on the boat",
        "that was a lovely day, thank you",
    ),
    (
        "hi! are you coming with us tomorrow?",
        "the ferry leaves at noon from pier seven",
        "do not forget your ticket",
        "i have to work until ten",
        "we will wait for you at pier seven",
        "the ferry leaves at noon from pier seven",
        "how is your mother doing?",
        "tell her i said hello",
        "it was so good to see you again",
        "the ferry leaves at noon from pier seven",
        "let me know when you are home",
        "good night, sleep well",
    ),
    (
        "what time is it over there?",
        "i am so tired today",
        "we went to the cinema last night",
        "the film was not very good",
        "do you want to come over on friday?",
        "i can cook something for us",
        "my sister is here until sunday",
        "have you heard from the bank?",
        "no, nothing yet",
        "i will call them tomorrow morning",
        "ok, talk to you later",
        "have a good day at work",
    ),
)
"""What the phones of the demonstration type; two of them speak of a ferry that the third has not heard of."""

NAMES = ("Ada", "Ben", "Cleo", "Dia", "Emil", "Fay")

DEADLINES = Deadlines(20, 30, 90, 100, 110)

_DAY = 86400
_ROUND_SECONDS = 120.0
_LOOK_SECONDS = 0.1


def server_settings(phones: int, enrolment_url: str, deadlines: Deadlines = DEADLINES) -> ServerSettings:
    """Return settings of rounds with this number of phones, as fast as they can be."""
    rounds = RoundSettings(
        goal=phones,
        minimum=phones,
        over_selection=1.0,
        deadlines=deadlines,
        training=TrainingSettings(epochs=4),
        separation_seconds=0,
        meeting_seconds=2,
    )
    return ServerSettings(enrolment_url=enrolment_url, max_relative_gate_loss=0.2, rounds=rounds)


@contextlib.contextmanager
def local_server(folder: Path, model: Path, phones: int, deadlines: Deadlines = DEADLINES) -> Iterator[str]:
    """Run a round server and an enrolment service on this machine; yield the server's URL.

    Args:
        folder: Folder of both; what is there goes on.
        model: Folder of an exported model, the first of a new server.
        phones: Number of phones in a round.
        deadlines: Of its steps, in seconds.

    Raises:
        StartError: they do not start.
    """
    authority = folder / "authority"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "server" / "server.toml").unlink(missing_ok=True)  # the enrolment service's address changes
    log = folder / "server.log"
    with serving("enrol", "serve", "--authority", authority, log=log) as enrolment:
        prepare(
            folder / "server",
            model=model if not (folder / "server").exists() else None,
            settings=server_settings(phones, enrolment, deadlines),
            public_text=lambda: PUBLIC_TEXT,
            authority=authority,
            texts_are_given=False,
        )
        command = ("serve", "--folder", folder / "server", "--authority", authority, "--workers", 1, "--admin-port", 0)
        with serving(*command, log=log) as server:
            yield server


def demonstration_settings(phones: int) -> Settings:
    """Return what a phone of the demonstration begins with: it is soon idle, and few examples are enough."""
    return Settings(rest_seconds=2.0, min_examples=2, min_phones=phones)


def trust_of(folder: Path) -> Path:
    """Return the keys that phones of `local_server` come with."""
    return folder / "server" / EXPORT / TRUST


def open_phones(
    parent: Path,
    count: int,
    model: Path,
    server: str,
    trust: Path,
    *,
    settings: Settings | None = None,
    at_once: bool = True,
) -> list[Phone]:
    """Open the demonstration's phones, each with a profile in `parent`.

    Args:
        parent: folder of the profiles.
        count: how many.
        model: folder of an exported model.
        server: URL.
        trust: see `Phone`.
        settings: that a new phone begins with; by default `demonstration_settings`.
        at_once: see `Phone`.
    """
    phones = []
    for number in range(count):
        profile = Profile.named(NAMES[number] if number < len(NAMES) else f"Phone-{number + 1}", parent)
        if profile.settings() == Settings():  # its first start
            profile.keep(settings or demonstration_settings(count))
        phones.append(Phone(profile, model=model, server=server, trust=trust, at_once=at_once))
    return phones


def type_diaries(parent: Path, model: Path) -> None:
    """Let three phones type what their owners wrote in the last week, before they know of any server."""
    for number, diary in enumerate(DIARIES):
        profile = Profile.named(NAMES[number], parent)
        profile.keep(replace(demonstration_settings(len(DIARIES)), consent=True))
        ago = 6.0
        phone = Phone(profile, model=model, clock=lambda: time.time() - ago * _DAY)  # noqa: B023
        phone.settle()
        for message in diary:
            SelfTyping(phone, [message]).all()
            ago -= 6.0 / len(diary)
        phone.close()


def play_rounds(phones: Sequence[Phone], rounds: int) -> None:
    """Wait until the first phone took part in this number of rounds; in the middle it is strict once, and refuses one.

    Raises:
        FederationError: they take too long.
    """
    first = phones[0]

    def ended(outcome: Outcome) -> int:
        return sum(entry.outcome is outcome for entry in first.status().rounds)

    def all_wait() -> bool:
        """Whether no phone is in a round: one that is typed on leaves it, and the sum needs all of them."""
        return all(phone.status().activity.startswith("Waiting") for phone in phones)

    def type_some(number: int) -> None:
        for phone, diary in zip(phones, DIARIES, strict=False):
            SelfTyping(phone, [diary[-1 - 2 * number], diary[-2 - 2 * number]]).all()

    def insist_on(min_phones: int) -> None:
        """Begin anew with another policy."""
        first.agree(consent=False)
        _until(lambda: first.status().activity == "Off")
        first.change(replace(first.settings, min_phones=min_phones, consent=True))

    def refuse() -> None:
        insist_on(len(phones) + 2)
        type_some(rounds)
        _until(lambda: ended(Outcome.REFUSED) > 0 and all_wait())
        insist_on(len(phones))

    for number in range(rounds):
        if number == rounds // 2:
            refuse()
        type_some(number)
        done = number + 1
        _until(lambda: ended(Outcome.JOINED) >= done and all_wait())  # noqa: B023


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _ROUND_SECONDS
    while not reached():
        if time.monotonic() > deadline:
            raise FederationError("the demonstration's rounds do not come together: see server.log in its folder")
        time.sleep(_LOOK_SECONDS)
