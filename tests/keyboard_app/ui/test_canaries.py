"""What is typed by touches stays on the phone: a search of all that leaves it, and of all that it writes.

Words that no model, list or message knows are typed with a finger, the phone trains on them and takes part in rounds,
and they are looked for in every request, every file and every log line, as text and in its commonest encodings. Files
are read again and again while the app runs, so that those that it soon deletes are read too. Leaks that are made on
purpose show that the search finds what it looks for.
"""

import base64
import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from federation.protocol.training_settings import TrainingSettings
from federation.server.settings import RoundSettings
from keyboard_app.editor.editor import FieldKind
from keyboard_app.editor.keys import Action
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.status import Outcome
from keyboard_app.typing.vault import Vault
from tests.federation.server.http import URL, Site
from tests.keyboard_app.canaries import Search
from tests.keyboard_app.conftest import AGREED
from tests.keyboard_app.test_participation import Network
from tests.keyboard_app.ui.conftest import Hand, Screen

pytestmark = pytest.mark.slow  # needs OpenGL, and rounds

SENT, UNSENT, INCOGNITO, PASSWORD, PASTED = "xylopharnix", "quorvashti", "blentimoor", "drimgouvast", "wolmefritz"
CANARIES = (SENT, UNSENT, INCOGNITO, PASSWORD, PASTED)
SETTINGS = RoundSettings(
    goal=3,
    minimum=3,
    over_selection=1.0,
    clip=20.0,
    training=TrainingSettings(epochs=2, dropout=0.0),
    meeting_seconds=1,
    separation_seconds=1,
)
SECONDS = 240


class SearchedPhones:
    """A phone under a finger, two others that take part in its rounds, and all that can be searched of them."""

    def __init__(self, screen: Screen, folder: Path, model: Path) -> None:
        self.screen = screen
        self.site = Site(folder, model, time.time, SETTINGS)  # type: ignore[arg-type]
        self.network = Network(self.site)
        self.search = Search(folder, CANARIES)
        self.phones = [self._open(name, folder, model) for name in ("ada", "ben", "cleo")]
        self.hand = Hand(screen, self.phones[0])

    def _open(self, name: str, folder: Path, model: Path) -> Phone:
        profile = Profile.named(name, folder / "phones")
        profile.keep(AGREED)
        return Phone(
            profile,
            model=model,
            server=URL,
            trust=self.site.trust(),
            transport=self.network,
            monotonic=lambda: self.screen.now,
        )

    def write(self, *messages: str) -> None:
        for message in messages:
            self.hand.write(message)
            self.search.look_at_files()
            self.hand.press(action=Action.RETURN)
            self.hand.settle()
            self.search.look_at_files()

    def take_part(self, rounds: int) -> None:
        """Let rounds go on until the first phone took part in this many."""
        for phone in self.phones[1:]:
            for message in ("see you tomorrow then", "what are you doing", "hello there", "nothing much"):
                phone.session.type(message)
                phone.session.send()
            assert phone.settle()
        ends = time.monotonic() + SECONDS
        while sum(entry.outcome is Outcome.JOINED for entry in self.phones[0].status().rounds) < rounds:
            assert time.monotonic() < ends, (self.site.story, [phone.status().activity for phone in self.phones])
            self.site.coordinator.tick()
            self.screen.frames()
            self.search.look_at_files()
            time.sleep(0.02)

    def close(self) -> None:
        for phone in self.phones:
            phone.close()
        self.screen.clear()
        self.search.look_at_files()
        for body in self.network.bodies:
            self.search.look("request", body)


@pytest.fixture
def phones(
    screen: Screen, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[SearchedPhones]:
    """Return phones whose temporary files, those of their training processes too, are searched as well."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    caplog.set_level(logging.DEBUG)
    opened = SearchedPhones(screen, tmp_path, model)
    yield opened
    opened.close()


def test_words_that_were_touched_are_in_no_request_no_file_and_no_log_line(
    phones: SearchedPhones, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    first, hand, search = phones.phones[0], phones.hand, phones.search
    hand.open("settings")
    phones.screen.press(FieldKind.PASSWORD.value.capitalize())
    hand.open("typing")
    phones.write(PASSWORD)
    hand.open("settings")
    phones.screen.press(FieldKind.ORDINARY.value.capitalize())
    hand.open("typing")
    phones.screen.press("incognito")
    phones.write(f"so {INCOGNITO} it is")
    phones.screen.press("leave incognito")
    hand.clipboard.text = PASTED
    assert hand.view.typing is not None
    hand.view.typing.edits.paste()
    phones.write(" it is")
    assert first.session.sent[-1] == f"{PASTED} it is"
    phones.write(f"so {SENT} it is", f"{SENT} again", "see you there", "how are you", f"what a {SENT}")
    assert sum(SENT in message.lower() for message in first.session.sent) == 3, "typed as it was meant"
    assert SENT in first.status().learned[0], "and learned, so that there is something to hide"
    assert all(PASTED not in word for word, *_ in first.status().learned), "what was pasted is not even learned"
    phones.take_part(1)
    assert any(entry.update.size for entry in first.status().rounds)
    phones.write(f"{SENT} once more")
    hand.write(f"my {UNSENT} is not sent")
    hand.open("words")
    phones.close()
    search.look("log", caplog.text.encode())
    search.look("output", "".join(capfd.readouterr()).encode())
    assert search.found == set()
    assert {"typing.sqlite", "typing.sqlite-wal"} <= search.files
    assert len(phones.network.bodies) > 10
    assert caplog.records


def test_the_search_finds_words_that_are_kept_unsealed(phones: SearchedPhones, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same app, touches and search; only the vault, on purpose, seals nothing."""
    monkeypatch.setattr(Vault, "_seal", lambda _, __, content: content)
    monkeypatch.setattr(Vault, "_open", lambda _, __, content: content)
    phones.write(f"so {SENT} it is")
    phones.hand.write(f"my {UNSENT} is not sent")
    phones.close()
    leaks = {word for word, place in phones.search.found if place.startswith("typing.sqlite")}
    assert leaks == {SENT, UNSENT}


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_the_search_finds_planted_words(tmp_path: Path, before: str) -> None:
    search = Search(tmp_path, CANARIES)
    text = f"{before}{SENT.capitalize()} it is"
    for number, planted in enumerate(
        (text.encode(), text.upper().encode(), text.lower().encode("utf-16-le"), text.lower().encode().hex().encode())
    ):
        (tmp_path / f"{number}.bin").write_bytes(b"\0\xff" + planted + b"\xff")
    (tmp_path / "base64").write_bytes(base64.b64encode(text.lower().encode()))
    (tmp_path / f"{UNSENT}.txt").touch()
    with tempfile.TemporaryDirectory() as elsewhere:
        Path(elsewhere, "outside").write_text(text)
        search.look_at_files()
    search.look("request", text.encode())
    places = {"0.bin", "1.bin", "2.bin", "3.bin", "base64", "outside", "request"}
    assert search.found == {(SENT, place) for place in places} | {(UNSENT, "name of a file")}
