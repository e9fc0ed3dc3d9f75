"""Whether this phone predicts with what the server has: compared with what is in use on the owner's own text."""

from collections.abc import Callable, Mapping, Sequence

from federation.base import child_processes
from federation.device import PhoneStore
from federation.errors import FederationError
from federation.protocol.model_codec import SharedKind
from keyboard_app import long_work
from keyboard_app.model_comparison import Measured, Verdict
from keyboard_app.shared_models import SharedModels

_NEW_AND_OLD: Mapping[SharedKind, str] = {
    "model": "the new shared model with the old one",
    "counts": "what all phones counted and voted with what was known before",
}


class ModelChoice:
    """Of one phone.

    Args:
        models: The shared models.
        held_out_texts: Returns messages that are never trained on.
        use: Has a version of the weights or counts predict from now on.
        say: Says what is done meanwhile.
        note: Keeps how well a new one predicts.
        should_stop: Whether comparing is to be broken off.
        run: What compares.
    """

    def __init__(
        self,
        models: SharedModels,
        *,
        held_out_texts: Callable[[], Sequence[str]],
        use: Callable[[int, SharedKind], None],
        say: Callable[[str], None],
        note: Callable[[Measured], None],
        should_stop: Callable[[], bool],
        run: child_processes.Runner,
    ) -> None:
        self._models, self._held_out_texts, self._use = models, held_out_texts, use
        self._say, self._note, self._should_stop, self._run = say, note, should_stop, run

    def look_at(self, kind: SharedKind, store: PhoneStore) -> None:
        """Compare what the server has of a kind, if it is new, with what is in use; use it unless it is worse."""
        versions = self._models.of(kind)
        version, content = store.version(kind), store.model(kind)
        if version < 1 or content is None or version == versions.offered:
            return
        old = versions.in_use
        told = version
        if not any(content):  # nothing was counted yet
            version = versions.own
        elif version not in versions.all:
            versions.add(version, content)
        verdict = None if version == old else self._compared(kind, version)
        if verdict is not None:
            versions.note(old, verdict.old)
            versions.note(version, verdict.new)
            self._note(verdict.new)
        if version != old and (verdict is None or not verdict.clearly_worse):
            self._use(version, kind)
        versions.offer(told)

    def _compared(self, kind: SharedKind, version: int) -> Verdict | None:
        texts = self._held_out_texts()
        if not texts:
            return None
        self._say(f"Comparing {_NEW_AND_OLD[kind]}")
        try:
            old, new = self._models.parts(), self._models.parts(**{kind: version})
            return self._run(
                self._should_stop, long_work.compare_models, self._models.export.directory, old, new, texts
            )
        except (FederationError, ValueError, OSError):
            return None
