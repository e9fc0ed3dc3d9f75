"""Pictures of every screen, painted into memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from kivy.graphics.opengl import GL_RGB, GL_UNSIGNED_BYTE, glReadPixels
from kivy.graphics.texture import Texture
from kivy.uix.widget import Widget

from keyboard_app.editor.editor import FieldKind
from keyboard_app.editor.keys import Action, Key
from keyboard_app.phone import Phone
from keyboard_app.ui.app import Phones, several_size
from keyboard_app.ui.pages import PAGES
from keyboard_app.ui.phone_view import TYPING, PhoneView
from keyboard_app.ui.pictures import Pixels
from keyboard_app.ui.window import Frames, open_window, without_display

SIZES = ((360, 640), (412, 915), (800, 600))

_THEMES = ("light", "dark")
_FRAMES = 8  # until every layout has settled
_GAP = 12
_SELECTION = "selection"  # the typing screen with a word selected
_SHEET = ("consent", TYPING, "leaves", "rounds", "words", "models")


class _Scene(NamedTuple):
    """A picture of the keys.

    Attributes:
        settings: other than usual.
        text: in the field.
        page: of keys.
        query: of a search for emoji.
    """

    settings: Mapping[str, Any]
    text: str
    page: Action = Action.LETTERS
    query: str | None = None


_SCENES = {
    "hindi": _Scene({"layout": "devanagari", "second_layout": "qwerty", "suggestions": False}, "नमस्ते, आप कैसे हैं? क्षमा "),
    "spanish": _Scene({"number_row": True, "suggestions": False}, "¿Cómo estás? Nos vemos mañana en la "),
    "german": _Scene({"layout": "qwertz", "one_handed": "right", "suggestions": False}, "Schöne Grüße aus "),
    "emoji": _Scene({}, "see you 🎉👍🏽👨‍👩‍👧🇮🇳", Action.EMOJI),
    "emoji-search": _Scene({}, "happy birthday ", Action.EMOJI, "cake"),
    "clear": _Scene({"contrast": True, "text_scale": 1.2, "key_height": 1.25}, "larger and "),
}


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
    for theme in _THEMES:
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
    return [*written, *write_keys(phone, folder, camera)]


def write_keys(phone: Phone, folder: Path, camera: Camera | None = None) -> list[Path]:
    """Write sheets of a phone's keys, light and dark: languages, layouts, emoji, and what helps to read.

    Args:
        phone: whose settings and text are changed, and its settings put back.
        folder: made if it does not exist.
        camera: by default one of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    camera = camera or Camera(SIZES[0])
    usual = phone.settings
    root = Phones([phone])
    written = []
    for theme in _THEMES:
        pictures = []
        for scene in _SCENES.values():
            phone.change(replace(usual, **{"theme": theme, **scene.settings}))
            phone.session.focus(FieldKind.ORDINARY)
            phone.session.type(scene.text)
            phone.session.press(Key("", 0, 0, action=scene.page))
            phone.settle()
            root.views[0].show(TYPING)
            typing = root.views[0].typing
            if scene.query is not None and typing is not None:
                typing.find_emoji(scene.query)
            pictures.append(camera.picture(root, SIZES[0]))
        written.append(folder / f"keys-{theme}.png")
        write_png(_beside(pictures), written[-1])
    phone.session.press(Key("", 0, 0, action=Action.LETTERS))
    phone.change(usual)
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
