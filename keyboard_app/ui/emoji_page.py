"""The page of emoji: recently used first, by groups, with skin tones under a long press, and a search."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kivy.clock import Clock
from kivy.effects.scroll import ScrollEffect
from kivy.graphics import Canvas, Color, Rectangle, RoundedRectangle, ScissorPop, ScissorPush
from kivy.metrics import dp, sp
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from keyboard_app.editor.keys import LONG_PRESS_SECONDS
from keyboard_app.ui.lettering import lettering
from keyboard_app.ui.popup import Popup
from keyboard_app.ui.theme import Palette, rgba
from keyboard_app.ui.touch_timers import if_it_stays
from keyboard_app.ui.widgets import TOUCH_DP, Icon, Text, ground
from model.languages.emoji import groups, tones

RECENT = "Recently used"

_CELL_DP, _TITLE_DP, _DRAG_DP = 44, 26, 10
_ICONS = {RECENT: "◷"}

Sections = Mapping[str, Sequence[str]]
"""Emoji below titles; an empty title is not shown."""


class _Row(NamedTuple):
    """A row of the grid: a title, or emoji; how far it is below the first one's top, and how high, in pixels."""

    title: str
    emoji: Sequence[str]
    top: float
    height: float


@dataclass
class _Finger:
    emoji: str | None
    at: tuple[float, float]
    timer: Any = None
    drags: bool = False
    offered: Sequence[str] = ()
    choice: int = 0


class EmojiGrid(Widget):
    """Emoji in rows, under a finger; only what is visible is painted.

    Args:
        palette: colours.
        write: called with an emoji that was chosen.
    """

    def __init__(self, palette: Palette, write: Callable[[str], object], **options: Any) -> None:
        super().__init__(**options)
        self._palette, self._write = palette, write
        self._sections: Sections = {}
        self._rows: list[_Row] = []
        self._finger: _Finger | None = None
        self._scroll = ScrollEffect()
        self._popup = Popup(self, palette)
        ground(self, palette.keyboard)
        self._ink = Canvas()
        self.canvas.add(self._ink)
        self.bind(size=self._lay_out, pos=self._paint)
        self._scroll.bind(scroll=self._paint)

    def show(self, sections: Sections) -> None:
        """Show other emoji."""
        if sections != self._sections:
            self._sections = sections
            self._scroll.value = 0
            self._lay_out()

    def scroll_to(self, title: str) -> None:
        """Show a section at the top."""
        self._scroll.velocity = 0
        self._scroll.value = min(next((row.top for row in self._rows if row.title == title), 0), self._scroll.max)

    def place(self, emoji: str) -> tuple[float, float]:
        """Return the middle of an emoji, in the window's coordinates; it is scrolled to.

        Raises:
            LookupError: it is not shown.
        """
        for row in self._rows:
            if emoji in row.emoji:
                self._scroll.value = min(row.top, self._scroll.max)
                x = self.x + (row.emoji.index(emoji) + 0.5) * self._wide
                return x, self.top + self._scroll.value - row.top - row.height / 2
        raise LookupError(f"there is no {emoji} here")

    @property
    def _columns(self) -> int:
        return max(1, int(self.width / dp(_CELL_DP)))

    @property
    def _wide(self) -> float:
        return float(self.width) / self._columns

    def _lay_out(self, *_: Any) -> None:
        self._rows, top = [], 0.0
        for title, emoji in self._sections.items():
            if title:
                self._rows.append(_Row(title, (), top, dp(_TITLE_DP)))
                top += dp(_TITLE_DP)
            for start in range(0, len(emoji), self._columns):
                self._rows.append(_Row("", emoji[start : start + self._columns], top, dp(_CELL_DP)))
                top += dp(_CELL_DP)
        self._scroll.max = max(0.0, top - self.height)
        self._scroll.value = min(self._scroll.value, self._scroll.max)
        self._paint()

    def _paint(self, *_: Any) -> None:
        self._ink.clear()
        scrolled = self._scroll.scroll
        with self._ink:
            ScissorPush(x=int(self.x), y=int(self.y), width=int(self.width), height=int(self.height))
            Color(1, 1, 1)
            for row in self._rows:
                if row.top + row.height < scrolled or row.top > scrolled + self.height:
                    continue
                middle = self.top + scrolled - row.top - row.height / 2
                if row.title:
                    texture = lettering(row.title, sp(12), self._palette.on_key)
                    Rectangle(texture=texture, size=texture.size, pos=(self.x + dp(10), middle - texture.height / 2))
                for column, emoji in enumerate(row.emoji):
                    left = self.x + column * self._wide
                    if self._finger is not None and self._finger.emoji == emoji and not self._finger.drags:
                        Color(*rgba(self._palette.key_pressed))
                        corner = (left + dp(1), middle - row.height / 2 + dp(1))
                        RoundedRectangle(pos=corner, size=(self._wide - dp(2), row.height - dp(2)), radius=[dp(7)])
                        Color(1, 1, 1)
                    texture = lettering(emoji, dp(26), self._palette.on_key)
                    pos = left + (self._wide - texture.width) / 2, middle - texture.height / 2
                    Rectangle(texture=texture, size=texture.size, pos=pos)
            ScissorPop()

    def _at(self, touch: Any) -> str | None:
        below = self.top + self._scroll.scroll - touch.y
        for row in self._rows:
            if row.top <= below < row.top + row.height:
                column = int((touch.x - self.x) / self._wide)
                return row.emoji[column] if 0 <= column < len(row.emoji) else None
        return None

    def on_touch_down(self, touch: Any) -> bool:
        """Begin a tap, a drag, or a long press."""
        if not self.collide_point(*touch.pos):
            return False
        if getattr(touch, "is_mouse_scrolling", False):
            step = {"scrollup": 1, "scrolldown": -1}.get(touch.button, 0) * dp(_CELL_DP)
            self._scroll.value = max(0.0, min(self._scroll.max, self._scroll.value + step))
        elif self._finger is None:
            touch.grab(self)
            self._finger = _Finger(self._at(touch), touch.pos)
            if self._finger.emoji is not None and tones(self._finger.emoji):
                if_it_stays(self._finger, LONG_PRESS_SECONDS, self._offer)
            self._paint()
        return True

    def on_touch_move(self, touch: Any) -> bool:
        """Scroll, or point at a skin tone."""
        finger = self._finger
        if touch.grab_current is not self or finger is None:
            return False
        if finger.offered:
            finger.choice = self._popup.choose(touch.x)
        elif finger.drags:
            self._scroll.update(touch.y)
        elif math.dist(touch.pos, finger.at) > dp(_DRAG_DP):
            self._cancel(finger)
            finger.drags = True
            self._scroll.start(touch.y)
        return True

    def on_touch_up(self, touch: Any) -> bool:
        """Write the emoji, or the skin tone that was pointed at."""
        finger = self._finger
        if touch.grab_current is not self or finger is None:
            return False
        touch.ungrab(self)
        self._finger = None
        self._cancel(finger)
        self._popup.hide()
        if finger.drags:
            self._scroll.stop(touch.y)
        elif finger.offered:
            self._write(finger.offered[finger.choice])
        elif finger.emoji is not None:
            self._write(finger.emoji)
        self._paint()
        return True

    @staticmethod
    def _cancel(finger: _Finger) -> None:
        if finger.timer is not None:
            Clock.unschedule(finger.timer)

    def _offer(self, finger: _Finger) -> None:
        if finger.emoji is not None:
            finger.offered = (finger.emoji, *tones(finger.emoji))
            self._popup.show([*finger.offered], self.place(finger.emoji), dp(_CELL_DP))
            finger.choice = self._popup.chosen


