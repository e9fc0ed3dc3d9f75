"""A round that is joined by the keyboard of a desktop, while somebody types into an application of it."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from federation.device import PhoneStore
from federation.protocol.drop_reasons import DropReason
from federation.protocol.plan import Deadlines
from fedkey import demonstration
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.settings import Settings
from keyboard_app.status import Outcome
from model.engine import Export
from tests.keyboard_app.canaries import Search
from tests.keyboard_app.ibus.conftest import Typing
from tests.keyboard_app.ibus.desktop import desktop, with_keyboard
from tests.keyboard_app.ibus.recording_proxy import Recorded, recording

pytestmark = pytest.mark.slow

PATIENT = Deadlines(40, 60, 160, 180, 200)
SECONDS = 400.0
SETTINGS = Settings(consent=True, rest_seconds=0.0, min_examples=2, min_phones=3)
LEARNED, SECRET = "blentimoor", "quorvashti"
MESSAGE = f"so {LEARNED} it is then"
TOLD = ("see you tomorrow then", "what are you doing", "hello there how are you", "i am fine and you")


@pytest.fixture
def server(exported: Export, tmp_path: Path) -> Iterator[Recorded]:
    with demonstration.local_server(tmp_path, exported.directory, 3, PATIENT) as url, recording(url) as recorded:
        yield recorded


@pytest.fixture
def others(tmp_path: Path, server: Recorded) -> Iterator[list[Phone]]:
    """Two phones of other people, who have typed already."""
    for name in demonstration.NAMES[:2]:
        Profile.named(name, tmp_path / "others").keep(SETTINGS)
    trust = demonstration.trust_of(tmp_path)
    phones = demonstration.open_phones(tmp_path / "others", 2, trust.parent, server.url, trust)
    for phone in phones:
        for message in TOLD:
            phone.learn(message)
    yield phones
    for phone in phones:
        phone.close()


def test_a_round_is_joined_while_somebody_types(tmp_path: Path, server: Recorded, others: list[Phone]) -> None:
    profile = Profile.named("typist", tmp_path / "profiles")
    profile.keep(SETTINGS)
    model = demonstration.trust_of(tmp_path).parent
    options = ("--model", str(model), "--server", server.url, "--profiles", str(profile.folder.parent))
    with desktop(tmp_path / "made") as made, with_keyboard(made, "--profile", "typist", *options) as here:
        with here.application("gtk3") as application:
            application.press("Tab")
            application.type(SECRET)
            application.has("password", SECRET)
            application.press("Tab")
            lines = 0
            ends = time.monotonic() + SECONDS
            while not all(any(e.outcome is Outcome.JOINED for e in phone.status().rounds) for phone in others):
                assert time.monotonic() < ends, [phone.status().activity for phone in others]
                application.type(MESSAGE)
                application.press("Return")
                lines += 1
            application.has("text", lines * f"{MESSAGE}\n")
        assert set(Typing(here, profile).learned()) == {MESSAGE}
    with contextlib.closing(PhoneStore(profile.device)) as store:
        ended = [record for record in store.rounds() if record.ended is not None]
    assert any(record.reason is DropReason.NONE and record.sent for record in ended)
    search = Search(tmp_path, (LEARNED, SECRET))
    search.look_at_files()
    for stream in server.streams():
        search.look("request", stream)
    assert {place for _, place in search.found if place != "gtk3.json"} == set()
    assert sum(map(len, server.streams())) > 3 * 4 * 1000, "what was searched are three updates"
