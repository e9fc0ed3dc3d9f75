"""A phone as its screens see it: what is typed goes in, plain values come out, and nothing here waits.

Three threads. The caller's types and reads. One predicts, learns and writes the log (`Suggesting`). One takes part in
rounds (`Participation`). What the first two share is the editor's state, under a lock that is held for microseconds.
"""

import contextlib
import dataclasses
import json
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from federation.base.files import write_private
from keyboard_app.editor.editor import (
    After,
    Drafted,
    EditorState,
    Effect,
    FieldKind,
    Finished,
    Offer,
    Request,
    Sent,
    Slot,
)
from keyboard_app.editor.keys import Key
from keyboard_app.model_comparison import Measured
from keyboard_app.profile import DeviceConditions, Profile, SimulatedConditions, plain
from keyboard_app.shared_models import SharedModels
from keyboard_app.status import (
    DELTA,
    MAX_PARTICIPATIONS,
    BudgetStatus,
    Condition,
    Keystrokes,
    ModelEntry,
    Settings,
    Snapshot,
    Status,
)
from keyboard_app.typing import suggesting
from keyboard_app.typing.suggesting import Suggesting
from keyboard_app.typing.typing_log import DayCount, Message, TypingLog
from keyboard_app.typing.vault import (
    FileKeyStore,
    KeyStore,
    Vault,
    VaultError,
    VaultFullError,
    open_or_replace,
    set_aside,
)
from model.engine import Export, ExportError
from model.next_words import MixtureNextWords
from model.spellings import Spellings
from model.suggestions import PersonalModel, Suggester
from model.text import tokenise

if TYPE_CHECKING:
    import httpx

    from keyboard_app.participation import Participation

HELD_OUT = 5
"""Every so many messages one is kept out of training, to compare models on."""

_COMPARED = 200  # latest held-out messages
_SENT_KEPT = 100
_DAY = 86400
_LEARNED_BEFORE_SAVING = 10
_CLOSING_SECONDS = 10.0

_PERSONAL, _THROUGH, _TRAINED = "personal", "personal through", "trained through"


