"""What seldom changes, painted once and then shown as one rectangle.

Each rectangle of a frame costs software OpenGL 70 KB and time, every frame anew, however little of it changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from kivy.clock import Clock
from kivy.graphics import Canvas, ClearBuffers, ClearColor, Color, Fbo, PopMatrix, PushMatrix, Rectangle, Translate

from keyboard_app.ui.theme import Colour, rgba


class Still:
    """A picture on a canvas, opaque, of whatever is painted into it.

    Args:
        canvas: that shows it.
    """

    def __init__(self, canvas: Canvas) -> None:
        with canvas:
            self._picture = Fbo(size=(1, 1))
            Color(1, 1, 1)
            self._shown = Rectangle()
        # Ahead of the frame, since what is painted amid it holds its memory for as long as the window is open.
        self._paint = Clock.create_trigger(lambda _: self._picture.draw(), -1)

    @contextmanager
    def painted(self, pos: tuple[float, float], size: tuple[float, float], background: Colour) -> Iterator[None]:
        """Paint something else, with the window's coordinates, in place of what was there.

        Args:
            pos: of the lower left corner of the picture.
            size: of the picture; nothing is seen beyond it.
            background: where nothing is painted.
        """
        left, bottom = (ceil(place - 0.5) for place in pos)  # a pixel of the picture is one of the window
        sides = max(1, ceil(pos[0] + size[0] - 0.5) - left), max(1, ceil(pos[1] + size[1] - 0.5) - bottom)
        if self._picture.size != sides:
            self._picture.size = sides
        self._picture.clear()
        with self._picture:
            ClearColor(*rgba(background))
            ClearBuffers()
            PushMatrix()
            Translate(-left, -bottom)
            yield
            PopMatrix()
        self._shown.texture = self._picture.texture
        self._shown.pos, self._shown.size = (left, bottom), sides
        self._paint()
