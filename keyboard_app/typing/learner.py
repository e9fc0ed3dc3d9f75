"""The thread of the typing log and the user's own words; the only one that touches the suggester.

It reads what is kept, answers the editor's requests, learns every finished message, and counts what the screens show.
Whatever is wrong with what is kept, there is a keyboard afterwards.
"""

# Longer than others: all that one thread owns is in one class, so that nothing of it needs a lock.

import contextlib
import functools
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from federation.protocol.model_codec import SharedKind
from keyboard_app import heap
from keyboard_app.editor.editor import Offer, Request
from keyboard_app.profile import Profile
from keyboard_app.settings import Settings
from keyboard_app.shared_models import SharedModels
from keyboard_app.status import ModelEntry
from keyboard_app.typing import suggesting
from keyboard_app.typing.own_words import Kept, OwnWords
from keyboard_app.typing.suggesting import Suggesting
from keyboard_app.typing.typing_log import DayCount, Message
from keyboard_app.typing.vault import KeyStore, VaultError, VaultFullError
from model.engine import Export, ExportError
from model.languages import Language, language
from model.languages.together import together
from model.next_words import NextWords
from model.suggestions import Autocorrection, PersonalModel, Suggester, word_files
from model.suggestions.keys import geometry
from model.text import tokenise
from model.two_languages import TwoLanguages

_RECENT_EMOJI = 32
_NO_MODEL = "There are no suggestions: this keyboard was started without a model."
_LONGEST_JOB_SECONDS = 30.0

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Learned:
    """What the thread counted last; see `Status`.

    Attributes:
        messages, words: Size of the typing log.
        new_examples: Number of messages since the last training.
        days: Days on which something was typed, oldest first.
        learned, never, models: As `Status` has them.
        shortcuts: What each short form stands for.
        emoji: Recently used ones, the latest first.
        problem: One sentence for the banner; empty if all is well.
    """

    messages: int = 0
    words: int = 0
    new_examples: int = 0
    days: Sequence[DayCount] = ()
    learned: Sequence[tuple[str, str, int]] = ()
    never: Sequence[str] = ()
    shortcuts: Mapping[str, str] = field(default_factory=dict)
    emoji: Sequence[str] = ()
    models: Sequence[ModelEntry] = ()
    problem: str = ""


