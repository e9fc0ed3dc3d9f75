"""The strip of three suggestions, best in the middle, each with a badge that says what knew it."""

from collections.abc import Callable
from typing import Any

from kivy.clock import Clock
from kivy.graphics import Color, Rectangle
from kivy.metrics import dp, sp
from kivy.uix.widget import Widget

from keyboard_app.editor.editor import Slot
from keyboard_app.editor.keys import LONG_PRESS_SECONDS
from keyboard_app.ui.lettering import lettering
from keyboard_app.ui.theme import Colour, Palette, rgba
from keyboard_app.ui.widgets import ground
from model.suggestions import Origin

BADGES = {Origin.PERSONAL: "yours", Origin.SHARED: "shared", Origin.CORRECTION: "fixed", Origin.EMOJI: "emoji"}
AS_TYPED = "as typed"

Slots = tuple[Slot | None, Slot | None, Slot | None]


class Strip(Widget):
    """Three places for words.

    Args:
        palette: colours.
        accept: called with the place that was tapped, 0 to 2.
        ask: called with the slot that was held.
    """

    def __init__(self, palette: Palette, accept: Callable[[int], object], ask: Callable[[Slot], object]) -> None:
        super().__init__(size_hint_y=None, height=max(dp(50), sp(46)))
        self._palette, self._accept, self._ask = palette, accept, ask
        self.slots: Slots = (None, None, None)
        self._touches: dict[int, tuple[int, Any]] = {}
        ground(self, palette.keyboard)
        self.bind(pos=self._paint, size=self._paint)

    def show(self, slots: Slots) -> None:
        """Show other words."""
        if slots != self.slots:
            self.slots = slots
            self._paint()

    def badge(self, slot: Slot) -> str:
        """Return what a slot's badge says."""
        return AS_TYPED if slot.suggestion is None else BADGES[slot.suggestion.origin]

    def middle(self, index: int) -> tuple[float, float]:
        """Return the middle of a place, in the window's coordinates."""
        return self.x + self.width * (index + 0.5) / 3, self.y + self.height / 2

    def _badge_colour(self, slot: Slot) -> Colour:
        if slot.suggestion is None or slot.suggestion.origin in {Origin.CORRECTION, Origin.EMOJI}:
            return self._palette.muted
        return self._palette.personal if slot.suggestion.origin is Origin.PERSONAL else self._palette.shared

    def _paint(self, *_: Any) -> None:
        self.canvas.clear()
        held = {index for index, _ in self._touches.values()}
        third = self.width / 3
        with self.canvas:
            for index, slot in enumerate(self.slots):
                middle, left = self.middle(index)[0], self.x + third * index
                if index in held:
                    Color(*rgba(self._palette.key_pressed))
                    Rectangle(pos=(left, self.y), size=(third, self.height))
                if index:
                    Color(*rgba(self._palette.outline, 0.5))
                    Rectangle(
                        pos=(self.x + self.width * index / 3, self.y + dp(12)), size=(dp(1), self.height - dp(24))
                    )
                if slot is None:
                    continue
                Color(1, 1, 1)
                word, badge = (slot.text, self._palette.on_key), (self.badge(slot), self._badge_colour(slot))
                self._write(*word, middle, self.y + self.height * 0.62, sp(18 if index == 1 else 17))
                self._write(*badge, middle, self.y + self.height * 0.2, sp(11))

    def _write(self, text: str, colour: Colour, middle: float, height: float, size: float) -> None:
        texture = lettering(text, size, colour)
        wide = min(texture.width, self.width / 3 - dp(10))
        shrunk = texture.height * wide / texture.width
        Rectangle(texture=texture, size=(wide, shrunk), pos=(middle - wide / 2, height - shrunk / 2))

    def on_touch_down(self, touch: Any) -> bool:
        """Begin a tap or a long press."""
        if not self.collide_point(*touch.pos) or getattr(touch, "is_mouse_scrolling", False):
            return False
        index = min(2, int((touch.x - self.x) / self.width * 3))
        touch.grab(self)
        timer = Clock.schedule_once(lambda _: self._long(touch.uid), LONG_PRESS_SECONDS)
        self._touches[touch.uid] = index, timer
        self._paint()
        return True

    def on_touch_up(self, touch: Any) -> bool:
        """Take the word, if the finger is still on it."""
        if touch.grab_current is not self:
            return False
        touch.ungrab(self)
        index, timer = self._touches.pop(touch.uid, (None, None))
        if index is None or timer is None:
            return True
        timer.cancel()
        self._paint()
        slot = self.slots[index]
        if slot is not None and self.collide_point(*touch.pos) and int((touch.x - self.x) / self.width * 3) == index:
            self._accept(index)
        return True

    def _long(self, touch: int) -> None:
        index, _ = self._touches.pop(touch)
        self._paint()
        slot = self.slots[index]
        if slot is not None:
            self._ask(slot)
