"""Deleting all that a phone keeps of its owner, so that nothing stops it halfway.

A file says that a deletion has begun. It is written first and removed once all parts are gone, so a phone
that was killed meanwhile finishes at its next start, before it opens anything.
"""

import contextlib
import shutil
import threading
from collections.abc import Collection
from pathlib import Path

from federation.base.files import write_private
from keyboard_app.profile import Profile

PARTS = ("what was learned", "exports", "the identity in rounds")


class Deletion:
    """The deletions of one phone. Safe to use from several threads.

    Args:
        profile: Where things are.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._begun = profile.folder / ".deleting"
        self._lock = threading.Lock()
        self._left: set[str] = set()

    def begin(self) -> None:
        """Note that everything is to be deleted."""
        with self._lock:
            self._left = set(PARTS)
            with contextlib.suppress(OSError):  # a full disk must not keep anything from being deleted
                write_private(self._begun, b"")

    def done(self, part: str) -> None:
        """Note that one of `PARTS` is gone."""
        with self._lock:
            self._left.discard(part)
            if not self._left:
                self._begun.unlink(missing_ok=True)

    @property
    def left(self) -> Collection[str]:
        """What is not gone yet."""
        with self._lock:
            return sorted(self._left)

    def finish(self) -> None:
        """Finish what was begun before the phone was killed; call it before anything is opened."""
        if not self._begun.exists():
            return
        for path in self._owned():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        if not any(path.exists() for path in self._owned()):
            self._begun.unlink(missing_ok=True)

    def _owned(self) -> list[Path]:
        """Return everything that a phone keeps in its folder."""
        profile = self._profile
        files = [path for file in (profile.log, profile.key) for path in profile.folder.glob(f"{file.stem}.*")]
        temporary = profile.folder.glob(".*.[0-9]*")  # of `write_private`
        return [*files, *temporary, profile.settings_file, profile.device, profile.models, profile.exports]
