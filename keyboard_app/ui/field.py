"""The text field: lines of an editor's text with its cursor. Only what changed is painted again."""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple

from kivy.core.text import Label as CoreLabel
from kivy.graphics import Color, Line, Rectangle
from kivy.metrics import dp, sp
from kivy.uix.widget import Widget

from keyboard_app.editor import EditorState, FieldKind
from keyboard_app.ui.keypad import written
from keyboard_app.ui.theme import Palette, rgba
from keyboard_app.ui.widgets import ground

HIDDEN = "•"
MOST_LINES = 5
_line_texture = lru_cache(maxsize=2 * MOST_LINES)(written)
_LINE = 1.35  # line height in font sizes


class WrappedLine(NamedTuple):
    """A line as it is shown.

    Attributes:
        start: index of its first character in the text.
        text: on it.
    """

    start: int
    text: str

    @property
    def end(self) -> int:
        """Index behind its last character."""
        return self.start + len(self.text)


@lru_cache(maxsize=4096)
def width_of(text: str) -> float:
    """Return how wide a text of the field is, in pixels."""
    return float(_measure().get_extents(text)[0])


@cache
def _measure() -> CoreLabel:
    return CoreLabel(font_size=sp(18))


def wrap(text: str, width: float, measure: Callable[[str], float]) -> list[WrappedLine]:
    """Break a text into lines, after spaces where there are any; every character is on exactly one line.

    Args:
        text: with line breaks, which end their line.
        width: of a line.
        measure: returns the width of a text.
    """
    lines = []
    start = 0
    for paragraph in text.split("\n"):
        end = start + len(paragraph)
        while True:
            fits = _fitting(text[start:end], width, measure)
            if start + fits >= end:
                break
            lines.append(WrappedLine(start, text[start : start + fits]))
            start += fits
        lines.append(WrappedLine(start, text[start:end]))
        start = end + 1
    return lines


def _fitting(text: str, width: float, measure: Callable[[str], float]) -> int:
    """Return how many characters the next line takes, at least one; spaces at its end need no room."""
    taken = 0
    while taken < len(text):
        space = text.find(" ", taken)
        word = len(text) if space < 0 else space + 1
        if measure(text[:word].rstrip(" ")) > width:
            break
        taken = word
    if taken:
        return taken
    fits = 1
    while fits < len(text) and measure(text[: fits + 1]) <= width:
        fits += 1
    return fits if text else 0


class Field(Widget):
    """Shows an editor's text, the word being typed underlined, and the cursor; a touch places it.

    Args:
        palette: colours.
        place: called with the index that was touched.
        hint: shown while there is no text.
    """

    def __init__(self, palette: Palette, place: Callable[[int], object], hint: str) -> None:
        super().__init__(size_hint_y=None)
        self._palette, self._place, self._hint = palette, place, hint
        self._state = EditorState()
        self._lines: list[WrappedLine] = []
        self._first = 0
        self._font_size = sp(18)
        self._line_height = self._font_size * _LINE
        ground(self, palette.surface, radius=18, border=palette.outline)
        self.bind(pos=self._paint, size=self._paint)
        self._paint()

    def show(self, state: EditorState) -> None:
        """Show the text of an editor."""
        before, self._state = self._state, state
        if (before.text, before.cursor, before.field) != (state.text, state.cursor, state.field):
            self._paint()

    @property
    def shown(self) -> str:
        """The text as it is shown: a password is not."""
        state = self._state
        return HIDDEN * len(state.text) if state.field is FieldKind.PASSWORD else state.text

    @property
    def lines(self) -> list[str]:
        """The lines that are visible."""
        return [line.text for line in self._lines[self._first : self._first + MOST_LINES]]

    def _paint(self, *_: Any) -> None:
        state = self._state
        self._lines = wrap(self.shown, max(1.0, self.width - dp(32)), width_of)
        at = max(i for i, line in enumerate(self._lines) if line.start <= state.cursor)
        self._first = max(at - MOST_LINES + 1, min(self._first, at, max(0, len(self._lines) - MOST_LINES)))
        visible = self._lines[self._first : self._first + MOST_LINES]
        self.height = len(visible) * self._line_height + dp(22)
        self.canvas.clear()
        top, left = self.y + self.height - dp(11), self.x + dp(16)
        composing = (state.cursor - len(state.composing), state.cursor)
        with self.canvas:
            if not state.text:
                Color(*rgba(self._palette.muted))
                self._write(self._hint, left, top)
            for i, line in enumerate(visible):
                y = top - i * self._line_height
                Color(*rgba(self._palette.on_surface))
                self._write(line.text, left, y)
                begin, end = max(composing[0], line.start), min(composing[1], line.end)
                if begin < end:
                    Color(*rgba(self._palette.primary))
                    x = [left + width_of(line.text[: index - line.start]) for index in (begin, end)]
                    Line(points=[x[0], y - self._line_height + dp(3), x[1], y - self._line_height + dp(3)], width=1)
                if self._first + i == at:
                    Color(*rgba(self._palette.primary))
                    x_cursor = left + width_of(line.text[: state.cursor - line.start])
                    Rectangle(pos=(x_cursor, y - self._line_height), size=(dp(2), self._line_height))

    def _write(self, text: str, left: float, top: float) -> None:
        if text:
            texture = _line_texture(text, self._font_size)
            y = top - self._line_height / 2 - texture.height / 2
            Rectangle(texture=texture, size=texture.size, pos=(left, y))

    def on_touch_down(self, touch: Any) -> bool:
        """Place the cursor."""
        if not self.collide_point(*touch.pos) or getattr(touch, "is_mouse_scrolling", False):
            return False
        row = int((self.top - dp(11) - touch.y) / self._line_height)
        line = self._lines[max(self._first, min(self._first + row, len(self._lines) - 1))]
        x = touch.x - self.x - dp(16)
        ends = range(len(line.text) + 1)
        self._place(line.start + min(ends, key=lambda end: abs(width_of(line.text[:end]) - x)))
        return True
