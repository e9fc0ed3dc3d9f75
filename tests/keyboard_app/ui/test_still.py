"""What is painted once and shown as one rectangle."""

import pytest
from kivy.graphics import Callback, Color, Rectangle, RoundedRectangle
from kivy.graphics.opengl import GL_RGB, GL_UNSIGNED_BYTE, glReadPixels
from kivy.uix.widget import Widget

from keyboard_app.ui.lettering import lettering
from keyboard_app.ui.still import Still
from keyboard_app.ui.theme import LIGHT, rgba
from tests.keyboard_app.ui.conftest import SIZE, Screen

pytestmark = pytest.mark.slow  # needs OpenGL


def _paint(pos: tuple[float, float], size: tuple[float, float]) -> None:
    Color(*rgba(LIGHT.key))
    RoundedRectangle(pos=pos, size=(size[0] / 2, size[1] / 2), radius=[7])
    Color(1, 1, 1)
    letter = lettering("gä😀", 20, LIGHT.on_key)
    Rectangle(texture=letter, size=letter.size, pos=(pos[0] + 3.3, pos[1] + 4.6))


def _pixels(screen: Screen) -> bytes:
    screen.frames(3)
    screen.window.dispatch("on_draw")
    return bytes(glReadPixels(0, 0, *SIZE, GL_RGB, GL_UNSIGNED_BYTE))


@pytest.mark.parametrize("pos", [(0.0, 0.0), (10.4, 20.6), (-5.5, 30.5)])
@pytest.mark.parametrize("size", [(100.0, 60.0), (99.7, 61.2)])
def test_every_pixel_is_as_if_painted_without_it(
    screen: Screen, pos: tuple[float, float], size: tuple[float, float]
) -> None:
    widget = Widget()
    screen.show(widget)
    with widget.canvas:
        Color(*rgba(LIGHT.keyboard))
        Rectangle(pos=pos, size=size)
        _paint(pos, size)
    direct = _pixels(screen)
    widget.canvas.clear()
    assert _pixels(screen) != direct
    with Still(widget.canvas).painted(pos, size, LIGHT.keyboard):
        _paint(pos, size)
    assert _pixels(screen) == direct


def test_it_is_painted_again_when_something_else_is_painted_and_not_at_every_frame(screen: Screen) -> None:
    widget = Widget()
    screen.show(widget)
    still = Still(widget.canvas)
    painted: list[object] = []
    for size in ((50, 50), (50, 50), (80, 40), (0, 0)):
        with still.painted((0, 0), size, LIGHT.key):
            Callback(painted.append)
        screen.frames(2)
        assert painted
        painted.clear()
        for _ in range(3):
            widget.canvas.ask_update()
            screen.frames()
        assert not painted
