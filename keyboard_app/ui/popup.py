"""What stands above a finger on a key."""

from kivy.graphics import Color, Rectangle, RoundedRectangle
from kivy.metrics import dp, sp
from kivy.uix.widget import Widget

from keyboard_app.ui.lettering import alone, lettering
from keyboard_app.ui.theme import Palette, rgba


class Popup:
    """What stands above a finger: the key's letter, or what a long press offers.

    Args:
        keypad: above whose places it stands.
        palette: colours.
    """

    def __init__(self, keypad: Widget, palette: Palette) -> None:
        self._keypad, self._palette = keypad, palette
        self._left = self._wide = 0.0
        self._shades: list[Color] = []
        self._order: list[int] = []  # of the texts, from left to right
        self.chosen = 0

    def show(self, texts: list[str], middle: tuple[float, float], row: float) -> None:
        """Show texts beside each other above a key.

        Args:
            texts: one or several; the first, which the key's corner shows, stands above it and is chosen first.
            middle: of the key.
            row: height of a row of keys.
        """
        keypad = self._keypad
        self._wide = min(dp(46) if len(texts) == 1 else dp(40), (keypad.width - dp(8)) / len(texts))
        high = min(row, dp(52))
        total = self._wide * len(texts)
        most = keypad.right - total - dp(4)
        self._left = min(max(keypad.x + dp(4), middle[0] - self._wide / 2), most)
        right_of_it = len(texts) - self._place(middle[0], len(texts))
        self._order = [*range(right_of_it, len(texts)), *range(right_of_it)]
        bottom = middle[1] + row / 2 + dp(2)
        after = keypad.canvas.after
        after.clear()
        self._shades = []
        with after:
            Color(0, 0, 0, 0.28)
            RoundedRectangle(
                pos=(self._left - dp(1), bottom - dp(2)), size=(total + dp(2), high + dp(2)), radius=[dp(9)]
            )
            Color(*rgba(self._palette.key_special))
            RoundedRectangle(pos=(self._left, bottom), size=(total, high), radius=[dp(8)])
            for i, text in enumerate(texts[number] for number in self._order):
                self._shades.append(Color(*rgba(self._palette.key_special)))
                x = self._left + i * self._wide
                RoundedRectangle(pos=(x, bottom), size=(self._wide, high), radius=[dp(8)])
                Color(1, 1, 1)
                texture = lettering(alone(text), min(high * 0.5, sp(26)), self._palette.on_key)
                Rectangle(
                    texture=texture,
                    size=texture.size,
                    pos=(x + (self._wide - texture.width) / 2, bottom + (high - texture.height) / 2),
                )
        self.choose(middle[0])

    def choose(self, x: float) -> int:
        """Point at the text nearest to `x`; return its index."""
        place = self._place(x, len(self._shades))
        self.chosen = self._order[place]
        if len(self._shades) > 1:
            for i, shade in enumerate(self._shades):
                shade.rgba = rgba(self._palette.key_pressed if i == place else self._palette.key_special)
        return self.chosen

    def _place(self, x: float, count: int) -> int:
        """Return which of this many places, from the left, is nearest to `x`."""
        return min(count - 1, max(0, int((x - self._left) / self._wide)))

    def hide(self) -> None:
        """Show nothing."""
        self._keypad.canvas.after.clear()