class Learner:
    """The thread. Public methods can be called from any thread and return at once, unless they say otherwise.

    Args:
        profile: Where things are.
        model: Folder of an exported model; None suggests nothing.
        keys: Keys of what is kept.
        languages: Codes of one or two languages that are written; none for that of the model.
        at_once: Whether to read what is kept at the start, not only after `begin`.
        clock: Returns seconds since 1970.
        changed: Called, in any thread, when there is something new to show.

    Attributes:
        kept: The vault and the log, once opened.
        opened: Set once what is kept and the model were read.
        models: The shared models, once opened; None without a model.
    """

    def __init__(
        self,
        profile: Profile,
        model: Path | None,
        keys: KeyStore,
        *,
        languages: Sequence[str] = (),
        at_once: bool,
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._profile, self._directory, self._clock, self._changed = profile, model, clock, changed
        self.kept = Kept(profile.log, keys, clock)
        self._languages = [language(code) for code in languages[:2]]
        self._own: OwnWords
        self._suggester: Suggester | None = None
        self._words_of: dict[int, int] = {}  # number of words in each message of the log
        self._learned = Learned()
        self._lock = threading.Lock()  # of `_learned`
        self._begun = threading.Event()
        if at_once:
            self._begun.set()
        self.opened = threading.Event()
        self.models: SharedModels | None = None
        self._suggesting: Suggesting
        self._ask_again: Callable[[], None]

    def start(self, offered: Callable[[Offer], None], ask_again: Callable[[], None]) -> None:
        """Start the thread.

        Args:
            offered: Called in it with suggestions that were asked for.
            ask_again: Called in it when the same request has other suggestions than before.
        """

        def show(offer: Offer) -> None:
            offered(offer)
            self._changed()

        self._ask_again = ask_again
        self._suggesting = Suggesting(self._open, show, self._failed)

    def begin(self) -> None:
        """Read the model and what is kept, if that was not done at once."""
        self._begun.set()

    def settle(self, timeout_seconds: float) -> bool:
        """Wait until everything asked for so far is done; return whether it is."""
        return self._suggesting.settle(timeout_seconds)

    def answered(self, timeout_seconds: float) -> bool:
        """Wait until the latest request of `ask` is answered; return whether it is."""
        return self._suggesting.answered(timeout_seconds)

    def close(self) -> None:
        """Do all that was asked for, write what is left, and end the thread; waits for that."""
        self.do(self._save)  # after all that was typed
        self._suggesting.close()
        self.kept.vault.close()

    # What one types and chooses.

    def ask(self, request: Request | None) -> None:
        """Ask for suggestions; earlier requests are void."""
        self._suggesting.ask(request)

    def do(self, job: Callable[[], object]) -> None:
        """Do something with the log or the user's words, in their thread."""
        self._suggesting.do(lambda: self._guarded(job))

    def answer(self, request: Request, timeout_seconds: float) -> Offer | None:
        """Wait for what there is to suggest, after all that was asked for before; None if that takes too long."""
        answered: queue.SimpleQueue[Offer] = queue.SimpleQueue()

        def answer() -> None:
            suggester = self._suggester
            answered.put(Offer(request) if suggester is None else suggesting.answer(suggester, request))

        self.do(answer)
        with contextlib.suppress(queue.Empty):
            return answered.get(timeout=timeout_seconds)
        return None

    def draft(self, text: str) -> None:
        """Keep the finished words of the unsent message; none deletes the draft."""
        self.do(lambda: self.kept.log.draft(text))

    def finish(self, text: str, keystrokes: int) -> None:
        """Keep a sent message and learn it."""

        def finish() -> None:
            self.kept.log.finish(text, keystrokes=keystrokes)
            if self._suggester is not None:
                self._suggester.observe(text)
            self._own.learn(text)
            self._personal_changed()

        self.do(finish)

    def forget(self, word: str) -> None:
        """Unlearn a word, with all messages that have it."""

        def forget() -> None:
            self._own.model.forget(word)
            self._own.save()
            self.kept.log.forget(word)
            self._personal_changed()

        self.do(forget)

    def change_words(self, change: Callable[[PersonalModel], None]) -> None:
        """Change what is known of the user's words."""

        def changed() -> None:
            change(self._own.model)
            self._personal_changed()
            self._own.save()

        self.do(changed)

    def use_emoji(self, emoji: str) -> None:
        """Have an emoji first among the recent ones."""

        def use() -> None:
            recent = tuple(dict.fromkeys((emoji, *self.kept.recent_emoji)))[:_RECENT_EMOJI]
            self.kept.recent_emoji = recent
            self._keep(emoji=recent)

        self.do(use)

    def configure(self, settings: Settings) -> None:
        """Suggest and correct as the owner chose."""

        def configure() -> None:
            if self._suggester is not None:
                self._suggester.autocorrection = Autocorrection(settings.autocorrection)
                self._suggester.suggests = settings.suggestions
                self._suggester.keys = geometry(settings.layout or self._suggester.language.layout)
                self._ask_again()

        self.do(configure)

    def import_words(self, content: str) -> int:
        """Learn the words and shortcuts of a file, in any of the formats of `model.suggestions.word_files`.

        Returns:
            How many there are.

        Raises:
            ValueError: It is something else.
        """
        entries = word_files.read(content)

        def add(personal: PersonalModel) -> None:
            for entry in entries:
                if entry.shortcut:
                    personal.add_shortcut(entry.shortcut, entry.word)
                else:
                    personal.add_word(entry.word)

        self.change_words(add)
        return len(entries)

    def copy(self) -> tuple[list[tuple[float, str]], dict[str, bytes]]:
        """Return what is kept, for another phone; waits for it.

        Raises:
            ValueError: It cannot be read now.
        """

        def copy() -> tuple[list[tuple[float, str]], dict[str, bytes]]:
            self._own.save()
            return self.kept.copy()

        return self._result(copy)

    def take(self, messages: Sequence[tuple[float, str]], documents: Mapping[str, bytes]) -> None:
        """Keep what another phone's `copy` returned; waits for it.

        Raises:
            ValueError: It cannot be written now.
        """

        def take() -> None:
            self.kept.take(messages, documents)
            self._own.read()
            self._personal_changed()

        self._result(take)

    def _result(self, job: Callable[[], _Result]) -> _Result:
        """Return what a job gives that is done in the thread.

        Raises:
            ValueError: It failed, or nothing came.
        """
        done: queue.SimpleQueue[_Result] = queue.SimpleQueue()
        self.do(lambda: done.put(job()))
        try:
            return done.get(timeout=_LONGEST_JOB_SECONDS)
        except queue.Empty as error:
            raise ValueError("what this phone keeps cannot be used now: try again later") from error

    def wipe(self, then: Callable[[], None] = lambda: None) -> None:
        """Forget all words and messages, what was set aside as damaged too, and call `then` in the thread."""

        def wipe() -> None:
            self._own.model.wipe()
            self.kept.wipe()
            self._words_of = {}
            then()
            self.trouble("")
            self._personal_changed()

        self.do(wipe)

    # What one sees.

    @property
    def learned(self) -> Learned:
        """What was counted last."""
        return self._learned

    def trouble(self, problem: str) -> None:
        """Keep a sentence for the banner."""
        self._keep(problem=problem)

    def messages(self) -> Sequence[Message]:
        """Return the log, oldest first, read in the caller's thread; nothing if it cannot be read."""
        with contextlib.suppress(VaultError):
            if self.opened.is_set():
                return self.kept.log.messages()
        return ()

    def count(self) -> None:
        """Count again what the screens show."""
        self.do(self._count)

    def use_model(self, version: int, kind: SharedKind = "model") -> None:
        """Predict with other weights or counts: the caller makes them ready, the learner's thread only changes over."""
        if self.models is None or self._suggester is None:
            return
        next_words, old = self._next_words(self.models, **{kind: version}), self._suggester
        made = None if old.has_words_of(next_words) else Suggester(next_words, spoken=old.language)
        next_words.probabilities(())
        try:
            self.models.of(kind).use(version)
        except OSError as error:
            self.trouble(f"The choice of a model lasts until the app closes ({error.strerror}).")

        def change_over() -> None:
            current = self._suggester or old
            if current.has_words_of(next_words):
                current.use(next_words)
            else:
                self._suggester = made or Suggester(next_words, spoken=current.language)
                self._suggester.take_over(current)
                self._suggesting.replace(self._suggester)
            self._count()
            self._ask_again()
            self._changed()

        self.do(change_over)

    # The thread.

    def _open(self) -> Suggester | None:
        """Open what is kept and the model."""
        self._begun.wait()
        if problem := self._open_kept():
            self.trouble(problem)
        self._guarded(self.kept.log.recover)
        if self._directory is not None:
            try:
                self.models = SharedModels(self._profile.models, Export.load(self._directory))
            except ExportError as error:
                self.trouble(f"There are no suggestions: {error}")
        elif not self._learned.problem:
            self.trouble(_NO_MODEL)
        lexicon = self.models.export.vocabulary.lexicon.keys() if self.models else ()
        self._own = OwnWords(self.kept, lexicon, self._clock)
        self._guarded(self._own.read)
        if self.models is not None:
            self._suggester = Suggester(self._next_words(self.models), self._own.model, self._language)
        self._guarded(self._count)
        heap.give_back()  # what reading took
        self.opened.set()
        self._changed()
        return self._suggester

    def _next_words(self, models: SharedModels, **versions: int) -> NextWords:
        """Return what predicts the words of the owner's languages."""
        model = models.next_words(**versions)
        return TwoLanguages(model, *self._languages) if len(self._languages) > 1 else model

    @property
    def _language(self) -> Language | None:
        """What is written; None for the language of the model."""
        return functools.reduce(together, self._languages) if self._languages else None

    def _open_kept(self) -> str:
        """Open what is kept; return what the owner should know of it, if anything."""
        self._words_of = {}
        return self.kept.open()

    def _guarded(self, job: Callable[[], object]) -> None:
        """Do a job; if what is kept cannot be used, say so, and go on with a new vault unless it is only full."""
        try:
            job()
        except VaultFullError as error:
            self.trouble(f"Nothing more can be learned, since {error}: make room, or wipe what was learned.")
            self._changed()
        except VaultError:
            self.kept.vault.close()
            self.trouble(self._open_kept() or "What was learned could not be written once; it is in use again.")
            self._changed()

    def _failed(self, error: Exception) -> None:
        """Say that something happened that nobody thought of; the thread goes on."""
        self.trouble(f"Something unexpected happened ({type(error).__name__}: {error}). The keyboard goes on.")
        self.opened.set()  # rounds and deletions must not wait for ever
        self._changed()

    def _save(self) -> None:
        self._own.save()

    def _personal_changed(self) -> None:
        if self._suggester is not None:
            self._suggester.personal = self._own.model
            self._suggester.personal_changed()
        self._count()
        self._ask_again()
        self._changed()

    def _count(self) -> None:
        """Count what the screens show."""
        numbers = set(self.kept.vault.numbers())
        self._words_of = {number: words for number, words in self._words_of.items() if number in numbers}
        for message in self.kept.log.messages(after=max(self._words_of, default=0)):
            self._words_of[message.number] = sum(token.is_word for token in tokenise(message.text))
        self._keep(
            messages=len(self._words_of),
            words=sum(self._words_of.values()),
            new_examples=self.kept.log.count(after=self.kept.trained_through),
            days=tuple(self.kept.log.days()),
            learned=tuple((word.word, word.shown, word.messages) for word in self._own.model.learned()),
            never=tuple(sorted(self._own.model.never)),
            shortcuts=self._own.model.shortcuts,
            emoji=self.kept.recent_emoji,
            models=self.models.entries() if self.models else (),
        )

    def _keep(self, **changes: Any) -> None:
        with self._lock:
            self._learned = replace(self._learned, **changes)
