"""An animation has a picture of everything that changed."""

from pathlib import Path

import pytest
from PIL import Image

from keyboard_app.phone import Phone
from keyboard_app.ui.app import several_size
from keyboard_app.ui.film import Film
from tests.keyboard_app.ui.conftest import Screen

pytestmark = pytest.mark.slow  # needs OpenGL


def test_a_picture_is_taken_where_something_changed(screen: Screen, phone: Phone, tmp_path: Path) -> None:
    assert phone.settle()
    film = Film([phone, phone])
    for _ in range(8):
        film.take()
    asked = film.length
    assert asked < 8, "nothing changed"
    phone.agree(consent=False)
    film.take()
    phone.session.type("hello")
    assert phone.settle()
    film.take()
    assert film.length == asked + 2, "the keys, and what was typed"
    screen.clear()
    film.write(tmp_path / "made" / "film.gif")
    with Image.open(tmp_path / "made" / "film.gif") as read:
        assert getattr(read, "n_frames", 0) == film.length
        assert read.size == tuple(side // 2 for side in several_size(2))
