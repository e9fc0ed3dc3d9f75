"""The keys: painted at once, whatever the model does, and pressed by one or several fingers."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kivy.graphics import Canvas, Color, Line, Rectangle, RoundedRectangle
from kivy.metrics import dp, sp
from kivy.uix.widget import Widget

from keyboard_app.editor.editor import EditorState, Shift, shifted, typed_by
from keyboard_app.editor.keys import (
    COLUMNS,
    LONG_PRESS_SECONDS,
    REPEAT_AFTER_SECONDS,
    REPEAT_EVERY_SECONDS,
    SLIDE_DP,
    Action,
    Board,
    Key,
    Layer,
    key_at,
    page,
    rows,
)
from keyboard_app.ui import fonts
from keyboard_app.ui.lettering import alone, lettering
from keyboard_app.ui.popup import Popup
from keyboard_app.ui.still import Still
from keyboard_app.ui.theme import Colour, Palette, rgba
from keyboard_app.ui.touch_timers import if_it_stays
from model.suggestions.gliding import MIN_LENGTH, Path

_SYMBOLS = {
    Action.BACKSPACE: "⌫",
    Action.RETURN: "➤",
    Action.LETTERS: "ABC",
    Action.SYMBOLS: "?123",
    Action.MORE_SYMBOLS: "=\\<",
    Action.EMOJI: "☺",
    Action.NEXT_LAYOUT: "⌨",
}
_SHIFTS = {Shift.OFF: "⇧", Shift.ONCE: "⬆", Shift.LOCK: "⇪"}
_GAP_DP = 3.0
_ROUND_DP = 7.0
_ERASE_DP = 26.0  # by which a finger that slides left from backspace deletes a word
_LOWERED = 0.08  # of the height of a key
_ONE_HANDED = 0.8  # of the width


@dataclass(frozen=True)
class _Cell:
    """Where a key is painted, in the window's coordinates; its letter is in the middle."""

    pos: tuple[float, float]
    size: tuple[float, float]
    middle: tuple[float, float]


@dataclass
class _Finger:
    """A finger on the keys.

    Attributes:
        key: below it.
        timer: of the long press or the repeat.
        pressed: whether the key was pressed already.
        choice: which alternative it points at, while they are shown.
        x: where it came to the key.
        steps: by which it has moved the cursor.
        path: where it was since it came down on a letter, in keys.
        way: how long that path is, in keys.
        trail: the line that shows it; None until it glides.
    """

    key: Key | None = None
    timer: Any = None
    pressed: bool = False
    choice: int | None = None
    x: float = 0.0
    steps: int = 0
    path: list[tuple[float, float]] = field(default_factory=list)
    way: float = 0.0
    trail: Line | None = None


