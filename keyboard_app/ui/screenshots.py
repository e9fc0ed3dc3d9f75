"""Pictures of every screen, painted into memory."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from kivy.graphics.opengl import GL_RGB, GL_UNSIGNED_BYTE, glReadPixels
from kivy.graphics.texture import Texture
from kivy.uix.widget import Widget

from keyboard_app.phone import Phone
from keyboard_app.ui.app import Phones, several_size
from keyboard_app.ui.pages import PAGES
from keyboard_app.ui.phone_view import TYPING, PhoneView
from keyboard_app.ui.pictures import Pixels
from keyboard_app.ui.theme import PALETTES
from keyboard_app.ui.window import Frames, open_window, without_display

SIZES = ((360, 640), (412, 915), (800, 600))

_FRAMES = 8  # until every layout has settled
_GAP = 12
_SELECTION = "selection"  # the typing screen with a word selected
_SHEET = ("consent", TYPING, "leaves", "rounds", "words", "models")


class Camera:
    """Takes pictures of a window in memory, whose size cannot change.

    Args:
        largest: picture, in pixels.
    """

    def __init__(self, largest: tuple[int, int]) -> None:
        without_display()
        self._window = open_window(largest)

    def picture(self, root: Widget, size: tuple[int, int]) -> Pixels:
        """Return a widget as it looks alone in a window, uint8 [height, width, 3]."""
        root.size_hint, root.size = (None, None), size
        for child in list(self._window.children):
            self._window.remove_widget(child)
        frames = Frames(root)
        for _ in range(_FRAMES):
            frames.one()
        self._window.dispatch("on_draw")
        width, height = size
        pixels = np.frombuffer(glReadPixels(0, 0, width, height, GL_RGB, GL_UNSIGNED_BYTE), np.uint8)
        return pixels.reshape(height, width, 3)[::-1].copy()


def write_png(pixels: Pixels, path: Path) -> None:
    """Write a picture, uint8 [height, width, 3]."""
    height, width = pixels.shape[:2]
    texture = Texture.create(size=(width, height), colorfmt="rgb")
    texture.blit_buffer(np.ascontiguousarray(pixels[::-1]).tobytes(), colorfmt="rgb", bufferfmt="ubyte")
    texture.save(str(path), flipped=True)


def write_all(phones: Sequence[Phone], folder: Path) -> list[Path]:
    """Write every screen of the first phone, light and dark, at every size, all phones together, and contact sheets.

    Args:
        phones: that have something to show; the first one's theme is changed.
        folder: made if it does not exist.

    Returns:
        the files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    several = several_size(len(phones))
    camera = Camera((max(several[0], *(size[0] for size in SIZES)), max(several[1], *(size[1] for size in SIZES))))
    phone = phones[0]
    written = []

    def keep(pixels: Pixels, name: str) -> None:
        written.append(folder / f"{name}.png")
        write_png(pixels, written[-1])

    alone, together = Phones([phone]), Phones(phones)
    for theme in PALETTES:
        for each in phones:
            each.change(replace(each.settings, theme=theme))
        sheet = {}
        for size in SIZES:
            for name in (TYPING, _SELECTION, *PAGES):
                _show(phone, alone.views[0], name)
                pixels = camera.picture(alone, size)
                keep(pixels, f"{name}-{theme}-{size[0]}x{size[1]}")
                if size == SIZES[1]:
                    sheet[name] = pixels
        keep(_beside([sheet[name] for name in _SHEET]), f"sheet-{theme}")
        for view in together.views:
            view.show(TYPING)
        keep(camera.picture(together, several), f"together-{theme}")
    return written


def _show(phone: Phone, view: PhoneView, name: str) -> None:
    """Go to a screen; the one with a selection comes after the one for typing."""
    if name == _SELECTION and view.typing is not None:
        view.typing.edits.select_word(len(phone.session.state.text) // 2)
        view.typing.field.open_bar(on=True)
    else:
        phone.session.place(len(phone.session.state.text))
        view.show(name)
    phone.settle()


def _beside(pictures: Sequence[Pixels]) -> Pixels:
    """Return pictures of one size beside each other."""
    height = pictures[0].shape[0]
    gap = np.full((height, _GAP, 3), 255, np.uint8)
    row = [part for picture in pictures for part in (picture, gap)][:-1]
    return np.concatenate(row, axis=1)
