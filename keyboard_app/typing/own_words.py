"""What the learner keeps between starts: the vault with the typing log, and the personal model learned from it.

Everything here happens in the learner's thread, and raises what the vault raises.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from keyboard_app.typing.typing_log import COUNTS, TypingLog
from keyboard_app.typing.vault import KEY_BYTES, KeyStore, Vault, VaultError, open_or_replace, set_aside
from model.suggestions import PersonalModel

_DAY = 86400
_LEARNED_BEFORE_SAVING = 10

_PERSONAL, _THROUGH, _TRAINED, _EMOJI = "personal", "personal through", "trained through", "recent emoji"
_MOVED = frozenset({_PERSONAL, _EMOJI, COUNTS})


class Kept:
    """A vault and the typing log in it; both are others after damage.

    Args:
        path: File of the vault.
        keys: Its keys.
        clock: Returns seconds since 1970.
    """

    def __init__(self, path: Path, keys: KeyStore, clock: Callable[[], float]) -> None:
        self._path, self._keys, self._clock = path, keys, clock
        self.vault: Vault
        self.log: TypingLog

    def open(self) -> str:
        """Open what is kept, or something new; return what the owner should know of it, if anything."""
        self.vault, problem = open_or_replace(self._path, self._keys)
        self.log = TypingLog(self.vault, clock=self._clock)
        return problem

    def wipe(self) -> None:
        """Forget everything and the keys that it was sealed with, also if it cannot be read or written any more."""
        try:
            self.vault.wipe()
        except VaultError:
            self.vault.close()
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._keys.save([secrets.token_bytes(KEY_BYTES)])
            self.open()
        for path in set_aside(self._path):
            path.unlink(missing_ok=True)

    @property
    def trained_through(self) -> int:
        """Number of the latest message that was trained on."""
        return int(self.vault.get(_TRAINED) or 0)

    @trained_through.setter
    def trained_through(self, number: int) -> None:
        self.vault.put(_TRAINED, str(number).encode())

    def copy(self) -> tuple[list[tuple[float, str]], dict[str, bytes]]:
        """Return the messages with their times, and the documents that another phone can use."""
        messages = [(message.at, message.text) for message in self.log.messages()]
        documents = {name: self.vault.get(name) for name in _MOVED}
        return messages, {name: document for name, document in documents.items() if document is not None}

    def take(self, messages: Iterable[tuple[float, str]], documents: Mapping[str, bytes]) -> None:
        """Keep what `copy` returned on another phone; nothing of it is trained on again."""
        with self.vault.writing():
            for at, text in messages:
                self.vault.append(at, text.encode())
            for name in documents.keys() & _MOVED:
                self.vault.put(name, documents[name])
            self.vault.put(_THROUGH, str(self.vault.latest()).encode())
            self.trained_through = self.vault.latest()

    @property
    def recent_emoji(self) -> tuple[str, ...]:
        """Recently used emoji, the latest first."""
        return tuple((self.vault.get(_EMOJI) or b"").decode().split())

    @recent_emoji.setter
    def recent_emoji(self, emoji: Sequence[str]) -> None:
        self.vault.put(_EMOJI, " ".join(emoji).encode())


class OwnWords:
    """The personal model, saved now and then; what was not saved is learned from the log again.

    Args:
        kept: Where it and the log are.
        lexicon: Words that everybody knows.
        clock: Returns seconds since 1970.

    Attributes:
        model: The personal model; another one after `expire`.
    """

    def __init__(self, kept: Kept, lexicon: Iterable[str], clock: Callable[[], float]) -> None:
        self._kept, self._lexicon, self._clock = kept, lexicon, clock
        self._since_saved = 0
        self._expired_on = -1  # day, since 1970
        self.model = PersonalModel(lexicon)

    def read(self) -> None:
        """Read the user's own words, and learn what was logged after they were written."""
        data = self._kept.vault.get(_PERSONAL)
        if data is not None:
            with contextlib.suppress(ValueError):  # of another version: learn from the log again
                self.model = PersonalModel.from_bytes(data, self._lexicon)
        through = int(self._kept.vault.get(_THROUGH) or 0) if self.model.tokens else 0
        messages = self._kept.log.messages(after=through)
        if messages:
            self.model.learn_all(message.text for message in messages)
            self.save()
        self.expire()

    def learn(self, text: str) -> None:
        """Learn a message of the log."""
        self.model.learn(text)
        self._since_saved += 1
        if self._since_saved >= _LEARNED_BEFORE_SAVING:
            self.save()
        self.expire()

    def save(self) -> None:
        """Write the user's words, and up to where the log is in them."""
        vault = self._kept.vault
        with vault.writing():
            vault.put(_PERSONAL, self.model.to_bytes())
            vault.put(_THROUGH, str(vault.latest()).encode())
        self._since_saved = 0

    def expire(self) -> None:
        """Once a day, let old messages go, and what was learned from them but for the list of words."""
        today = int(self._clock() // _DAY)
        if today == self._expired_on:
            return
        self._expired_on = today
        if not self._kept.log.expire():
            return
        old, self.model = self.model, PersonalModel(self._lexicon)
        self.model.adaptation = old.adaptation
        self.model.learn_all(message.text for message in self._kept.log.messages())
        for word in old.learned():
            if not self.model.knows(word.word):
                self.model.add_word(word.shown)
        for kept in old.kept:
            self.model.keep(old.habit(kept) or kept)
        for short, text in old.shortcuts.items():
            self.model.add_shortcut(short, text)
        for never in old.never:
            self.model.never_suggest(never)
        self.save()
