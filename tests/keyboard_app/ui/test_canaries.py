"""What is typed by touches stays on the phone: a search of all that leaves it, and of all that it writes.

Words that no model, list or message knows are typed with a finger, the phone trains on them and takes part in rounds,
and they are looked for in every request, every file and every log line, as text and in its commonest encodings. Files
are read again and again while the app runs, so that those that it soon deletes are read too. Leaks that are made on
purpose show that the search finds what it looks for.
"""

import base64
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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

_written: set[Path] = set()
"""Files that this process opened for writing, wherever they are."""


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | os.PathLike):
        path, _, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR):
            _written.add(Path(os.fsdecode(path)).absolute())


sys.addaudithook(_note)


def forms(word: str) -> Iterator[bytes]:
    """Yield how a word, in lower case, would look in a file; base64 at each of its three offsets."""
    plain = word.encode()
    yield plain
    yield word.encode("utf-16-le")
    yield plain.hex().encode()
    for offset in range(3):
        coded = base64.b64encode(bytes(offset) + plain)
        yield coded[-(-offset * 8 // 6) : len(coded) // 4 * 4 - 4]  # what its neighbours have no part in


class Search:
    """Looks for words in what the phone wrote and sent; what was seen once is not forgotten.

    Args:
        folder: whose files are all looked at.
        words: in lower case.

    Attributes:
        found: the words, and where each was.
        files: all that were looked at.
    """

    def __init__(self, folder: Path, words: Sequence[str]) -> None:
        self.found: set[tuple[str, str]] = set()
        self.files: set[str] = set()
        self._folder = folder
        self._forms = {word: tuple(forms(word)) for word in words}

    def look(self, place: str, content: bytes) -> None:
        lowered = content.lower()
        for word, shapes in self._forms.items():
            if any(shape in content or shape in lowered for shape in shapes):
                self.found.add((word, place))

    def look_at_files(self) -> None:
        for path in {*self._folder.rglob("*"), *_written, *_held_open()}:
            self.look("name of a file", path.name.encode())
            try:
                content = path.read_bytes() if path.is_file() else b""
            except OSError:
                continue  # gone meanwhile
            self.files.add(path.name)
            self.look(path.name, content)


def _held_open() -> Iterator[Path]:
    """Yield the files that this process has open, for those from before it was listened to."""
    for link in Path("/proc/self/fd").glob("*"):
        try:
            yield link.readlink()
        except OSError:
            continue


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
        """Let rounds go on until the first phone took part in so many."""
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
    phones.screen.press("stop incognito")
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
