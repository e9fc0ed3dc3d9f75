"""Suggestions off the key path: a thread that answers the latest request and drops the others.

A key is painted first and predicted from afterwards. All that touches the suggester or the user's own words happens in
this one thread, in order: predictions first, since somebody waits for them, then what was put into the queue.
"""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator

from keyboard_app.editor.editor import Offer, Request
from model.languages.emoji import for_word
from model.suggestions import Origin, Suggester, Suggestion

Job = Callable[[], None]

_LOG = logging.getLogger("fedkey.keyboard")


class Suggesting:
    """The thread.

    Args:
        offered: called in it with every answer that is still wanted.
        load: returns the suggester, the first thing that the thread does; None types without suggestions.
        failed: called in it with an error of a job or an answer, after which it goes on.
    """

    def __init__(
        self,
        load: Callable[[], Suggester | None],
        offered: Callable[[Offer], None],
        failed: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._load = load
        self._offered = offered
        self._failed = failed
        self._suggester: Suggester | None = None
        self._changed = threading.Condition()
        self._generation = 0
        self._request: Request | None = None
        self._jobs: deque[Job] = deque()
        self._busy = self._answering = True
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="suggesting", daemon=True)
        self._thread.start()

    def ask(self, request: Request | None) -> None:
        """Ask for an offer; earlier requests are void, also if they are being answered. Returns at once."""
        with self._changed:
            self._generation += 1
            self._request = request
            self._changed.notify_all()

    def do(self, job: Job) -> None:
        """Do something in the thread, after what was put there before. Returns at once."""
        with self._changed:
            if not self._closing:
                self._jobs.append(job)
                self._changed.notify_all()

    def replace(self, suggester: Suggester | None) -> None:
        """Suggest with another suggester; call it in the thread."""
        self._suggester = suggester

    def settle(self, timeout_seconds: float = 60.0) -> bool:
        """Wait until everything asked for so far is done; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._busy or self._request or self._jobs), timeout_seconds)

    def answered(self, timeout_seconds: float) -> bool:
        """Wait until the latest request is answered, whatever else is to be done; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._answering or self._request), timeout_seconds)

    def close(self) -> None:
        """Do what is in the queue, and end."""
        with self._changed:
            self._closing = True
            self._request = None
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        with self._outliving():
            self._suggester = self._load()
        while True:
            with self._changed:
                self._busy = self._answering = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._request is not None or self._jobs or self._closing)
                self._busy = True
                request, generation = self._request, self._generation
                self._request, self._answering = None, request is not None
                job = self._jobs.popleft() if request is None and self._jobs else None
                if request is None and job is None:
                    return
            with self._outliving():
                if job is not None:
                    job()
                if request is not None and self._suggester is not None:
                    offer = answer(self._suggester, request)
                    with self._changed:
                        stale = generation != self._generation
                    if not stale:
                        self._offered(offer)

    @contextlib.contextmanager
    def _outliving(self) -> Iterator[None]:
        """Go on after any error: a thread that has died learns nothing, and deletes nothing either."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            _LOG.exception("an error in the thread that predicts and learns")
            self._failed(error)


def answer(suggester: Suggester, request: Request) -> Offer:
    """Return what a suggester has to say to a request."""
    if request.path is not None:
        return Offer(request, tuple(suggester.glide(request.before, request.path)), None, suggester.language.code)
    suggestions = suggester.suggest(request.before, request.typed)
    correction = suggester.autocorrect(request.before, request.typed) if request.typed else None
    meant = for_word(suggester.language.code, request.typed) if suggester.suggests and request.typed else None
    return Offer(request, tuple(suggestions), correction, suggester.language.code, meant or "")


def why(suggestion: Suggestion | None) -> str:
    """Say why a word is on the strip; None stands for the letters as they were typed."""
    if suggestion is None:
        return "These are the letters just as you typed them."
    if suggestion.origin is Origin.EMOJI:
        return "An emoji that is called by the word before it."
    likely = f"It is {100 * suggestion.probability:.0f} % likely here."
    match suggestion.origin:
        case Origin.PERSONAL:
            return f"Personal: you have typed it before, and this phone remembers. {likely}"
        case Origin.SHARED:
            return f"Shared: the model that all phones have expects it here. {likely}"
        case Origin.CORRECTION:
            return f"Correction: it looks like what you typed with a slip. {likely}"
