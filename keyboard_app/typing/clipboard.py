"""What was copied lately in this keyboard's own fields, in memory only, and soon forgotten.

Nothing enters that was copied elsewhere, such as in a password manager: the device's clipboard is read only when its
owner pastes.
"""

from collections.abc import Callable

MAX_ENTRIES = 20
KEPT_SECONDS = 3600.0
_MAX_CHARACTERS = 2000


class ClipboardHistory:
    """Copied texts, the latest first.

    Args:
        monotonic: Returns seconds of a steady clock.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._entries: list[tuple[str, float]] = []

    @property
    def entries(self) -> tuple[str, ...]:
        """What is still kept: of the last hour, twenty at most."""
        oldest = self._monotonic() - KEPT_SECONDS
        self._entries = [(text, at) for text, at in self._entries if at > oldest][:MAX_ENTRIES]
        return tuple(text for text, _ in self._entries)

    def note(self, text: str) -> None:
        """Keep a text that was copied; one that is too long for a list is not kept."""
        self.forget(text)
        if text.strip() and len(text) <= _MAX_CHARACTERS:
            self._entries.insert(0, (text, self._monotonic()))

    def forget(self, text: str) -> None:
        """Keep a text no longer."""
        self._entries = [(kept, at) for kept, at in self._entries if kept != text]

    def clear(self) -> None:
        """Keep nothing."""
        self._entries = []
