"""An animation of several phones, painted into memory while they are used."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from keyboard_app.phone import Phone
from keyboard_app.ui.app import Phones, several_size
from keyboard_app.ui.screenshots import Camera

_SHOWN_MS, _LAST_MS = 160, 4000
_SCALE = 0.5
_COLOURS = 48


class Film:
    """Pictures, one after the other, of what phones look like beside each other.

    Args:
        phones: to show.
        guide: says what to do next, for the dashboard.
    """

    def __init__(self, phones: Sequence[Phone], guide: Callable[[], str] | None = None) -> None:
        self._size = several_size(len(phones))
        self._camera = Camera(self._size)
        self._root = Phones(phones, guide=guide)
        self._pictures: list[Image.Image] = []

    @property
    def length(self) -> int:
        """How many pictures there are, those that are like the one before left out."""
        return len(self._pictures)

    def take(self) -> None:
        """Take a picture, if anything changed."""
        for view in self._root.views:
            view.refresh()
        whole = Image.fromarray(self._camera.picture(self._root, self._size))
        small = whole.resize((round(whole.width * _SCALE), round(whole.height * _SCALE)), Image.Resampling.LANCZOS)
        picture = small.quantize(_COLOURS, dither=Image.Dither.NONE)
        if not self._pictures or picture.convert("RGB").tobytes() != self._pictures[-1].convert("RGB").tobytes():
            self._pictures.append(picture)

    def write(self, path: Path) -> None:
        """Write what was taken as a GIF that begins anew.

        Raises:
            OSError: it cannot be written.
        """
        first, *others = self._pictures
        durations = [*[_SHOWN_MS] * len(others), _LAST_MS]
        path.parent.mkdir(parents=True, exist_ok=True)
        first.save(path, format="GIF", save_all=True, append_images=others, duration=durations, loop=0, optimize=True)
