"""The widgets that every screen is made of. A widget gets its palette when it is made and keeps it."""

from collections.abc import Callable
from typing import Any

from kivy.graphics import Color, Ellipse, Line, Rectangle, RoundedRectangle
from kivy.metrics import dp, sp
from kivy.uix.anchorlayout import AnchorLayout
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.floatlayout import FloatLayout
from kivy.uix.scrollview import ScrollView
from kivy.uix.widget import Widget

from keyboard_app.ui import fonts
from keyboard_app.ui.lettering import AnyLabel
from keyboard_app.ui.theme import Colour, Palette, rgba

TOUCH_DP = 48
"""Least height of what is touched."""

LARGE = 1.1
"""Scale of letters from which on less stands beside each other."""

COLUMN_DP = 640
"""Widest column of text on a tablet."""


def ground(widget: Widget, colour: Colour, *, radius: float = 0, border: Colour | None = None) -> Color:
    """Paint what is behind a widget; return the instruction that colours it."""
    with widget.canvas.before:
        paint = Color(*rgba(colour))
        shape = RoundedRectangle(radius=[dp(radius)]) if radius else Rectangle()
        line = None
        if border:
            Color(*rgba(border))
            line = Line(width=1)

    def place(*_: Any) -> None:
        shape.pos, shape.size = widget.pos, widget.size
        if line:
            line.rounded_rectangle = (*widget.pos, *widget.size, dp(radius) or 1)

    widget.bind(pos=place, size=place)
    place()
    return paint


class Text(AnyLabel):
    """Text that wraps at its width and is as high as it needs.

    Args:
        text: plain, no markup.
        colour: of the letters.
        size: in sp.
        one_line: is cut with an ellipsis instead of wrapping.
    """

    def __init__(self, text: str, colour: Colour, *, size: float = 15, one_line: bool = False, **options: Any) -> None:
        super().__init__(
            text=text,
            color=rgba(colour),
            font_size=sp(size),
            size_hint_y=None,
            valign="middle",
            **{"halign": "left", "line_height": 1.1} | options,
        )
        self._one_line = one_line
        if one_line:
            self.shorten, self.shorten_from = True, "right"
        self.bind(width=self._wrap, texture_size=self._grow)

    def _wrap(self, *_: Any) -> None:
        self.text_size = self.width, (self.font_size * 1.4 if self._one_line else None)

    def _grow(self, *_: Any) -> None:
        self.height = self.texture_size[1]


class Touchable(ButtonBehavior, AnchorLayout):
    """Anything that does something when touched.

    Args:
        action: what it does.
    """

    def __init__(self, action: Callable[[], object], **options: Any) -> None:
        super().__init__(**options)
        self._action = action

    def on_release(self) -> None:
        """Do it."""
        self._action()


class PushButton(Touchable):
    """A button with a text.

    Args:
        text: on it.
        action: what it does.
        palette: colours.
        ground_colour: `primary`, `bad` or another filled role of the palette; nothing for a plain outline.
        size: of the letters.
        name: what it is, for tests and tools, where several have one text.
    """

    def __init__(
        self,
        text: str,
        action: Callable[[], object],
        palette: Palette,
        ground_colour: str = "",
        *,
        size: float = 15,
        name: str = "",
        **options: Any,
    ) -> None:
        super().__init__(action, size_hint_y=None, height=dp(TOUCH_DP), **options)
        colour = getattr(palette, f"on_{ground_colour}") if ground_colour else palette.primary
        if ground_colour:
            ground(self, getattr(palette, ground_colour), radius=TOUCH_DP / 2)
        else:
            ground(self, palette.surface, radius=TOUCH_DP / 2, border=palette.outline)
        self.text, self.name = text, name or text
        self.padding = dp(6), 0
        self.add_widget(Text(text, colour, size=size, bold=True, one_line=True, halign="center"))


class Icon(Touchable):
    """A symbol to touch.

    Args:
        symbol: one or two characters.
        action: what it does.
        colour: of the symbol.
        name: what it is, for tests and tools.
        size: of the symbol.
    """

    def __init__(
        self, symbol: str, action: Callable[[], object], colour: Colour, name: str, *, size: float = 21
    ) -> None:
        super().__init__(action, size_hint=(None, None), size=(dp(TOUCH_DP), dp(TOUCH_DP)))
        self.name = name
        self.add_widget(AnyLabel(text=symbol, color=rgba(colour), font_size=sp(size), font_name=fonts.SYMBOLS))