class EmojiPage(BoxLayout):
    """All emoji, with a bar below them.

    Args:
        palette: colours.
        write: called with an emoji that was chosen.
        close: goes back to the letters.
        search: begins a search.
        backspace: deletes.
    """

    def __init__(
        self,
        palette: Palette,
        write: Callable[[str], object],
        close: Callable[[], object],
        search: Callable[[], object],
        backspace: Callable[[], object],
    ) -> None:
        super().__init__(orientation="vertical", size_hint_y=None)
        self.grid = EmojiGrid(palette, write)
        bar = BoxLayout(size_hint_y=None, height=dp(TOUCH_DP))
        ground(bar, palette.keyboard)
        titles = [RECENT, *groups()]
        tabs = [(_ICONS.get(title) or groups()[title][0], title) for title in titles]
        choices = [
            ("ABC", close, "letters"),
            ("⌕", search, "search emoji"),
            *((icon, self._goes_to(title), title) for icon, title in tabs),
            ("⌫", backspace, "delete"),
        ]
        for symbol, action, name in choices:
            bar.add_widget(Tab(symbol, action, palette, name))
        self.add_widget(self.grid)
        self.add_widget(bar)

    def show(self, recent: Sequence[str]) -> None:
        """Show all emoji, those that were used recently first."""
        self.grid.show(({RECENT: tuple(recent)} if recent else {}) | dict(groups()))

    def _goes_to(self, title: str) -> Callable[[], None]:
        return lambda: self.grid.scroll_to(title)


class Tab(Icon):
    """A place of the bar: as wide as there is room for."""

    def __init__(self, symbol: str, action: Callable[[], object], palette: Palette, name: str) -> None:
        super().__init__(symbol, action, palette.on_key, name, size=14 if symbol.isalpha() else 18)
        self.size_hint_x = 1


class EmojiSearch(BoxLayout):
    """What is searched for, and the emoji that were found; the keys below type into it.

    Args:
        palette: colours.
        write: called with an emoji that was chosen.
        close: ends the search.
    """

    def __init__(self, palette: Palette, write: Callable[[str], object], close: Callable[[], object]) -> None:
        super().__init__(orientation="vertical", size_hint_y=None, height=dp(TOUCH_DP + 2 * _CELL_DP))
        ground(self, palette.keyboard)
        self._palette = palette
        self.grid = EmojiGrid(palette, write)
        self._bar = BoxLayout(size_hint_y=None, height=dp(TOUCH_DP), padding=(0, 0, dp(10), 0))
        self._bar.add_widget(Icon("←", close, palette.on_key, "end search"))
        self._query = Text("", palette.on_key, size=17, one_line=True, pos_hint={"center_y": 0.5})
        self._bar.add_widget(self._query)
        self.add_widget(self._bar)
        self.add_widget(self.grid)

    def show(self, query: str, found: Sequence[str]) -> None:
        """Show what was found for a query."""
        self._query.text = f"{query}|" if query else "Type what you look for, such as cake"
        if query and not found:
            self._query.text = f"{query}|  no emoji is called that"
        self.grid.show({"": tuple(found)})
