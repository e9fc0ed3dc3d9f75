"""What owners may do with all that the phone keeps of them: take a copy, wipe what was learned, delete everything."""

import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from federation.base.files import write_private
from keyboard_app import moving
from keyboard_app.deletion import PARTS, Deletion
from keyboard_app.profile import Profile, chosen, plain
from keyboard_app.rounds_thread import RoundsThread
from keyboard_app.settings import Settings
from keyboard_app.typing.learner import Learner
from keyboard_app.typing.session import TypingSession
from model import files
from model.suggestions import word_files


class OwnerData:
    """What one phone keeps of its owner. Call it from the thread of the window.

    Args:
        profile: Where things are.
        session: What is being typed.
        learner: The typing log and the user's own words.
        rounds: Records of rounds.
        clock: Returns seconds since 1970.
    """

    def __init__(
        self,
        profile: Profile,
        session: TypingSession,
        learner: Learner,
        rounds: RoundsThread,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._profile, self._session, self._learner, self._rounds = profile, session, learner, rounds
        self._clock = clock
        self._deletion = Deletion(profile)

    def export(self, settings: Settings) -> Path:
        """Write everything into a file that only the owner may read; return where it is.

        Raises:
            OSError: it cannot be written.
        """
        learned = self._learner.learned
        content = {
            "profile": self._profile.name,
            "settings": plain(settings),
            "messages": [dataclasses.asdict(message) for message in self._learner.messages()],
            "learned words": [list(word) for word in learned.learned],
            "never suggested": list(learned.never),
            "shortcuts": dict(learned.shortcuts),
            "keystrokes": [dataclasses.asdict(day) for day in learned.days],
            "rounds": [
                {
                    "round": entry.round_id,
                    "at": entry.at,
                    "outcome": entry.outcome.value,
                    "reason": entry.reason,
                    "bytes up": entry.bytes_up,
                    "bytes down": entry.bytes_down,
                    "epsilon": entry.epsilon,
                    "update": entry.update.tolist(),
                    "masked": entry.masked.tolist(),
                }
                for entry in self._rounds.snapshot.rounds
            ],
        }
        name = time.strftime("fedkey-%Y-%m-%d-%H%M%S.json", time.localtime(self._clock()))
        path = self._profile.exports / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(path, json.dumps(content, ensure_ascii=False, indent=1).encode())
        return path

    def export_words(self, kind: str) -> Path:
        """Write the owner's words and shortcuts into a file that only the owner may read; return where it is.

        Raises:
            OSError: it cannot be written.
            ValueError: there is no such kind of file.
        """
        learned = self._learner.learned
        entries = [word_files.Entry(shown, count) for _, shown, count in learned.learned]
        entries += [word_files.Entry(text, 1, short) for short, text in sorted(learned.shortcuts.items())]
        content = word_files.write(entries, kind)
        path = self._profile.exports / time.strftime("words-%Y-%m-%d-%H%M%S.txt", time.localtime(self._clock()))
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(path, content.encode())
        return path

    def write_copy(self, settings: Settings, passphrase: str) -> Path:
        """Write everything that another phone can use into a sealed file; return where it is.

        Raises:
            OSError: It cannot be written.
            ValueError: The passphrase is too short, or what is kept cannot be read now.
        """
        messages, documents = self._learner.copy()
        sealed = moving.seal({"settings": plain(settings), "messages": messages}, documents, passphrase)
        path = self._profile.exports / time.strftime("fedkey-%Y-%m-%d-%H%M%S.copy", time.localtime(self._clock()))
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(path, sealed)
        return path

    def read_copy(self, path: Path, passphrase: str) -> Settings:
        """Keep what another phone wrote, and return its settings. Only a phone that has learned nothing can do it.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is something else, the passphrase is another, or this phone has words of its own.
        """
        learned = self._learner.learned
        if learned.messages or learned.learned:
            raise ValueError("this phone has learned words of its own: wipe them first, so that nothing is mixed up")
        content, documents = moving.unseal(files.read(path), passphrase)
        try:
            messages = [(float(at), str(text)) for at, text in content["messages"]]
            settings = chosen(content["settings"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("this copy is of another version: nothing was read") from error
        self._learner.take(messages, documents)
        return settings

    def wipe(self) -> None:
        """Forget all words and messages, those that are being typed too."""
        self._session.keep_secret()
        self._learner.wipe()

    def delete(self) -> None:
        """Delete all of it, exports and the identity in rounds included.

        What is not gone when the phone is killed is deleted at its next start, before anything is opened.
        """
        learned, exports, identity = PARTS
        self._deletion.begin()
        self._session.clear()
        self._session.keep_secret()
        self._learner.wipe(lambda: self._deletion.done(learned))
        self._rounds.delete(lambda: self._deletion.done(identity))
        shutil.rmtree(self._profile.exports, ignore_errors=True)
        if not self._profile.exports.exists():
            self._deletion.done(exports)
