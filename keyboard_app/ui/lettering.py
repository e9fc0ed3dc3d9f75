"""Text as textures and labels, each character in a font that has it, emoji in their own colours.

Kivy's text provider writes a text in one font. `ChainLabel` gives it a text run by run, on one baseline; a font of
coloured pictures, which have one size only, is scaled to that of the letters.
"""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from kivy.core.image import ImageData
from kivy.core.text import Label as CoreLabel
from kivy.core.text._text_sdl2 import _SurfaceContainer
from kivy.graphics.texture import Texture
from kivy.uix.label import Label

from keyboard_app.ui.fonts import MAIN, Run, is_picture, runs
from keyboard_app.ui.theme import Colour, rgba
from model.text import CLUSTERS

Pixels = npt.NDArray[np.uint8]

_SHOWN = {"\n": "↵"}


class _Measured(NamedTuple):
    """A run as it is written: width, and heights above and below the baseline, in pixels."""

    run: Run
    width: int
    ascent: int
    descent: int


class ChainLabel(CoreLabel):
    """Kivy's label, for any text. It takes the same options."""

    options: dict[str, Any]

    def get_extents(self, text: str) -> tuple[int, int]:
        """Return width and height of a line, in pixels."""
        if text.isascii():
            size: tuple[int, int] = super().get_extents(text)
            return size
        measured = self._measured(text)
        height = max(part.ascent for part in measured) + max(part.descent for part in measured)
        return sum(part.width for part in measured), height

    def get_cached_extents(self) -> Any:
        """Return `get_extents`, which Kivy lays lines out with."""
        return self.get_extents

    def shorten(self, text: str, margin: int = 2) -> str:  # noqa: ARG002 - Kivy's signature
        """Return a text that fits the width on one line, without the end that does not; characters stay whole."""
        width = self.text_size[0]
        line = " ".join(text.split())
        if width is None or self.get_extents(line)[0] <= width:
            return line
        self.is_shortened = True
        ends = [0, *(match.end() for match in CLUSTERS.finditer(line))]
        low, high = 0, len(ends) - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._fits(line[: ends[middle]], width) else (low, middle - 1)
        return line[: ends[low]].rstrip() + "…"

    def _fits(self, text: str, width: float) -> bool:
        return self.get_extents(text.rstrip() + "…")[0] <= width

    def _measured(self, text: str) -> list[_Measured]:
        plain = self._sized(Run(" ", MAIN))
        found = [plain._replace(width=0)]
        for run in runs(text):
            part = self._sized(run)
            if is_picture(run.font):
                high = plain.ascent + plain.descent
                part = plain._replace(run=run, width=round(part.width * high / max(1, part.ascent + part.descent)))
            found.append(part)
        return found

    def _sized(self, run: Run) -> _Measured:
        with self._font(run):
            if run.script:  # SDL_ttf's font takes the rules when something is written, not when it is measured
                _SurfaceContainer(1, 1).render(self, " ", 0, 0)
            width, height = super().get_extents(run.text)
            ascent = self.get_ascent()
        return _Measured(run, width, ascent, max(0, height - ascent))

    @contextmanager
    def _font(self, run: Run) -> Iterator[None]:
        """Write in the font of a run, by the rules of its script; the main font is the label's own."""
        own = self.options
        if run.font != MAIN:
            self.options = own | {"font_name_r": font_file(run.font)}
        if run.script:
            self.options |= {"font_script_name": run.script, "font_direction": run.direction}
        try:
            yield
        finally:
            self.options = own

    def _render_begin(self) -> None:
        self._pasted: list[tuple[Pixels, int, int]] = []
        super()._render_begin()

    def _render_text(self, text: str, x: float, y: float) -> None:
        if text.isascii():
            super()._render_text(text, x, y)
            return
        measured = self._measured(text)
        ascent = max(part.ascent for part in measured)
        for part in measured:
            top = y + ascent - part.ascent
            if not part.width:
                continue
            if is_picture(part.run.font):
                picture = _picture(part.run, part.width, part.ascent + part.descent)
                self._pasted.append((picture, round(x), round(top)))
            else:
                with self._font(part.run):
                    super()._render_text(part.run.text, x, top)
            x += part.width

    def _render_end(self) -> Any:
        data = super()._render_end()
        if not self._pasted:
            return data
        pixels = _pixels(data).copy()
        for picture, x, y in self._pasted:
            part = pixels[max(0, y) : y + picture.shape[0], max(0, x) : x + picture.shape[1]]
            part[...] = picture[max(0, -y) :, max(0, -x) :][: part.shape[0], : part.shape[1]]
        return ImageData(data.width, data.height, data.fmt, pixels.tobytes())


@lru_cache(maxsize=64)
def font_file(font: str) -> str:
    """Return the file of a font that Kivy knows by name, or the file itself."""
    return str(CoreLabel(font_name=font).options["font_name_r"])


@lru_cache(maxsize=512)
def _picture(run: Run, width: int, height: int) -> Pixels:
    """Return a coloured picture at a size, uint8 [height, width, 4]."""
    label = _Raw(text=run.text, font_name=run.font, font_size=height)
    pixels = label.pixels().astype(np.float64)
    pixels[..., :3] *= pixels[..., 3:] / 255
    high, wide = pixels.shape[:2]
    rows = (_shares(height, high) @ pixels.reshape(high, -1)).reshape(height, wide, 4)
    small = _shares(width, wide) @ rows
    small[..., :3] *= 255 / np.maximum(small[..., 3:], 1)
    scaled: Pixels = np.clip(np.rint(small), 0, 255).astype(np.uint8)
    return scaled


def _shares(fewer: int, many: int) -> npt.NDArray[np.float64]:
    """Return how much each of many pixels has in each of fewer, float [fewer, many]; rows add up to 1."""
    edges = np.linspace(0, many, fewer + 1)
    pixel = np.arange(many)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    shares: npt.NDArray[np.float64] = np.clip(covered, 0, None) * fewer / many
    return shares


class _Raw(CoreLabel):
    """A text in its font's own size and colours."""

    def pixels(self) -> Pixels:
        self._size = self.get_extents(self.text)
        self._render_begin()
        self._render_text(self.text, 0, 0)
        return _pixels(self._render_end())


def _pixels(data: Any) -> Pixels:
    return np.frombuffer(data.data, np.uint8).reshape(data.height, data.width, 4)


def written(text: str, size: float, colour: Colour, font: str = MAIN) -> Texture:
    """Return a line as it is painted.

    Args:
        text: without line breaks.
        size: in pixels.
        colour: of what has none of its own.
        font: of what it has.
    """
    label = ChainLabel(text=text, font_size=size, font_name=font, color=rgba(colour))
    label.refresh()
    return label.texture


lettering = lru_cache(maxsize=512)(written)
"""Likewise, for what is written again and again: keys, and words of the strip."""


class AnyLabel(Label):
    """Kivy's widget, for any text."""

    def _create_label(self) -> None:
        options = {name: getattr(self, name) for name in self._font_properties}
        self._label = ChainLabel(**options, usersize=self.text_size)


def alone(text: str) -> str:
    """Return what stands on a key for a text: marks that belong on a letter have a place for one."""
    shown = _SHOWN.get(text, text)
    return f"◌{shown}" if shown and unicodedata.category(shown[0]).startswith("M") else shown
