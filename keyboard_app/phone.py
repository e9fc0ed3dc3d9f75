"""A phone as its screens see it: plain values come out, what the owner chooses goes in, and nothing here waits.

Three threads, each with a class: the window's types (`TypingSession`), one predicts, learns and writes the log
(`Learner`), and one takes part in rounds (`RoundsThread`). `Phone` joins them and holds the settings.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from federation.base import child_processes
from keyboard_app.deletion import Deletion
from keyboard_app.editor.editor import Offer, Request
from keyboard_app.owner_data import OwnerData
from keyboard_app.profile import DeviceConditions, Profile, SimulatedConditions
from keyboard_app.rounds_thread import RoundsThread
from keyboard_app.settings import Settings
from keyboard_app.status import Condition, Keystrokes, Status, needed, week
from keyboard_app.typing.learner import Learner
from keyboard_app.typing.session import TypingSession
from keyboard_app.typing.vault import FileKeyStore, KeyStore
from model import files

if TYPE_CHECKING:
    import httpx

    from federation.protocol.model_codec import SharedKind


class Phone:
    """One phone.

    Args:
        profile: Where its things are.
        model: Folder of an exported model; without one the keyboard types and suggests nothing.
        server: URL of the round server; empty for none.
        trust: File of the keys that the app brings; by default that beside the model.
        transport: What carries requests; httpx's own if there is none.
        keys: Keys of what is kept; by default in a file.
        languages: Codes of one or two languages that are written; by default that of the model.
        conditions: How the device is; by default the simulated switches of the settings.
        at_once: Whether to read the model and what is kept now, not only after `begin`; until then one types without
            suggestions.
        clock: Returns seconds since 1970.
        monotonic: Returns seconds of a steady clock.
        run: What trains and compares models; by default another process, which Android does not allow.

    Attributes:
        session: What one types.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        model: Path | None = None,
        server: str = "",
        trust: Path | None = None,
        transport: "httpx.BaseTransport | None" = None,
        keys: KeyStore | None = None,
        languages: Sequence[str] = (),
        conditions: DeviceConditions | None = None,
        at_once: bool = True,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        run: child_processes.Runner = child_processes.run,
    ) -> None:
        self._profile, self._server, self._clock = profile, server, clock
        self._listeners: list[Callable[[], object]] = []
        Deletion(profile).finish()
        self._settings = profile.settings()
        keys = keys or FileKeyStore(profile.key)
        self._learner = Learner(
            profile, model, keys, languages=languages, at_once=at_once, clock=clock, changed=self._tell
        )
        self.session = TypingSession(self._learner, lambda: self._settings, monotonic)
        self._learner.configure(self._settings)
        self._conditions = conditions or SimulatedConditions(
            lambda: self._settings, lambda: self.session.last_key, monotonic
        )
        self._rounds = RoundsThread(
            profile,
            server,
            self._learner,
            lambda: self._settings,
            self._conditions,
            trust=trust,
            transport=transport,
            clock=clock,
            changed=self._tell,
            run=run,
        )
        self._data = OwnerData(profile, self.session, self._learner, self._rounds, clock=clock)

    def begin(self) -> None:
        """Read the model and what is kept, if that was not done at once. Returns at once."""
        self._learner.begin()

    # What one chooses.

    @property
    def settings(self) -> Settings:
        """What was chosen."""
        return self._settings

    def change(self, settings: Settings) -> None:
        """Choose something else."""
        self.session.go_incognito(on=settings.incognito)
        self._settings = settings
        self._learner.configure(settings)
        try:
            self._profile.keep(settings)
        except OSError as error:
            self._learner.trouble(f"Settings cannot be stored ({error.strerror}): they last until the app closes.")
        self._rounds.wake()
        self._tell()

    def go_incognito(self, *, on: bool) -> None:
        """Turn incognito on or off; it stays so over restarts."""
        self.change(replace(self.settings, incognito=on))

    def change_hand(self) -> None:
        """Have the keys for one hand on the other side."""
        other = {"left": "right", "right": "left", "": ""}
        self.change(replace(self.settings, one_handed=other[self.settings.one_handed]))

    def next_layout(self) -> None:
        """Change to the other layout of keys, and back at the next call; without another one nothing changes."""
        first, second = self.session.layout, self.settings.second_layout
        if second:
            self.change(replace(self.settings, layout=second, second_layout=first))

    def agree(self, consent: bool) -> None:  # noqa: FBT001 - the answer to a question
        """Agree to learning, here and together, or withdraw. What is being typed at the moment is not learned."""
        self.session.keep_secret()
        self._learner.draft("")
        self.change(replace(self.settings, consent=consent, learn_here=False))

    def learn_here(self) -> None:
        """Learn on this phone only: nothing leaves it. What is being typed at the moment is not learned."""
        self.agree(consent=False)
        self.change(replace(self.settings, learn_here=True))

    def add_word(self, word: str) -> None:
        """Know a word from now on."""
        self._learner.change_words(lambda personal: personal.add_word(word))

    def add_shortcut(self, short: str, text: str) -> None:
        """Write `text` where `short` is typed as a word."""
        self._learner.change_words(lambda personal: personal.add_shortcut(short, text))

    def remove_shortcut(self, short: str) -> None:
        """Take `add_shortcut` back."""
        self._learner.change_words(lambda personal: personal.remove_shortcut(short))

    def import_words(self, path: Path) -> int:
        """Learn the words and shortcuts of a file: one a line, or as Gboard or AOSP write them. Return how many.

        Raises:
            OSError: It cannot be read.
            ValueError: It is something else.
        """
        try:
            content = files.read_text(path)
        except UnicodeDecodeError as error:
            raise ValueError("it is no text in UTF-8") from error
        return self._learner.import_words(content)

    def export_words(self, kind: str = "plain") -> Path:
        """Write the owner's words and shortcuts into a file that only the owner may read; return where it is.

        Args:
            kind: One of `model.suggestions.word_files.KINDS`.

        Raises:
            OSError: It cannot be written.
            ValueError: There is no such kind.
        """
        return self._data.export_words(kind)

    def answer(self, before: str, typed: str, timeout_seconds: float) -> Offer | None:
        """Wait for suggestions after a text and the first letters of a word; None if that takes too long."""
        return self._learner.answer(Request(before, typed), timeout_seconds)

    def learn(self, text: str) -> None:
        """Learn a message that was typed elsewhere, if its owner agreed and is not incognito."""
        if self._settings.consent is True and not self._settings.incognito:
            self._learner.finish(text, keystrokes=0)

    def forget(self, word: str) -> None:
        """Unlearn a word, with all messages that have it."""
        self._learner.forget(word)

    def never_suggest(self, word: str) -> None:
        """Keep a word off the strip."""
        self._learner.change_words(lambda personal: personal.never_suggest(word))

    def allow(self, word: str) -> None:
        """Take `never_suggest` back."""
        self._learner.change_words(lambda personal: personal.allow(word))

    def use_model(self, version: int, kind: "SharedKind" = "model") -> None:
        """Predict with another version of the shared weights or counts; takes effect soon."""
        self._learner.do(lambda: self._learner.use_model(version, kind))

    def wipe(self) -> None:
        """Forget all words and messages, what was set aside as damaged too."""
        self._data.wipe()

    def export_data(self) -> Path:
        """Write everything that is kept of the owner into a file that only the owner may read; return where it is.

        Raises:
            OSError: it cannot be written.
        """
        return self._data.export(self.settings)

    def write_copy(self, passphrase: str) -> Path:
        """Write an encrypted file with everything that another phone can use; return where it is.

        Raises:
            OSError: It cannot be written.
            ValueError: The passphrase is too short, or what is kept cannot be read now.
        """
        return self._data.write_copy(self.settings, passphrase)

    def read_copy(self, path: Path, passphrase: str) -> None:
        """Keep what another phone wrote, its settings too, but for what its owner agreed to there.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is something else, the passphrase is another, or this phone has words of its own.
        """
        settings = self._data.read_copy(path, passphrase)
        own = self.settings
        self.change(replace(settings, consent=own.consent, learn_here=own.learn_here, incognito=own.incognito))

    def delete_everything(self) -> None:
        """Delete all that this phone keeps of its owner, its identity in rounds included."""
        self._data.delete()
        self.change(Settings())

    # What one sees.

    def listen(self, listener: Callable[[], object]) -> None:
        """Have `listener` called, in any thread, whenever what this phone says may have changed."""
        self._listeners.append(listener)

    def status(self) -> Status:
        """Return everything that screens show; reads no file and waits for nothing."""
        learned, snapshot = self._learner.learned, self._rounds.snapshot
        return Status(
            self._profile.name,
            self._settings.consent,
            self._server,
            snapshot.activity,
            self.conditions(),
            snapshot.rounds,
            snapshot.budget,
            learned.models,
            Keystrokes(week({day.day: (day.characters, day.keystrokes) for day in learned.days}, self._clock())),
            learned.learned,
            learned.never,
            learned.shortcuts,
            (learned.messages, learned.words),
            " ".join(filter(None, (snapshot.problem, learned.problem))),
            snapshot.trust,
        )

    def conditions(self) -> Sequence[Condition]:
        """Return all that must hold before this phone trains."""
        new_examples, unreachable = self._learner.learned.new_examples, self._rounds.snapshot.unreachable
        return needed(self._settings, self._conditions.now(), self._server, new_examples, unreachable)

    def settle(self, timeout_seconds: float = 60.0) -> bool:
        """Wait until all predictions and learning asked for so far are done; return whether they are."""
        return self._learner.settle(timeout_seconds)

    def close(self) -> None:
        """Stop training, leave the round, write what is left, and end the threads."""
        self._rounds.stop()
        self._learner.begin()  # what was typed is learned in any case
        self._rounds.join()
        self._learner.close()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
