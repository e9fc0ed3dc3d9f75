"""What the screens say in every state is true, and says what to do."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from federation.protocol.trust import PROFILES
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.status import BudgetStatus, Outcome, RoundEntry, Snapshot
from keyboard_app.typing.vault import VaultFullError
from keyboard_app.ui.window import has_display
from tests.keyboard_app.ui.conftest import Hand, Screen, begun, show_rounds

pytestmark = pytest.mark.slow  # needs OpenGL

Arrange = Callable[[Phone], object]


class State(NamedTuple):
    """What is the matter, where it is to be seen, and what is said there, and not said."""

    arrange: Arrange
    page: str
    says: tuple[str, ...]
    never: tuple[str, ...] = ()
    model: bool = True
    server: str = ""
    before: Callable[[Profile], object] = lambda _: None


def rounds(*entries: RoundEntry, spent: float = 0.0, limit: float = math.inf, **told: str) -> Arrange:
    def arrange(phone: Phone) -> None:
        phone.change(replace(phone.settings, consent=True, epsilon_limit=limit))
        budget = BudgetStatus(spent, limit, 1e-10, len(entries), 100)
        said = {"activity": "Waiting", "problem": ""} | told
        unreachable = said.pop("unreachable", "")
        show_rounds(phone, lambda _: Snapshot(**said, rounds=entries, budget=budget, unreachable=unreachable))

    return arrange


def full(phone: Phone) -> None:
    phone.learn_here()

    def fail() -> None:
        raise VaultFullError("there is no room on the disk")

    phone._learner.do(fail)


def chosen(**settings: object) -> Arrange:
    return lambda phone: phone.change(replace(phone.settings, **settings))  # type: ignore[arg-type]


REFUSED = RoundEntry(7, 0.0, Outcome.REFUSED, "it would spend more than your limit of epsilon 4")
DEAD = "the server does not answer"

STATES = {
    "no model": State(lambda phone: phone.agree(consent=False), "typing", ("without a model",), model=False),
    "no server, first question": State(
        lambda _: None,
        "consent",
        ("no round server", "Learn on this phone only", "No, keep it off"),
        ("Yes, take part",),
    ),
    "a server, first question": State(
        lambda _: None, "consent", ("Yes, take part", "off until you turn it on"), ("This is on",), server="https://a.b"
    ),
    "agreed already": State(
        chosen(consent=True), "consent", ("This is on: you agreed",), ("This is off",), server="https://a.b"
    ),
    "no server, why not training": State(
        chosen(consent=True), "conditions", ("Not now:", "no server was given"), ("All conditions hold",)
    ),
    "dead server": State(rounds(unreachable=DEAD), "conditions", (DEAD,), ("https://a.b",), server="https://a.b"),
    "in use": State(chosen(consent=True, idle=False), "conditions", ("the phone is in use",), ("Not now: idle",)),
    "on battery": State(chosen(consent=True, charging=False), "conditions", ("on battery",), ("Not now: charging",)),
    "metered": State(chosen(consent=True, unmetered=False), "conditions", ("this network may cost money",)),
    "too little text": State(chosen(consent=True), "conditions", ("0 of 100 new messages",), ("enough new text;",)),
    "not agreed": State(chosen(consent=False), "conditions", ("you have not agreed",)),
    "learning off, words": State(chosen(consent=False), "words", ("Learning is off",), ("learned once two messages",)),
    "learning here, words": State(lambda phone: phone.learn_here(), "words", ("learned once two messages had it",)),
    "contributing": State(chosen(consent=True), "typing", ("Contributing to the shared model",)),
    "learning here is not contributing": State(lambda phone: phone.learn_here(), "typing", (), ("Contributing",)),
    "incognito": State(chosen(consent=True, incognito=True), "typing", ("Incognito: nothing is learned",)),
    "store full": State(full, "typing", ("Nothing more can be learned", "make room, or wipe")),
    "store damaged": State(
        lambda phone: phone.learn_here(),
        "typing",
        ("set aside",),
        before=lambda profile: profile.log.write_bytes(b"this is no database, and was none " * 200),
    ),
    "training refused": State(rounds(REFUSED), "rounds", ("refused", REFUSED.reason, "0 of 1 rounds joined")),
    "stopped": State(
        rounds(activity="Stopped", problem="The server signs with other keys than this app knows."),
        "typing",
        ("other keys",),
        server="https://a.b",
    ),
    "no round yet": State(chosen(consent=True), "rounds", ("has not been asked to a round yet",)),
    "nothing left": State(chosen(consent=True), "leaves", ("Nothing has left this phone yet",)),
    **{
        f"{profile.name}, {page}": State(
            rounds(trust=profile.says), page, (profile.says, "Whom this protects you from"), server="https://a.b"
        )
        for profile in PROFILES.values()
        for page in ("consent", "leaves")
    },
    "no limit": State(rounds(spent=2.0), "budget", ("no limit", "no share to show")),
    "no bound": State(rounds(spent=math.inf, limit=4.0), "budget", ("no bound: rounds without noise",)),
    "a bound": State(rounds(spent=2.0, limit=4.0), "budget", ("2", "4"), ("no share to show", "no bound")),
    "one model": State(chosen(consent=True), "models", ("Not enough of your own recent text",)),
    "nothing sent": State(chosen(consent=True), "keystrokes", ("Nothing was sent this week yet",)),
}


@pytest.fixture
def state_phone(
    request: pytest.FixtureRequest, screen: Screen, model: Path, tmp_path: Path
) -> Iterator[tuple[State, Phone]]:
    state = STATES[request.param]
    profile = Profile.named("ada", tmp_path)
    state.before(profile)
    phone = begun(Phone(profile, model=model if state.model else None, monotonic=lambda: screen.now))
    phone._server = state.server  # without its thread: nothing is asked
    yield state, phone
    phone.close()


@pytest.mark.parametrize("state_phone", STATES, indirect=True)
def test_the_screen_says_what_is_so(screen: Screen, state_phone: tuple[State, Phone]) -> None:
    state, phone = state_phone
    assert phone.settle()
    state.arrange(phone)
    assert phone.settle()
    hand = Hand(screen, phone)
    hand.open(state.page)
    said = screen.texts()
    for words in state.says:
        assert words in said
    for words in state.never:
        assert words not in said


@pytest.mark.parametrize(
    ("environment", "platform", "has"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"SDL_VIDEODRIVER": "offscreen"}, "linux", True),
        ({"ANDROID_ARGUMENT": "/data"}, "linux", True),
        ({}, "darwin", True),
    ],
)
def test_without_a_display_no_window_is_opened_unseen(environment: dict[str, str], platform: str, has: bool) -> None:
    assert has_display(environment, platform) is has