class Column(BoxLayout):
    """Widgets below each other, as high as all together."""

    def __init__(self, *widgets: Widget, space: float = 10, **options: Any) -> None:
        super().__init__(orientation="vertical", size_hint_y=None, spacing=dp(space), **options)
        self.bind(minimum_height=self.setter("height"))
        for widget in widgets:
            self.add_widget(widget)


class Row(BoxLayout):
    """Widgets beside each other, as high as the highest."""

    def __init__(self, *widgets: Widget, space: float = 10, **options: Any) -> None:
        super().__init__(size_hint_y=None, spacing=dp(space), **options)
        for widget in widgets:
            widget.pos_hint = widget.pos_hint or {"center_y": 0.5}
            widget.bind(height=self._grow)
            self.add_widget(widget)
        self._grow()

    def _grow(self, *_: Any) -> None:
        self.height = max((widget.height for widget in self.children if widget.size_hint_y is None), default=dp(1))


def fact(palette: Palette, name: str, value: str) -> Row:
    """Return a name on the left and its value on the right."""
    return Row(Text(name, palette.muted, size=14), Text(value, palette.on_surface, size=15, bold=True, halign="right"))


class Card(Column):
    """A column on a surface of its own.

    Args:
        palette: colours.
        title: above the rest, if any.
    """

    def __init__(self, palette: Palette, *widgets: Widget, title: str = "") -> None:
        heading = [Text(title, palette.on_surface, size=16, bold=True)] if title else []
        super().__init__(*heading, *widgets, padding=dp(16))
        ground(self, palette.surface, radius=14, border=palette.divider)


class SwitchRow(Touchable):
    """A line of text with a switch at its end.

    Args:
        text: what is switched.
        active: as it is now.
        action: called with the new state.
        palette: colours.
        detail: a smaller line below.
        colour: of the switch when on.
    """

    def __init__(
        self,
        text: str,
        action: Callable[[bool], object],
        palette: Palette,
        *,
        active: bool,
        detail: str = "",
        colour: Colour | None = None,
    ) -> None:
        super().__init__(lambda: action(not active), size_hint_y=None)
        self.name, self.active = text, active
        words = Column(Text(text, palette.on_surface), space=2, pos_hint={"center_y": 0.5})
        if detail:
            words.add_widget(Text(detail, palette.muted, size=13))
        self._knob = Widget(size_hint=(None, None), size=(dp(52), dp(30)), pos_hint={"center_y": 0.5})
        on = colour or palette.primary
        ground(self._knob, on if active else palette.surface, radius=15, border=on if active else palette.outline)
        with self._knob.canvas:
            Color(*rgba(palette.surface if active else palette.outline))
            self._dot = Ellipse(size=(dp(20), dp(20)))
        self._knob.bind(pos=self._place)
        row = BoxLayout(spacing=dp(12))
        row.add_widget(words)
        row.add_widget(self._knob)
        self.add_widget(row)
        words.bind(height=self._grow)
        self._grow(words, words.height)

    def _grow(self, _: Widget, height: float) -> None:
        self.height = max(dp(TOUCH_DP), height + dp(8))

    def _place(self, *_: Any) -> None:
        x, y = self._knob.pos
        self._dot.pos = x + (dp(27) if self.active else dp(5)), y + dp(5)


class Scrolled(ScrollView):
    """A column that scrolls, not wider than one likes to read.

    Args:
        column: what is shown.
        palette: colours.
    """

    def __init__(self, column: Column, palette: Palette) -> None:
        super().__init__(do_scroll_x=False, bar_width=dp(4), bar_color=rgba(palette.outline), scroll_distance=dp(12))
        self._column = column
        self.add_widget(column)
        self.bind(width=self._margins)

    def _margins(self, *_: Any) -> None:
        side = max(dp(14), (self.width - dp(COLUMN_DP)) / 2)
        self._column.padding = side, dp(14), side, dp(28)


class Sheet(FloatLayout):
    """A question or a few choices over everything else of a phone; a touch beside it closes it.

    Args:
        palette: colours.
        close: removes it.
    """

    def __init__(self, palette: Palette, close: Callable[[], object], title: str, *widgets: Widget) -> None:
        super().__init__(pos_hint={"x": 0, "y": 0})
        ground(self, Colour("#000000")).a = 0.5
        self._close = close
        self.card = Card(palette, *widgets, title=title)
        self.card.pos_hint = {"center_x": 0.5, "center_y": 0.5}
        self.card.size_hint_x = None
        self.bind(width=lambda *_: setattr(self.card, "width", min(self.width - dp(24), dp(420))))
        self.add_widget(self.card)

    def on_touch_down(self, touch: Any) -> bool:
        """Keep every touch from what is below."""
        if not self.card.collide_point(*touch.pos):
            self._close()
        super().on_touch_down(touch)
        return True