class Keypad(Widget):
    """The keys of a page.

    Args:
        palette: colours.
        press: called with a key that was pressed.
        write: called with an alternative that was chosen.
        move: called with how many characters the cursor is to go right, or left if negative.
        erase: called with how many words to the left are to go, or to come back if negative.
        glide: called with the path of a finger over the letters of a word; None for keys that are only pressed.

    Attributes:
        change_hand: called when the room beside keys for one hand is touched.
    """

    def __init__(
        self,
        palette: Palette,
        press: Callable[[Key], object],
        write: Callable[[str], object],
        move: Callable[[int], object],
        erase: Callable[[int], object],
        glide: Callable[[Path], object] | None = None,
    ) -> None:
        super().__init__(size_hint_y=None)
        self._palette, self._press, self._write, self._move, self._erase = palette, press, write, move, erase
        self._glide = glide
        self._board, self._hand = Board(), ""
        self.change_hand: Callable[[], object] = lambda: None
        self._state = EditorState()
        self._fingers: dict[int, _Finger] = {}
        self._cells: dict[Key, _Cell] = {}
        self._still = Still(self.canvas)
        self._pressed = Canvas()
        self.canvas.add(self._pressed)
        self._popup = Popup(self, palette)
        self.bind(pos=self._paint, size=self._paint)

    def arrange(self, board: Board, hand: str = "") -> None:
        """Have other keys.

        Args:
            board: which.
            hand: `left` or `right` leaves room on the other side; nothing takes all of it.
        """
        if (board, hand) != (self._board, self._hand):
            self._board, self._hand = board, hand
            self._paint()

    def show(self, state: EditorState) -> None:
        """Show the page and the state of shift of an editor."""
        before, self._state = self._state, state
        if before.layer is not state.layer:
            self._paint()
        elif before.shift is not state.shift:
            self._letter()

    def cell(self, key: Key) -> tuple[float, float]:
        """Return the middle of a key of the page shown, in the window's coordinates."""
        return self._cells[key].middle

    def find(self, types: str = "", action: Action | None = None) -> Key:
        """Return the key of the page shown that types something or does something.

        Raises:
            LookupError: the page has none.
        """
        for key in page(self._state.layer, self._board):
            if key.types == types and key.action is action:
                return key
        raise LookupError(f"no key for {types or action} on the page of {self._state.layer.value}")

    def label_of(self, key: Key) -> str:
        """Return what stands on a key now."""
        if key.action is Action.SHIFT:
            return _SHIFTS[self._state.shift]
        if key.action is not None:
            return _SYMBOLS[key.action]
        return typed_by(key, self._state.shift) if self._state.layer is Layer.LETTERS else key.types

    @property
    def _area(self) -> tuple[float, float]:
        """Where the keys begin on the left, and how wide all of them are."""
        wide = self.width * (_ONE_HANDED if self._hand else 1)
        return (self.x if self._hand != "right" else self.x + self.width - wide), wide

    @property
    def _rows(self) -> float:
        return rows(self._state.layer, self._board)

    def _paint(self, *_: Any) -> None:
        """Give the keys their places, and paint them."""
        left, all_wide = self._area
        wide, high = all_wide / COLUMNS, self.height / self._rows
        gap = dp(_GAP_DP)
        self._cells = {}
        for key in page(self._state.layer, self._board):
            x, y = left + key.left * wide + gap, self.y + (self._rows - key.top - 1) * high + gap
            width, height = key.width * wide - 2 * gap, high - 2 * gap
            lowered = _LOWERED * height if key.shifted else 0.0  # what stands above letters has room
            self._cells[key] = _Cell((x, y), (width, height), (x + width / 2, y + height / 2 - lowered))
        self._letter()

    def _letter(self) -> None:
        """Paint the keys, with what is written on them now."""
        with self._still.painted(self.pos, self.size, self._palette.keyboard):
            for key in self._cells:
                self._paint_key(key, self._ground_of(key))
            if self._hand:
                left, wide = self._area
                sign = lettering("⇆", self._size, self._palette.on_key, fonts.SYMBOLS)
                middle = (self.x if left > self.x else left + wide) + (self.width - wide) / 2
                place = middle - sign.width / 2, self.y + (self.height - sign.height) / 2
                Color(1, 1, 1)
                Rectangle(texture=sign, size=sign.size, pos=place)
        self._shade()

    def _shade(self) -> None:
        """Show which keys are under fingers."""
        self._pressed.clear()
        with self._pressed:
            for key in {finger.key for finger in self._fingers.values()}:
                if key in self._cells:
                    self._paint_key(key, self._palette.key_pressed)

    def _paint_key(self, key: Key, colour: Colour) -> None:
        cell, size = self._cells[key], self._size
        Color(*rgba(colour))
        RoundedRectangle(pos=cell.pos, size=cell.size, radius=[dp(_ROUND_DP)])
        Color(1, 1, 1)
        small = key.action in {Action.LETTERS, Action.SYMBOLS, Action.MORE_SYMBOLS, Action.NEXT_LAYOUT}
        font = fonts.MAIN if small or key.action in {None, Action.EMOJI} else fonts.SYMBOLS
        ink = self._palette.on_primary if key.action is Action.RETURN else self._palette.on_key
        letter = lettering(alone(self.label_of(key)), size * (0.7 if small else 1), ink, font)
        place = cell.middle[0] - letter.width / 2, cell.middle[1] - letter.height / 2
        Rectangle(texture=letter, size=letter.size, pos=place)
        if key.alternatives and self._state.layer is Layer.LETTERS:
            ink = self._palette.on_primary if key.action is Action.RETURN else self._palette.muted
            hint = lettering(alone(key.alternatives[0]), min(sp(11), size * 0.5), ink)
            right, top = cell.pos[0] + cell.size[0], cell.pos[1] + cell.size[1]
            Rectangle(texture=hint, size=hint.size, pos=(right - hint.width - dp(3), top - hint.height))

    @property
    def _size(self) -> float:
        """How large letters are, in pixels."""
        return float(min(self.height / self._rows * 0.42, self._area[1] / COLUMNS * 0.66, sp(24)))

    def _ground_of(self, key: Key) -> Colour:
        if key.action is Action.RETURN:
            return self._palette.primary
        if key.action is Action.SHIFT and self._state.shift is not Shift.OFF:
            return self._palette.key_pressed
        return self._palette.key if key.action is None else self._palette.key_special

    def _place(self, touch: Any) -> tuple[float, float]:
        left, wide = self._area
        return (touch.x - left) / wide * COLUMNS, (1 - (touch.y - self.y) / self.height) * self._rows

    def _key_at(self, touch: Any) -> Key | None:
        return key_at(self._state.layer, *self._place(touch), self._board)

    def on_touch_down(self, touch: Any) -> bool:
        """Press a key; fingers that are still on other keys have pressed theirs."""
        if not self.collide_point(*touch.pos):
            return False
        if getattr(touch, "is_mouse_scrolling", False):
            return True
        for other in list(self._fingers.values()):
            self._release(other)
        left, wide = self._area
        if not left <= touch.x <= left + wide:
            self.change_hand()
            return True
        touch.grab(self)
        finger = self._fingers[touch.uid] = _Finger()
        key = self._key_at(touch)
        if self._glide is not None and key and key.types.isalpha() and self._state.layer is Layer.LETTERS:
            finger.path.append(self._place(touch))
        self._hold(finger, key, touch.x)
        return True

    def on_touch_move(self, touch: Any) -> bool:
        """Glide over letters, or slide to another key, along the alternatives, or along the space bar."""
        finger = self._fingers.get(touch.uid)
        if finger is None or touch.grab_current is not self:
            return False
        key = self._key_at(touch)
        if finger.choice is None and self._glides(finger, touch):
            return True
        if finger.choice is not None:
            finger.choice = self._popup.choose(touch.x)
        elif finger.key and finger.key.slides and (finger.pressed or (key and key.top == finger.key.top)):
            self._slide(finger, touch.x)
        elif not finger.pressed and key is not finger.key:
            self._hold(finger, key, touch.x)
        return True

    def on_touch_up(self, touch: Any) -> bool:
        """Let go: the key, or the chosen alternative, is typed."""
        if touch.grab_current is not self:
            return False
        touch.ungrab(self)
        finger = self._fingers.pop(touch.uid, None)
        if finger is not None:
            self._release(finger)
        return True

    def _glides(self, finger: _Finger, touch: Any) -> bool:
        """Follow a finger that came down on a letter; return whether it has gone too far to have meant a key."""
        if not finger.path:
            return False
        here = self._place(touch)
        finger.way += math.dist(finger.path[-1], here)
        finger.path.append(here)
        if finger.trail is None:
            if finger.way < MIN_LENGTH:
                return False
            self._hold(finger, None, touch.x)
            with self.canvas.after:
                Color(*rgba(self._palette.primary), 0.6)
                finger.trail = Line(points=[], width=dp(3))
        finger.trail.points = [*finger.trail.points, touch.x, touch.y]
        return True

    def _slide(self, finger: _Finger, x: float) -> None:
        """Move the cursor, or delete words, with a finger; one that has barely moved still presses its key."""
        erases = finger.key is not None and finger.key.action is Action.BACKSPACE
        way = (x - finger.x) / dp(_ERASE_DP if erases else SLIDE_DP)
        steps = int(math.copysign(max(0.0, abs(way) - 1 + 1e-6), way))
        if erases:
            steps = max(0, -steps)
        if steps != finger.steps:
            finger.pressed = True
            if finger.timer is not None:
                finger.timer.cancel()
            (self._erase if erases else self._move)(steps - finger.steps)
            finger.steps = steps

    def _hold(self, finger: _Finger, key: Key | None, x: float) -> None:
        """Let a finger be on a key, and show it."""
        finger.x = x
        if finger.timer is not None:
            finger.timer.cancel()
        finger.key, finger.timer = key, None
        self._shade()
        if key is None:
            self._popup.hide()
            return
        if key.repeats or key.action is Action.SHIFT:
            finger.pressed = True
            self._press(key)
        if key.repeats:
            if_it_stays(finger, REPEAT_AFTER_SECONDS, self._repeat)
        elif key.alternatives:
            if_it_stays(finger, LONG_PRESS_SECONDS, self._offer)
        if key.action is None and key.types != " ":
            self._popup.show([self.label_of(key)], self._cells[key].middle, self.height / self._rows)
        else:
            self._popup.hide()

    def _on_letters(self, path: list[tuple[float, float]]) -> Path:
        """Return a path with the first row of letters at the top, where geometries have it."""
        top = min(key.top for key in page(Layer.LETTERS, self._board) if key.types.isalpha())
        return tuple((x, y - top) for x, y in path)

    def _repeat(self, finger: _Finger) -> None:
        if finger.key is not None:
            self._press(finger.key)
            if_it_stays(finger, REPEAT_EVERY_SECONDS, self._repeat)

    def _offer(self, finger: _Finger) -> None:
        if finger.key is not None:
            texts = [shifted(text, self._state.shift) for text in finger.key.alternatives]
            self._popup.show(texts, self._cells[finger.key].middle, self.height / self._rows)
            finger.choice = self._popup.chosen

    def _release(self, finger: _Finger) -> None:
        if finger.timer is not None:
            finger.timer.cancel()
        key, finger.key = finger.key, None
        self._shade()
        self._popup.hide()  # and the trail
        ended = finger.trail is not None and key_at(self._state.layer, *finger.path[-1], self._board) is not None
        if self._glide is not None and ended:
            self._glide(self._on_letters(finger.path))
        if key is None or finger.pressed:
            return
        finger.pressed = True
        if finger.choice is not None:
            self._write(shifted(key.alternatives[finger.choice], self._state.shift))
        else:
            self._press(key)
