"""Widgets that show numbers: meters, pictures of matrices, curves and bars."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from kivy.graphics import Color, Ellipse, Line, Rectangle, RoundedRectangle
from kivy.graphics.texture import Texture
from kivy.metrics import dp, sp
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.floatlayout import FloatLayout
from kivy.uix.label import Label
from kivy.uix.widget import Widget

from keyboard_app.ui.theme import Colour, Palette, rgba
from keyboard_app.ui.widgets import Text, ground

_WIDEST_PICTURE_DP = 220


class Meter(Widget):
    """How much of something is used.

    Args:
        share: from 0 to 1.
        colour: of the used part.
        palette: other colours.
    """

    def __init__(self, share: float, colour: Colour, palette: Palette) -> None:
        super().__init__(size_hint_y=None, height=dp(14))
        self._share = min(1.0, max(0.0, share))
        ground(self, palette.divider, radius=7)
        with self.canvas:
            Color(*rgba(colour))
            self._bar = RoundedRectangle(radius=[dp(7)])
        self.bind(pos=self._place, size=self._place)

    def _place(self, *_: Any) -> None:
        self._bar.pos = self.pos
        self._bar.size = (max(self.height, self.width * self._share) if self._share else 0), self.height


class Picture(Widget):
    """A matrix as a picture, one square for each number.

    Args:
        pixels: uint8 [rows, columns, 3], first row on top.
    """

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        super().__init__(size_hint_y=None)
        self._rows, self._columns = pixels.shape[:2]
        texture = Texture.create(size=(self._columns, self._rows), colorfmt="rgb")
        texture.mag_filter = texture.min_filter = "nearest"
        texture.blit_buffer(np.ascontiguousarray(pixels[::-1]).tobytes(), colorfmt="rgb", bufferfmt="ubyte")
        with self.canvas:
            Color(1, 1, 1)
            self._rectangle = Rectangle(texture=texture)
        self.bind(pos=self._place, size=self._place)

    def _place(self, *_: Any) -> None:
        wide = min(self.width, dp(_WIDEST_PICTURE_DP))
        self.height = wide * self._rows / self._columns
        self._rectangle.pos, self._rectangle.size = self.pos, (wide, self.height)


class Curve(FloatLayout):
    """A line through points, between its least and its greatest value, above a row with a dot for each.

    Args:
        values: in order; nothing where there is none.
        colours: of the dots.
        palette: other colours.
        unit: behind the values at the left edge.
    """

    def __init__(
        self, values: Sequence[float | None], colours: Sequence[Colour], palette: Palette, unit: str = " %"
    ) -> None:
        super().__init__(size_hint_y=None, height=dp(164))
        known = [value for value in values if value is not None]
        self._least, self._most = (min(known), max(known)) if known else (0.0, 1.0)
        if self._most - self._least < 1e-9:
            self._least, self._most = self._least - 0.5, self._most + 0.5
        self._values = values
        with self.canvas:
            Color(*rgba(palette.divider))
            self._frame = [Line(width=1) for _ in range(3)]
            Color(*rgba(palette.primary))
            self._line = Line(width=dp(1.5))
            self._points = [Ellipse(size=(dp(7), dp(7))) for _ in known]
            self._dots = []
            for colour in colours:
                Color(*rgba(colour))
                self._dots.append(Ellipse(size=(dp(10), dp(10))))
        self._labels = [
            Label(
                text=f"{value:.1f}{unit}",
                color=rgba(palette.muted),
                font_size=sp(12),
                size_hint=(None, None),
                size=(dp(52), dp(18)),
                halign="right",
                text_size=(dp(52), None),
            )
            for value in (self._least, (self._least + self._most) / 2, self._most)
        ]
        for label in self._labels:
            label.opacity = 1 if known else 0
            self.add_widget(label)
        self.bind(pos=self._place, size=self._place)

    def _place(self, *_: Any) -> None:
        left, bottom = self.x + dp(62), self.y + dp(34)
        width, height = max(1.0, self.x + self.width - dp(10) - left), self.height - dp(46)
        for i, (label, line) in enumerate(zip(self._labels, self._frame, strict=True)):
            y = bottom + height * i / 2
            label.pos = self.x, y - label.height / 2
            line.points = [left, y, left + width, y]
        points: list[tuple[float, float]] = []
        for i, value in enumerate(self._values):
            x = left + width * (i + 0.5) / len(self._values)
            self._dots[i].pos = x - dp(5), self.y + dp(5)
            if value is not None:
                points.append((x, bottom + height * (value - self._least) / (self._most - self._least)))
        self._line.points = [part for point in points for part in point]
        for (x, y), circle in zip(points, self._points, strict=True):
            circle.pos = x - dp(3.5), y - dp(3.5)


class Bars(BoxLayout):
    """Upright bars with a caption below each.

    Args:
        bars: caption and height from 0 to 1.
        palette: colours.
    """

    def __init__(self, bars: Sequence[tuple[str, float]], palette: Palette) -> None:
        super().__init__(size_hint_y=None, height=dp(110), spacing=dp(6))
        for caption, share in bars:
            bar = Widget(size_hint_y=max(0.02, share))
            ground(bar, palette.primary if share else palette.divider, radius=3)
            column = BoxLayout(orientation="vertical", spacing=dp(4))
            column.add_widget(Widget(size_hint_y=max(0.001, 1 - share)))
            column.add_widget(bar)
            column.add_widget(Text(caption, palette.muted, size=12, halign="center", one_line=True))
            self.add_widget(column)