class Phone:
    """One phone.

    Args:
        profile: where its things are.
        model: folder of an exported model; without one the keyboard types and suggests nothing.
        server: URL of the round server; nothing for none.
        transport: what carries requests; httpx's own if there is none.
        keys: of what is kept; by default in a file.
        conditions: how the device is; by default the simulated switches of the settings.
        at_once: read the model and what is kept now, not only after `begin`; until then one types without suggestions.
        clock: seconds since 1970.
        monotonic: seconds of a steady clock.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        model: Path | None = None,
        server: str = "",
        transport: "httpx.BaseTransport | None" = None,
        keys: KeyStore | None = None,
        conditions: DeviceConditions | None = None,
        at_once: bool = True,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profile, self._directory, self._server, self._transport = profile, model, server, transport
        self._keys = keys or FileKeyStore(profile.key)
        self._clock, self._monotonic = clock, monotonic
        self._lock = threading.RLock()
        self._listeners: list[Callable[[], object]] = []
        self._settings = profile.settings()
        self._state = EditorState(incognito=self._settings.incognito)
        self._asked: Request | None = None
        self._last_key = -float("inf")
        self._conditions = conditions or SimulatedConditions(
            lambda: self.settings, lambda: self._last_key, self._monotonic
        )
        self._sent: list[str] = []
        self._kept = _Kept()
        self._snapshot = Snapshot("Waiting", "", (), BudgetStatus(0.0, float("inf"), DELTA, 0, MAX_PARTICIPATIONS))
        self._vault: Vault
        self._log: TypingLog
        self._personal: PersonalModel
        self._export: Export | None = None
        self._spellings: Spellings | None = None
        self._suggester: Suggester | None = None
        self._models: SharedModels | None = None
        self._since_saved = 0
        self._words: dict[int, int] = {}  # in each message of the log
        self._training_through = 0
        self._expired_on = -1  # day, since 1970
        self._begun = threading.Event()
        if at_once:
            self._begun.set()
        self._opened = threading.Event()
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._closing = False
        self._participation: Participation | None = None
        self._suggesting = Suggesting(self._open, self._offered)
        self._rounds_thread = threading.Thread(target=self._take_part, name="participation", daemon=True)
        self._rounds_thread.start()
        self._ask()

    def begin(self) -> None:
        """Read the model and what is kept, if that was not done at once. Returns at once."""
        self._begun.set()

    # What one types.

    @property
    def state(self) -> EditorState:
        """The text field and the keyboard."""
        return self._state

    @property
    def sent(self) -> Sequence[str]:
        """Messages that were sent since the start, oldest first; of passwords only dots."""
        return self._sent

    def press(self, key: Key) -> None:
        """Press a key."""
        self._type(lambda state: state.press(key, self._monotonic()))

    def type(self, characters: str) -> None:
        """Type characters as they are: of a long press, or of a physical keyboard."""
        self._type(lambda state: state.type(characters, self._monotonic()))

    def backspace(self) -> None:
        """Delete what is selected, or to the left, or take back what the keyboard replaced."""
        self._type(EditorState.backspace)

    def delete_word(self) -> None:
        """Delete what is selected, or the word to the left."""
        self._type(EditorState.delete_word)

    def delete(self) -> None:
        """Delete what is selected, or to the right."""
        self._type(EditorState.delete)

    def paste(self, characters: str) -> None:
        """Put text from elsewhere in place of what is selected; then nothing of the message is learned."""
        self._type(lambda state: state.paste(characters))

    def accept(self, place: int) -> None:
        """Tap a place of the strip, 0 to 2 from the left."""
        self._type(lambda state: state.accept(place))

    def send(self) -> None:
        """Send the message."""
        self._type(EditorState.send)

    def place(self, cursor: int, *, selecting: bool = False) -> None:
        """Put the cursor somewhere, or let the selection reach there."""
        self._type(lambda state: state.place(cursor, selecting=selecting))

    def move(self, steps: int, *, words: bool = False, selecting: bool = False) -> None:
        """Move the cursor to the right, or to the left if negative, by characters or words."""
        self._type(lambda state: state.move(steps, words=words, selecting=selecting))

    def select(self, anchor: int, cursor: int) -> None:
        """Select what is between two places, the cursor at the second."""
        self._type(lambda state: state.select(anchor, cursor))

    def select_word(self, index: int) -> None:
        """Select the word at a place."""
        self._type(lambda state: state.select_word(index))

    def select_all(self) -> None:
        """Select the whole text."""
        self._type(EditorState.select_all)

    def focus(self, field: FieldKind) -> None:
        """Go to an empty field of another kind."""
        self._type(lambda state: state.focus(field))

    def go_incognito(self, *, on: bool) -> None:
        """Turn incognito on or off; it stays so over restarts."""
        self._type(lambda state: state.go_incognito(on=on))
        self.change(replace(self.settings, incognito=on))

    def why(self, slot: Slot) -> str:
        """Say why a word is on the strip."""
        return suggesting.why(slot.suggestion)

    # What one chooses.

    @property
    def settings(self) -> Settings:
        """What was chosen."""
        return self._settings

    def change(self, settings: Settings) -> None:
        """Choose something else."""
        with self._lock:
            if settings.incognito != self._state.incognito:
                self._type(lambda state: state.go_incognito(on=settings.incognito))
            self._settings = settings
        try:
            self._profile.keep(settings)
        except OSError as error:
            self._trouble(f"Settings cannot be stored ({error.strerror}): they last until the app closes.")
        self._jobs.put(_nothing)
        self._tell()

    def agree(self, consent: bool) -> None:  # noqa: FBT001 - the answer to a question
        """Agree to learning, here and together, or withdraw. What is being typed at the moment is not learned."""
        with self._lock:
            self._state = self._state.kept_secret()
        self._learn(lambda: self._log.draft(""))
        self.change(replace(self.settings, consent=consent))

    def forget(self, word: str) -> None:
        """Unlearn a word, with all messages that have it."""

        def forget() -> None:
            self._personal.forget(word)
            self._save()
            self._log.forget(word)
            self._personal_changed()

        self._learn(forget)

    def never_suggest(self, word: str) -> None:
        """Keep a word off the strip."""
        self._change_words(lambda personal: personal.never_suggest(word))

    def allow(self, word: str) -> None:
        """Take `never_suggest` back."""
        self._change_words(lambda personal: personal.allow(word))

    def wipe(self) -> None:
        """Forget all words and messages, what was set aside as damaged too."""

        def wipe() -> None:
            self._personal.wipe()
            self._vault.wipe()
            for path in set_aside(self._profile.log):
                path.unlink(missing_ok=True)
            self._trouble("")
            self._personal_changed()

        with self._lock:
            self._state = self._state.kept_secret()
        self._learn(wipe)

    def use_model(self, version: int) -> None:
        """Predict with another version of the shared model; takes effect soon."""
        self._learn(lambda: self._use(version))

    def export_data(self) -> Path:
        """Write everything that is kept of the owner into a file that only the owner may read; return where it is.

        Raises:
            OSError: it cannot be written.
        """
        kept, status = self._kept, self.status()
        content = {
            "profile": self._profile.name,
            "settings": plain(self.settings),
            "messages": [dataclasses.asdict(message) for message in self._messages()],
            "learned words": [list(word) for word in kept.learned],
            "never suggested": list(kept.never),
            "keystrokes": [dataclasses.asdict(day) for day in kept.days],
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
                for entry in status.rounds
            ],
        }
        path = self._exports / time.strftime("fedkey-%Y-%m-%d-%H%M%S.json", time.localtime(self._clock()))
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(path, json.dumps(content, ensure_ascii=False, indent=1).encode())
        return path

    def delete_everything(self) -> None:
        """Delete all that this phone keeps of its owner, its identity in rounds included."""
        with self._lock:
            self._sent.clear()
            self._state = EditorState()
            self._asked = None
        self.wipe()
        self.change(Settings())
        shutil.rmtree(self._exports, ignore_errors=True)

        def delete() -> None:
            if self._participation is not None:
                self._participation.delete()
            self._use(0)
            shutil.rmtree(self._profile.models, ignore_errors=True)

        self._jobs.put(delete)
        self._ask()

    # What one sees.

    def listen(self, listener: Callable[[], object]) -> None:
        """Have `listener` called, in any thread, whenever what this phone says may have changed."""
        self._listeners.append(listener)

    def status(self) -> Status:
        """Return everything that screens show; reads no file and waits for nothing."""
        kept, snapshot = self._kept, self._snapshot
        return Status(
            self._profile.name,
            self._settings.consent,
            self._server,
            snapshot.activity,
            self.conditions(),
            snapshot.rounds,
            snapshot.budget,
            kept.models,
            Keystrokes(_week(kept.days, self._clock())),
            kept.learned,
            kept.never,
            (kept.messages, kept.words),
            kept.problem or snapshot.problem,
        )

    def conditions(self) -> Sequence[Condition]:
        """Return all that must hold before this phone trains."""
        now, chosen, new = self._conditions.now(), self._settings, self._kept.new_examples
        resting = "Nothing was typed for a while" if now.idle else "The phone is in use"
        least = chosen.min_examples
        return (
            Condition("Consent", chosen.consent is True, "You agreed" if chosen.consent else "You have not agreed"),
            Condition("Server", bool(self._server), self._server or "No server was given"),
            Condition("Charging", now.charging, "On power" if now.charging else "On battery"),
            Condition("Idle", now.idle, resting),
            Condition("Unmetered", now.unmetered, "Free network" if now.unmetered else "This network may cost money"),
            Condition("Enough new text", new >= least, f"{min(new, least)} of {least} new messages"),
        )

    def settle(self, timeout_seconds: float = 60.0) -> bool:
        """Wait until all predictions and learning asked for so far are done; return whether they are."""
        return self._suggesting.settle(timeout_seconds)

    def close(self) -> None:
        """Stop training, leave the round, write what is left, and end the threads."""
        self._closing = True
        self.begin()  # what was typed is learned in any case
        if self._participation is not None:
            self._participation.close()
        self._jobs.put(None)
        self._rounds_thread.join(_CLOSING_SECONDS)
        self._learn(self._save)  # after all that was typed
        self._suggesting.close()
        self._vault.close()

    @property
    def _exports(self) -> Path:
        return self._profile.folder / "exports"

    # The caller's thread.

    def _type(self, event: Callable[[EditorState], After]) -> None:
        """Let an event happen; what follows from it is left to the other threads."""
        with self._lock:
            self._last_key = self._monotonic()
            after = event(self._state)
            self._state = after.state
            for effect in after.effects:
                self._follow(effect)
        self._ask()

    def _follow(self, effect: Effect) -> None:
        learning = self._settings.consent is True
        match effect:
            case Drafted(text) if learning:
                self._learn(lambda: self._log.draft(text))
            case Finished(text, keystrokes) if learning:
                self._learn(lambda: self._finish(text, keystrokes))
            case Sent(text):
                shown = "•" * len(text) if self._state.field is FieldKind.PASSWORD else text
                self._sent = [*self._sent, shown][-_SENT_KEPT:]
            case _:
                pass

    def _ask(self, *, again: bool = False) -> None:
        """Ask for suggestions, if there is something new to ask."""
        with self._lock:
            request = self._state.request
            if again or request != self._asked:
                self._asked = request
                self._suggesting.ask(request)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _trouble(self, problem: str) -> None:
        self._keep(problem=problem)

    def _keep(self, **changes: Any) -> None:
        with self._lock:
            self._kept = replace(self._kept, **changes)

    # The thread that predicts, learns, and writes the log.

    def _open(self) -> Suggester | None:
        """Open what is kept and the model; whatever is wrong with them, there is a keyboard afterwards."""
        self._begun.wait()
        if problem := self._open_vault():
            self._trouble(problem)
        self._guarded(self._log.recover)
        if self._directory is not None:
            try:
                self._export = Export.load(self._directory)
                self._models = SharedModels(self._profile.models, self._export)
                self._spellings = Spellings(self._export.vocabulary)
            except ExportError as error:
                self._trouble(f"There are no suggestions: {error}")
        self._personal = PersonalModel(self._lexicon)
        self._guarded(self._remember)
        if self._export is not None and self._models is not None:
            self._suggester = Suggester(self._next_words(self._models.in_use), self._personal)
        self._guarded(self._count)
        self._opened.set()
        self._tell()
        return self._suggester

    def _open_vault(self) -> str:
        """Open what is kept; return what the owner should know of it, if anything."""
        self._vault, problem = open_or_replace(self._profile.log, self._keys)
        self._log = TypingLog(self._vault, clock=self._clock)
        self._words = {}
        return problem

    @property
    def _lexicon(self) -> Iterable[str]:
        return self._export.vocabulary.lexicon.keys() if self._export else ()

    def _remember(self) -> None:
        """Read the user's own words, and learn what was logged after they were written."""
        data = self._vault.get(_PERSONAL)
        if data is not None:
            with contextlib.suppress(ValueError):  # of another version: learn from the log again
                self._personal = PersonalModel.from_bytes(data, self._lexicon)
        through = int(self._vault.get(_THROUGH) or 0) if self._personal.tokens else 0
        messages = self._log.messages(after=through)
        if messages:
            self._personal.learn_all(message.text for message in messages)
            self._save()
        self._expire()

    def _expire(self) -> None:
        """Once a day, let old messages go, and what was learned from them but for the list of words."""
        today = int(self._clock() // _DAY)
        if today == self._expired_on:
            return
        self._expired_on = today
        if not self._log.expire():
            return
        old, self._personal = self._personal, PersonalModel(self._lexicon)
        self._personal.learn_all(message.text for message in self._log.messages())
        for word in old.learned():
            if not self._personal.knows(word.word):
                self._personal.add_word(word.shown)
        for never in old.never:
            self._personal.never_suggest(never)
        self._save()
        if self._suggester is not None:
            self._suggester.personal = self._personal

    def _offered(self, offer: Offer) -> None:
        with self._lock:
            self._state = self._state.take(offer)
        self._tell()

    def _learn(self, job: Callable[[], object]) -> None:
        """Do something with the log or the user's words, in their thread."""
        self._suggesting.do(lambda: self._guarded(job))

    def _guarded(self, job: Callable[[], object]) -> None:
        """Do a job; if what is kept cannot be used, say so, and go on with a new vault unless it is only full."""
        try:
            job()
        except VaultFullError as error:
            self._trouble(f"Nothing more can be learned, since {error}: make room, or wipe what was learned.")
            self._tell()
        except VaultError:
            self._vault.close()
            self._trouble(self._open_vault() or "What was learned could not be written once; it is in use again.")
            self._tell()

    def _finish(self, text: str, keystrokes: int) -> None:
        self._log.finish(text, keystrokes=keystrokes)
        self._personal.learn(text)
        self._since_saved += 1
        if self._since_saved >= _LEARNED_BEFORE_SAVING:
            self._save()
        self._expire()
        self._personal_changed()

    def _save(self) -> None:
        """Keep the user's words, and up to where the log is in them."""
        with self._vault.writing():
            self._vault.put(_PERSONAL, self._personal.to_bytes())
            self._vault.put(_THROUGH, str(self._vault.latest()).encode())
        self._since_saved = 0

    def _change_words(self, change: Callable[[PersonalModel], None]) -> None:
        def changed() -> None:
            change(self._personal)
            self._personal_changed()
            self._save()

        self._learn(changed)

    def _personal_changed(self) -> None:
        if self._suggester is not None:
            self._suggester.personal_changed()
        self._count()
        self._ask(again=True)
        self._tell()

    def _count(self) -> None:
        """Count what the screens show."""
        numbers = set(self._vault.numbers())
        self._words = {number: words for number, words in self._words.items() if number in numbers}
        for message in self._log.messages(after=max(self._words, default=0)):
            self._words[message.number] = sum(token.is_word for token in tokenise(message.text))
        self._keep(
            messages=len(self._words),
            words=sum(self._words.values()),
            new_examples=self._log.count(after=self._trained_through()),
            days=tuple(self._log.days()),
            learned=tuple((word.word, word.shown, word.messages) for word in self._personal.learned()),
            never=tuple(sorted(self._personal.never)),
            models=self._model_entries(),
        )

    def _model_entries(self) -> Sequence[ModelEntry]:
        if self._models is None:
            return ()
        in_use = self._models.in_use
        return tuple(
            _model_entry(version, version == in_use, self._models.measured(version))
            for version in reversed(self._models.versions)
        )

    def _next_words(self, version: int) -> MixtureNextWords:
        """Return a shared model that predicts; the one that the app came with if that version cannot be used."""
        assert self._export is not None  # noqa: S101 - asked for only with a model
        assert self._models is not None  # noqa: S101
        try:
            predictor = self._models.predictor(version)
        except (OSError, ValueError):
            predictor = self._export.predictor()
        return MixtureNextWords(predictor, self._export.vocabulary, self._export.mixture, self._spellings)

    # The thread that takes part in rounds.

    def _take_part(self) -> None:
        self._opened.wait()
        if self._server and self._export is not None and self._models is not None:
            # Here, since a keyboard that learns by itself needs no HTTP, and the others need it after the first frame.
            from keyboard_app.participation import Own, Participation  # noqa: PLC0415

            own = Own(
                settings=lambda: self.settings,
                conditions=self._conditions,
                texts=self._texts,
                held_out=lambda: [message.text for message in self._messages() if _is_held_out(message)][-_COMPARED:],
                new_examples=lambda: self._kept.new_examples,
                was_trained=self._was_trained,
                show=self._look,
                use=self._use,
                vault=lambda: self._vault,
            )
            self._participation = Participation(
                self._server,
                self._profile.device,
                self._export,
                self._models,
                own,
                transport=self._transport,
                clock=self._clock,
            )
        else:
            why = "There is no model to train" if self._server else "There is no server to learn with"
            self._snapshot = replace(self._snapshot, activity=why)
            self._tell()
        while not self._closing:
            wait = None
            if self._participation is not None:
                wait = self._participation.step()
            self._look()
            with contextlib.suppress(queue.Empty):
                job = self._jobs.get(timeout=wait)
                if job is None:
                    break
                job()
        if self._participation is not None:
            self._participation.end()

    def _look(self) -> None:
        """Have the screens show what participation says now."""
        if self._participation is None:
            return
        with contextlib.suppress(VaultError):
            snapshot = self._participation.snapshot()
            if snapshot != self._snapshot:
                self._snapshot = snapshot
                self._tell()

    def _messages(self) -> Sequence[Message]:
        with contextlib.suppress(VaultError):
            if self._opened.is_set():
                return self._log.messages()
        return ()

    def _texts(self) -> Sequence[str]:
        messages = self._messages()
        self._training_through = messages[-1].number if messages else 0
        return [message.text for message in messages if not _is_held_out(message)]

    def _was_trained(self) -> None:
        through = str(self._training_through).encode()
        self._vault.put(_TRAINED, through)
        self._learn(self._count)

    def _trained_through(self) -> int:
        return int(self._vault.get(_TRAINED) or 0)

    def _use(self, version: int) -> None:
        """Take a model into use: it is made ready here, and the other thread only changes over."""
        if self._models is None or self._suggester is None:
            return
        next_words, suggester = self._next_words(version), self._suggester
        next_words.probabilities(())
        try:
            self._models.use(version)
        except OSError as error:
            self._trouble(f"The choice of a model lasts until the app closes ({error.strerror}).")

        def change_over() -> None:
            suggester.use(next_words)
            self._count()
            self._ask(again=True)
            self._tell()

        self._learn(change_over)


@dataclass(frozen=True)
class _Kept:
    """What the thread of the log counted last; see `Status`."""

    messages: int = 0
    words: int = 0
    new_examples: int = 0
    days: Sequence[DayCount] = ()
    learned: Sequence[tuple[str, str, int]] = ()
    never: Sequence[str] = ()
    models: Sequence[ModelEntry] = ()
    problem: str = ""


def _nothing() -> None:
    """Wake a thread."""


def _is_held_out(message: Message) -> bool:
    return message.number % HELD_OUT == 0


def _model_entry(version: int, in_use: bool, measured: Measured | None) -> ModelEntry:  # noqa: FBT001
    if measured is None:
        return ModelEntry(version, in_use, None, None, 0)
    return ModelEntry(version, in_use, measured.top1, measured.top3, measured.words)


def _week(days: Sequence[DayCount], now: float) -> Sequence[tuple[str, int, int]]:
    """Return the last seven days, oldest first, with their captions."""
    today = int(now // _DAY)
    counts = {day.day: day for day in days}
    week = []
    for number in range(today - 6, today + 1):
        day = counts.get(number, DayCount(number, 0, 0))
        week.append((time.strftime("%a", time.gmtime(number * _DAY)), day.characters, day.keystrokes))
    return tuple(week)
