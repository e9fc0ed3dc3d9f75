"""The text field: an editor's text with its cursor or selection, under a finger. Only what is visible is painted."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

from kivy.clock import Clock
from kivy.effects.scroll import ScrollEffect
from kivy.graphics import Canvas, Color, Line, Rectangle, RoundedRectangle, ScissorPop, ScissorPush
from kivy.metrics import dp, sp
from kivy.uix.widget import Widget

from keyboard_app.editor.editor import DOUBLE_TAP_SECONDS, EditorState, FieldKind
from keyboard_app.editor.keys import LONG_PRESS_SECONDS
from keyboard_app.ui.edit_bar import EditBar
from keyboard_app.ui.lettering import ChainLabel, written
from keyboard_app.ui.lines import Layout
from keyboard_app.ui.theme import Colour, Palette, rgba
from keyboard_app.ui.touch_timers import if_it_stays
from keyboard_app.ui.widgets import ground

HIDDEN = "•"
MAX_LINES = 5
_line_texture = lru_cache(maxsize=4 * MAX_LINES)(written)
_LINE = 1.35  # line height in font sizes
_LEFT_DP, _TOP_DP = 16, 11  # from the edges of the field to the text
_HANDLE_DP = 16
_DRAG_DP = 8  # how far a finger goes before it means to
_NEAR_DP = 24  # what belongs together: taps, or a finger and a handle
_PULL_SECONDS = 0.1  # from line to line while a handle is held beyond the edge


def width_of(text: str) -> float:
    """Return how wide a text of the field is, in pixels."""
    return _width_of(text, sp(18))


@lru_cache(maxsize=4096)
def _width_of(text: str, size: float) -> float:
    return float(_measure(size).get_extents(text)[0])


@cache
def _measure(size: float) -> ChainLabel:
    return ChainLabel(font_size=size)


class Edits(NamedTuple):
    """What fingers do to a text.

    Attributes:
        place: puts the cursor at an index.
        select: selects from an index to another, where the cursor is then.
        select_word: selects the word at an index.
        select_all: selects everything.
        cut, copy, paste: exchange the selection with the clipboard.
        recent: returns what offers the texts that were copied lately; None if there are none.
    """

    place: Callable[[int], object]
    select: Callable[[int, int], object]
    select_word: Callable[[int], object]
    select_all: Callable[[], object]
    cut: Callable[[], object]
    copy: Callable[[], object]
    paste: Callable[[], object]
    recent: Callable[[], Callable[[], object] | None] = lambda: None


@dataclass
class _Finger:
    """A finger on the text.

    Attributes:
        at: where it came down.
        up: what happens when it is lifted.
        move: what its movement does, once that is known.
        timer: of the long press, or of the end of the selection that it holds.
    """

    at: tuple[float, float]
    up: Callable[[Any], object]
    move: Callable[[Any], object] | None = None
    timer: Any = None


class Field(Widget):
    """Shows an editor's text, the word being typed underlined, and the cursor or the selection with its handles.

    A tap places the cursor, two or a long press select a word, three everything. A drag scrolls, or moves the end of
    the selection whose handle it began on. Selecting by touch, or tapping the cursor, opens a bar of what can be done.

    Args:
        palette: colours.
        edits: what touches do.
        hint: shown while there is no text.
    """

    def __init__(self, palette: Palette, edits: Edits, hint: str) -> None:
        super().__init__(size_hint_y=None)
        self._palette, self._edits, self._hint = palette, edits, hint
        self._state = EditorState()
        self._font_size = sp(18)
        self._line_height = self._font_size * _LINE
        self._layout = Layout("", 1.0, width_of)
        self._scroll = ScrollEffect()  # its value is how much of the text is above the field, in pixels
        self._finger: _Finger | None = None
        self._taps, self._tapped_at, self._tapped = 0, -math.inf, (0.0, 0.0)
        self.bar = EditBar(palette)
        ground(self, palette.surface, radius=18, border=palette.outline)
        self._ink = Canvas()
        self.canvas.add(self._ink)
        self.bind(pos=self._paint, size=self._lay_out)
        self._scroll.bind(scroll=self._paint)
        self._lay_out()

    def show(self, state: EditorState) -> None:
        """Show the text of an editor, scrolled to its cursor if that is elsewhere."""
        before, self._state = self._state, state
        if (before.text, before.field) != (state.text, state.field):
            self.open_bar(on=False)
            self._lay_out()
        elif (before.cursor, before.anchor) != (state.cursor, state.anchor):
            self.open_bar(on=False)
            self._reveal()
            self._paint()

    @property
    def shown(self) -> str:
        """The text as it is shown: a password is not."""
        state = self._state
        return HIDDEN * len(state.text) if state.field is FieldKind.PASSWORD else state.text

    @property
    def lines(self) -> list[str]:
        """The lines that are visible."""
        return [self._layout.lines[row].text for row in self._rows]

    @property
    def line_ends(self) -> tuple[int, int]:
        """Where the cursor's line begins and ends."""
        return self._layout.ends(self._state.cursor)

    def beside(self, lines: int) -> int:
        """Return the index this many lines below the cursor, or above it if negative."""
        row = self._layout.row(self._state.cursor) + lines
        if not 0 <= row < len(self._layout.lines):
            return 0 if row < 0 else len(self._state.text)
        return self._layout.index(row, self._layout.x(self._state.cursor))

    # What one sees.

    @property
    def _view(self) -> float:
        """How high the visible part of the text is."""
        return min(len(self._layout.lines), MAX_LINES) * float(self._line_height)

    @property
    def _floor(self) -> float:
        """Where the visible part of the text ends below."""
        return float(self.top - dp(_TOP_DP)) - self._view

    @property
    def _rows(self) -> range:
        """The lines that are visible, if only in part."""
        first = round(self._scroll.scroll / self._line_height, 3)
        return range(int(first), min(math.ceil(first) + MAX_LINES, len(self._layout.lines)))

    def _bottom(self, row: int) -> float:
        """Return where a line ends below."""
        return float(self.top - dp(_TOP_DP) + self._scroll.scroll - (row + 1) * self._line_height)

    def _lay_out(self, *_: Any) -> None:
        self._layout = Layout(self.shown, max(1.0, self.width - 2 * dp(_LEFT_DP)), width_of, self._layout)
        self._scroll.max = len(self._layout.lines) * self._line_height - self._view
        self._reveal()
        self.height = self._view + 2 * dp(_TOP_DP)
        self._paint()

    def _reveal(self) -> None:
        """Scroll to the cursor, no farther than needed."""
        top = self._layout.row(self._state.cursor) * self._line_height
        self._scroll.velocity = 0
        self._scroll.value = max(top + self._line_height - self._view, min(self._scroll.scroll, top, self._scroll.max))

    def _paint(self, *_: Any) -> None:
        state, palette, layout = self._state, self._palette, self._layout
        left, high = self.x + dp(_LEFT_DP), self._line_height
        start, end = state.selection
        first, last = layout.row(start), layout.row(end)
        composing = state.cursor - len(state.composing)
        self._ink.clear()
        with self._ink:
            ScissorPush(x=int(self.x), y=int(self._floor), width=int(self.width), height=math.ceil(self._view) + 1)
            if not state.text:
                self._write(self._hint, palette.muted, left, self._bottom(0))
            for row in self._rows:
                line, y = layout.lines[row], self._bottom(row)
                if start < end and first <= row <= last:
                    Color(*rgba(palette.selected))
                    x = layout.x(start, row)
                    wide = layout.x(end, row) - x + (dp(5) if row < last else 0)  # the break at its end, too
                    Rectangle(pos=(left + x, y), size=(wide, high))
                self._write(line.text, palette.on_surface, left, y)
                Color(*rgba(palette.primary))
                if composing < min(state.cursor, line.end) and line.start < state.cursor:
                    x, to = (left + layout.x(index, row) for index in (composing, state.cursor))
                    Line(points=[x, y + dp(3), to, y + dp(3)], width=1)
                if start == end and row == last:
                    Rectangle(pos=(left + layout.x(end), y), size=(dp(2), high))
            ScissorPop()
            Color(*rgba(palette.primary))
            for index, corner in self._handles.items():
                radius = dp(_HANDLE_DP / 2)
                upper = [radius, 0] if index == start else [0, radius]  # the tip points to the text
                RoundedRectangle(pos=corner, size=(2 * radius, 2 * radius), radius=[*upper, radius, radius])
        self._place_bar()

    def _write(self, text: str, colour: Colour, left: float, bottom: float) -> None:
        if text:
            texture = _line_texture(text, self._font_size, colour)
            Color(1, 1, 1)
            y = bottom + (self._line_height - texture.height) / 2
            Rectangle(texture=texture, size=texture.size, pos=(left, y))

    @property
    def _handles(self) -> dict[int, tuple[float, float]]:
        """The left lower corner of the handle at each end of the selection, if it is visible."""
        start, end = self._state.selection
        found = {}
        for index in (start, end) if start < end else ():
            bottom = self._bottom(self._layout.row(index))
            if -1 < bottom - self._floor < self._view:
                x = self.x + dp(_LEFT_DP) + self._layout.x(index) - (dp(_HANDLE_DP) if index == start else 0)
                found[index] = x, bottom - dp(_HANDLE_DP)
        return found

    # The bar.

    def open_bar(self, *, on: bool) -> None:
        """Offer what can be done here, or nothing more."""
        if self.bar.parent is not None:
            self.remove_widget(self.bar)
        if on:
            state, edits = self._state, self._edits
            choices = [("Cut", edits.cut), ("Copy", edits.copy)] if state.copied else []
            choices.append(("Paste", edits.paste))
            if recent := edits.recent():
                choices.append(("Recent", recent))
            if state.selection != (0, len(state.text)):
                choices.append(("Select all", edits.select_all))
            self.bar.show([(name, partial(self._choose, do)) for name, do in choices])
            self.add_widget(self.bar)
            self._place_bar()

    def _choose(self, do: Callable[[], object]) -> None:
        self.open_bar(on=False)
        do()
        self.open_bar(on=do is self._edits.select_all)

    def _place_bar(self) -> None:
        """Let the bar, if it is open, stand above the selection, or as near as there is room."""
        if self.bar.parent is None:
            return
        start, end = self._state.selection
        row = self._layout.row(start)
        middle = (self._layout.x(start) + self._layout.x(end, row)) / 2 + dp(_LEFT_DP)
        x = max(0.0, min(middle - self.bar.width / 2, self.width - self.bar.width))
        y = max(self.y, min(self._bottom(row) + self._line_height + dp(_TOP_DP), self.top))
        self.bar.pos = self.x + x, y + dp(4)

    # Fingers.

    def on_touch_down(self, touch: Any) -> bool:
        """Begin a tap, a long press, a drag of the text or of a handle."""
        if super().on_touch_down(touch):  # on the bar
            return True
        if not self.collide_point(*touch.pos):
            return False
        self._scroll.velocity = 0
        if getattr(touch, "is_mouse_scrolling", False):
            self._scroll.value += self._line_height * {"scrollup": 1, "scrolldown": -1}.get(touch.button, 0)
        elif self._finger is None:
            touch.grab(self)
            self._finger = self._put_down(touch)
        return True

    def on_touch_move(self, touch: Any) -> bool:
        """Drag the end that the finger holds, or else the text."""
        finger = self._finger
        if touch.grab_current is not self or finger is None:
            return False
        if finger.move is not None:
            finger.move(touch)
        elif not _near(touch.pos, finger.at, _DRAG_DP):
            self._taps = 0
            finger.timer.cancel()
            finger.move = lambda moved: self._scroll.update(moved.y)
            finger.up = lambda lifted: self._scroll.stop(lifted.y)
            self._scroll.start(touch.y)
        return True

    def on_touch_up(self, touch: Any) -> bool:
        """End what the finger did."""
        finger = self._finger
        if touch.grab_current is not self or finger is None:
            return False
        touch.ungrab(self)
        self._finger = None
        finger.timer.cancel()
        finger.up(touch)
        return True

    def _put_down(self, touch: Any) -> _Finger:
        """Return what a finger means that came down."""
        now, index, handle = Clock.get_time(), self._index_at(*touch.pos), self._handle_at(touch)
        again = now - self._tapped_at <= DOUBLE_TAP_SECONDS and _near(touch.pos, self._tapped, _NEAR_DP)
        self._taps, self._tapped_at, self._tapped = (self._taps + 1 if again else 1), now, touch.pos
        finger = _Finger(touch.pos, up=lambda _: self._tap(index))

        def select_word(_: object) -> None:
            self._edits.select_word(index)
            self._hold(finger, touch)

        if_it_stays(finger, LONG_PRESS_SECONDS, select_word)
        if self._taps == 2:
            select_word(finger)
        elif self._taps == 3:
            self._edits.select_all()
            self._hold(finger, touch)
        elif handle is not None:
            self._hold(finger, touch, handle)
        return finger

    def _tap(self, index: int) -> None:
        """Place the cursor; a tap on the cursor opens the bar, or closes it."""
        again = self._state.selection == (index, index) and self.bar.parent is None
        self._edits.place(index)
        self.open_bar(on=again)

    def _hold(self, finger: _Finger, touch: Any, end: int | None = None) -> None:
        """Let a finger hold an end of the selection, by default the later one. When it is lifted the bar opens."""
        start, end = self._state.selection if end != self._state.selection[0] else self._state.selection[::-1]
        x = self.x + dp(_LEFT_DP) + self._layout.x(end) - touch.x
        y = self._bottom(self._layout.row(end)) + self._line_height / 2 - touch.y

        def drag(_: object) -> None:
            to = self._index_at(touch.x + x, touch.y + y)
            if to != start:
                self._edits.select(start, to)

        finger.timer.cancel()
        finger.timer = Clock.schedule_interval(drag, _PULL_SECONDS)  # also while it stays beyond an edge
        finger.move, finger.up = drag, lambda _: self.open_bar(on=True)
        self.open_bar(on=False)

    def _index_at(self, x: float, y: float) -> int:
        row = int((self.top - dp(_TOP_DP) + self._scroll.scroll - y) // self._line_height)
        return self._layout.index(max(0, min(row, len(self._layout.lines) - 1)), x - self.x - dp(_LEFT_DP))

    def _handle_at(self, touch: Any) -> int | None:
        """Return the end of the selection whose handle is nearest to a finger, and near."""
        radius = dp(_HANDLE_DP / 2)
        middles = {index: (x + radius, y + radius) for index, (x, y) in self._handles.items()}
        near = [index for index, middle in middles.items() if _near(touch.pos, middle, _NEAR_DP)]
        return min(near, key=lambda index: math.dist(touch.pos, middles[index]), default=None)


def _near(one: tuple[float, float], other: tuple[float, float], distance_dp: float) -> bool:
    return math.dist(one, other) <= float(dp(distance_dp))
