"""An animation of several phones, painted into memory while they are used."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from keyboard_app.phone import Phone
from keyboard_app.ui.app import Phones, several_size
from keyboard_app.ui.phone_view import CONSENT, TYPING
from keyboard_app.ui.screenshots import Camera

_SHOWN_MS, _LAST_MS = 160, 4000
_SCALE = 0.5
_COLOURS = 64


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
            if view.screen == CONSENT and view.phone.settings.consent is not None:
                view.show(TYPING)
            view.refresh()
        whole = Image.fromarray(self._camera.picture(self._root, self._size))
        picture = whole.resize((round(whole.width * _SCALE), round(whole.height * _SCALE)), Image.Resampling.LANCZOS)
        if not self._pictures or picture.tobytes() != self._pictures[-1].tobytes():
            self._pictures.append(picture)

    def write(self, path: Path) -> None:
        """Write what was taken as a GIF that begins anew.

        Raises:
            OSError: it cannot be written.
        """
        colours = self._colours()
        first, *others = (picture.quantize(palette=colours, dither=Image.Dither.NONE) for picture in self._pictures)
        durations = [*[_SHOWN_MS] * len(others), _LAST_MS]
        path.parent.mkdir(parents=True, exist_ok=True)
        first.save(path, format="GIF", save_all=True, append_images=others, duration=durations, loop=0, optimize=True)

    def _colours(self) -> Image.Image:
        """Return a picture with a palette for all, so that only what changes takes room in the file."""
        some = [self._pictures[at * (len(self._pictures) - 1) // 2] for at in range(3)]
        together = Image.new("RGB", (some[0].width, some[0].height * len(some)))
        for place, picture in enumerate(some):
            together.paste(picture, (0, place * picture.height))
        return together.quantize(_COLOURS)
